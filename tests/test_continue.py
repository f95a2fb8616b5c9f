"""--load: from where a run goes on, with which settings, and to the same bytes."""

import shlex
import shutil
from pathlib import Path

import jobs
import numpy as np
import pytest
from conftest import files, run_folder, same_tensors
from test_checkpoint import LENET_1
from test_formats_of_data import written

from lenet.config import CONFIGS
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import Run
from lenet.storage.selection import nearest


def test_continuing_gives_the_same_bytes_as_not_stopping(train, reader):
    _, _, whole = train(33, log_dir="whole")
    _, _, parts = train(14, log_dir="parts")
    curves = {path: path.read_bytes() for part in ("train", "test") for path in (parts / part).iterdir()}
    _, err, again = train(19, "--load", log_dir="parts")
    assert (err, again) == ("", parts)
    assert same_tensors(whole, parts)
    assert {path: path.read_bytes() for path in curves} == curves
    assert [len([*(parts / part).iterdir()]) for part in ("train", "test")] == [2, 2]
    assert Run.at(parts).checkpoint.history == Run.at(whole).checkpoint.history  # the same settings: one stage
    assert [step for step, _ in reader.do(jobs.read_curve, parts / "train")["accuracy"]] == list(range(1, 34))
    assert [step for step, _ in reader.do(jobs.read_curve, parts / "test")["accuracy"]] == [10, 14, 20, 30, 33]
    of_parts, of_whole = (reader.do(jobs.read_curve, folder / "train") for folder in (parts, whole))
    assert of_parts | {"images_per_second": []} == of_whole | {"images_per_second": []}


