"""Dataset: images and labels as arrays, and the info that says which data they are."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lenet.config import require_name
from lenet.errors import UserError

MAXIMUM_SIDE = 512  # pixels
MAXIMUM_CLASSES = 256  # labels are uint8
LARGE = 50_000  # training images, from which on VALIDATION_SIZE are held out, else a tenth
VALIDATION_SIZE = 5_000
# SHA-256 of the uncompressed files, as published.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class Split(NamedTuple):
    """Images uint8 [n, height, width, channels], labels uint8 [n], each the number of a class."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class DatasetInfo:
    """Which data it is, and what a network needs to know of it. The defaults are MNIST's.

    A part's SHA-256 is over those of its images and of its labels, each as an uncompressed IDX file: the same data has
    the same one in any format. ValueError if a network cannot be built for it.
    """

    name: str = field(compare=False)
    training_sha256: str  # empty: not known
    test_sha256: str
    image_shape: tuple[int, ...] = (28, 28, 1)  # height, width, channels
    classes: tuple[str, ...] = field(default=tuple("0123456789"), compare=False)  # the name of each
    training_images: int = field(default=60_000, compare=False)
    first_label: int = field(default=0, compare=False)  # of the first class, in the files

    def __post_init__(self) -> None:
        require_name(self.name)
        if len(self.image_shape) != 3 or self.image_shape[2] not in (1, 3) or min(self.image_shape) < 1:
            raise ValueError(f"image_shape: must be height, width, and 1 or 3 channels, not {self.image_shape}")
        if max(self.image_shape) > MAXIMUM_SIDE:
            raise ValueError(f"images of {self.size}; at most {MAXIMUM_SIDE} pixels on a side are trained on")
        if not 2 <= len(self.classes) <= MAXIMUM_CLASSES:
            raise ValueError(f"number of classes: must be from 2 to {MAXIMUM_CLASSES}, not {len(self.classes):,}")
        if repeated := [name for name, count in Counter(self.classes).items() if count > 1]:
            raise ValueError(f"two classes are called {repeated[0]!r}")

    @property
    def size(self) -> str:
        """Return the images' shape as text: 28x28, or 32x32 in colour."""
        height, width, channels = self.image_shape
        return f"{height}x{width}{' in colour' if channels == 3 else ''}"

    @property
    def is_named(self) -> bool:
        """Whether the classes have names: other than the numbers that the files have."""
        return self.classes != tuple(str(self.first_label + i) for i in range(len(self.classes)))

    @property
    def validation_size(self) -> int:
        """The number of training images that are held out where Settings do not say another."""
        return VALIDATION_SIZE if self.training_images >= LARGE else max(1, self.training_images // 10)


def part_sha256(sha256: Mapping[str, str], part: str) -> str:
    """Return the SHA-256 of the training or the test part, from those of its files; empty if one is not known."""
    files = [sha256.get(f"{part}-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    return hashlib.sha256("".join(filter(None, files)).encode()).hexdigest() if all(files) else ""


MNIST = DatasetInfo("mnist", part_sha256(MNIST_SHA256, "train"), part_sha256(MNIST_SHA256, "t10k"))


@dataclass(frozen=True)
class Dataset:
    """All training images, the test images, and the info; without training images if only a test was asked for."""

    train: Split
    test: Split
    info: DatasetInfo

    def require(self, batch_size: int, validation: int) -> None:
        """Raise UserError if fewer training images than a mini-batch are left beside those that are held out."""
        left = len(self.train.labels) - self._require_validation(validation)
        if batch_size > left:
            text = f"batch size {batch_size}: only {left:,} training images are left after {validation:,} are held out"
            advice = "--batch_size" if batch_size > len(self.train.labels) else "--batch_size or --validation"
            raise UserError(f"{text}; choose a smaller {advice}")

    def hold_out(self, count: int) -> tuple[Split, Split]:
        """Return the images to train on, and `count` that are held out for validation.

        If `count` is 5,000 or more, they are the first ones, provided that every class is on both sides. Otherwise each
        class gives the same share, its first images. UserError if a class would have no image left to train on.
        """
        images, labels = self.train
        classes = len(np.unique(labels))
        self._require_validation(count)
        if count >= VALIDATION_SIZE and len(np.unique(labels[:count])) == classes == len(np.unique(labels[count:])):
            return Split(images[count:], labels[count:]), Split(images[:count], labels[:count])
        held_out = np.zeros(len(labels), bool)
        held_out[first_of_each_class(labels, count)] = True
        return Split(images[~held_out], labels[~held_out]), Split(images[held_out], labels[held_out])

    def _require_validation(self, count: int) -> int:
        """Return the number of images to hold out, if each class keeps one to train on."""
        labels = self.train.labels
        most = len(labels) - (classes := len(np.unique(labels)))
        if most < 1:
            text = f"{len(labels):,} training images in {classes} classes; each class needs two besides those to test"
            raise UserError(f"{self.info.name}: {text}")
        if not 1 <= count <= most:
            raise UserError(f"validation: must be from 1 to {most}, of {len(labels):,} training images, not {count}")
        return count


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of `count` images: of each class the same share, its first, but never all of it."""
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    counts = np.minimum(shares.astype(int), sizes - 1)
    while counts.sum() < count:  # the largest remainders first
        counts[np.where(counts < sizes - 1, shares - counts, -np.inf).argmax()] += 1
    return np.concatenate([np.flatnonzero(labels == each)[:n] for each, n in zip(classes, counts, strict=True)])
