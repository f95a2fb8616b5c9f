"""A Dask cluster, whose workers train the runs of a study: each one at a time, with all of its threads."""

import logging
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from lenet.errors import UserError, notice, notice_once
from lenet.study.process import Outcome
from lenet.study.worker import RESOURCE, admit, run_on_worker, versions
from lenet.system.files import is_locked, lock, writing

PROBE = "probe-"  # how the name of the file begins that this process has locked
CONNECT_SECONDS = 60
STOP_SECONDS = 15
OLD_SECONDS = 600
ATTEMPTS = 4  # at a run; by default Dask ends one when four workers have died while they trained it


class Cluster:
    """The workers of a scheduler. Each must see the data and the log folder, with its locks, and have our versions.

    While the study goes on, this process holds the lock of a file in the log folder. The workers look at it: once it is
    free, because the study is stopped or this process has ended, they stop their runs.
    """

    def __init__(self, address: str, log_dir: Path, packages: Iterable[str], data: str | None = None) -> None:
        """UserError if there is no scheduler, no worker, or one that cannot take part."""
        self.address, self.versions, self.data = address, versions(packages), data
        self.probe = log_dir.absolute() / f"{PROBE}{secrets.token_hex(8)}"
        self.admitted, self.refused = set[str](), dict[str, str]()  # a worker's address, and why
        self.most, self.running = 0, set[Future[Outcome]]()
        with ExitStack() as stack:
            self.client = stack.enter_context(connect(address, packages))
            self.held = stack.enter_context(locked(self.probe))
            self.executor = self.client.get_executor(resources={RESOURCE: 1}, pure=False)
            self.count()
            if self.refused:
                worker, reason = next(iter(self.refused.items()))
                others = f" (and {len(self.refused) - 1} more like it)" if len(self.refused) > 1 else ""
                raise UserError(f"the worker {worker}{others} {reason}")
            self.stack = stack.pop_all()

    @property
    def place(self) -> str:
        """Say how many workers took part."""
        return f"one run at once on each of {self.most} Dask workers"

    def count(self) -> int:
        """Return how many workers take part now; those that have just joined are examined first."""
        try:
            workers = set(self.client.nthreads())
            self.admitted &= workers
            self.refused = {worker: reason for worker, reason in self.refused.items() if worker in workers}
            new = workers - self.admitted - self.refused.keys()
            arguments = str(self.probe), self.versions, self.data
            examined = self.client.run(admit, *arguments, workers=[*new], on_error="return") if new else {}
        except (OSError, TimeoutError) as error:
            raise self._lost() from error
        for worker, answer in examined.items():
            if missing := re.search(r"No module named '([\w.]+)'", str(answer)):
                answer = f"cannot import {missing[1]}; there, run: pip install -e . in this project"
            elif isinstance(answer, Exception):
                answer = f"cannot be checked: {answer}"
            self._note(worker, answer)
        if self.most and not self.admitted:
            notice_once(f"no worker is left at {self.address}; waiting for one to join")
        self.most = max(self.most, len(self.admitted))
        return len(self.admitted)

    def _note(self, worker: str, reason: str) -> None:
        if not reason:
            self.admitted.add(worker)
        else:
            self.refused[worker] = reason
            if self.most:  # it has joined later
                notice(f"the worker {worker} {reason}; it is not used")

    def submit(self, study: str, task: dict[str, Any]) -> "Future[Outcome]":
        """Start a run on one of the workers. If that ends, another one goes on from the run's checkpoint."""
        outcome: Future[Outcome] = Future()
        self._start(outcome, ATTEMPTS, study, task)
        return outcome

    def _start(self, outcome: "Future[Outcome]", attempts: int, study: str, task: dict[str, Any]) -> None:
        from distributed import KilledWorker

        found = self.executor.submit(run_on_worker, study, task, str(self.probe))
        self.running.add(found)

        def tell(found: "Future[Outcome]") -> None:
            try:
                outcome.set_result(found.result())
            except CancelledError:
                outcome.set_exception(self._lost())
            except KilledWorker as error:
                if attempts > 1:
                    self._start(outcome, attempts - 1, study, task)
                else:
                    text = f"each worker that trained it has died, the last one at {error.last_worker.address}"
                    outcome.set_result(Outcome(f"{text}; look at their logs and their memory"))
            except Exception as error:
                outcome.set_result(Outcome(f"{type(error).__name__}: {error}"))
            self.running.discard(found)

        found.add_done_callback(tell)

    def _lost(self) -> UserError:
        return UserError(f"the scheduler at {self.address} is lost; start it again, then run the same command", 1)

    def stop(self, study: str) -> None:  # noqa: ARG002 - a cluster has one
        """Ask all runs to save and end."""
        self.held.close()

    def close(self) -> None:
        """Wait until no run is left, or a while."""
        wait(list(self.running), timeout=STOP_SECONDS)
        self.stack.close()


@contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """While it is entered, there is a file here that this process has locked, until it closes it."""
    with writing(path, "choose another --log_dir"):
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{PROBE}*"):  # of a process that was killed
            with suppress(FileNotFoundError):  # another report removes it
                if time.time() - old.stat().st_mtime > OLD_SECONDS and not is_locked(old):
                    old.unlink()
        held = lock(path)
    try:
        with held:
            yield held
    finally:
        path.unlink(missing_ok=True)


def connect(address: str, packages: Iterable[str]) -> Any:
    """Return Dask's client of a scheduler that has this project and a worker; UserError if there is none."""
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
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise UserError(f"no Dask scheduler answers at {address}: {error}") from None
    with ExitStack() as stack:
        stack.enter_context(client)
        try:
            client.run_on_scheduler(versions, [*packages])  # it reads what a worker is asked to do
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except ModuleNotFoundError as error:
            text = (
                f"the scheduler at {address} cannot import {error.name}; there, run: pip install -e . in this project"
            )
            raise UserError(text) from None
        except TimeoutError:
            raise UserError(f"the scheduler at {address} has no worker; start some: dask worker {address}") from None
        stack.pop_all()
    return client
