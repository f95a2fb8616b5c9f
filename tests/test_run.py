"""What every backend owes: one contract, each test once for each framework."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import termios

import jobs
import numpy as np
import pytest
from conftest import PROJECT, files

from lenet.architecture import from_toml
from lenet.checkpoint import Checkpoint
from lenet.run import Run


@pytest.fixture
def train(framework, small_data, tmp_path):
    """Train on the small data; returns (stdout, stderr, the run's folder)."""

    def run(steps, *flags, seed=0, log_dir="logs"):
        where = ("--log_dir", tmp_path / log_dir, "--data_dir", small_data)
        batch = () if "--load" in flags else ("--batch_size", 20)
        seeds = ("--seed", seed) if seed else ()
        code, out, err = framework.run("--train", "--train_num", steps, *where, *batch, *seeds, *flags)
        assert code == 0, err
        return out, err, tmp_path / log_dir / "lenet" / framework.name / f"seed-{seed}"

    return run


def same_tensors(first, second):
    a, b = (Checkpoint.load(folder / "checkpoint.safetensors").state for folder in (first, second))
    assert a.step == b.step
    return all(x[name].tobytes() == y[name].tobytes() for x, y in zip(a.arrays, b.arrays, strict=True) for name in x)


def test_a_run_leaves_what_the_result_line_says(train, framework, reader):
    out, err, folder = train(25, seed=3)
    result = json.loads((folder / "result.json").read_text())
    assert err == ""
    assert out.endswith("\n")
    line = out.splitlines()[-1]
    accuracy, cross_entropy = result["test_accuracy"], result["test_cross_entropy"]
    assert line.startswith(f"lenet {framework.name} seed 3 step 25: test accuracy {100 * accuracy:.2f} %, ")
    assert f"cross-entropy {cross_entropy:.4f}, {result['images_per_second']:,.0f} images/s, {folder}" in line
    expected = {"config": "lenet", "framework": framework.name, "seed": 3, "step": 25, "precision": "float32"}
    assert result["device"] == ("gpu" if framework.do(jobs.finds_gpu) else "cpu")
    assert expected.items() <= result.items()
    assert result["parameters"] == 3_274_634
    assert {"python", "numpy"} < result["versions"].keys()

    curves = {part: reader.do(jobs.read_curve, folder / part) for part in ("train", "test")}
    assert [step for step, _ in curves["train"]["accuracy"]] == list(range(1, 26))
    assert [step for step, _ in curves["test"]["cross_entropy"]] == [10, 20, 25]
    assert curves["test"]["accuracy"][-1][1] == pytest.approx(accuracy)
    assert curves["test"]["cross_entropy"][-1][1] == pytest.approx(cross_entropy)


def test_training_learns(train, reader):
    _, _, folder = train(60, "--learning_rate", "1e-3")
    curve = [value for _, value in reader.do(jobs.read_curve, folder / "train")["cross_entropy"]]
    assert np.mean(curve[-10:]) < 0.8 * np.mean(curve[:10])


def test_continuing_gives_the_same_bytes_as_not_stopping(train, reader):
    _, _, whole = train(33, log_dir="whole")
    train(14, log_dir="parts")
    _, err, parts = train(19, "--load", log_dir="parts")
    assert err == ""
    assert same_tensors(whole, parts)
    assert [step for step, _ in reader.do(jobs.read_curve, parts / "train")["accuracy"]] == list(range(1, 34))
    assert [step for step, _ in reader.do(jobs.read_curve, parts / "test")["accuracy"]] == [10, 14, 20, 30, 33]
    assert reader.do(jobs.read_curve, parts / "train") == reader.do(jobs.read_curve, whole / "train")


def test_the_same_command_twice_gives_the_same_bytes_and_keeps_both_runs(train):
    _, _, first = train(12)
    content = (first / "checkpoint.safetensors").read_bytes()
    _, err, second = train(12)
    aside = first.with_name("seed-0.1")
    assert err == f"main.py: notice: the run that lay in {first} lies in {aside} now\n"
    assert (aside / "checkpoint.safetensors").read_bytes() == content
    assert same_tensors(aside, second)
    train(12)
    assert sorted(path.name for path in first.parent.iterdir()) == ["seed-0", "seed-0.1", "seed-0.2"]


def test_a_continued_run_keeps_its_settings_unless_told(train):
    _, _, folder = train(10, "--learning_rate", "3e-4", "--precision", "float64", seed=5, log_dir="a")
    before = (folder / "checkpoint.safetensors").read_bytes()

    def continued(*flags, seed):
        _, err, where = train(2, "--load", folder, *flags, log_dir="b", seed=seed)
        assert err == ""
        checkpoint = Checkpoint.load(where / "checkpoint.safetensors")
        settings = checkpoint.architecture
        return checkpoint.state.step, checkpoint.seed, settings.batch_size, settings.learning_rate, checkpoint.precision

    assert continued(seed=5) == (12, 5, 20, 3e-4, "float64")
    assert continued("--batch_size", 7, "--learning_rate", 1e-3, "--precision", "float32", seed=6) == (
        12,
        6,
        7,
        1e-3,
        "float32",
    )
    assert (folder / "checkpoint.safetensors").read_bytes() == before


def test_continuing_on_other_data_gives_a_notice(train, small_data, tmp_path):
    train(2)
    other = shutil.copytree(small_data, tmp_path / "other")
    labels = other / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\3")
    for expected in (1, 0):  # what it was continued on is what it belongs to from then on
        _, err, _ = train(2, "--load", "--data_dir", other)
        assert err.count("was trained on other data than what lies in") == expected


def test_testing_a_checkpoint_says_what_training_said_and_writes_nothing(train, framework, small_data, tmp_path):
    out, _, folder = train(5)
    before = files(tmp_path)
    where = ("--log_dir", tmp_path / "logs", "--data_dir", small_data)
    for flags in (["--test"], ["-e", "-l"], ["--test", "--load", folder]):
        code, tested, err = framework.run(*flags, *where)
        assert (code, err) == (0, "")
        assert tested.split(", ")[:2] == out.split(", ")[:2]  # what follows is the speed
        assert tested.endswith(f"{folder / 'checkpoint.safetensors'}\n")
    assert files(tmp_path) == before


def test_config_toml_is_what_it_was_trained_with(train):
    _, _, folder = train(2, "--learning_rate", "0.002")
    resolved = from_toml((folder / "config.toml").read_text(), "resolved")
    assert (resolved.batch_size, resolved.learning_rate) == (20, 0.002)
    assert resolved == Checkpoint.load(folder / "checkpoint.safetensors").architecture


def test_progress_is_for_terminals(small_data, tmp_path, framework):
    command = [sys.executable, PROJECT / "main.py", "--train", "--train_num", "12", "--batch_size", "20"]
    command += ["--framework", framework.name, "--data_dir", small_data, "--log_dir", tmp_path]
    output, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while piece := os.read(output, 4096):
                shown += piece
        assert len(process.stdout.read().splitlines()) == 1
    assert process.returncode == 0
    for word in (b"12/12", b"step/s", b"cross_entropy=", b"accuracy="):
        assert word in shown


def test_only_the_chosen_framework_is_imported_and_none_makes_noise(framework, small_data, tmp_path):
    code = "import sys, main; main.main(sys.argv[1:]); print(*sys.modules, file=open('modules', 'w'))"
    command = [sys.executable, "-c", code, "--train", "--train_num", "12", "--batch_size", "20"]
    command += ["--framework", framework.name, "--data_dir", small_data, "--log_dir", "logs"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    imported = {"tensorflow", "torch", "keras", "jax"} & set((tmp_path / "modules").read_text().split())
    mine = {"tensorflow": {"tensorflow"}, "pytorch": {"torch"}, "keras": {"keras", "tensorflow"}}
    assert imported - {"keras"} <= mine.get(framework.name, {framework.name})


def test_a_second_run_in_the_same_folder_is_refused_and_names_the_first(framework, train, small_data, tmp_path):
    _, _, folder = train(3)
    run = Run(tmp_path / "logs", "lenet", framework.name, 0)
    lock = run.take(continued=True)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with lock:
        for flags in ((), ("--load",)):
            where = ("--log_dir", tmp_path / "logs", "--data_dir", small_data, "--batch_size", 20)
            code, out, err = framework.run("--train", "--train_num", 3, *where, *flags)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert f"process {os.getpid()} trains in {folder}" in err
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    train(3, "--load")
