"""What a Dask worker does for a study: it says whether it can take part, and trains runs while the study goes on."""

import importlib.metadata
import platform
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lenet.study import process
from lenet.study.process import Outcome
from lenet.study.records import version
from lenet.system.files import is_locked

RESOURCE = "lenet_run"  # each worker that takes part has one
WATCH_SECONDS = 1
MISSES = 3  # looks in a row at which the probe is free: a network's file system may fail once


def run_on_worker(study: str, task: dict[str, Any], probe: str) -> Outcome:
    """Train a run on all threads of this worker, unless the task says how many; stop it once the probe is free."""
    from distributed import get_worker

    ended = threading.Event()

    def watch() -> None:
        missed = 0
        while not ended.wait(WATCH_SECONDS):
            missed = 0 if is_locked(Path(probe)) else missed + 1
            if missed == MISSES:
                process.stop(study)

    threading.Thread(target=watch, daemon=True).start()
    try:
        return process.run_to_end(study, task | {"threads": task["threads"] or get_worker().state.nthreads})
    finally:
        ended.set()


async def admit(probe: str, wanted: dict[str, str], data: str | None, dask_worker: Any) -> str:
    """Let this worker take part, and return "", or else why it cannot."""
    reason = examine(Path(probe), wanted, data)
    if not reason:
        await dask_worker.set_resources(**{RESOURCE: 1})
    return reason


def examine(probe: Path, wanted: dict[str, str], data: str | None = None) -> str:
    """Return why this process cannot train on the data in the log folder in which another process has locked a file."""
    for name, number in versions(name for name in wanted if name not in ("lenet", "Python")).items():
        if number != wanted[name]:
            return f"has {name} {number}, but this machine has {wanted[name]}; install the same version"
    folder = probe.parent
    if not probe.exists():
        return f"does not see the report's files in {folder}; choose a --log_dir that all machines share"
    if not is_locked(probe):
        return f"does not see the report's lock in {folder}; choose a --log_dir on a file system with locks"
    try:
        (written := probe.with_name(f"{probe.name}-{secrets.token_hex(4)}")).touch()
        written.unlink()
    except OSError as error:
        return f"cannot write in {folder}: {error.strerror}"
    if data and not Path(data).exists():
        return f"does not see the data, {data}; put them where all machines see them"
    return ""


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions here of this project, Python and some packages."""
    python = ".".join(platform.python_version_tuple()[:2])
    found = {"lenet": version().removeprefix("lenet "), "Python": python}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "nothing"
    return found
