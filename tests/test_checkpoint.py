"""The checkpoint file: what goes in comes out, and damage is noticed."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lenet import UserError
from lenet.architecture import Architecture, Conv
from lenet.backend import TrainingState
from lenet.config import Config
from lenet.dataset import MNIST, DatasetInfo
from lenet.settings import Settings
from lenet.storage import checkpoint
from lenet.storage.checkpoint import KEY, Checkpoint, Stage
from lenet.training import Training

LENET_1 = Path(__file__).parent / "files/lenet-1.safetensors"
SMALL = Architecture((Conv(2, kernel=3),), (3,))


def small_settings(precision="float32", architecture=SMALL, training=Training()):  # noqa: B008 - it is frozen
    config = Config("small", SMALL, Training(), "A small one.", 0.5)
    return Settings(architecture, training, DatasetInfo("data~123456", "00ff", "ff00"), precision, 5, config)


def example(dtype=np.float32):
    generator = np.random.default_rng(1)
    # Each array a transposed view, as a framework with another layout hands it over.
    groups = [
        {
            name: generator.standard_normal(shape[::-1]).astype(dtype).T
            for name, shape in small_settings().network.shapes.items()
        }
        for _ in range(3)
    ]
    settings = small_settings(np.dtype(dtype).name)
    history = (Stage(0, "keras", small_settings("float32")), Stage(9, "pytorch", settings))
    return Checkpoint(TrainingState(17, *groups), settings, history)


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
    assert (saved.settings, saved.history) == (loaded.settings, loaded.history)
    config = loaded.settings.config
    assert (config.description, config.reported_accuracy) == ("A small one.", 0.5)


def test_any_reader_of_safetensors_finds_the_canonical_names(tmp_path):
    saved = example()
    saved.save(tmp_path / "file")
    arrays = load_file(tmp_path / "file")
    expected = {
        prefix + name for prefix in ("", "first_moment/", "second_moment/") for name in small_settings().network.shapes
    }
    assert arrays.keys() == expected
    np.testing.assert_array_equal(arrays["first_moment/conv1/kernel"], saved.state.first_moment["conv1/kernel"])


def test_a_new_checkpoint_replaces_the_old_and_leaves_nothing_beside_it(tmp_path):
    for dtype in (np.float32, np.float64):
        example(dtype).save(tmp_path / "file")
    assert Checkpoint.load(tmp_path / "file").settings.precision == "float64"
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


def test_another_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint"):
        Checkpoint.load(tmp_path / "nowhere")
    (tmp_path / "text").write_text("conv = []")
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    for name in ("text", "model.safetensors", ""):
        with pytest.raises(UserError, match="not a checkpoint"):
            Checkpoint.load(tmp_path / name)


def metadata(path):
    with safe_open(path, framework="numpy") as file:
        return file.metadata()


def test_the_metadata_are_one_json_object_with_the_step_at_its_top(tmp_path):
    example().save(tmp_path / "file")
    (key,) = metadata(tmp_path / "file")
    content = json.loads(metadata(tmp_path / "file")[key])
    assert [*content] == ["format", "step", "settings", "history", "sha256"]
    assert (content["format"], content["step"], content["settings"]["seed"]) == ("lenet-2", 17, 5)


def test_the_same_checkpoint_is_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        example().save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "", ".hidden", "a b", "a/b", "a\n"])
def test_a_name_that_leads_out_of_the_log_folder_is_refused(tmp_path, name):
    example().save(tmp_path / "file")
    content = json.loads(metadata(tmp_path / "file")[KEY])
    arrays = load_file(tmp_path / "file")
    for where in (content["settings"]["config"], content["settings"]["data"]):
        before, where["name"] = where["name"], name
        said = {key: value for key, value in content.items() if key != "sha256"}
        said["sha256"] = checkpoint._sha256(arrays, said)
        save_file(arrays, tmp_path / "other", {KEY: json.dumps(said)})
        with pytest.raises(UserError, match="name: must be of letters"):
            Checkpoint.load(tmp_path / "other")
        where["name"] = before


def test_a_difference_is_named_by_its_key():
    one = small_settings()
    other = small_settings(architecture=Architecture((Conv(2, kernel=5),), (3,)))
    assert one.difference(one) == ""
    assert one.difference(other) == "conv[0].kernel is 3 in the saved run, but 5 is asked for"
    assert (
        one.difference(small_settings("bfloat16")) == "precision is float32 in the saved run, but bfloat16 is asked for"
    )
    assert (
        one.difference(small_settings(training=Training(7))) == "batch_size is 100 in the saved run, but 7 is asked for"
    )
    deeper = small_settings(architecture=Architecture((Conv(2, kernel=3),), (3, 3)))
    assert one.difference(deeper) == "dense is [3] in the saved run, but [3,3] is asked for"
    tanh = small_settings(architecture=Architecture((Conv(2, kernel=3),), (3,), "tanh"))
    assert one.difference(tanh) == "activation is relu in the saved run, but tanh is asked for"
    longer = small_settings(architecture=Architecture((Conv(2, kernel=3), Conv(4)), (3,)))
    assert one.difference(longer) == "conv[1].filters is missing in the saved run, but 4 is asked for"


def test_a_checkpoint_of_the_format_before_still_loads():
    loaded = Checkpoint.load(LENET_1)
    settings = loaded.settings
    assert (loaded.state.step, settings.seed, settings.precision, settings.data) == (10, 3, "float32", MNIST)
    assert settings.architecture == Architecture((Conv(2),), (3,))
    assert settings.training == Training(100, 1e-3)
    assert loaded.history == (Stage(0, "pytorch", settings), Stage(6, "tensorflow", settings))
    assert loaded.state.parameters["dense1/kernel"].shape == (392, 3)
    assert metadata(LENET_1)["format"] == "lenet-1"


def test_a_checkpoint_from_before_the_datas_shape_was_in_it_still_loads():
    loaded = Checkpoint.load(Path(__file__).parent / "files/lenet-2.safetensors")
    assert "image_shape" not in metadata(Path(__file__).parent / "files/lenet-2.safetensors")["lenet"]
    assert (loaded.state.step, loaded.settings.data, loaded.settings.validation) == (10, MNIST, 5_000)
    assert loaded.settings.network.image_shape == (28, 28, 1)
    assert loaded.settings.variant.startswith("small~")
    assert loaded.history == (Stage(0, "pytorch", loaded.settings),)


def test_a_checkpoint_of_the_format_before_is_saved_as_one_of_today(tmp_path):
    Checkpoint.load(LENET_1).save(tmp_path / "file")
    again, before = Checkpoint.load(tmp_path / "file"), Checkpoint.load(LENET_1)
    assert (again.settings, again.history, again.state.step) == (before.settings, before.history, 10)
    for a, b in zip(again.state.arrays, before.state.arrays, strict=True):
        for name in b:
            np.testing.assert_array_equal(a[name], b[name])
