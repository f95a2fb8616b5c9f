"""Writing the files of a run."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lenet.errors import UserError

TEMPORARY = ".tmp"  # the end of a file's name while it is written


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write; then put it in the place of `path`, whole.

    A crash at any moment leaves the old file or the new one. UserError if it cannot be written: the old one stays.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    with writing(path):
        yield temporary
        with temporary.open("rb+") as file:
            sync(file)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # makes the renaming itself durable
        finally:
            os.close(folder)


def sync(file: IO[Any]) -> None:
    """Wait until an open file's content is on the disk."""
    os.fsync(file.fileno())


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing a run's file into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be written: {reason}; what was saved before is whole", 1) from None


def lock(path: Path, wait: bool = False) -> IO[str]:
    """Return the file, locked and with this process's number in it, until it is closed or the process ends.

    BlockingIOError, its text the number of the process that holds it, unless `wait` is set.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read()
        file.close()
        raise BlockingIOError(holder) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
