"""IDX, the format of MNIST's files."""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from lenet.errors import UserError

MAXIMUM_COUNT = 1_000_000  # items; all of EMNIST has 814,255


def read(folder: Path, name: str, item_shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """Return the uint8 array in a file, gzipped or not, and the SHA-256 of the file unpacked.

    The format: two zero bytes, the type (8: uint8), the rank, the sizes (big-endian), the data. UserError if the file
    is missing, damaged or not what it says.
    """
    path, rank = folder / name, 1 + len(item_shape)
    try:
        if not path.is_file():
            path = folder / f"{name}.gz"
        with cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            header = _read_at_most(file, 4 + 4 * rank)
            if len(header) < 4 + 4 * rank or header[:4] != bytes([0, 0, 8, rank]):
                raise UserError(f"{path}: not an IDX file of uint8 with {rank} dimension{'s' * (rank > 1)}")
            shape = struct.unpack(f">{rank}I", header[4:])
            if shape[0] == 0 or shape[1:] != item_shape:
                raise UserError(f"{path}: of shape {shape}; wanted is {('n', *item_shape)}, n at least 1")
            if shape[0] > MAXIMUM_COUNT:
                raise UserError(f"{path}: its header says {shape[0]:,} items; at most {MAXIMUM_COUNT:,} are read")
            size = math.prod(shape)
            data = _read_at_most(file, size + 1)
    except FileNotFoundError:
        raise UserError(f"{folder}: there is no file {name} or {name}.gz") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if len(data) != size:
        relation = "more" if len(data) > size else f"{len(data):,}"
        raise UserError(f"{path}: its header says {size:,} bytes of data, the file has {relation}")
    digest = hashlib.sha256(header)
    digest.update(data)
    return np.frombuffer(data, np.uint8).reshape(shape), digest.hexdigest()


def _read_at_most(file: BinaryIO, size: int) -> bytearray:
    """Return up to `size` bytes, read in pieces: memory is taken for what is there, not for what a header promises."""
    data = bytearray()
    while len(data) < size and (piece := file.read(min(size - len(data), 1 << 20))):
        data += piece
    return data
