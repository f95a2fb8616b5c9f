"""Writing the files of a run."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from filelock import lock_descriptor

from lenet.errors import UserError, notice_once

TEMPORARY = ".tmp"  # the end of a file's name while it is written
# What file systems say that have no locks, cannot sync a folder, or only write new files from beginning to end.
NOT_SUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EPERM}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write; then put it in the place of `path`, whole.

    A crash at any moment leaves the old file or the new one. UserError if it cannot be written: the old one stays.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    with writing(path):
        yield temporary
        with temporary.open("rb+" if os.name == "nt" else "rb") as file:  # some shares only write from the beginning
            sync(file)
        temporary.replace(path)
        _sync_folder(path.parent)


def sync(file: IO[Any]) -> None:
    """Wait until an open file's content is on the disk."""
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a renaming durable, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folder
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        notice_once(f"{folder} is on a file system that syncs no folders: a power failure may cost the last save")
    finally:
        os.close(descriptor)


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

    BlockingIOError, its text the process that holds it, unless `wait` is set. Without locks, a notice.
    """
    try:
        file = path.open("a+")
        held = lock_descriptor(file.fileno(), blocking=wait)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        notice_once(f"{path.parent} is on a file system without locks: start no second run of this name meanwhile")
        return Path(os.devnull).open("a+")
    if not held:
        with file:
            raise BlockingIOError(_holder(file))
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _holder(file: IO[str]) -> str:
    """The process that holds a lock, from its file, which Windows lets no other process read."""
    try:
        file.seek(0)
        return f"process {file.read()}"
    except OSError:
        return "another process"
