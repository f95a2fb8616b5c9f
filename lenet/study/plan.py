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
from typing import IO, Any

from tqdm import tqdm

from lenet.checkpoint import Stage
from lenet.errors import NOTICE, UserError, notice
from lenet.run import Run
from lenet.settings import Settings

PROJECT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Member:
    """A run of a study."""

    settings: Settings
    framework: str
    run: Run

    def __str__(self) -> str:
        return f"{self.settings.variant} {self.framework} seed {self.settings.seed}"

    def missing_steps(self, steps: int) -> int | None:
        """Return the steps that it lacks, 0 for its test alone, None for nothing.

        UserError if what is in its folder is not the beginning of this run.
        """
        if not self.run.path.exists():
            return steps
        found = self.run.checkpoint
        if reason := found.settings.difference(self.settings):
            raise UserError(f"{self.run.folder} is another run: {reason}")
        if list(found.history) != [Stage(0, self.framework, self.settings)]:
            raise UserError(f"{self.run.folder} has another history: other settings or frameworks trained a part of it")
        if found.state.step > steps:
            raise UserError(f"{self.run.folder} has {found.state.step} steps, more than {steps}")
        return None if found.state.step == steps and self._is_tested(steps) else steps - found.state.step

    def _is_tested(self, steps: int) -> bool:
        try:
            return bool(self.run.result.get("step") == steps and len(self.run.predictions))
        except UserError:
            return False


def missing(members: Sequence[Member], steps: int) -> dict[Member, int]:
    """Return the members that lack something, and how many steps; UserError if a folder has another run."""
    lacking, reasons = {}, []
    for member in members:
        try:
            if (number := member.missing_steps(steps)) is not None:
                lacking[member] = number
        except UserError as error:
            reasons.append(str(error))
    if reasons:
        others = f" (and {len(reasons) - 1} more like it)" if len(reasons) > 1 else ""
        raise UserError(
            f"{reasons[0]}{others}; a report moves no run aside: choose another --log_dir, or move it away yourself"
        )
    return lacking


def train(lacking: dict[Member, int], total: int, jobs: int, flags: dict[str, Any], lock: IO[str]) -> dict[Member, str]:
    """Train what the runs lack, `jobs` at once; returns the error of each that failed: a line, or a traceback.

    The processes hold the lock, too: if this one is killed, the next report waits for the runs that it began.
    """
    children: set[subprocess.Popen[str]] = set()
    interrupted = threading.Event()

    def run_to_end(member: Member, steps: int) -> str:
        task = {"settings": dataclasses.asdict(member.settings), "framework": member.framework, "steps": steps, **flags}
        with subprocess.Popen(
            [sys.executable, "-m", "lenet.study.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([PROJECT, os.environ.get("PYTHONPATH", "")])},
            pass_fds=[lock.fileno()],
            process_group=0,  # a terminal's Ctrl-C reaches this process alone, which forwards it once
        ) as child:
            children.add(child)
            if interrupted.is_set():  # it was started after the signal was forwarded
                child.terminate()
            _, messages = child.communicate(json.dumps(task))
            children.remove(child)
        lines = messages.splitlines()
        for line in lines:
            if line.startswith(NOTICE):
                notice(f"{member}: {line.removeprefix(NOTICE)}")
        if child.returncode < 0:
            return f"ended by {signal.Signals(-child.returncode).name}"
        if child.returncode == 0:
            return ""
        is_bug = any(line.startswith("Traceback") for line in lines)  # keep tracebacks whole
        return messages if is_bug else (lines or [f"exit code {child.returncode}"])[-1]

    errors = {}
    bar = tqdm(total=total, initial=total - len(lacking), unit="run", disable=None)
    with ThreadPoolExecutor(jobs) as pool, bar:
        try:
            futures = {pool.submit(run_to_end, member, steps): member for member, steps in lacking.items()}
            for future in as_completed(futures):
                if error := future.result():
                    errors[futures[future]] = error
                bar.update()
        except BaseException:  # a signal: cancel the runs that wait, terminate those that run
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(children):
                child.terminate()
            raise
    return errors
