"""Walk: the files in a folder and in the folders below it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lenet.data.picture import as_text
from lenet.errors import notice_once


def folders_in(path: Path) -> list[tuple[str, Path]]:
    """Return the names and paths of the folders in a folder, without those that are hidden."""
    entries = [entry for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith((".", "__"))]
    return [(as_text(entry.name), Path(entry.path)) for entry in entries]


def walk(folder: Path, failed: Callable[[OSError], None]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the files in a folder and below it, without those that are hidden: "", or "folders/below/", and the file.

    Links are followed; one that leads back is left out with a notice. `failed` is told why a folder cannot be read.
    """
    stack = [(str(folder), "", {_identity(path) for path in (*folder.absolute().parents, *folder.resolve().parents)})]
    while stack:
        path, place, above = stack.pop()
        try:
            here = _identity(path)
            entries = [*os.scandir(path)]
        except OSError as error:
            failed(error)
            continue
        if here in above:
            notice_once(f"{path} leads back to a folder above it, so it is left out")
            continue
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError as error:  # a link to itself
                failed(error)
                continue
            if entry.name.startswith((".", "__") if is_folder else "."):  # macOS puts __MACOSX into archives
                continue
            if is_folder:
                stack.append((entry.path, f"{place}{as_text(entry.name)}/", above | {here}))
            else:
                yield place, entry


def _identity(path: str | Path) -> tuple[int, int]:
    """Return the device, and the number of the folder on it."""
    status = os.stat(path)  # noqa: PTH116 - it takes both
    return status.st_dev, status.st_ino
