"""One file a framework, named as --framework says it; each has a LeNet that is a lenet.backend.Backend."""

import contextlib
import importlib
import os
from collections.abc import Iterator

from lenet import UserError
from lenet.backend import Backend


def load(framework: str) -> type[Backend]:
    """Import one framework and what is written for it; UserError when it is not installed."""
    # TensorFlow's C++ code, alone or under Keras, says much that its user cannot act on; Python's errors stay.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By itself TensorFlow takes oneDNN, twice as fast, only on processors that have AVX512-VNNI or the like.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # A GPU's memory as it is needed: a report's runs share it. PyTorch does so by itself.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        with silenced_stderr():
            backend: type[Backend] = importlib.import_module(f"backends.{framework}").LeNet
    except ImportError as error:
        packages = error.name if error.name == "jax" else "-r requirements.txt"
        raise UserError(f"{framework} cannot be imported ({error}); install it: pip install {packages}") from None
    return backend


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """While it is imported, that code writes to file descriptor 2 whatever its log level is."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
