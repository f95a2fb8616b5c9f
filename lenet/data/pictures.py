"""Folders of pictures, one for each class, in grey or in colour and of any sizes."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from tqdm import tqdm

from lenet.data import picture
from lenet.data.source import Examples, Source, a_tenth, missing, require_limits
from lenet.data.walk import folders_in, walk
from lenet.dataset import MAXIMUM_CLASSES, MAXIMUM_SIDE
from lenet.errors import UserError, notice_once
from lenet.system.streams import printable

PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}  # folder, in any case -> part
PART = re.compile(r"(train|test|val|valid|validation)(ing)?[\W_\d]*(images?|imgs?|set|data)?[\W_\d]*", re.IGNORECASE)
AT_ONCE = 200  # pictures between two looks at the progress


class File(NamedTuple):
    """A picture: where it is, its class, and what tells whether it changed. Ordered by name, in whatever folder."""

    name: str
    class_name: str
    place: str  # below the class's folder
    path: str
    size: int
    time_ns: int
    inode: int  # two folders may have been swapped


@dataclass
class Folders(Source):
    """train/<class>/* and test/<class>/*; or <class>/* alone, and a tenth of each class is held out for the test."""

    found: dict[str, list[File]]
    folders: dict[str, Path]  # of the parts, if it has them

    @classmethod
    def find(cls, path: Path, log_dir: str | Path | None) -> Self | None:
        """Return the pictures in the folders below a folder; the log folder, which has pictures, too, is left out."""
        if not path.is_dir():
            return None
        log = log_dir and Path(log_dir).resolve()
        folders = [(name, folder) for name, folder in folders_in(path) if folder.resolve() != log]
        parts: dict[str, Path] = {}
        for name, folder in folders:
            if (part := PARTS.get(name.lower())) and folders_in(folder):
                if other := parts.get(part):
                    raise UserError(f"{path}: holds both {other.name} and {name}; put them together")
                parts[part] = folder
        if parts:
            if others := sorted(name for name, _ in folders if name.lower() not in PARTS):
                notice_once(f"{path}: neither train nor test, so ignored: {printable(', '.join(others))}")
            found = {part: _of_classes(folder, folders_in(folder)) for part, folder in parts.items()}
        else:
            files = _of_classes(path, folders)
            if files and all(PART.fullmatch(name) for name, _ in folders):
                names = printable(" and ".join(sorted(name for name, _ in folders)))
                raise UserError(f"{path}: there are no class folders in {names}; make them, such as train/cat")
            keys = [f"{file.class_name}/{file.place}{file.name}" for file in files]
            test = a_tenth(np.unique([file.class_name for file in files], return_inverse=True)[1], keys)
            found = {
                part: [file for file, out in zip(files, test, strict=True) if out == (part == "test")]
                for part in ("train", "test")
            }
        if not any(found.values()) or (not parts and len(_classes(found)) < 2 and _has_others(path)):
            return None
        for folder in (path, *parts.values()):
            if loose := sum(picture.is_picture(file.name) for file in folder.iterdir()):
                notice_once(f"{folder}: pictures outside the class folders, so ignored: {loose:,}")
        if (path / "classes.txt").exists():
            notice_once(f"{path / 'classes.txt'} is ignored: the folders' names are the class names")
        source = cls(path, path.resolve().name, _classes(found), found, parts)
        source.is_whole = not parts
        return source

    def read(self, parts: Sequence[str], shape: tuple[int | None, ...]) -> dict[str, Examples]:
        """See Source.read. The size is by default the commonest; the pictures are in colour if one of them is."""
        if len(self.names) == 1 and "train" in parts:
            raise UserError(f"{self.path}: there is one class, {printable(self.names[0])}; at least two are needed")
        if len(self.names) > MAXIMUM_CLASSES:
            raise UserError(f"{self.path}: {len(self.names):,} classes; at most {MAXIMUM_CLASSES} can be trained")
        for part in parts:
            if not self.found.get(part):
                if self.is_whole:
                    raise UserError(f"{self.path}: no class has two pictures, so none can be held out for the test")
                other = next(iter(self.folders.values()))
                advice = f"; make that folder, or use {other} alone: then a tenth of it is the test set"
                what = " with pictures in a folder for each class"
                raise missing(self.path, part, "folder", what, advice, known=PARTS)
        if "train" in parts and (unknown := self._classes("test") - self._classes("train")):
            what = ", which test has; add it to train, or remove it from test"
            raise missing(self.folders["train"], min(unknown), "folder", what)
        height, width, channels = self._shape(parts, shape)
        numbers = {name: number for number, name in enumerate(self.names)}
        files = [file for part in parts for file in self.found[part]]
        require_limits(self.path, len(files), (height, width, channels))
        images = np.empty((len(files), height, width, channels), np.uint8)

        def read(i: int, file: File) -> None:
            images[i] = picture.fit(picture.read(Path(file.path), channels), height, width)

        _for_each(files, read)
        if shape[2] is None and channels == 3 and _is_grey(images):
            images = images[..., :1].copy()
        labels = np.array([numbers[file.class_name] for file in files])
        examples, first = {}, 0
        for part in parts:
            own = slice(first, first + len(self.found[part]))
            examples[part], first = Examples(images[own], labels[own]), own.stop
        return examples

    def files(self, parts: Sequence[str]) -> Sequence[Sequence[str | int]]:
        """See Source.files."""
        return [file for part in parts for file in self.found.get(part, [])]

    def _classes(self, part: str) -> set[str]:
        return {file.class_name for file in self.found.get(part, [])}

    def _shape(self, parts: Sequence[str], wanted: tuple[int | None, ...]) -> tuple[int, int, int]:
        height, width, channels = wanted
        if height is None or width is None or channels is None:
            looks: list[tuple[int, int, bool]] = []
            files = [file for part in parts for file in self.found[part]]
            _for_each(files, lambda _, file: looks.append(picture.look(Path(file.path))))
            channels = channels or (3 if any(colour for *_, colour in looks) else 1)
            if height is None or width is None:
                sizes = Counter((tall, wide) for tall, wide, _ in looks)
                height, width = min(sizes, key=lambda size: (-sizes[size], size))
                if max(height, width) > MAXIMUM_SIDE:
                    text = f"most pictures are {height}x{width}; at most {MAXIMUM_SIDE} pixels on a side are trained on"
                    raise UserError(f"{self.path}: {text}; add --image_size 32, say")
        return height, width, channels


def _of_classes(path: Path, folders: Sequence[tuple[str, Path]]) -> list[File]:
    """Return the pictures in the folders of the classes, which are in `path`; a notice names the empty ones."""
    files = _files(folders)
    if empty := {name for name, _ in folders} - {file.class_name for file in files}:
        notice_once(f"{path}: folders without pictures, so no classes: {printable(', '.join(sorted(empty)))}")
    return files


def _files(folders: Sequence[tuple[str, Path]]) -> list[File]:
    """Return the pictures in the folders of the classes, in their order; OSError if a folder cannot be read."""
    files, others = [], Counter[str]()
    for class_name, folder in folders:
        for place, entry in walk(folder, _raise):
            name = picture.as_text(entry.name)
            if picture.is_picture(name):
                status = entry.stat()
                stamp = status.st_size, status.st_mtime_ns, status.st_ino
                files.append(File(name, class_name, place, entry.path, *stamp))
            else:
                others[os.path.splitext(name.lower())[1] or "no ending"] += 1  # noqa: PTH122 - of text
    if files and others:
        shown = ", ".join(f"{number:,} with {ending}" for ending, number in sorted(others.items()))
        notice_once(f"{folders[0][1].parent}: files that are not pictures, so ignored: {shown}")
    return sorted(files)


def _raise(error: OSError) -> None:
    raise error


def _has_others(path: Path) -> bool:
    """Whether a folder has data of another format, so that one folder of pictures in it means nothing."""
    return any(file.suffix.lower() in (".csv", ".npz", ".gz") for file in path.iterdir())


def _classes(found: dict[str, list[File]]) -> list[str]:
    """Return the names of the classes: numbers in their order, others as text."""
    names = {file.class_name for files in found.values() for file in files}
    decimal = all(name.isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name) if decimal else 0, name))


def _is_grey(images: np.ndarray) -> bool:
    return all((images[..., 0] == images[..., i]).all() for i in (1, 2))


def _for_each(files: Sequence[File], work: Callable[[int, File], None]) -> None:
    """Do some work on each file and its number, with a progress bar in a terminal; UserError names the file."""
    with tqdm(total=len(files), unit="picture", desc="reading", leave=False, disable=None, delay=1) as bar:
        for first in range(0, len(files), AT_ONCE):
            some = files[first : first + AT_ONCE]
            with picture.quietly():
                for i, file in enumerate(some, first):
                    try:
                        work(i, file)
                    except UserError as error:
                        raise UserError(f"{printable(file.path)}: {error}; repair the file or remove it") from None
            bar.update(len(some))
