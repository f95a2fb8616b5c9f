"""Say in one line why this Python cannot install a framework: python requirements/check.py FRAMEWORK.

It runs before anything is downloaded, and in Pythons that are too old for all else.
"""

import os
import platform
import sys


def problem(framework, version, system, machine):
    """Return what is wrong and what to do, empty if nothing is; `version` is such as (3, 11)."""
    made = os.path.basename(sys.prefix) == ".venv"  # noqa: PTH119 - it is text
    other = ("remove .venv, then " if made else "") + "name another Python: make PYTHON=python3.12 ..."
    if version < (3, 11):
        return f"Python 3.11 or newer is needed, not {version[0]}.{version[1]}; {other}"
    if framework not in ("pytorch", "jax") and version > (3, 13):
        return f"TensorFlow is not made for Python {version[0]}.{version[1]} yet, only PyTorch and JAX are; {other}"
    if version > (3, 14):
        return f"no framework is made for Python {version[0]}.{version[1]} yet; {other}"
    if (system, machine) == ("Windows", "ARM64"):
        return "no framework is made for Windows' Python on ARM; install the x64 Python"
    if (system, machine) == ("Darwin", "x86_64"):
        return "no framework is made for an Intel Mac's Python any more; on an Apple processor use an arm64 Python"
    return ""


if __name__ == "__main__":
    wrong = problem(sys.argv[1], sys.version_info[:2], platform.system(), platform.machine())
    if wrong:
        sys.stderr.write(f"{sys.executable}: {wrong}\n")
        sys.exit(2)
