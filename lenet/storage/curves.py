"""Curves: scalars in TensorBoard's event files, without a framework: tensorboard's own records and protos.

Every process writes a file of its own, and no file that exists is changed: a TensorBoard that is open reads on.
"""

import contextlib
import shutil
import time
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.tensorflow_stub.errors import DataLossError, OutOfRangeError
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
from tensorboard.summary.writer.record_writer import RecordWriter

from lenet.errors import notice
from lenet.system.files import sync, writing

PATTERN = "events.out.tfevents.lenet*"  # TensorBoard looks for "tfevents" in the name


class Curve(NamedTuple):
    """Steps, int64 [n], and the value at each, float64 [n]."""

    steps: np.ndarray
    values: np.ndarray


class EventWriter:
    """A new event file of a folder."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Begin at `first_step`: readers drop the points that older files have from there on.

        A notice names an older file that is damaged, so that points before `first_step` are lost.
        """
        with writing(folder):
            folder.mkdir(exist_ok=True)
            older = event_files(folder)
            for path in older:
                events, damaged = read_events(path)
                if damaged and (last := max((event.step for event in events), default=0)) < first_step - 1:
                    notice(f"{path} is damaged: its points after step {last} are lost")
            # It sorts after the older files, even if the clock was set back.
            numbers = [int(number) + 1 for path in older if (number := path.name.rpartition(".")[2]).isdecimal()]
            self.path = folder / PATTERN.replace("*", f".{max([time.time_ns(), *numbers])}")
            self.file = self.path.open("xb")
        self.records = RecordWriter(self.file)
        start = Event(step=first_step, session_log=SessionLog(status=SessionLog.START))
        # TensorBoard's slow reader passes over the first START of a run, so there are two.
        self.write(Event(file_version="brain.Event:2"), start, start)

    def write(self, *events: Event) -> None:
        """Add events, and hand them to the operating system."""
        now = time.time()
        with writing(self.path):
            for event in events:
                event.wall_time = now
                self.records.write(event.SerializeToString())
            self.file.flush()

    def sync(self) -> None:
        """Flush to disk."""
        with writing(self.path):
            sync(self.file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk, of which `write` has told
            self.file.close()


def event_files(folder: Path) -> list[Path]:
    """Return a folder's event files, the oldest first."""
    return sorted(folder.glob(PATTERN))


def copy_events(source: Path, target: Path) -> None:
    """Copy a folder's event files to another one."""
    for path in event_files(source):
        target.mkdir(exist_ok=True)
        with Path(shutil.copyfile(path, target / path.name)).open("rb+") as file:
            sync(file)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Return the curve of each tag, from all event files of a folder: each replaces the points from its START on."""
    points: dict[str, dict[int, float]] = {}
    for path in event_files(folder):
        for event in read_events(path)[0]:
            if event.session_log.status == SessionLog.START:
                points = {tag: {n: v for n, v in of_tag.items() if n < event.step} for tag, of_tag in points.items()}
            for value in event.summary.value:
                points.setdefault(value.tag, {})[event.step] = value.simple_value
    return {tag: Curve(np.array([*of_tag]), np.array([*of_tag.values()])) for tag, of_tag in points.items()}


def read_events(path: Path) -> tuple[list[Event], bool]:
    """Return the events of a file, up to the first that is torn or damaged, and whether one is damaged."""
    reader, events = PyRecordReader_New(str(path)), []
    try:
        while True:
            reader.GetNext()
            events.append(Event.FromString(reader.record()))
    except OutOfRangeError:  # the end
        return events, False
    except DataLossError as error:  # a process that was killed leaves half a record, which is no damage
        return events, "truncated record" not in str(error)
