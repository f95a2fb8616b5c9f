"""Say in one line why this Python cannot install a framework: python requirements/check.py FRAMEWORK.

It runs before anything is downloaded, and in Pythons that are too old for all else.
"""

import platform
import sys


def problem(framework, version, system, machine):
    """Return what is wrong, empty if nothing is; `version` is such as (3, 11)."""
    if version < (3, 11):
        return f"Python 3.11 or newer is needed, not {version[0]}.{version[1]}"
    if framework != "pytorch" and version > (3, 13):
        return f"TensorFlow is not made for Python {version[0]}.{version[1]} yet, PyTorch is; take Python 3.11 to 3.13"
    if (system, machine) == ("Darwin", "x86_64"):
        return "no framework is made for Macs with an Intel processor any more; take Linux in a virtual machine"
    return ""


if __name__ == "__main__":
    wrong = problem(sys.argv[1], sys.version_info[:2], platform.system(), platform.machine())
    if wrong:
        sys.stderr.write(f"{sys.executable}: {wrong}; name another Python with: make PYTHON=python3.12\n")
        sys.exit(2)
