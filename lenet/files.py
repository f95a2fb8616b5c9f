"""Writing the files of a run."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lenet import UserError

TEMPORARY = ".tmp"  # what the name of a file ends in while it is written


def write_atomically(path: Path, *content: bytes | memoryview) -> None:
    """Replace `path` so that a crash at any moment leaves the old content or the new, whole; UserError if it cannot."""
    temporary = path.with_name(path.name + TEMPORARY)
    with writing(path):
        with temporary.open("wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # makes the renaming itself durable
        finally:
            os.close(folder)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing a file of a run into the UserError that ends the run."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; what was saved before is whole", 1) from None
