"""Work: brings the runs of a study to their last step, on this machine or on a cluster."""

import dataclasses
import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, Self

from tqdm import tqdm

from lenet.errors import UserError, notice
from lenet.study.member import Member
from lenet.study.process import Outcome, Processes
from lenet.system.machine import processor
from lenet.system.streams import print_line

# How long to wait for runs that other processes train, once nothing else is left: one that is being stopped ends within
# seconds, and the lock of a machine that is lost, on a network's file system, after a minute or two.
PATIENCE_SECONDS = 120


class Workers(Protocol):
    """Where the processes of runs are started."""

    @property
    def place(self) -> str:
        """Say how many run at once, and where."""

    def count(self) -> int:
        """Return how many runs can be trained at once now."""

    def submit(self, task: dict[str, Any]) -> "Future[Outcome]":
        """Start a run: Processes.train with this task."""

    def stop(self) -> None:
        """Ask all runs to save and end."""

    def close(self) -> None:
        """Wait until they have."""


class Local:
    """The machine itself."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.pool, self.processes = jobs, ThreadPoolExecutor(jobs), Processes()

    @property
    def place(self) -> str:
        """Say how many run at once, and on what."""
        processors = f"{platform.system()} on {processor()}, {os.cpu_count()} processors"
        return f"{self.jobs} {'run' if self.jobs == 1 else 'runs'} at once on {processors}"

    def count(self) -> int:
        """Return how many are wanted."""
        return self.jobs

    def submit(self, task: dict[str, Any]) -> "Future[Outcome]":
        """Start a run in a thread, which waits for its process."""
        return self.pool.submit(self.processes.train, task)

    def stop(self) -> None:
        """Ask all runs to save and end."""
        self.processes.stop()

    def close(self) -> None:
        """Wait until they have."""
        self.pool.shutdown()


def train(
    lacking: Sequence[Member], total: int, workers: Workers, flags: dict[str, Any], check: Callable[[], None]
) -> tuple[dict[Member, str], list[Member]]:
    """Bring the runs to their last step, `flags` being those of each run's process; stop them where `check` raises.

    Returns the error of each that failed, a line or a traceback, and the runs that other processes still train. A run
    that another process trains is left to it, and looked at again later: several reports share the work.
    """
    waiting, held, running = deque(lacking), list[Member](), dict[Future[Outcome], Member]()
    ended_at = time.monotonic()
    with _Progress(total, total - len(lacking)) as progress:
        try:
            while waiting or held or running:
                free = workers.count() - len(running)
                if free > 0 and not waiting:
                    waiting, held = deque(held), []
                while free > 0 and waiting:
                    member = waiting.popleft()
                    is_complete, error = _look(member)
                    if is_complete or error:  # by another process since
                        progress.ended(member, error)
                    elif member.run.is_held:
                        held.append(member)
                    else:
                        task = {"settings": dataclasses.asdict(member.settings), "framework": member.framework}
                        running[workers.submit(task | {"steps": member.steps} | flags)] = member
                        free -= 1
                check()
                if not running and (waiting or held):  # for others, or for a worker
                    if free > 0 and held and not waiting and time.monotonic() - ended_at > PATIENCE_SECONDS:
                        break
                    time.sleep(0.5)
                for future in wait(running, timeout=1, return_when=FIRST_COMPLETED).done:
                    member, outcome, ended_at = running.pop(future), future.result(), time.monotonic()
                    progress.tell(member, outcome.notices)
                    is_complete, error = (False, outcome.error) if outcome.held or outcome.error else _look(member)
                    if is_complete or error:
                        progress.ended(member, error)
                    else:  # another process has it, or a network's file system does not show its result yet
                        held.append(member)
        except BaseException as error:  # a signal, say
            workers.stop()
            error.add_note("run the same command again to go on")
            raise
    return progress.errors, held


def _look(member: Member) -> tuple[bool, str]:
    """Return whether a run is complete, and why it cannot be trained: another one has taken its folder."""
    try:
        return member.is_complete, ""
    except UserError as error:
        return False, str(error)


class _Progress:
    """What a user sees of the work: a bar, or else a line for each run that ends."""

    def __init__(self, total: int, count: int) -> None:
        self.total, self.count = total, count
        self.errors, self.told = dict[Member, str](), set[str]()
        self.bar = tqdm(total=total, initial=count, unit="run", disable=None)

    def ended(self, member: Member, error: str) -> None:
        self.count += 1
        if error:
            self.errors[member] = error
        else:
            accuracy = 100 * member.run.result["test_accuracy"]
            with tqdm.external_write_mode(sys.stderr):
                print_line(f"{member}: test accuracy {accuracy:.2f} %, run {self.count} of {self.total}", sys.stderr)
        self.bar.update()

    def tell(self, member: Member, notices: Sequence[str]) -> None:
        """Show the notices of a run that no other had: of the processor, say, once is enough."""
        for text in notices:
            if text not in self.told:
                self.told.add(text)
                with tqdm.external_write_mode(sys.stderr):
                    notice(f"{member}: {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
