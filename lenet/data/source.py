"""Source: data on the disk in one of the formats, and what their readers share."""

import difflib
import hashlib
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from lenet.errors import UserError, notice_once
from lenet.system.streams import printable

MAXIMUM_COUNT = 1_000_000  # images; all of EMNIST has 814,255
MAXIMUM_BYTES = 4 * 2**30  # of their pixels
SHOWN = 6  # names of what a folder holds
PICKLED = re.compile(r"(data_batch_\d|test_batch|batches\.meta|.*\.(pkl|pickle|pt|pth))")  # the first are CIFAR-10's


class Examples(NamedTuple):
    """Images uint8 [n, height, width, channels], labels int64 [n] as the files have them."""

    images: np.ndarray
    labels: np.ndarray


@dataclass
class Source(ABC):
    """Data that was found: where, what it is called, and the classes' names, if there are any."""

    path: Path
    name: str
    names: list[str]  # from the first label on

    is_whole = False  # without a test part, so that a tenth is held out for it

    @abstractmethod
    def read(self, parts: Sequence[str], shape: tuple[int | None, ...]) -> dict[str, Examples]:
        """Return `train` and `test`, or one of them. UserError, one line, for what is missing, damaged or too large.

        `shape` is the height, width and channels that are wanted; None where the data decide.
        """

    def files(self, parts: Sequence[str]) -> Sequence[Sequence[str | int]]:  # noqa: ARG002 - other sources use it
        """Return the path, size in bytes and time in ns of each file that `read` reads, if it is slow; else nothing."""
        return []


def require_limits(path: Path | str, count: int, shape: Sequence[int], itemsize: int = 1) -> None:
    """Raise UserError if an array of `count` items of a shape has nothing, too many items, or too many bytes."""
    if count < 1 or min(shape, default=1) < 1:
        raise UserError(f"{path}: of shape {(count, *shape)}; there is nothing in it")
    if count > MAXIMUM_COUNT:
        raise UserError(f"{path}: {count:,} items; at most {MAXIMUM_COUNT:,} are read")
    if count * math.prod(shape) * itemsize > MAXIMUM_BYTES:
        raise UserError(f"{path}: of shape {(count, *shape)}; at most {MAXIMUM_BYTES >> 30} GiB are read")


def require_file(path: Path) -> None:
    """Raise UserError for what is there but no file: opening a pipe would wait."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a file")


def require_no_pickles(path: Path) -> None:
    """Raise UserError if there are pickles: reading one runs whatever code is in it."""
    folders = [folder for folder in (path, path / "cifar-10-batches-py") if folder.is_dir()]
    files = [path, *(file for folder in folders for file in sorted(folder.iterdir()))]
    if found := [file for file in files if PICKLED.fullmatch(file.name) and file.is_file()]:
        text = f"{found[0]}: a pickle, which can run any code, so it is not read"
        raise UserError(f"{text}; use CIFAR-10's binary version, or save other data as .npz")


def read_at_most(file: IO[bytes], size: int) -> bytearray:
    """Return up to `size` bytes, read in pieces: memory is taken for what is there, not for what a header promises."""
    data = bytearray()
    while len(data) < size and (piece := file.read(min(size - len(data), 1 << 20))):
        data += piece
    return data


def with_channels(path: Path, images: np.ndarray) -> np.ndarray:
    """Images [n, height, width] or [n, height, width, 1 or 3] -> [n, height, width, channels]."""
    if images.ndim == 3:
        return images[..., np.newaxis]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images
    text = f"{path}: images of shape {list(images.shape)}; must be [n, height, width], or with 1 or 3 channels"
    raise UserError(text)


def a_tenth(labels: np.ndarray, keys: Iterable[str]) -> np.ndarray:
    """Return which examples are held out for the test: bool [n], a tenth of each class, chosen by the keys' SHA-256.

    At least one of each class, but never the only one.
    """
    order = np.argsort([hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest() for key in keys])
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        chosen[of_class[: min(max(1, round(len(of_class) / 10)), len(of_class) - 1)]] = True
    return chosen


def split(examples: Examples, parts: Sequence[str], keys: Iterable[str]) -> dict[str, Examples]:
    """Return the parts of examples that come without a test part."""
    test = a_tenth(examples.labels, keys)
    masks = {"train": ~test, "test": test}
    return {part: Examples(examples.images[masks[part]], examples.labels[masks[part]]) for part in parts}


def upright(set_name: str, images: np.ndarray) -> np.ndarray:
    """Return images [n, height, width, channels] as they are seen: EMNIST's files have them transposed."""
    if not set_name.lower().startswith("emnist"):
        return images
    notice_once(f"{set_name}: EMNIST's images are on their sides; they are turned upright")
    return np.ascontiguousarray(images.swapaxes(1, 2))


def names_beside(folder: Path, *files: str) -> list[str]:
    """Return the classes' names from the first of these text files that is in a folder; none if none is there.

    A file has a name a line, or EMNIST's "label code-point ...".
    """
    path = next((folder / name for name in files if (folder / name).is_file()), None)
    if path is None:
        return []
    with path.open("rb") as file:
        try:
            text = file.read(1 << 20).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{path}: not text in UTF-8; save it as UTF-8") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [line.split() for line in lines]
    try:
        if lines and all(len(pair) > 1 for pair in pairs):
            return [chr(int(code)) for _, code in sorted((int(label), code) for label, code, *_ in pairs)]
    except (ValueError, OverflowError):
        pass
    return lines


def missing(
    folder: Path, wanted: str, kind: str = "file", what: str = "", advice: str = "", known: Iterable[str] = ()
) -> UserError:
    """Return the error of something that is not in a folder: what is there, and which of it may be meant.

    The names in `known` are there and are what they say.
    """
    there = sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - text
    shown = ", ".join(map(printable, there[:SHOWN])) + (f" and {len(there) - SHOWN} more" * (len(there) > SHOWN))
    near = difflib.get_close_matches(wanted, [name for name in there if name not in known], 1, 0.75)
    meant = f"; did you mean {printable(near[0])}?" if near else ""
    text = f"there is no {kind} {printable(wanted)}{what}"
    where, holder = ("", "this folder") if folder == Path() else (f"{folder}: ", "the folder")
    return UserError(f"{where}{text}; {holder} holds {shown or 'nothing'}{meant}{advice}")
