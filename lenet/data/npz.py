""".npz, arrays of NumPy, as Keras's mnist.npz and MedMNIST have them."""

import ast
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np

from lenet.data.source import Examples, Source, names_beside, read_at_most, require_limits, split, with_channels
from lenet.errors import UserError
from lenet.system.streams import printable

# The names that Keras's files have, then MedMNIST's.
NAMES = {
    ("train", "images"): ("x_train", "train_images"),
    ("train", "labels"): ("y_train", "train_labels"),
    ("test", "images"): ("x_test", "test_images"),
    ("test", "labels"): ("y_test", "test_labels"),
}
MAXIMUM_HEADER = 10_000  # bytes


@dataclass
class NpzFile(Source):
    """A file with x_train and y_train, x_test and y_test; without a test part a tenth is held out for it."""

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Return the data in a file, or in the only .npz file of a folder."""
        files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if len(files) > 1:
            raise UserError(f"{path}: holds several .npz files; give one of them: {', '.join(map(str, files))}")
        if not files or files[0].suffix.lower() != ".npz":
            return None
        return cls(files[0], files[0].stem, names_beside(files[0].parent, "classes.txt"))

    def read(self, parts: Sequence[str], shape: tuple[int | None, ...]) -> dict[str, Examples]:  # noqa: ARG002
        """See Source.read."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
                if any(self._member(members, "test", kind) for kind in ("images", "labels")):
                    return {part: self._examples(archive, members, part) for part in parts}
                examples = self._examples(archive, members, "train")
        except (UserError, MemoryError):
            raise
        except Exception as error:  # a damaged archive can make its decoders raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self.path}: cannot be read: {reason}") from None
        self.is_whole = True
        return split(examples, parts, map(str, range(len(examples.labels))))

    def _member(self, members: dict[str, zipfile.ZipInfo], part: str, kind: str) -> zipfile.ZipInfo | None:
        return next((members[name] for name in NAMES[part, kind] if name in members), None)

    def _examples(self, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], part: str) -> Examples:
        arrays = []
        for kind in ("images", "labels"):
            if (member := self._member(members, part, kind)) is None:
                wanted, there = " or ".join(NAMES[part, kind]), printable(", ".join(sorted(members))[:200])
                raise UserError(f"{self.path}: there is no array {wanted}; it holds {there}")
            with archive.open(member) as file:
                arrays.append(self._array(f"{self.path}: {member.filename.removesuffix('.npy')}", kind, file))
        images, labels = arrays
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1 or len(labels) != len(images):
            advice = "; make them numbers with labels.argmax(axis=1)" if labels.ndim == 2 else ""
            text = f"{part}: {len(images)} images, but labels of shape {list(labels.shape)}{advice}"
            raise UserError(f"{self.path}: {text}")
        if images.ndim < 3:
            raise UserError(f"{self.path}: {part}: images of shape {list(images.shape)}; must be [n, height, width]")
        if images.min() < 0 or images.max() > 255:
            raise UserError(f"{self.path}: {part}: pixels from {images.min()} to {images.max()}; must be 0 to 255")
        return Examples(with_channels(self.path, images.astype(np.uint8)), labels.astype(np.int64))

    def _array(self, what: str, kind: str, file: IO[bytes]) -> np.ndarray:
        """Read an array of whole numbers; np.load would take memory for what its header promises."""
        shape, fortran, dtype = _header(what, file)
        if dtype.kind not in "ui" or dtype.itemsize > 8:
            advice = "pixels from 0 to 255; if they go from 0 to 1, save (images * 255).astype('uint8')"
            if kind == "labels":
                advice = "one for each image; save labels.argmax(axis=1) of a table, and names in classes.txt"
            raise UserError(f"{what}: of {dtype}; must be whole numbers, {advice}")
        if not shape:
            raise UserError(f"{what}: a single number, not an array")
        require_limits(what, shape[0], shape[1:], dtype.itemsize)
        size = math.prod(shape) * dtype.itemsize
        data = read_at_most(file, size + 1)
        if len(data) != size:
            raise UserError(f"{what}: its header says {size:,} bytes of data, the file has another number")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _header(what: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return shape, whether the first axis comes first in memory, and dtype (NumPy's format, versions 1 to 3)."""
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8:
        raise UserError(f"{what}: not an array of NumPy")
    length = int.from_bytes(file.read(2 if start[6] == 1 else 4), "little")
    try:
        header = ast.literal_eval(file.read(min(length, MAXIMUM_HEADER)).decode("latin1").strip())
        shape, fortran, dtype = (header[key] for key in ("shape", "fortran_order", "descr"))
        if not isinstance(dtype, str) or not all(type(size) is int and size >= 0 for size in shape):
            raise TypeError
        return tuple(shape), bool(fortran), np.dtype(dtype)
    except (ValueError, TypeError, LookupError, SyntaxError, MemoryError, RecursionError, AttributeError):
        raise UserError(f"{what}: its header is not one of NumPy's arrays of numbers") from None
