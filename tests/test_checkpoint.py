"""The checkpoint file: what goes in comes out, and damage is noticed."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lenet import UserError
from lenet.architecture import from_toml
from lenet.backend import TrainingState
from lenet.checkpoint import Checkpoint

SMALL = from_toml("conv = [{ filters = 2, kernel = 3 }]\ndense = [3]", "small")


def example(dtype=np.float32):
    generator = np.random.default_rng(1)
    # Each array a transposed view, as a framework with another layout hands it over.
    groups = [
        {name: generator.standard_normal(shape[::-1]).astype(dtype).T for name, shape in SMALL.shapes.items()}
        for _ in range(3)
    ]
    precision = np.dtype(dtype).name
    history = [{"from_step": 0, "framework": "keras"}, {"from_step": 9, "framework": "pytorch"}]
    state = TrainingState(17, *groups)
    return Checkpoint(state, SMALL, 5, precision, {"train": "00ff"}, {"framework": "pytorch"}, history)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_saved_is_loaded(tmp_path, dtype):
    saved = example(dtype)
    saved.save(tmp_path / "file")
    loaded = Checkpoint.load(tmp_path / "file")
    for a, b in zip(saved.state.arrays, loaded.state.arrays, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype
            np.testing.assert_array_equal(a[name], b[name])
    assert loaded.state.step == 17
    for name in ("architecture", "seed", "precision", "training_sha256", "written_by", "history"):
        assert getattr(saved, name) == getattr(loaded, name)


def test_any_reader_of_safetensors_finds_the_canonical_names(tmp_path):
    saved = example()
    saved.save(tmp_path / "file")
    arrays = load_file(tmp_path / "file")
    expected = {
        prefix + name for prefix in ("", "first_moment/", "second_moment/") for name in saved.architecture.shapes
    }
    assert arrays.keys() == expected
    np.testing.assert_array_equal(arrays["first_moment/conv1/kernel"], saved.state.first_moment["conv1/kernel"])


def test_a_new_checkpoint_replaces_the_old_and_leaves_nothing_beside_it(tmp_path):
    for dtype in (np.float32, np.float64):
        example(dtype).save(tmp_path / "file")
    assert Checkpoint.load(tmp_path / "file").precision == "float64"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "file"
    example().save(path)
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        with pytest.raises(UserError, match="not a checkpoint"):
            Checkpoint.load(path)


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_a_truncated_file_is_noticed(tmp_path, size):
    path = tmp_path / "file"
    example().save(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="not a checkpoint"):
        Checkpoint.load(path)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint"):
        Checkpoint.load(tmp_path / "nowhere")
    (tmp_path / "text").write_text("conv = []")
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    for name in ("text", "model.safetensors", ""):
        with pytest.raises(UserError, match="not a checkpoint"):
            Checkpoint.load(tmp_path / name)


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (
            "conv = [{ filters = 2, kernel = 5 }]\ndense = [3]",
            r"conv1/kernel is \(3, 3, 1, 2\) in it, \(5, 5, 1, 2\) in",
        ),
        ("conv = [{ filters = 2, kernel = 3 }]\ndense = []", r"output/kernel is \(3, 10\) in it, \(392, 10\) in"),
        ("conv = [{ filters = 2, kernel = 3 }]\ndense = [3, 3]", r"dense2/kernel is missing in it, \(3, 3\) in"),
        ("conv = [{ filters = 2, kernel = 3 }]\ndense = [3]\nactivation = 'tanh'", "activation is relu in it, tanh in"),
    ],
)
def test_another_architecture_is_named_by_its_first_difference(tmp_path, config, difference):
    with pytest.raises(UserError, match=difference):
        example().refuse_other(from_toml(config, "other"), tmp_path / "file")


def test_batch_size_and_learning_rate_make_no_other_architecture(tmp_path):
    same = "conv = [{ filters = 2, kernel = 3 }]\ndense = [3]\nbatch_size = 7\nlearning_rate = 0.5"
    example().refuse_other(from_toml(same, "same"), tmp_path / "file")
