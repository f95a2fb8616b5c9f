"""Event files, read back with TensorBoard's own reader."""

import jobs
import pytest

from lenet.tensorboard import ScalarWriter


def steps(reader, folder):
    return [step for step, _ in reader.do(jobs.read_curve, folder)["accuracy"]]


def test_tensorboard_reads_what_was_written(reader, tmp_path):
    writer = ScalarWriter(tmp_path / "train", 0)
    writer.write(1, [2.5, 1.25], [0.125, 0.5])
    writer.write(3, [0.75], [1.0])
    assert reader.do(jobs.read_curve, tmp_path / "train") == {
        "cross_entropy": [(1, 2.5), (2, 1.25), (3, 0.75)],
        "accuracy": [(1, 0.125), (2, 0.5), (3, 1.0)],
    }


@pytest.mark.parametrize("torn_bytes", [0, 1, 15, 40])
def test_going_on_behind_a_step_leaves_no_step_twice(reader, tmp_path, torn_bytes):
    ScalarWriter(tmp_path / "train", 0).write(1, [0.5] * 10, [0.5] * 10)
    (file,) = (tmp_path / "train").iterdir()
    file.write_bytes(file.read_bytes()[: file.stat().st_size - torn_bytes])
    ScalarWriter(tmp_path / "train", 6).write(7, [0.25] * 4, [0.25] * 4)
    assert steps(reader, tmp_path / "train") == list(range(1, 11))


@pytest.mark.parametrize("torn_bytes", [1, 15, 40])
def test_a_torn_record_loses_nothing_before_it(reader, tmp_path, torn_bytes):
    ScalarWriter(tmp_path / "train", 0).write(1, [0.5] * 10, [0.5] * 10)
    (file,) = (tmp_path / "train").iterdir()
    file.write_bytes(file.read_bytes()[:-torn_bytes])
    ScalarWriter(tmp_path / "train", 10).write(10, [0.25], [0.25])
    assert steps(reader, tmp_path / "train") == list(range(1, 11))
