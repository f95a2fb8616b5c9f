"""Scalars to TensorBoard's event files, without a framework: tensorboard's own records and protos."""

import os
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.record_writer import RecordWriter


class ScalarWriter:
    """The tags `cross_entropy` and `accuracy` in the one event file of a folder."""

    def __init__(self, folder: Path, last_step: int) -> None:
        """Go on behind `last_step`; what the file holds after it, or torn at its end, is cut off."""
        folder.mkdir(exist_ok=True)
        path = folder / "events.out.tfevents.lenet"
        path.touch()
        self.file = path.open("r+b")
        self.records = RecordWriter(self.file)
        self.file.truncate(_end_of(self.file.read(), last_step))
        if self.file.seek(0, os.SEEK_END) == 0:
            self.records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())

    def write(self, first_step: int, cross_entropies: Iterable[float], accuracies: Iterable[float]) -> None:
        """Add one point a step, from `first_step` on, and hand them to the operating system."""
        wall_time = time.time()
        for step, (cross_entropy, accuracy) in enumerate(zip(cross_entropies, accuracies, strict=True), first_step):
            values = [
                Summary.Value(tag="cross_entropy", simple_value=cross_entropy),
                Summary.Value(tag="accuracy", simple_value=accuracy),
            ]
            self.records.write(Event(wall_time=wall_time, step=step, summary=Summary(value=values)).SerializeToString())
        self.file.flush()


def _end_of(content: bytes, last_step: int) -> int:
    """Where the last whole record ends whose step is at most `last_step`; the steps in a file only grow."""
    end = 0
    while len(content) >= end + 12:
        (size,) = struct.unpack_from("<Q", content, end)
        data = content[end + 12 : end + 12 + size]
        if content[end + 12 + size : end + 16 + size] != struct.pack("<I", masked_crc32c(data)):
            break
        if Event.FromString(data).step > last_step:
            break
        end += 16 + size
    return end
