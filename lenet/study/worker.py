"""What a Dask worker does for a study: it says whether it can take part, and trains runs while the study goes on."""

import dataclasses
import hashlib
import importlib.metadata
import platform
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lenet
from lenet.study.process import PROJECT, Outcome, Processes
from lenet.system.files import is_locked

WATCH_SECONDS = 1
MISSES = 3  # looks in a row at which the probe is free: a network's file system may fail once
_one_at_a_time = threading.Lock()  # two reports may use this worker


def run_on_worker(task: dict[str, Any], probe: str) -> Outcome:
    """Train a run on all threads of this worker, unless the task says how many; stop it once the probe is free."""
    from distributed import get_worker

    processes, ended = Processes(), threading.Event()

    def watch() -> None:
        missed = 0
        while missed < MISSES and not ended.wait(WATCH_SECONDS):
            missed = 0 if is_locked(Path(probe)) else missed + 1
        if missed == MISSES:
            processes.stop()

    threading.Thread(target=watch, daemon=True).start()
    try:
        with _one_at_a_time:
            outcome = processes.train(task | {"threads": task["threads"] or get_worker().state.nthreads})
    finally:
        ended.set()
    return dataclasses.replace(outcome, error="", held=True) if processes.stopped and outcome.error else outcome


def examine(probe: str, wanted: dict[str, str], data: str | None = None) -> str:
    """Return why this process cannot train on the data in the log folder in which another process has locked a file.

    "" if it can.
    """
    for name, number in versions(wanted).items():
        if number != wanted[name]:
            return f"has {name} {number}, but this machine has {wanted[name]}; install the same version"
    path = Path(probe)
    if not path.exists():
        return f"does not see the report's files in {path.parent}; choose a --log_dir that all machines share"
    if not is_locked(path):
        return f"does not see the report's lock in {path.parent}; choose a --log_dir on a file system with locks"
    try:
        (written := path.with_name(f"{path.name}-{secrets.token_hex(4)}")).touch()
        written.unlink()
    except OSError as error:
        return f"cannot write in {path.parent}: {error.strerror}"
    if data and not Path(data).exists():
        return f"does not see the data, {data}; put them where all machines see them"
    return ""


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions here of packages, among them "lenet" and "Python"."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    if name == "Python":
        return ".".join(platform.python_version_tuple()[:2])
    if name == "lenet":  # its files: a clone need not be at a commit, nor a worker have git
        sources = sorted(path for package in ("lenet", "backends") for path in (PROJECT / package).rglob("*.py"))
        contents = b"".join(path.read_bytes().replace(b"\r\n", b"\n") for path in sources)
        return f"{lenet.__version__}+{hashlib.sha256(contents).hexdigest()[:8]}"
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "nothing"
