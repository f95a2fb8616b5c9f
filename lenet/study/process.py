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

_children: dict[str, set[subprocess.Popen[str]]] = {}  # a study's name -> its processes here
_stopped: set[str] = set()  # studies


@dataclass(frozen=True)
class Outcome:
    """What a run's process came to. The error is empty if it did all; else it is a line, or a traceback."""

    error: str = ""
    held: bool = False  # another process trains the run
    notices: tuple[str, ...] = ()


def run_to_end(study: str, task: dict[str, Any]) -> Outcome:
    """Train what a run lacks, in a process of its own; `task` has the arguments of child.main."""
    if study in _stopped:
        return Outcome("stopped")
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    # A terminal's Ctrl-C reaches this process alone, which forwards it once.
    own_group: dict[str, Any] = {"process_group": 0}
    if os.name == "nt":
        own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "lenet.study.child"],  # -P: no module comes from the current folder
        stdin=subprocess.PIPE,  # stays open: its end tells the child that this process has ended
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | {"PYTHONPATH": path},
        **own_group,
    ) as child:
        assert child.stdin and child.stderr  # noqa: S101 - for mypy
        children = _children.setdefault(study, set())
        children.add(child)
        if study in _stopped:  # it was started after the others were asked to stop
            child.send_signal(STOP)
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and has said why
            print(json.dumps(task), file=child.stdin, flush=True)
        messages = child.stderr.read()
        child.wait()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        children.remove(child)
    lines = messages.splitlines()
    notices = tuple(line.removeprefix(NOTICE) for line in lines if line.startswith(NOTICE))
    if child.returncode in (0, HELD):
        return Outcome("", child.returncode == HELD, notices)
    if child.returncode < 0:
        return Outcome(f"ended by {signal.Signals(-child.returncode).name}", notices=notices)
    is_bug = any(line.startswith("Traceback") for line in lines)  # keep tracebacks whole
    last = (lines or [f"exit code {child.returncode}"])[-1].removeprefix("lenet: ")
    return Outcome(messages if is_bug else last, notices=notices)


def stop(study: str) -> None:
    """Ask the processes of a study here to save and end, and those that start later."""
    _stopped.add(study)
    for child in list(_children.get(study, ())):
        child.send_signal(STOP)
