"""Damaged files are refused in one line, or read as what they say. make torture: at length."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT
from test_checkpoint import example

from lenet import UserError
from lenet.storage.checkpoint import Checkpoint

READERS = ["checkpoint", "lenet1", "config", "idx", "csv", "npz", "cifar", "pictures", "kept"]


def test_what_is_not_finite_is_neither_saved_nor_loaded(tmp_path, monkeypatch):
    path = tmp_path / "file"
    example().save(path)
    before = path.read_bytes()
    for value in (np.nan, np.inf):
        broken = example()
        broken.state.parameters["output/kernel"][0, 0] = value
        with pytest.raises(UserError, match="output/kernel is not finite") as refusal:
            broken.save(path)
        assert refusal.value.exit_code == 1
        assert path.read_bytes() == before
        with monkeypatch.context() as patch:
            patch.setattr("lenet.storage.checkpoint._not_finite", lambda _: None)
            broken.save(tmp_path / "broken")
        with pytest.raises(UserError, match="output/kernel is not finite"):
            Checkpoint.load(tmp_path / "broken")


@pytest.mark.parametrize("reader", READERS)
def test_damaged_input_is_refused_or_read_as_what_it_says(reader, repeats):
    count = repeats(300, 10_000)
    command = [sys.executable, PROJECT / "tests/fuzz.py", reader, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(reader, found)
    assert found.get("refused", 0) + found.get("accepted", 0) == count
    assert (found.get("refused", 0) > count / 4) == (reader != "kept")  # what was kept is read again
    assert found["longest"] < 5
    assert found["growth"] < (1_500 if reader == "pictures" else 256)  # of MB; a picture may have 80,000,000 pixels


def test_every_flipped_bit_of_a_checkpoint_is_noticed(repeats, tmp_path):
    path = tmp_path / "file"
    example().save(path)
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), repeats(61, 1)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(UserError, match="not a checkpoint"):
            Checkpoint.load(path)
