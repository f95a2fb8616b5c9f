"""Data of any kind as a Dataset: MNIST, IDX files, folders of pictures, CSV, .npz, CIFAR-10. A module each.

    from lenet import data
    mine = data.load("my_pictures/")
    print(mine.info.size, mine.info.classes, mine.train.images.shape)

See docs/data.md.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from lenet.config import name_by_content
from lenet.data import idx
from lenet.data.cache import cached
from lenet.data.cifar import Cifar
from lenet.data.classes import classes_of
from lenet.data.idx import IdxFiles
from lenet.data.npz import NpzFile
from lenet.data.source import Source, missing, require_no_pickles
from lenet.data.table import CsvFiles
from lenet.dataset import MAXIMUM_SIDE, MNIST, MNIST_SHA256, Dataset, DatasetInfo, Split, part_sha256
from lenet.errors import UserError, notice
from lenet.system.streams import printable

EMBEDDED = Path(__file__).parents[1] / "mnist"


def load(
    path: str | Path | None = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    like: DatasetInfo | None = None,
    log_dir: str | Path | None = None,
    test_only: bool = False,
) -> Dataset:
    """Read the data at a path; without one, or for "mnist", MNIST, which is included.

    `image_size` is the side, or height and width, that pictures are fitted to; by default the commonest. `like` is the
    info of the data that a run was trained on: pictures take its shape, labels the numbers of its classes. What takes
    long to read is kept in `log_dir`. With `test_only` the training images are not read, and need not exist.
    Raises UserError for what is missing, damaged, too large or not understood.
    """
    if path is None and like not in (None, MNIST):
        text = f"the run was trained on {like.name}; add --data and its path"
        raise UserError(f"{text}, or --data mnist to use it on MNIST")
    if path is None or (str(path) == "mnist" and not Path(path).exists()):
        path = EMBEDDED
    try:
        source = find(Path(path).expanduser(), log_dir)
        parts = ("test",) if test_only else ("train", "test")
        like = None if source.path == EMBEDDED else like  # whose labels never change
        dataset = _dataset(source, _shape(image_size, like), like, log_dir, parts)
    except MemoryError:
        raise UserError(f"{path}: not enough memory for it; choose a smaller --image_size, or less data") from None
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from None
    height, width, _ = _shape(image_size, None)
    if image_size is not None and dataset.info.image_shape[:2] != (height, width):
        raise UserError(f"{source.path}: its images are {dataset.info.size}; --image_size is for folders of pictures")
    return dataset


def find(path: Path, log_dir: str | Path | None) -> Source:
    """Return the data at a path, in whatever format; UserError if there is none that can be read."""
    finders: list[Callable[[Path], Source | None]] = [
        IdxFiles.find,
        Cifar.find,
        lambda path: _find_pictures(path, log_dir),
        CsvFiles.find,
        NpzFile.find,
    ]
    if path.exists() and not (path.is_dir() or path.is_file()):
        raise UserError(f"{path}: neither a folder nor a file")
    for finder in finders:
        if source := finder(path):
            return source
    if re.match(r"https?:/", str(path)):
        raise UserError(f"{path}: a web address; download the data, and give its path")
    if not path.exists():
        included = "; MNIST is included: --data mnist" if path.parent == Path() else ""
        raise missing(path.parent, path.name, "file or folder", advice=included)
    require_no_pickles(path)
    if path.is_dir():
        from lenet.data.picture import is_picture

        if any(is_picture(file.name) for file in path.iterdir()):
            raise UserError(f"{path}: its pictures are not in class folders; move them into one folder for each class")
        advice = "; it has no pictures either: they go into one folder for each class; see docs/data.md"
        raise missing(path, "train-images-idx3-ubyte", advice=advice)
    text = "unknown format; give a folder, a .csv file or an .npz file"
    raise UserError(f"{path}: {text}; unpack an archive first; for IDX files give their folder")


def _find_pictures(path: Path, log_dir: str | Path | None) -> Source | None:
    from lenet.data.pictures import Folders  # MNIST does without the libraries for pictures

    return Folders.find(path, log_dir)


def _shape(image_size: int | tuple[int, int] | None, like: DatasetInfo | None) -> tuple[int | None, ...]:
    """Return height, width and channels as far as they are asked for."""
    height, width, channels = like.image_shape if like else (None, None, None)
    if image_size is not None:
        sizes = [image_size, image_size] if isinstance(image_size, int) else [*image_size]
        if len(sizes) != 2 or not all(type(size) is int and size > 0 for size in sizes):
            raise UserError(f"image_size: must be a number of pixels, or a pair of them, not {image_size!r}")
        if max(sizes) > MAXIMUM_SIDE:
            raise UserError(f"image_size: at most {MAXIMUM_SIDE} pixels on a side are trained on, not {max(sizes)}")
        height, width = sizes
    return height, width, channels


def _dataset(
    source: Source,
    shape: tuple[int | None, ...],
    like: DatasetInfo | None,
    log_dir: str | Path | None,
    parts: Sequence[str],
) -> Dataset:
    examples = cached(source, parts, shape, log_dir)
    shapes = {found.images.shape[1:] for found in examples.values()}
    if len(shapes) > 1:
        raise UserError(
            f"{source.path}: the images of train and test differ in shape: {' and '.join(map(str, shapes))}"
        )
    labels = np.concatenate([found.labels for found in examples.values()])
    classes, first_label, numbers = classes_of(source, labels, like)
    splits = {part: Split(found.images, numbers[found.labels]) for part, found in examples.items()}
    empty = Split(splits["test"].images[:0], splits["test"].labels[:0])
    dataset = Dataset(splits.get("train", empty), splits["test"], _info(source, splits, classes, first_label, like))
    if dataset.info != MNIST and "train" in parts:
        _notice_oddities(dataset)
    elif source.is_whole and dataset.info is not like:
        count = len(dataset.test.labels)
        notice(f"{dataset.info.name}: has no test part, so only a tenth of each class is tested, {count:,} images")
    return dataset


def _info(
    source: Source,
    splits: Mapping[str, Split],
    classes: tuple[str, ...],
    first_label: int,
    like: DatasetInfo | None,
) -> DatasetInfo:
    files = {"train": "train", "test": "t10k"}  # MNIST's names
    sha256 = {
        f"{files[part]}-{kind}": idx.sha256(array)
        for part, split in splits.items()
        for kind, array in zip(("images-idx3-ubyte", "labels-idx1-ubyte"), split, strict=True)
    }
    if source.path == EMBEDDED:
        for name in sha256:
            if sha256[name] != MNIST_SHA256[name]:
                text = f"{EMBEDDED / name}.gz: damaged, its SHA-256 is not MNIST's; restore the project's own file"
                raise UserError(text)
        return MNIST
    name = name_by_content(source.name, "".join(sha256.values()))
    training, test = (part_sha256(sha256, part) for part in files.values())
    if like and not training and test == like.test_sha256:
        return like
    images = splits["train"].labels.size if "train" in splits else MNIST.training_images
    try:
        info = DatasetInfo(name, training, test, splits["test"].images.shape[1:], classes, images, first_label)
    except ValueError as error:
        raise UserError(f"{source.path}: {error}") from None
    return MNIST if info == MNIST else info


def _notice_oddities(dataset: Dataset) -> None:
    """Tell of test images that are trained on, and of classes that have a single image or none to train on."""
    (images, labels), info = dataset.train, dataset.info
    trained = set(map(_digest, images))
    if count := sum(_digest(image) in trained for image in dataset.test.images):
        notice(f"{info.name}: {count:,} of the {len(dataset.test.labels):,} test images are training images, too")
    trained_on = np.bincount(labels, minlength=len(info.classes))
    counts = trained_on + np.bincount(dataset.test.labels, minlength=len(info.classes))
    for odd, text in (
        (counts == 1, "only one image, so either no training or no test image,"),
        ((trained_on == 0) & (counts != 1), "no training image"),
        ((counts == trained_on) & (counts > 1), "no test image"),
    ):
        if names := [printable(info.classes[number]) for number in np.flatnonzero(odd)]:
            shown = ", ".join(names[:5]) + f" and {len(names) - 5} more" * (len(names) > 5)
            notice(f"{info.name}: {text} in class {shown}")


def _digest(image: np.ndarray) -> bytes:
    return blake2b(image.tobytes(), digest_size=16).digest()
