"""Event files, read back with TensorBoard's own slow reader."""

import os
import re
import time
from pathlib import Path

import jobs
import pytest
from conftest import write_curves
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter

from lenet.errors import UserError
from lenet.storage.curves import EventWriter, read_curves, read_events

START = SessionLog.START


def steps(reader, folder):
    """The steps that TensorBoard shows; the project's own reader must have the same."""
    found = [step for step, _ in reader.do(jobs.read_curve, folder)["accuracy"]]
    assert read_curves(folder)["accuracy"].steps.tolist() == found
    return found


def test_tensorboard_reads_what_was_written(reader, tmp_path):
    write_curves(tmp_path / "train", 1, [2.5, 1.25, 0.75], [0.125, 0.5, 1.0])
    curves = {
        "cross_entropy": [(1, 2.5), (2, 1.25), (3, 0.75)],
        "accuracy": [(1, 0.125), (2, 0.5), (3, 1.0)],
    }
    assert reader.do(jobs.read_curve, tmp_path / "train") == curves
    read = read_curves(tmp_path / "train")
    assert {tag: [*zip(*map(list, curve), strict=True)] for tag, curve in read.items()} == curves


def test_a_file_begins_with_its_version_and_two_starts_at_its_first_step(tmp_path):
    write_curves(tmp_path / "train", 7, [0.5], [0.25])
    (path,) = (tmp_path / "train").iterdir()
    assert re.fullmatch(r"events\.out\.tfevents\.lenet\.\d+", path.name)
    events, damaged = read_events(path)
    assert not damaged
    assert events[0].file_version == "brain.Event:2"
    assert [(event.session_log.status, event.step) for event in events] == [(0, 0), (START, 7), (START, 7), (0, 7)]


def test_a_clock_that_was_set_back_changes_no_order(reader, monkeypatch, tmp_path):
    write_curves(tmp_path / "train", 1, [0.5] * 10, [0.5] * 10)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)  # in 2001
    write_curves(tmp_path / "train", 7, [0.25] * 4, [0.25] * 4)
    assert steps(reader, tmp_path / "train") == list(range(1, 11))
    assert reader.do(jobs.read_curve, tmp_path / "train")["accuracy"][5:7] == [(6, 0.5), (7, 0.25)]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")  # noqa: PTH110
def test_a_disk_that_is_full_while_a_curve_is_written_is_told_in_one_error(tmp_path):
    with (
        pytest.raises(UserError, match="cannot be written: No space left on device"),
        EventWriter(tmp_path, 1) as writer,
    ):
        writer.file.close()
        writer.file = Path("/dev/full").open("wb")  # noqa: SIM115 - the writer closes it
        writer.records = RecordWriter(writer.file)
        writer.write(Event(step=1))


@pytest.mark.parametrize("torn_bytes", [0, 1, 15, 40])
def test_going_on_after_a_step_shows_no_step_twice_and_changes_no_file(reader, tmp_path, torn_bytes):
    write_curves(tmp_path / "train", 1, [0.5] * 10, [0.5] * 10)
    (file,) = (tmp_path / "train").iterdir()
    content = file.read_bytes()[: file.stat().st_size - torn_bytes]
    file.write_bytes(content)
    write_curves(tmp_path / "train", 7, [0.25] * 4, [0.25] * 4)
    assert steps(reader, tmp_path / "train") == list(range(1, 11))
    assert reader.do(jobs.read_curve, tmp_path / "train")["accuracy"][5:7] == [(6, 0.5), (7, 0.25)]
    assert file.read_bytes() == content


def test_a_start_from_scratch_hides_all_that_was_before(reader, tmp_path):
    write_curves(tmp_path / "train", 1, [0.5] * 10, [0.5] * 10)
    write_curves(tmp_path / "train", 1, [0.25] * 3, [0.25] * 3)
    assert reader.do(jobs.read_curve, tmp_path / "train")["accuracy"] == [(1, 0.25), (2, 0.25), (3, 0.25)]
    assert steps(reader, tmp_path / "train") == [1, 2, 3]


@pytest.mark.parametrize("torn_bytes", [1, 15, 40])
def test_a_torn_record_loses_nothing_before_it(reader, tmp_path, torn_bytes, capsys):
    write_curves(tmp_path / "train", 1, [0.5] * 10, [0.5] * 10)
    (file,) = (tmp_path / "train").iterdir()
    file.write_bytes(file.read_bytes()[:-torn_bytes])
    write_curves(tmp_path / "train", 10, [0.25], [0.25])
    assert steps(reader, tmp_path / "train") == list(range(1, 11))
    assert capsys.readouterr().err == ""
