"""main.py, but one step of saving a checkpoint goes wrong: python sabotage.py OPERATION HOW SAVE and main.py's flags.

OPERATION is open, write, fsync, rename or fsync_folder; HOW is an error's name, such as ENOSPC, or KILL; SAVE says in
which save it happens, from 1. With SAVE 0, OPERATION is test, the final test, or result, the writing of its result.
"""

import contextlib
import errno
import os
import signal
import stat
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))
from lenet.trainer import Trainer

OPERATIONS = ("open", "write", "fsync", "rename", "fsync_folder")


class File:
    """A file whose writing stops half-way."""

    def __init__(self, file, strike):
        self.file, self.strike = file, strike

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def writelines(self, content):
        content = b"".join(content)
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        self.strike()


@contextlib.contextmanager
def sabotage(operation, how, save):
    """While it is entered, that operation of that save goes wrong."""
    saves = 0
    path_open, path_replace, os_fsync, test = Path.open, Path.replace, os.fsync, Trainer.test

    def strike(what):
        if what != operation or (save and saves != save):
            return
        if how == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))

    def patched_open(path, *arguments, **keywords):
        nonlocal saves
        if path.name == "result.json.tmp":
            strike("result")
        if path.name != "checkpoint.safetensors.tmp":
            return path_open(path, *arguments, **keywords)
        saves += 1
        strike("open")
        file = path_open(path, *arguments, **keywords)
        return File(file, lambda: strike("write")) if (operation, saves) == ("write", save) else file

    def patched_replace(path, target):
        if path.name == "checkpoint.safetensors.tmp":
            strike("rename")
        return path_replace(path, target)

    def patched_fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            strike("fsync_folder")
        elif os.path.realpath(f"/proc/self/fd/{descriptor}").endswith(".tmp"):
            strike("fsync")
        return os_fsync(descriptor)

    def patched_test(trainer, run):
        strike("test")
        return test(trainer, run)

    with (
        mock.patch.object(Trainer, "test", patched_test),
        mock.patch.object(Path, "open", patched_open),
        mock.patch.object(Path, "replace", patched_replace),
        mock.patch.object(os, "fsync", patched_fsync),
    ):
        yield


if __name__ == "__main__":
    import main

    with sabotage(sys.argv[1], sys.argv[2], int(sys.argv[3])):
        sys.exit(main.main(sys.argv[4:]))
