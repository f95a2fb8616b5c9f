"""One file per framework; its name is the value of --framework. Each has a LeNet that is a lenet.backend.Backend."""

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lenet.errors import UserError

if TYPE_CHECKING:
    from lenet.backend import Backend

FRAMEWORKS = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
# What each imports; Keras, which computes with another framework, both.
MODULES = {
    "keras": ("keras", os.environ.get("KERAS_BACKEND", "tensorflow")),
    "pytorch": ("torch",),
    "tensorflow": ("tensorflow",),
}


def installed() -> list[str]:
    """Return the frameworks whose packages are here, without importing them."""
    return [name for name in FRAMEWORKS if all(importlib.util.find_spec(module) for module in MODULES[name])]


def load(framework: str) -> "type[Backend]":
    """Import one framework and what is written for it; UserError if it is not installed."""
    if framework not in FRAMEWORKS:
        raise UserError(f"there is no framework '{framework}', only {', '.join(FRAMEWORKS)}")
    # TensorFlow's C++ code, alone or under Keras, logs much that its user cannot act on; Python's errors stay.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By default TensorFlow uses oneDNN, twice as fast, only on processors with AVX512-VNNI or the like.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Take a GPU's memory as it is needed: the runs of a report share it. PyTorch does so by default.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        with silenced_stderr():
            backend: type[Backend] = importlib.import_module(f"backends.{framework}").LeNet
    except ImportError as error:
        packages = error.name if error.name == "jax" else "-r requirements.txt"
        raise UserError(f"{framework} cannot be imported ({error}); install it: pip install {packages}") from None
    except ValueError as error:  # Keras does not know the engine that KERAS_BACKEND names
        raise UserError(
            f"{framework} cannot be imported: {error}; set KERAS_BACKEND to tensorflow, torch or jax"
        ) from None
    return backend


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """TensorFlow's C++ code writes to file descriptor 2 during import, whatever its log level."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
