"""MNIST, or a folder in its format, as arrays, and the fingerprint that says which data it is."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from lenet.architecture import CLASSES, IMAGE_SIZE
from lenet.config import name_by_content, require_name
from lenet.data import idx
from lenet.errors import UserError

EMBEDDED = Path(__file__).parent / "mnist"
VALIDATION_SIZE = 5_000
# SHA-256 of the uncompressed files, as published.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class Split(NamedTuple):
    """Images uint8 [n, 28, 28, 1], labels uint8 [n] from 0 to 9."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Fingerprint:
    """Which data it is. A part's SHA-256 is over those of its images and of its labels, each as an IDX file."""

    name: str = field(compare=False)
    training_sha256: str
    test_sha256: str  # empty: not known

    def __post_init__(self) -> None:
        require_name(self.name)

    @classmethod
    def of(cls, name: str, sha256: dict[str, str]) -> Self:
        """Return the fingerprint of files, from the SHA-256 of each."""
        return cls(name, *(part_sha256(sha256, part) for part in ("train", "t10k")))


def part_sha256(sha256: dict[str, str], part: str) -> str:
    """Return the SHA-256 of the training or the test part, from those of its files; empty if one is not known."""
    files = [sha256.get(f"{part}-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    return hashlib.sha256("".join(filter(None, files)).encode()).hexdigest() if all(files) else ""


MNIST = Fingerprint.of("mnist", MNIST_SHA256)


@dataclass(frozen=True)
class Dataset:
    """The first 5,000 training images, and their labels, are held out for validation."""

    train: Split
    validation: Split
    test: Split
    fingerprint: Fingerprint


def load(folder: str | Path | None = None) -> Dataset:
    """Read the four IDX files of a folder, gzipped or not; without a folder, the bundled MNIST.

    UserError for a file that is missing, damaged or not what it says.
    """
    folder = Path(folder or EMBEDDED)
    sha256: dict[str, str] = {}
    images, labels = _load_split(folder, "train", sha256)
    test = _load_split(folder, "t10k", sha256)
    if len(images) <= VALIDATION_SIZE:
        raise UserError(f"{folder}: {len(images)} training images; more than {VALIDATION_SIZE} are needed")
    validation = Split(images[:VALIDATION_SIZE], labels[:VALIDATION_SIZE])
    name = name_by_content(folder.resolve().name, "".join(sha256.values()))
    fingerprint = MNIST if Fingerprint.of(name, sha256) == MNIST else Fingerprint.of(name, sha256)
    return Dataset(Split(images[VALIDATION_SIZE:], labels[VALIDATION_SIZE:]), validation, test, fingerprint)


def _load_split(folder: Path, part: str, sha256: dict[str, str]) -> Split:
    shapes = {f"{part}-images-idx3-ubyte": (IMAGE_SIZE, IMAGE_SIZE), f"{part}-labels-idx1-ubyte": ()}
    arrays = []
    for name, shape in shapes.items():
        array, sha256[name] = idx.read(folder, name, shape)
        if folder == EMBEDDED and sha256[name] != MNIST_SHA256[name]:
            raise UserError(f"{folder / name}.gz: damaged, its SHA-256 is not MNIST's; restore the project's own file")
        arrays.append(array)
    images, labels = arrays
    if len(images) != len(labels):
        raise UserError(f"{folder}: {len(images)} {part} images but {len(labels)} labels")
    if labels.max() >= CLASSES:
        raise UserError(f"{folder}: a {part} label is {labels.max()}; labels go from 0 to {CLASSES - 1}")
    return Split(images[..., np.newaxis], labels)
