"""Safetensors files, written as whole as every file of a run."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from lenet.system.files import replacing

KEY = "lenet"  # the one metadata key: the library writes several in random order


def save(path: Path, arrays: Mapping[str, np.ndarray], metadata: str) -> None:
    """Write the file in place of the one that is there; UserError if it cannot be written: the old one stays."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # it writes others wrongly
    with replacing(path) as temporary:
        temporary.touch()
        usual_mode = temporary.stat().st_mode
        try:
            save_file(contiguous, temporary, {KEY: metadata})
        except SafetensorError as error:
            raise OSError(error) from None
        with contextlib.suppress(OSError):  # some shares have no modes
            temporary.chmod(usual_mode)  # the library lets no other user read it
