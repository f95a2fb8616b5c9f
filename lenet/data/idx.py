"""IDX, the format of MNIST's files, by the names of MNIST, EMNIST, QMNIST and their kin."""

import gzip
import hashlib
import math
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import numpy as np

from lenet.data.source import (
    Examples,
    Source,
    missing,
    names_beside,
    read_at_most,
    require_file,
    require_limits,
    upright,
    with_channels,
)
from lenet.errors import UserError

TYPES: dict[int, np.dtype[Any]] = {8: np.dtype("u1"), 12: np.dtype(">i4")}  # by the third byte of a file
NAME = re.compile(
    r"(?:(?P<set>.+?)-)?(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx\d-(?:ubyte|int)(?:\.gz)?"
)
Files = dict[tuple[str, str], Path]  # (train or test, images or labels) -> its file


@dataclass
class IdxFiles(Source):
    """Four files in a folder, gzipped or not; a test alone needs two of them."""

    found: Files
    set_name: str = ""

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Return the data in a folder, in the raw/ of torchvision below it, or of a set: folder/emnist-letters."""
        folders = [path, path / "raw", *sorted(path.glob("*/raw"))] if path.is_dir() else [path.parent]
        sets = [(folder, name, found) for folder in folders for name, found in _sets(folder).items()]
        if not path.is_dir():
            sets = [each for each in sets if each[1] == path.name]
        if len(sets) > 1:
            names = ", ".join(str(folder / name if name else folder) for folder, name, _ in sets)
            raise UserError(f"{path}: holds several sets; give one of them: {names}")
        return next((cls.of(*each) for each in sets), None)

    @classmethod
    def of(cls, folder: Path, set_name: str, found: Files) -> Self:
        """Return the set of a folder's files that has this name, empty for MNIST's own names."""
        place = folder.resolve()
        name = set_name or (place.parent.name if place.name == "raw" else place.name)
        return cls(folder, name, names_beside(folder, f"{set_name}-mapping.txt", "classes.txt"), found, set_name)

    def read(self, parts: Sequence[str], shape: tuple[int | None, ...]) -> dict[str, Examples]:  # noqa: ARG002
        """See Source.read."""
        examples = {}
        for part in parts:
            images, labels = (read(self._file(part, kind)) for kind in ("images", "labels"))
            path = self.found[part, "labels"]
            if images.dtype != np.uint8 or images.ndim < 3:
                raise UserError(f"{self.found[part, 'images']}: not images of uint8, but {_kind(images)}")
            labels = labels[:, 0] if labels.ndim == 2 else labels  # QMNIST's others say who wrote it
            if labels.ndim != 1:
                raise UserError(f"{path}: not labels, but {_kind(labels)}")
            if len(images) != len(labels):
                raise UserError(f"{self.path}: {len(images)} {part} images but {len(labels)} labels")
            images = with_channels(self.found[part, "images"], images)
            examples[part] = Examples(upright(self.set_name, images), labels.astype(np.int64))
        return examples

    def _file(self, part: str, kind: str) -> Path:
        if (part, kind) not in self.found:
            name = f"{'t10k' if part == 'test' else part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
            raise missing(self.path, name, known={path.name for path in self.found.values()})
        return self.found[part, kind]


def _sets(folder: Path) -> dict[str, Files]:
    """Return the sets whose files are in a folder: the name before train-images... -> its files, plain ones first."""
    sets: dict[str, Files] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if match := NAME.fullmatch(file.name):
            part = "train" if match["part"] == "train" else "test"
            sets.setdefault(match["set"] or "", {}).setdefault((part, match["kind"]), file)
    return sets


def _kind(array: np.ndarray) -> str:
    return f"{'int32' if array.dtype.itemsize == 4 else 'uint8'} of shape {list(array.shape)}"


def read(path: Path) -> np.ndarray:
    """Return the array in a file, gzipped or not: uint8, or big-endian int32.

    The format: two zero bytes, the type (8: uint8, 12: int32), the rank, the sizes (big-endian), the data. UserError
    if the file is damaged or not what it says.
    """
    require_file(path)
    try:
        with cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            zeros, kind, rank = struct.unpack(">HBB", read_at_most(file, 4).ljust(4, b"\1"))
            if zeros or kind not in TYPES or not 1 <= rank <= 4:
                raise UserError(f"{path}: not an IDX file of uint8 or int32")
            sizes = read_at_most(file, 4 * rank)
            if len(sizes) < 4 * rank:
                raise UserError(f"{path}: not an IDX file, it ends in its header")
            shape = struct.unpack(f">{rank}I", sizes)
            require_limits(path, shape[0], shape[1:], TYPES[kind].itemsize)
            size = math.prod(shape) * TYPES[kind].itemsize
            data = read_at_most(file, size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if len(data) != size:
        relation = "more" if len(data) > size else f"{len(data):,}"
        raise UserError(f"{path}: its header says {size:,} bytes of data, the file has {relation}")
    return np.frombuffer(data, TYPES[kind]).reshape(shape)


def sha256(array: np.ndarray) -> str:
    """Return the SHA-256 of an array of uint8 as an IDX file; images in grey have no axis of channels there."""
    array = array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array
    digest = hashlib.sha256(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
