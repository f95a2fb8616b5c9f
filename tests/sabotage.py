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
from lenet.system import tensors
from lenet.trainer import Trainer

OPERATIONS = ("open", "write", "fsync", "rename", "fsync_folder")


@contextlib.contextmanager
def sabotage(operation, how, save):
    """While it is entered, that operation of that save goes wrong."""
    saves = 0
    save_file, path_replace, os_fsync, test = tensors.save_file, Path.replace, os.fsync, Trainer.test

    def strike(what):
        if what != operation or (save and saves != save):
            return
        if how == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))

    def patched_save_file(arrays, path, metadata):
        nonlocal saves
        saves += 1
        strike("open")
        save_file(arrays, path, metadata)
        if (operation, saves) == ("write", save):
            os.truncate(path, path.stat().st_size // 2)
            strike("write")

    def patched_replace(path, target):
        if path.name == "checkpoint.safetensors.tmp":
            strike("rename")
        if path.name == "result.json.tmp":
            strike("result")
        return path_replace(path, target)

    def patched_fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            strike("fsync_folder")
        elif os.path.realpath(f"/proc/self/fd/{descriptor}").endswith(".tmp"):
            strike("fsync")
        return os_fsync(descriptor)

    def patched_test(trainer):
        strike("test")
        return test(trainer)

    with (
        mock.patch.object(Trainer, "test", patched_test),
        mock.patch.object(tensors, "save_file", patched_save_file),
        mock.patch.object(Path, "replace", patched_replace),
        mock.patch.object(os, "fsync", patched_fsync),
    ):
        yield


if __name__ == "__main__":
    import main

    with sabotage(sys.argv[1], sys.argv[2], int(sys.argv[3])):
        sys.exit(main.main(sys.argv[4:]))
