"""One file per framework; its name is the value of --framework. Each has a LeNet that is a lenet.backend.Backend."""

import importlib
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lenet.errors import UserError
from lenet.system.machine import importing, keep_freed_memory, lacks_avx
from lenet.system.streams import silenced_stderr

if TYPE_CHECKING:
    from lenet.backend import Backend

FRAMEWORKS = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
ENGINES = ("tensorflow", "torch", "jax")  # of Keras


def keras_engine() -> tuple[str, str]:
    """Return the library that Keras will compute with, and what asks for it."""
    if engine := os.environ.get("KERAS_BACKEND"):
        return engine, "KERAS_BACKEND"
    try:
        path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
        return str(json.loads(path.read_text(encoding="utf-8"))["backend"]), str(path)
    except (OSError, RuntimeError, ValueError, LookupError, TypeError):  # RuntimeError: the user has no home
        return "tensorflow", "Keras's default"


# The package of each, in the order in which they are taken when none is named.
MODULES = {"pytorch": "torch", "tensorflow": "tensorflow", "keras": "keras", "jax": "jax"}


def installed() -> list[str]:
    """Return the frameworks that can train here, without importing them; UserError if there is none."""
    names = [name for name in MODULES if not _problem(name)]
    if not names:
        raise UserError("no framework is installed: pip install -r requirements/pytorch.txt, or another's file")
    return names


def require(framework: str) -> None:
    """Raise UserError if there is no such framework, or if it cannot train here; imports nothing."""
    if framework not in FRAMEWORKS:
        raise UserError(f"there is no framework '{framework}', only {', '.join(FRAMEWORKS)}")
    if problem := _problem(framework):
        raise UserError(problem)


def modules(framework: str) -> list[str]:
    """Return the packages that a framework computes with: Keras with another one."""
    return [MODULES[framework], keras_engine()[0]] if framework == "keras" else [MODULES[framework]]


def _problem(framework: str) -> str:
    """Say why a framework cannot train here, and what to do; empty if it can."""
    engine, source = keras_engine()
    if framework == "keras" and engine not in ENGINES:
        return f"Keras cannot train on {engine}, set by {source}; set KERAS_BACKEND to one of {', '.join(ENGINES)}"
    for module in modules(framework):
        if not _is_installed(module):
            file = {"torch": "pytorch", "jax": "jax"}.get(module, framework)  # Keras's other engines have their own
            return f"{framework} needs {module}, which is not installed: pip install -r requirements/{file}.txt"
    if "tensorflow" in modules(framework) and lacks_avx():
        return "TensorFlow needs a processor with AVX, which this one lacks; choose --framework pytorch"
    return ""


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # an import of it has failed
        return False


def load(framework: str) -> "type[Backend]":
    """Import one framework and what is written for it; UserError if that is not possible."""
    require(framework)
    # Threads of PyTorch that wait for others spin 300,000 times by default, which takes time from others on a busy
    # machine; 5,000 lose 4 % on a quiet one, where 10,000 lose nothing that can be measured.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # TensorFlow's C++ code, alone or under Keras, logs much that its user cannot act on; Python's errors stay.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By default TensorFlow uses oneDNN, twice as fast, only on processors with AVX512-VNNI or the like.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Take a GPU's memory as it is needed: the runs of a report share it. PyTorch does so by default.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    keep_freed_memory()
    try:
        with importing(MODULES[framework]), silenced_stderr():
            backend: type[Backend] = importlib.import_module(f"backends.{framework}").LeNet
    except UserError:
        raise
    except Exception as error:  # whatever a damaged installation, or two that do not fit together, may raise
        lines = [line for line in str(error).splitlines() if re.match(r"\w*Error: ", line)] or str(error).split("\n")
        advice = f"install it again: pip install -r requirements/{framework}.txt"
        if re.search("DLL load failed|Error loading|WinError 126", str(error)):
            advice = f"install https://aka.ms/vs/17/release/vc_redist.x64.exe; if that does not help, {advice}"
        raise UserError(f"{framework} cannot be imported: {lines[-1]}; {advice}") from None
    return backend
