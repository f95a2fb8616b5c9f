"""Where a run lies, and how its folder is made ready for the one process that trains there."""

import fcntl
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from lenet import UserError, notice
from lenet.files import TEMPORARY


@dataclass(frozen=True)
class Run:
    """One config, framework and seed: <log_dir>/<config>/<framework>/seed-<seed>/."""

    CHECKPOINT: ClassVar[str] = "checkpoint.safetensors"

    log_dir: Path
    config: str
    framework: str
    seed: int

    @property
    def folder(self) -> Path:
        """Holds train/ and test/ (TensorBoard), checkpoint.safetensors, config.toml, result.json and lock."""
        return self.log_dir / self.config / self.framework / f"seed-{self.seed}"

    @property
    def checkpoint(self) -> Path:
        """The file that --load continues from."""
        return self.folder / self.CHECKPOINT

    @property
    def result(self) -> Path:
        """What the run came to, as JSON."""
        return self.folder / "result.json"

    def take(self, continued: bool) -> IO[str]:
        """Make the folder ready and keep it to this process until the lock, which is returned, is closed.

        An earlier run that is not continued is moved aside, with a notice. UserError when another process trains there,
        or the folder cannot be written.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            gate = os.open(self.folder.parent, os.O_RDONLY)
            try:
                fcntl.flock(gate, fcntl.LOCK_EX)  # so that one process at a time looks, moves and locks
                if self.folder.exists() and not continued:
                    with self._lock():
                        names = (self.folder.with_name(f"{self.folder.name}.{i}") for i in itertools.count(1))
                        aside = self.folder.rename(next(name for name in names if not name.exists()))
                        notice(f"the run that lay in {self.folder} lies in {aside} now")
                self.folder.mkdir(exist_ok=True)
                return self._lock()
            finally:
                os.close(gate)
        except OSError as error:
            raise UserError(f"cannot write to the log folder: {error}; choose another with --log_dir") from None

    def _lock(self) -> IO[str]:
        """The lock file, locked; the operating system unlocks it when it is closed or its process ends."""
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read()
            lock.close()
            raise UserError(
                f"process {holder} trains in {self.folder}; wait for it, or choose another --seed"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        for leftover in self.folder.glob(f"*{TEMPORARY}"):  # of a process that was killed while it saved
            leftover.unlink()
        return lock
