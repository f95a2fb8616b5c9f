"""Writing the files of a run."""

import contextlib
import errno
import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from filelock import lock_descriptor

from lenet.errors import UserError, notice_once

try:
    import fcntl
except ImportError:  # Windows
    FULL_SYNC = None
else:
    FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone reaches the drive's cache

TEMPORARY = ".tmp"  # the end of a file's name while it is written
# Windows renames nothing that another program, such as a virus scanner, has open: it is tried again.
WAIT_SECONDS = (0.1, 0.2, 0.4, 0.8) if os.name == "nt" else ()
# What file systems say that have no locks, cannot sync a folder, or only write new files from beginning to end.
NOT_SUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EPERM}


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write; then put it in the place of `path`, whole.

    A crash at any moment leaves the old file or the new one. UserError if it cannot be written: the old one stays.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    with writing(path):
        try:
            yield temporary
            mode = "rb+" if os.name == "nt" else "rb"  # some shares only write from the beginning
            with temporary.open(mode) as file:
                sync(file)
            rename(temporary, path)
        except BaseException:  # the disk may be full of it
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def rename(source: Path, target: Path) -> Path:
    """Put a file or a folder in the place of another one; returns the new path."""
    for seconds in WAIT_SECONDS:
        with contextlib.suppress(PermissionError):
            return source.replace(target)
        time.sleep(seconds)
    return source.replace(target)


def copy(source: Path, target: Path) -> None:
    """Give a file, which is never written again, a second name; where the system cannot, copy it."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def sync(file: IO[Any]) -> None:
    """Wait until an open file's content is on the disk."""
    os.fsync(file.fileno())
    if FULL_SYNC is not None:
        with contextlib.suppress(OSError):  # a network share has none
            fcntl.fcntl(file.fileno(), FULL_SYNC)


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
        notice_once(f"the file system of {folder} cannot sync folders; a power failure may lose the last save")
    finally:
        os.close(descriptor)


def move_aside(folder: Path) -> Path:
    """Rename a folder to the first of <name>.1, <name>.2, ... that is not there; returns its new path."""
    names = (folder.with_name(f"{folder.name}.{i}") for i in itertools.count(1))
    return rename(folder, next(name for name in names if not name.exists()))


@contextlib.contextmanager
def writing(path: Path, advice: str = "files saved before are intact") -> Iterator[None]:
    """Turn an OSError while writing a file, by default a run's, into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if WAIT_SECONDS and isinstance(error, PermissionError):
            reason += ", perhaps because another program has it open"
        raise UserError(f"{path} cannot be written: {reason}; {advice}", 1) from None


@contextlib.contextmanager
def log_folder(path: Path) -> Iterator[None]:
    """Turn an OSError while something is made in a log folder into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write to the log folder: {path}: {reason}; choose another with --log_dir") from None


def lock(path: Path, wait: bool = False) -> IO[str]:
    """Return the file, locked and with this process's number in it, until it is closed or the process ends.

    BlockingIOError, its text the process that holds it, unless `wait` is set. Without locks, a notice.
    """
    try:
        file = path.open("a+")
        held = lock_descriptor(file.fileno(), blocking=wait)
        if not held:  # the other process may only have looked whether it is free
            time.sleep(0.1)
            held = lock_descriptor(file.fileno(), blocking=False)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        notice_once(f"the file system of {path.parent} has no locks; do not start the same run twice at once")
        return Path(os.devnull).open("a+")
    if not held:
        with file:
            raise BlockingIOError(_holder(file))
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file; without locks, False."""
    for mode in ("r+", "r"):  # never made: where nobody has locked, there is no file
        try:
            with path.open(mode) as file:
                return not lock_descriptor(file.fileno(), blocking=False)
        except PermissionError:  # it is another user's; reading is enough, except on some network file systems
            continue
        except OSError:
            return False
    return False


def _holder(file: IO[str]) -> str:
    """The process that holds a lock, from its file: it writes its number just after it has the lock."""
    if os.name == "nt":  # no other process may read the file, and os.kill would send a signal
        return "another process"
    for _ in range(20):
        try:
            file.seek(0)
            number = int(file.read())
            os.kill(number, 0)  # sends nothing; without such a process the number is an earlier holder's
            return f"process {number}"
        except PermissionError:  # it is another user's
            break
        except (OSError, ValueError):
            time.sleep(0.1)
    return "another process"
