"""CSV: a line for each image, the label first, then its pixels row by row."""

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO, Self, cast

import numpy as np

from lenet.data.source import (
    MAXIMUM_BYTES,
    MAXIMUM_COUNT,
    Examples,
    Source,
    missing,
    names_beside,
    require_file,
    require_limits,
    split,
    upright,
)
from lenet.errors import UserError

NAME = re.compile(r"(?:(?P<set>.+)[-_. ])?(?P<part>train|test)\.csv(?:\.gz)?", re.IGNORECASE)
LABELS = ("label", "class", "target", "y")  # what the column may be called
INDEX = ("", "index", "unnamed: 0")  # what pandas calls a first column that counts the lines
MAXIMUM_LINE = 8_000_000  # bytes: 512x512 in colour has about three million


@dataclass
class CsvFiles(Source):
    """..._train.csv and ..._test.csv, gzipped or not; or one file, of which a tenth is held out for the test."""

    found: dict[str, Path]
    set_name: str = ""

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Return the data in a file, or in the train.csv and test.csv of a folder."""
        if re.search(r"\.csv(\.gz)?$", path.name, re.IGNORECASE) and not path.is_dir():
            name = path.name.partition(".")[0]
            match = NAME.fullmatch(path.name)
            set_name = (match and match["set"]) or name
            source = cls(path, name, _names(path.parent, set_name), {"": path}, set_name)
            source.is_whole = True
            return source
        sets: dict[str, dict[str, Path]] = {}
        for file in sorted(path.iterdir()) if path.is_dir() else []:
            if match := NAME.fullmatch(file.name):
                sets.setdefault(match["set"] or "", {}).setdefault(match["part"].lower(), file)
        if len(sets) > 1:
            names = ", ".join(str(file) for found in sets.values() for file in found.values())
            raise UserError(f"{path}: holds several tables; put the two of a set in a folder of their own: {names}")
        name = path.resolve().name
        return next((cls(path, name, _names(path, each), found, each) for each, found in sets.items()), None)

    def read(self, parts: Sequence[str], shape: tuple[int | None, ...]) -> dict[str, Examples]:  # noqa: ARG002
        """See Source.read."""
        if "" in self.found:
            examples = self._examples(self.found[""])
            return split(examples, parts, map(str, range(len(examples.labels))))
        for part in parts:
            if part not in self.found:
                other = next(iter(self.found.values()))
                advice = f"; or give {other} alone, and a tenth of it is held out" if part == "test" else ""
                raise missing(self.path, f"{part}.csv", advice=advice)
        return {part: self._examples(self.found[part]) for part in parts}

    def _examples(self, path: Path) -> Examples:
        images, labels = read(path)
        return Examples(upright(self.set_name, images), labels)

    def files(self, parts: Sequence[str]) -> Sequence[Sequence[str | int]]:
        """See Source.files."""
        paths = [path for part, path in self.found.items() if part in ("", *parts)]
        return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def _names(folder: Path, set_name: str) -> list[str]:
    return names_beside(folder, f"{set_name}-mapping.txt", "classes.txt")


def read(path: Path) -> Examples:
    """Return the examples of a file, with or without a header; UserError names the line that is wrong."""
    require_file(path)
    try:
        with cast(BinaryIO, gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")) as file:
            return _read(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def _read(path: Path, file: BinaryIO) -> Examples:
    numbers: list[int] = []  # of the lines that are not empty
    lines = _lines(path, file, numbers)
    first = next(lines, "").removeprefix("\ufeff")
    if not first:
        raise UserError(f"{path}: there is nothing in it")
    delimiter = next((each for each in ",;\t" if each in first), ",")
    cells = [cell.strip().strip('"').lower() for cell in first.split(delimiter)]
    has_index = cells[0] in INDEX
    cells = cells[has_index:]
    names = not _is_number(cells[0]) or any(name in cells for name in LABELS)
    has_header = has_index or names or cells == [str(i) for i in range(len(cells))]
    side, channels = _shape(path, cells, has_header)
    label = next((cells.index(name) for name in LABELS if name in cells), 0) if has_header else 0
    start = next(lines, "") if has_header else first
    if not start:
        raise UserError(f"{path}: there is no image in it, only a header")
    rows = (row.partition(delimiter)[2] or row if has_index else row for row in chain([start], lines))
    most = min(MAXIMUM_COUNT, MAXIMUM_BYTES // (side * side * channels))  # before a small archive fills the memory
    try:
        table = np.loadtxt(
            rows, np.int16, delimiter=delimiter, quotechar='"', comments=None, ndmin=2, max_rows=most + 1
        )
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: {_plain(str(error), numbers[has_header:])}") from None
    require_limits(path, len(table), (side, side, channels))
    if table.shape[1] != len(cells):
        text = f"line {numbers[0]} has {len(cells)} columns, line {numbers[1]} has {table.shape[1]}"
        raise UserError(f"{path}: {text}")
    if label:
        table = np.concatenate([table[:, [label]], np.delete(table, label, axis=1)], axis=1)
    pixels = table[:, 1:]
    if pixels.min() < 0 or pixels.max() > 255:
        row, column = map(int, np.argwhere((pixels < 0) | (pixels > 255))[0])
        text = f"line {numbers[row + has_header]}: a pixel is {pixels[row, column]}; they go from 0 to 255"
        raise UserError(f"{path}: {text}")
    return Examples(pixels.astype(np.uint8).reshape(-1, side, side, channels), table[:, 0].astype(np.int64))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _lines(path: Path, file: BinaryIO, numbers: list[int]) -> Iterator[str]:
    """Yield the lines that are not empty, and append their numbers."""
    for number in count(1):
        if not (line := file.readline(MAXIMUM_LINE)):
            return
        if len(line) == MAXIMUM_LINE:
            raise UserError(f"{path}: a line has over {MAXIMUM_LINE:,} bytes; each image must have its own line")
        if (text := line.decode("utf-8", errors="replace").rstrip("\r\n")).strip():
            numbers.append(number)
            yield text


def _shape(path: Path, cells: Sequence[str], has_header: bool) -> tuple[int, int]:
    """Return the side and the channels of square images, from the number of columns."""
    pixels = len(cells) - 1
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side and channels * side * side == pixels:
            return side, channels
    if math.isqrt(len(cells)) ** 2 == len(cells) > 1 and not (has_header and cells[0] in LABELS):
        text = f"{len(cells)} columns are pixels without a label; the first column must be the label"
        raise UserError(f"{path}: {text}; give only the table with labels: a tenth of it becomes the test")
    text = f"{len(cells)} columns, so {pixels} pixels; must be a label, then a square of pixels, such as 784"
    raise UserError(f"{path}: {text}")


def _plain(reason: str, numbers: Sequence[int]) -> str:
    """NumPy's words for a line that is wrong, with the line's number in the file and without advice for programs."""
    first = 1 if "changed" in reason else 0  # NumPy counts rows from 1 there, else from 0
    reason = re.sub(r"at row (\d+)", lambda match: f"in line {numbers[int(match[1]) - first]}", reason)
    reason = re.sub(r"could not convert string ('-?\d+') to int16", r"\1 is too large", reason)
    reason = re.sub(r"could not convert string ('.*') to int16", r"\1 is not a whole number", reason)
    plain = " ".join(reason.partition(";")[0].split()).rstrip(".")
    return plain if "changed" in reason else f"{plain}; must be whole numbers: a label, and pixels from 0 to 255"
