"""Several reports share the work in a log folder by its locks: this finds out where other machines do not see them."""

import contextlib
import os
import platform
import threading
from pathlib import Path
from typing import IO, Self

from lenet.errors import UserError
from lenet.system.files import is_locked, lock, log_folder

BEAT_SECONDS = 4


class Presence:
    """Says to other machines, while it is entered, that a report works in a log folder, and looks for theirs.

    One report holds the lock of study.lock, and writes its name into it again and again. If another name is there,
    another machine holds the lock, too.
    """

    def __init__(self, log_dir: Path) -> None:
        self.path, self.name = log_dir / "study.lock", f"{platform.node()} (process {os.getpid()})"
        self.other, self.ended = "", threading.Event()
        self.file: IO[str] | None = None
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def require_locks(self) -> None:
        """Raise UserError if a report of another machine works here whose lock is not seen."""
        if self.other:
            text = f"another report works in {self.path.parent} on {self.other}, and its lock is not seen here"
            raise UserError(f"{text}; choose a --log_dir on a file system with locks")

    def __enter__(self) -> Self:
        with log_folder(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        with contextlib.suppress(OSError):
            self._write("")
        if self.file:
            self.file.close()

    def _take(self) -> None:
        """Take the lock, if it is free. What a killed process has written is of no report."""
        if is_locked(self.path):
            return
        try:
            held = lock(self.path)
        except BlockingIOError:  # another one was faster
            return
        if held.name != str(self.path):  # the file system has no locks
            held = self.path.open("a+", encoding="utf-8")
        self.file = held
        self._write(self.name)

    def _beat(self) -> None:
        while not self.ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk, say: the next beat may work
                if not self.file:
                    self._take()
                    continue
                self.file.seek(0)
                if (found := self.file.read()) not in ("", self.name):
                    self.other = found
                self._write(self.name)

    def _write(self, text: str) -> None:
        if self.file:
            self.file.seek(0)
            self.file.truncate()
            self.file.write(text)
            self.file.flush()
