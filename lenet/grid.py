"""Many runs, each in a process of its own, several at once, and none of them trained twice."""

import fcntl
import json
import signal
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from lenet import UserError, notice
from lenet.architecture import Architecture
from lenet.checkpoint import Checkpoint
from lenet.run import Run


@dataclass(frozen=True)
class Task:
    """What a run shall be."""

    run: Run
    architecture: Architecture
    precision: str
    training_sha256: dict[str, str]
    steps: int

    def steps_done(self) -> int | None:
        """How many of its steps the run has behind it; None when there is none, or it was trained otherwise."""
        try:
            found = Checkpoint.load(self.run.checkpoint)
        except UserError:
            return None
        same = (
            found.architecture == self.architecture
            and found.precision == self.precision
            and found.training_sha256 == self.training_sha256
            and found.seed == self.run.seed
            and [entry.get("framework") for entry in found.history] == [self.run.framework]  # and was so from step 0 on
            and found.history[0].get("from_step") == 0
        )
        return found.state.step if same and found.state.step <= self.steps else None

    def tested(self) -> bool:
        """Whether the result of the last step is written."""
        try:
            return bool(json.loads(self.run.result.read_text())["step"] == self.steps)
        except (OSError, ValueError, KeyError, TypeError):  # no result, or not a whole one
            return False


def take(folder: Path) -> IO[str]:
    """Make the report's folder and keep it to this process until the lock, which is returned, is closed.

    Waits for the report that holds it. UserError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notice(f"waiting for an earlier report in {folder.parent}")
            fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise UserError(f"cannot write to the log folder: {error}; choose another with --log_dir") from None
    return lock


def train(tasks: Sequence[Task], command: Sequence[str], jobs: int, lock: IO[str]) -> dict[Run, str]:
    """Train what the runs lack, `jobs` at once; returns what those that failed said: the last line, of a bug all.

    `command` is main.py with the flags that all runs share. Their processes hold on to the lock, too, so that when this
    one is killed the next waits for what they have begun.
    """
    children: set[subprocess.Popen[str]] = set()
    interrupted = threading.Event()

    def bring(task: Task, done: int | None) -> str:
        words = [*command, "--train", f"--train_num={task.steps - (done or 0)}", f"--config={task.run.config}"]
        words += [f"--framework={task.run.framework}", f"--seed={task.run.seed}"]
        words += ["--load"] if done is not None else []
        with subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[lock.fileno()],
            process_group=0,  # a terminal's Ctrl-C reaches this process alone, which tells them once
        ) as child:
            children.add(child)
            if interrupted.is_set():  # while it was started, and so was not among those who were told
                child.terminate()
            said, _ = child.communicate()
            children.remove(child)
        if child.returncode < 0:
            return f"ended by {signal.Signals(-child.returncode).name}"
        if child.returncode == 0:
            return ""
        lines = said.splitlines() or [f"exit code {child.returncode}"]
        return said if any(line.startswith("Traceback") for line in lines) else lines[-1]  # of a bug, all is told

    missing = [(task, done) for task in tasks if (done := task.steps_done()) != task.steps or not task.tested()]
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(missing), unit="run", disable=None)
    with ThreadPoolExecutor(jobs) as pool, bar:
        errors = {}
        try:
            futures = {pool.submit(bring, task, done): task.run for task, done in missing}
            for future in as_completed(futures):
                if said := future.result():
                    errors[futures[future]] = said
                bar.update()
        except BaseException:  # an interrupt: what waits is dropped, what runs is told
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(children):
                child.terminate()
            raise
    return errors