@pytest.mark.one_framework
def test_a_continued_run_keeps_its_settings_unless_told(train):
    _, _, folder = train(10, "--learning_rate", "3e-4", "--precision", "float64", seed=5, log_dir="a")
    before = (folder / "checkpoint.safetensors").read_bytes()

    def continued(*flags, seed):
        _, err, where = train(2, "--load", folder, *flags, log_dir=f"b{seed}", seed=seed)
        assert err == ""
        checkpoint = Checkpoint.load(where / "checkpoint.safetensors")
        settings = checkpoint.settings
        training = settings.training
        return checkpoint.state.step, settings.seed, training.batch_size, training.learning_rate, settings.precision

    assert continued(seed=5) == (12, 5, 20, 3e-4, "float64")
    assert continued("--batch_size", 7, "--learning_rate", 1e-3, "--precision", "float32", seed=6) == (
        12,
        6,
        7,
        1e-3,
        "float32",
    )
    assert (folder / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.one_framework
def test_continuing_on_other_data_gives_a_notice(train, small_data, tmp_path):
    _, _, folder = train(2)
    other = shutil.copytree(small_data, tmp_path / "other")
    labels = other / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\3")
    for expected in (1, 0):  # from then on it is of the data that it was continued on
        _, err, folder = train(2, "--load", *([folder] if expected else []), "--data_dir", other)
        assert err.count("was trained on other data: ") == expected


@pytest.mark.one_framework
def test_testing_a_checkpoint_says_what_training_said_and_writes_nothing(train, framework, small_data, tmp_path):
    out, _, folder = train(5)
    before = files(tmp_path)
    where = ("--config", "lenet5", "--log_dir", tmp_path / "logs", "--data_dir", small_data)
    for flags in (["--test", "--batch_size", 20], ["-e", "-l", "--batch_size", 20], ["--test", "--load", folder]):
        code, tested, err = framework.run(*flags, *where)
        assert (code, err) == (0, "")
        assert tested.split(", ")[:2] == out.split(", ")[:2]  # what follows is the speed
        assert tested.endswith(f"{folder / 'checkpoint.safetensors'}\n")
    assert files(tmp_path) == before


@pytest.mark.one_framework
def test_load_without_a_run_begins_and_says_so(train):
    _, err, folder = train(3, "--load")
    assert err == f"lenet: notice: there is no run to continue in {folder}; training starts at step 0\n"
    assert Run.at(folder).checkpoint.state.step == 3


@pytest.mark.one_framework
def test_load_goes_on_from_the_configs_own_run_in_the_folder_of_the_variant(train, reader):
    _, _, own = train(12, "--set", "batch_size=100")  # lenet5's own value
    before = files(own)
    _, err, variant = train(5, "--load", "--learning_rate", "0.01", "--set", "batch_size=100")
    assert err == ""
    assert files(own) == before
    assert variant.parents[1].name.startswith("lenet5,learning_rate=0.01,data=")
    curves = {folder: reader.do(jobs.read_curve, folder / "train")["cross_entropy"] for folder in (own, variant)}
    assert curves[variant][:12] == curves[own]
    assert [step for step, _ in curves[variant]] == list(range(1, 18))
    assert [step for step, _ in reader.do(jobs.read_curve, variant / "test")["accuracy"]] == [10, 12, 17]
    assert [stage.from_step for stage in Run.at(variant).checkpoint.history] == [0, 12]
    _, _, again = train(5, "--load", "--learning_rate", "0.01", "--set", "batch_size=100")  # now it has a run
    assert (again, Run.at(again).checkpoint.state.step) == (variant, 22)


@pytest.mark.one_framework
def test_load_on_other_data_goes_on_from_the_configs_run_on_mnist(framework, small_data, tmp_path):
    common = ("--config", "lenet5", "--log_dir", tmp_path, "--train", "--train_num")
    assert framework.run(*common, 2)[::2] == (0, "")
    own = run_folder(tmp_path, framework.name)
    before = files(own)
    code, out, err = framework.run(*common, 3, "--load", "--data_dir", small_data)
    assert (code, err.count("\n")) == (0, 1)
    assert f"{own / 'checkpoint.safetensors'} was trained on other data: mnist, not small_data0~" in err
    assert out.startswith("lenet5,data=small_data0~")
    assert files(own) == before
    folder = Run.at(Path(out.removesuffix("\n").rpartition(" images/s, ")[2]))
    history = [(stage.from_step, stage.settings.data.name[:5]) for stage in folder.checkpoint.history]
    assert (folder.checkpoint.state.step, history) == (5, [(0, "mnist"), (2, "small")])
    assert framework.run(*common, 1, "--load", "--data_dir", small_data)[::2] == (0, "")  # now it has a run of its own
    assert folder.checkpoint.state.step == 6


@pytest.mark.one_framework
def test_a_run_from_elsewhere_does_not_go_on_in_the_place_of_another(train, framework, small_data, tmp_path):
    _, _, elsewhere = train(3, log_dir="elsewhere")
    _, _, here = train(2)
    before = files(tmp_path)
    where = ("--log_dir", tmp_path / "logs", "--data_dir", small_data)
    code, out, err = framework.run("--train", "--train_num", 3, "--load", elsewhere, *where)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{here} already has a run" in err
    assert f"--load {shlex.quote(str(here))}" in err
    assert "another --log_dir" in err
    assert files(tmp_path) == before


@pytest.mark.one_framework
def test_flags_that_a_named_run_contradicts_are_refused(train, framework, small_data, tmp_path):
    _, _, folder = train(2)
    mine = tmp_path / "mine.toml"
    mine.write_text(CONFIGS["lenet5"].read_text() + "learning_rate = 0.5\n")
    before = files(tmp_path)
    where = ("--load", folder, "--log_dir", tmp_path / "logs", "--data_dir", small_data)
    for flags, complaint in (
        (("--test", "--seed", 9), "seed is 0 in the saved run, but 9 is asked for; remove the flag"),
        (("--test", "--learning_rate", 5), "learning_rate is 0.0001 in the saved run, but 5"),
        (("--train", "--train_num", 1, "--config", mine), f"its config is lenet5, not {mine.stem}~"),
        (("--train", "--set", "decay_steps=1"), "would end at step 1, before step 2, which it has reached"),
        (("--train", "--set", "decay_steps=1", "--train_num", 1), "choose a later decay_steps"),
    ):
        code, out, err = framework.run(*flags, *where)
        assert (code, out, err.count("\n"), complaint in err) == (2, "", 1, True), err
    assert files(tmp_path) == before


@pytest.mark.one_framework
def test_no_step_and_no_run_leave_nothing_to_test(framework, flags, tmp_path):
    code, out, err = framework.do(jobs.command_line, flags(tmp_path, "--train", "--train_num", 0, "--load"))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "main.py: at step 0 there is nothing to test; use --train_num 1 or more"
    assert not [*tmp_path.rglob("result.json")]


@pytest.mark.one_framework
def test_a_checkpoint_needs_its_config_file_no_more(framework, small_data, tmp_path):
    config = tmp_path / "my.toml"
    config.write_text("conv = [{ filters = 3 }]\ndense = [5]\nbatch_size = 20\nlearning_rate = 0.002")
    where = ("--log_dir", tmp_path / "logs", "--data_dir", small_data)
    code, out, err = framework.run("--train", "--train_num", 3, "--config", config, *where)
    assert (code, err) == (0, "")
    folder = run_folder(tmp_path / "logs", framework.name)
    assert folder.parents[1].name.startswith("my~")
    config.unlink()
    code, tested, err = framework.run("--test", "--load", folder, *where)
    assert (code, err) == (0, "")
    assert tested.split(", ")[:2] == out.split(", ")[:2]
    code, _, err = framework.run("--train", "--train_num", 2, "--load", folder, *where)
    assert (code, err) == (0, "")
    checkpoint = Run.at(run_folder(tmp_path / "logs", framework.name)).checkpoint
    assert (checkpoint.state.step, checkpoint.settings.training.learning_rate) == (5, 0.002)


@pytest.mark.one_framework
def test_testing_on_other_data_than_it_was_trained_with_gives_a_notice(train, framework, small_data, tmp_path):
    _, _, folder = train(2)
    other = shutil.copytree(small_data, tmp_path / "other")
    for part, expected in (("train", 0), ("t10k", 1)):  # only the part that it is tested on counts
        labels = other / f"{part}-labels-idx1-ubyte"
        labels.write_bytes(labels.read_bytes()[:-1] + b"\3")
        code, out, err = framework.run("--test", "--load", folder, "--data_dir", other)
        assert (code, err.count("was trained on other data: "), err.count("\n")) == (0, expected, expected)
        assert (" step 2 on other~" in out) == bool(expected)


def test_a_checkpoint_of_the_format_before_goes_on(framework, tmp_path):
    def weights(*flags):
        log_dir = tmp_path / str(len(flags))
        code, _, err = framework.run("--train", *flags, "--log_dir", log_dir, "--device", "cpu")
        assert (code, err) == (0, "")
        return Run.at(run_folder(log_dir, framework.name, 3)).checkpoint

    continued = weights("--train_num", 5, "--load", LENET_1)
    config = tmp_path / "tiny.toml"
    config.write_text("conv = [{ filters = 2 }]\ndense = [3]")
    whole = weights("--train_num", 15, "--config", config, "--seed", 3, "--learning_rate", "1e-3")
    assert continued.state.step == whole.state.step == 15
    for a, b in zip(continued.state.arrays, whole.state.arrays, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-5)


def test_of_several_runs_nearby_the_likest_is_named(tmp_path):
    for place in ("a,data=x~1/pytorch/seed-0", "lenet,data=y~2/keras/seed-0", "lenet,data=y~2/pytorch/seed-3", "z/z/z"):
        written(tmp_path / place / "checkpoint.safetensors", b"")
    wanted = tmp_path / "lenet,data=y~3/pytorch/seed-0/checkpoint.safetensors"
    assert nearest(wanted, tmp_path).folder == tmp_path / "lenet,data=y~2/pytorch/seed-3"
    assert nearest(wanted, tmp_path / "z/z/z") is None
