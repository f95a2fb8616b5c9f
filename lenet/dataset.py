"""MNIST as arrays, from IDX files, and the order in which training takes its batches."""

import functools
import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from lenet import UserError
from lenet.architecture import CLASSES, IMAGE_SIZE

EMBEDDED = Path(__file__).parent / "mnist"
VALIDATION_SIZE = 5_000
MAXIMUM_COUNT = 1_000_000  # all of EMNIST has 814,255
# SHA-256 of the uncompressed files, as published.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class Split(NamedTuple):
    """Images uint8 [n, 28, 28], labels uint8 [n] from 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """The first 5,000 training images, and their labels, are held out for validation."""

    train: Split
    validation: Split
    test: Split
    training_sha256: dict[str, str]  # of the two uncompressed files that training reads


def load(folder: Path) -> Dataset:
    """Read the four IDX files, gzipped or not; UserError for one that is missing, damaged or not what it says."""
    (images, labels), sha256 = _load_split(folder, "train")
    test, _ = _load_split(folder, "t10k")
    if len(images) <= VALIDATION_SIZE:
        raise UserError(f"{folder}: {len(images)} training images; more than {VALIDATION_SIZE} are needed")
    validation = Split(images[:VALIDATION_SIZE], labels[:VALIDATION_SIZE])
    return Dataset(Split(images[VALIDATION_SIZE:], labels[VALIDATION_SIZE:]), validation, test, sha256)


def batch_indices(seed: int, step: int, batch_size: int, count: int) -> np.ndarray:
    """int64 [batch_size]: the training examples, of `count`, that step number `step` (from 0) trains on.

    Every pass has its own permutation; what is left at its end, less than a batch, is not used in that pass.
    """
    pass_number, batch = divmod(step, count // batch_size)
    return _permutation(seed, pass_number, count)[batch * batch_size : (batch + 1) * batch_size]


@functools.lru_cache(maxsize=2)
def _permutation(seed: int, pass_number: int, count: int) -> np.ndarray:
    # A bit generator's raw stream, unlike Generator's methods, is the same in every version of NumPy: a run can be
    # continued years later.
    return np.argsort(np.random.PCG64([seed, pass_number]).random_raw(count), kind="stable")


def _load_split(folder: Path, part: str) -> tuple[Split, dict[str, str]]:
    sha256: dict[str, str] = {}
    images = _read_idx(folder, f"{part}-images-idx3-ubyte", (IMAGE_SIZE, IMAGE_SIZE), sha256)
    labels = _read_idx(folder, f"{part}-labels-idx1-ubyte", (), sha256)
    if len(images) != len(labels):
        raise UserError(f"{folder}: {len(images)} {part} images but {len(labels)} labels")
    if labels.max() >= CLASSES:
        raise UserError(f"{folder}: a {part} label is {labels.max()}; labels go from 0 to {CLASSES - 1}")
    return Split(images, labels), sha256


def _read_idx(folder: Path, name: str, item_shape: tuple[int, ...], sha256: dict[str, str]) -> np.ndarray:
    """The uint8 array in an IDX file: two zero bytes, type (8: uint8), rank, big-endian sizes, data."""
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
    sha256[name] = digest.hexdigest()
    if folder == EMBEDDED and sha256[name] != MNIST_SHA256[name]:
        raise UserError(f"{path}: damaged, its SHA-256 is not MNIST's; restore the file that came with the project")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_at_most(file: BinaryIO, size: int) -> bytearray:
    """Up to `size` bytes, in pieces: memory is taken for what is there, not for what a header promises."""
    data = bytearray()
    while len(data) < size and (piece := file.read(min(size - len(data), 1 << 20))):
        data += piece
    return data
