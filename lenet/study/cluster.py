"""A Dask cluster, whose workers train the runs of a study: each one at a time, with all of its threads."""

import json
import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from lenet.errors import UserError, notice, notice_once
from lenet.study.process import Outcome
from lenet.study.worker import examine, run_on_worker, versions
from lenet.system.files import is_locked, lock, log_folder

PROBE = "probe-"  # how the name of the file begins that this process has locked
CONNECT_SECONDS = 60
STOP_SECONDS = 15
OLD_SECONDS = 600
MOST_LOSSES = 16  # of workers that trained the same run: it may be the run that ends them


class Cluster:
    """The workers of a scheduler. Each must see the data and the log folder, with its locks, and have our versions.

    While the study goes on, this process holds the lock of a file in the log folder. The workers look at it: once it is
    free, because the study is stopped or this process has ended, they stop their runs.
    """

    def __init__(self, address: str, log_dir: Path, packages: Iterable[str], data: str | None = None) -> None:
        """UserError if there is no scheduler, no worker, or one that cannot take part."""
        self.address, self.data = address, data
        self.versions = versions(["lenet", "Python", "distributed", *sorted(packages)])
        self.probe = log_dir.absolute() / f"{PROBE}{secrets.token_hex(8)}"
        self.admitted, self.refused = set[str](), dict[str, str]()  # a worker's address, and why
        # What Dask calculates -> the worker's address, the run, and what becomes of it.
        self.running = dict[Future[Outcome], tuple[str, str, Future[Outcome]]]()
        self.losses = Counter[str]()  # a run -> how many workers were lost while they trained it
        self.most_workers = 0
        with ExitStack() as stack:
            self.client = stack.enter_context(connected(address, self.versions))
            self.lock = stack.enter_context(locked(self.probe))
            self.count()
            if self.refused:
                worker, reason = next(iter(self.refused.items()))
                others = f" (and {len(self.refused) - 1} more like it)" if len(self.refused) > 1 else ""
                raise UserError(f"the worker {worker}{others} {reason}")
            self.stack = stack.pop_all()

    @property
    def place(self) -> str:
        """Say how many workers took part."""
        return f"one run at once on each of {self.most_workers} Dask workers"

    def count(self) -> int:
        """Return how many workers take part now. Those that have joined are examined; the runs of lost ones end."""
        try:
            workers = set(self.client.nthreads())
            self.admitted &= workers
            self.refused = {worker: reason for worker, reason in self.refused.items() if worker in workers}
            new = workers - self.admitted - self.refused.keys()
            arguments = str(self.probe), self.versions, self.data
            examined = self.client.run(examine, *arguments, workers=[*new], on_error="return") if new else {}
        except OSError as error:
            raise self._scheduler_lost() from error
        for future, (worker, *_) in list(self.running.items()):
            if worker not in workers:
                self._worker_lost(future)
        for worker, answer in examined.items():
            if missing := re.search(r"No module named '([\w.]+)'", str(answer)):
                answer = f"cannot import {missing[1]}; there, run: pip install -e . in this project"
            elif isinstance(answer, Exception):
                answer = f"cannot be checked: {answer}"
            self._admit(worker, answer)
        if self.most_workers and not self.admitted:
            notice_once(f"no worker is left at {self.address}; waiting for one to join")
        self.most_workers = max(self.most_workers, len(self.admitted))
        return len(self.admitted)

    def _admit(self, worker: str, reason: str) -> None:
        if not reason:
            self.admitted.add(worker)
        else:
            self.refused[worker] = reason
            if self.most_workers:  # it has joined later
                notice(f"the worker {worker} {reason}; it is not used")

    def submit(self, task: dict[str, Any]) -> "Future[Outcome]":
        """Start a run on a worker that trains none; there must be one."""
        busy = {worker for worker, *_ in list(self.running.values())}
        worker = next(worker for worker in sorted(self.admitted) if worker not in busy)
        # Chosen here: Dask would queue the run of a lost worker at another, which may train for an hour.
        executor = self.client.get_executor(workers=[worker], pure=False)
        future, outcome = executor.submit(run_on_worker, task, str(self.probe)), Future[Outcome]()
        self.running[future] = worker, json.dumps(task), outcome
        future.add_done_callback(self._ended)
        return outcome

    def _ended(self, future: "Future[Outcome]") -> None:
        from distributed import KilledWorker

        try:
            self._answer(future, future.result())
        except CancelledError:
            self._answer(future, self._scheduler_lost())
        except KilledWorker:  # if Dask is told to give up at once
            self._worker_lost(future)
        except Exception as error:
            self._answer(future, Outcome(f"{type(error).__name__}: {error}"))

    def _worker_lost(self, future: "Future[Outcome]") -> None:
        """Let the run of a lost worker be looked at again: another worker goes on from its checkpoint."""
        if found := self.running.get(future):
            worker, run, _ = found
            self.losses[run] += 1
            error = ""
            if self.losses[run] >= MOST_LOSSES:
                error = f"each of {MOST_LOSSES} workers that trained it was lost, the last one at {worker}"
                error += "; look at their logs and their memory"
            self._answer(future, Outcome(error, held=not error))
            future.cancel()

    def _answer(self, future: "Future[Outcome]", answer: Outcome | UserError) -> None:
        """Say what becomes of a run, once: Dask's thread and the main one may both know."""
        if found := self.running.pop(future, None):
            *_, outcome = found
            if isinstance(answer, UserError):
                outcome.set_exception(answer)
            else:
                outcome.set_result(answer)

    def _scheduler_lost(self) -> UserError:
        return UserError(f"the scheduler at {self.address} is lost; start it again, then run the same command", 1)

    def stop(self) -> None:
        """Ask all runs to save and end."""
        self.lock.close()

    def close(self) -> None:
        """Wait until no run is left, or a while."""
        wait(list(self.running), timeout=STOP_SECONDS)
        self.stack.close()


@contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """While it is entered, there is a file here that this process has locked, until it closes it."""
    with log_folder(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{PROBE}*"):  # of a process that was killed
            with suppress(FileNotFoundError):  # another report removes it
                if time.time() - old.stat().st_mtime > OLD_SECONDS and not is_locked(old):
                    old.unlink()
        file = lock(path)
    try:
        with file:
            yield file
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def connected(address: str, packages: Iterable[str]) -> Iterator[Any]:
    """Yield Dask's client of a scheduler that has this project and a worker; UserError if there is none."""
    try:
        from distributed import Client
    except ImportError:
        text = "--cluster needs Dask, which is not installed: pip install -r requirements/cluster.txt"
        raise UserError(text) from None
    for name in logging.root.manager.loggerDict:
        if name.startswith("distributed"):  # what happens is said in one line
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"no Dask scheduler answers at {address}: {error}") from None
    with client:
        try:
            client.run_on_scheduler(versions, [*packages])  # it reads what a worker is asked to do
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (ImportError, AttributeError) as error:  # it has none, or another version
            text = f"the scheduler at {address} cannot import this project ({error})"
            raise UserError(f"{text}; there, run: pip install -e . in this project") from None
        except TimeoutError:
            raise UserError(f"the scheduler at {address} has no worker; start some: dask worker {address}") from None
        except OSError as error:
            raise UserError(f"no Dask scheduler answers at {address}: {error}") from None
        yield client
