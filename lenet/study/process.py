"""A run of a study in a process of its own, which saves and ends when the process that started it ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenet.errors import NOTICE

HELD = 75  # a run's exit code when another process trains it
STOP = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)  # the first is Windows'
PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """What a run's process came to. The error is empty if it did all; else it is a line, or a traceback."""

    error: str = ""
    held: bool = False  # another process trains the run, or its worker was lost: it is to be looked at again
    notices: tuple[str, ...] = ()


class Processes:
    """The processes of runs that were started here."""

    def __init__(self) -> None:
        self.children, self.stopped = set[subprocess.Popen[str]](), False

    def train(self, task: dict[str, Any]) -> Outcome:
        """Train what a run lacks, in a process of its own; `task` has the arguments of child.main."""
        if self.stopped:
            return Outcome("stopped")
        path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
        # A terminal's Ctrl-C reaches this process alone, which forwards it once.
        own_group: dict[str, Any] = {"process_group": 0}
        if os.name == "nt":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "lenet.study.child"],  # -P: no module comes from the current folder
                stdin=subprocess.PIPE,  # stays open: its end tells the child that this process has ended
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=os.environ | {"PYTHONPATH": path},
                **own_group,
            )
        except OSError as error:  # too many processes, or too little memory for one more
            return Outcome(f"cannot be started: {error.strerror}; start fewer runs, or other programs, at once")
        with child:
            assert child.stdin and child.stderr  # noqa: S101 - for mypy
            self.children.add(child)
            if self.stopped:  # it was started after the others were asked to stop
                child.send_signal(STOP)
            with contextlib.suppress(BrokenPipeError):  # it has ended already, and has said why
                print(json.dumps(task), file=child.stdin, flush=True)
            messages = child.stderr.read()
            child.wait()
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
            self.children.remove(child)
        return _outcome(child.returncode, messages)

    def stop(self) -> None:
        """Ask all to save and end, and those that start later."""
        self.stopped = True
        for child in list(self.children):
            child.send_signal(STOP)


def _outcome(code: int, messages: str) -> Outcome:
    """What an exit code and the lines on stderr mean."""
    lines = messages.splitlines()
    notices = tuple(line.removeprefix(NOTICE) for line in lines if line.startswith(NOTICE))
    if code in (0, HELD):
        return Outcome("", code == HELD, notices)
    if code < 0:
        name = signal.Signals(-code).name
        why = "; the system does that when the memory is full" if name == "SIGKILL" else ""
        return Outcome(f"ended by {name}{why}", notices=notices)
    is_bug = any(line.startswith("Traceback") for line in lines)  # keep tracebacks whole
    last = (lines or [f"exit code {code}"])[-1].removeprefix("lenet: ")
    return Outcome(messages if is_bug else last, notices=notices)
