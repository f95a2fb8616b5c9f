"""Plan: which runs a report needs, what each of them lacks, and the processes that train it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from tqdm import tqdm

from lenet.errors import NOTICE, UserError, notice, notice_once
from lenet.settings import Settings
from lenet.storage.checkpoint import Stage
from lenet.storage.run import Run
from lenet.system.streams import print_line

STOP = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)  # the first is Windows'
PROJECT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Member:
    """A run of a study."""

    settings: Settings
    framework: str
    run: Run
    steps: int

    @classmethod
    def of(cls, settings: Settings, framework: str, log_dir: Path, steps: int | None) -> Self:
        """Return the run in a log folder, to be trained to the end of its schedule, or else for `steps`; UserError."""
        last = settings.last_step(steps)
        if steps not in (None, last):
            notice_once(f"{settings.variant} is trained to step {last:,}, where its learning rate is zero")
        return cls(settings, framework, Run.of(log_dir, settings, framework), last)

    def __str__(self) -> str:
        return f"{self.settings.variant} {self.framework} seed {self.settings.seed}"

    @property
    def is_complete(self) -> bool:
        """Return whether nothing is missing: the run has its steps, and the test after the last of them.

        UserError if its folder has another run than the beginning of this one.
        """
        if not self.run.exists:
            return False
        found, folder = self.run.checkpoint, self.run.folder
        if found.settings != self.settings:
            raise UserError(f"{folder} is another run: {found.settings.difference(self.settings)}")
        if found.state.step and found.history != (Stage(0, self.framework, self.settings),):
            raise UserError(f"{folder} has another history: other settings or frameworks trained a part of it")
        if (step := found.state.step) > self.steps:
            raise UserError(f"{folder} already has {step} steps; use --train_num {step}, not {self.steps}")
        return found.state.step == self.steps and self._is_tested

    @property
    def _is_tested(self) -> bool:
        try:
            return bool(self.run.result["step"] == self.steps and len(self.run.predictions))
        except (UserError, LookupError, TypeError):
            return False


def incomplete(members: Sequence[Member]) -> list[Member]:
    """Return the members that lack something; UserError, with the first reason, if a folder has another run."""
    lacking, reasons = [], []
    for member in members:
        try:
            if not member.is_complete:
                lacking.append(member)
        except UserError as error:
            reasons.append(str(error))
    if reasons:
        others = f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else ""
        raise UserError(
            f"{reasons[0]}{others}; a report moves no run aside: choose another --log_dir, or move it away yourself"
        )
    return lacking


def train(lacking: Sequence[Member], total: int, jobs: int, flags: dict[str, Any], lock: IO[str]) -> dict[Member, str]:
    """Bring the runs to their last step, `jobs` at once; returns the error of each that failed: a line, or a traceback.

    The processes hold the lock, too, but on Windows: if this one is killed, the next report waits for its runs.
    """
    children: set[subprocess.Popen[str]] = set()
    notices: set[str] = set()
    interrupted = threading.Event()
    path = os.pathsep.join(filter(None, [PROJECT, os.environ.get("PYTHONPATH")]))
    # A terminal's Ctrl-C reaches this process alone, which forwards it once.
    own_group: dict[str, Any] = {"process_group": 0, "pass_fds": [lock.fileno()]}
    if os.name == "nt":
        own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]

    def run_to_end(member: Member) -> str:
        task = {"settings": dataclasses.asdict(member.settings), "framework": member.framework, "steps": member.steps}
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "lenet.study.child"],  # -P: no module comes from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | {"PYTHONPATH": path},
            **own_group,
        ) as child:
            children.add(child)
            if interrupted.is_set():  # it was started after the signal was forwarded
                child.send_signal(STOP)
            messages: str = child.communicate(json.dumps(task | flags))[1]
            children.remove(child)
        lines = messages.splitlines()
        for line in lines:
            if line.startswith(NOTICE) and line not in notices:  # of the processor, say: once is enough
                notices.add(line)
                with tqdm.external_write_mode(sys.stderr):
                    notice(f"{member}: {line.removeprefix(NOTICE)}")
        if child.returncode < 0:
            return f"ended by {signal.Signals(-child.returncode).name}"
        if child.returncode == 0:
            return ""
        is_bug = any(line.startswith("Traceback") for line in lines)  # keep tracebacks whole
        return messages if is_bug else (lines or [f"exit code {child.returncode}"])[-1].removeprefix("lenet: ")

    errors = {}
    bar = tqdm(total=total, initial=total - len(lacking), unit="run", disable=None)
    with ThreadPoolExecutor(jobs) as pool, bar:
        try:
            futures = {pool.submit(run_to_end, member): member for member in lacking}
            for count, future in enumerate(as_completed(futures), total - len(lacking) + 1):
                member = futures[future]
                if error := future.result():
                    errors[member] = error
                else:
                    accuracy = 100 * member.run.result["test_accuracy"]
                    with tqdm.external_write_mode(sys.stderr):
                        print_line(f"{member}: test accuracy {accuracy:.2f} %, run {count} of {total}", sys.stderr)
                bar.update()
        except BaseException:  # a signal: cancel the runs that wait, terminate those that run
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(children):
                child.send_signal(STOP)
            raise
    return errors
