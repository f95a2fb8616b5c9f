"""Scalars to TensorBoard's event files, without a framework: tensorboard's own records and protos."""

import os
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

from lenet import notice
from lenet.files import writing

FILE = "events.out.tfevents.lenet"  # TensorBoard looks for "tfevents" in the name


class ScalarWriter:
    """The tags `cross_entropy` and `accuracy` in the one event file of a folder."""

    def __init__(self, folder: Path, last_step: int) -> None:
        """Go on behind `last_step`; what the file holds after it, or torn at its end, is cut off."""
        self.path = folder / FILE
        with writing(self.path):
            folder.mkdir(exist_ok=True)
            self.path.touch()
            self.file = self.path.open("r+b")
            self.records = RecordWriter(self.file)
            content = self.file.read()
            whole = [(0, 0), *((end, event.step) for end, event in events(content))]
            end, step = whole[-1]
            if step < last_step and end < len(content):
                notice(f"{self.path} is damaged: what it had of the steps {step + 1} to {last_step} is lost")
            self.file.truncate(max((end for end, step in whole if step <= last_step), default=0))
            if self.file.seek(0, os.SEEK_END) == 0:
                self.records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())

    def write(self, first_step: int, cross_entropies: Iterable[float], accuracies: Iterable[float]) -> None:
        """Add one point a step, from `first_step` on, and hand them to the operating system."""
        now = time.time()
        with writing(self.path):
            for step, (cross_entropy, accuracy) in enumerate(zip(cross_entropies, accuracies, strict=True), first_step):
                values = [
                    Summary.Value(tag="cross_entropy", simple_value=cross_entropy),
                    Summary.Value(tag="accuracy", simple_value=accuracy),
                ]
                event = Event(wall_time=now, step=step, summary=Summary(value=values))
                self.records.write(event.SerializeToString())
            self.file.flush()

    def sync(self) -> None:
        """Have what was written outlast a failure of power."""
        with writing(self.path):
            os.fsync(self.file.fileno())


def read_scalars(folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Tag -> (steps, values) of what a ScalarWriter wrote into a folder."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for _, event in events((folder / FILE).read_bytes()):
        for value in event.summary.value:
            steps, values = curves.setdefault(value.tag, ([], []))
            steps.append(event.step)
            values.append(value.simple_value)
    return curves


def events(content: bytes) -> Iterator[tuple[int, Event]]:
    """Each whole record's end and event, up to the first that is torn."""
    start = 0
    while len(content) >= start + 12:
        (size,) = struct.unpack_from("<Q", content, start)
        data, end = content[start + 12 : start + 12 + size], start + 16 + size
        if content[end - 4 : end] != struct.pack("<I", masked_crc32c(data)):
            break
        yield end, Event.FromString(data)
        start = end
