"""What every backend owes: one contract, each test once for each framework."""

import contextlib
import json
import os
import re
import subprocess
import sys
import termios

import jobs
import numpy as np
import pytest
from conftest import PROJECT, same_tensors

from lenet.config import load
from lenet.data import load as read_data
from lenet.storage.run import Run
from lenet.training import Training


def test_a_run_leaves_what_the_result_line_says(train, framework, reader, small_data, tmp_path):
    out, err, folder = train(25, seed=3)
    result = json.loads((folder / "result.json").read_text())
    assert err == ""
    assert out.endswith("\n")
    line = out.splitlines()[-1]
    accuracy, cross_entropy = result["test_accuracy"], result["test_cross_entropy"]
    data = result["data"]
    assert data.startswith("small_data0~")
    name = f"lenet5,batch_size=20,data={data}"
    assert line.startswith(f"{name} {framework.name} seed 3 step 25: test accuracy {100 * accuracy:.2f} %, ")
    assert folder == tmp_path / "logs" / name / framework.name / "seed-3"
    assert f"cross-entropy {cross_entropy:.4f}, {result['images_per_second']:,.0f} images/s, {folder}" in line
    expected = {"config": "lenet5", "framework": framework.name, "seed": 3, "step": 25, "precision": "float32"}
    assert result["device"] == ("gpu" if framework.do(jobs.finds_gpu, framework.name) else "cpu")
    assert expected.items() <= result.items()
    assert result["parameters"] == 61_706
    assert {"python", "numpy"} < result["versions"].keys()
    keys = "config variant framework engine seed step precision device threads processor data test_accuracy "
    keys += (
        "test_cross_entropy images_per_second seconds evaluation_seconds parameters versions settings history by_class "
    )
    keys += "validation_accuracy validation_cross_entropy"
    assert {*result} == {*keys.split()}
    assert result["settings"]["training"].items() >= {"batch_size": 20, "learning_rate": 1e-4}.items()
    probabilities, test = Run.at(folder).predictions, read_data(small_data).test
    assert (probabilities.shape, probabilities.dtype) == ((300, 10), np.float32)
    assert (probabilities.argmax(axis=1) == test.labels).mean() == accuracy
    assert -np.log(probabilities[np.arange(300), test.labels]).mean() == pytest.approx(cross_entropy, rel=1e-5)

    curves = {part: reader.do(jobs.read_curve, folder / part) for part in ("train", "test")}
    assert [step for step, _ in curves["train"]["accuracy"]] == list(range(1, 26))
    assert [step for step, _ in curves["test"]["cross_entropy"]] == [10, 20, 25]
    assert curves["test"]["accuracy"][-1][1] == pytest.approx(accuracy)
    assert curves["test"]["cross_entropy"][-1][1] == pytest.approx(cross_entropy)


def test_training_learns(train, reader):
    _, _, folder = train(60, "--config", "lenet", "--learning_rate", "1e-3")
    curve = [value for _, value in reader.do(jobs.read_curve, folder / "train")["cross_entropy"]]
    assert np.mean(curve[-10:]) < 0.8 * np.mean(curve[:10])


def test_the_same_command_twice_gives_the_same_bytes_and_keeps_both_runs(train):
    _, _, first = train(12)
    content = (first / "checkpoint.safetensors").read_bytes()
    _, err, second = train(12)
    aside = first.with_name("seed-0.1")
    assert err == f"lenet: notice: the old run in {first} was renamed to {aside}\n"
    assert (aside / "checkpoint.safetensors").read_bytes() == content
    assert same_tensors(aside, second)
    train(12)
    assert sorted(path.name for path in first.parent.iterdir()) == ["seed-0", "seed-0.1", "seed-0.2", "seed-0.lock"]


@pytest.mark.one_framework
def test_a_folder_without_a_checkpoint_is_used_again(train, reader):
    _, _, folder = train(12)
    (folder / "checkpoint.safetensors").rename(folder / "checkpoint.safetensors.tmp")  # as if killed in its first save
    (folder / "result.json").unlink()
    _, err, again = train(5)
    assert (err, again) == ("", folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["seed-0", "seed-0.lock"]
    assert not list(folder.glob("*.tmp"))
    assert [step for step, _ in reader.do(jobs.read_curve, folder / "train")["accuracy"]] == [*range(1, 6)]
    assert [step for step, _ in reader.do(jobs.read_curve, folder / "test")["accuracy"]] == [5]


@pytest.mark.one_framework
def test_config_toml_is_what_it_was_trained_with(train):
    _, _, folder = train(2, "--learning_rate", "0.002")
    resolved, settings = load(folder / "config.toml"), Run.at(folder).checkpoint.settings
    assert resolved.training == Training(20, 0.002)
    assert (resolved.architecture, resolved.training) == (settings.architecture, settings.training)


@pytest.mark.framework
def test_progress_is_for_terminals(small_data, tmp_path):
    command = [sys.executable, PROJECT / "main.py", "--train", "--train_num", "12", "--batch_size", "20"]
    command += ["--framework", "pytorch", "--data_dir", small_data, "--log_dir", tmp_path]
    output, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with subprocess.Popen(command, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while piece := os.read(output, 4096):
                shown += piece
    assert process.returncode == 0
    lines = [line.strip() for line in re.split(r"[\r\n]+", shown.decode()) if line.strip()]
    assert all(len(line) <= 80 or " " not in line for line in lines)  # a path may be longer
    bar = max(i for i, line in enumerate(lines) if "step/s" in line)
    assert re.search(r"100%\|.{20,}\| 12/12 .* batch accuracy 0\.\d\d\]", lines[bar])
    assert re.search(r"step 12: test accuracy [\d.]+ %, .* images/s, /", " ".join(lines[bar + 1 :]))


def test_only_the_chosen_framework_is_imported_and_none_makes_noise(framework, small_data, tmp_path):
    code = "import sys, main; main.main(sys.argv[1:]); print(*sys.modules, file=open('modules', 'w'))"
    command = [sys.executable, "-c", code, "--train", "--train_num", "12", "--batch_size", "20"]
    command += ["--framework", framework.name, "--data_dir", small_data, "--log_dir", "logs"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    imported = {"tensorflow", "torch", "keras", "jax"} & set((tmp_path / "modules").read_text().split())
    # TensorFlow itself imports JAX where it is installed, for TensorFlow Lite.
    mine = {"tensorflow": {"tensorflow", "jax"}, "pytorch": {"torch"}, "keras": {"keras", "tensorflow", "jax"}}
    assert imported - {"keras"} <= mine.get(framework.name, {framework.name})


@pytest.mark.one_framework
def test_a_second_run_in_the_same_folder_is_refused_and_names_the_first(framework, train, small_data, tmp_path):
    _, _, folder = train(3)
    run = Run.at(folder)
    lock = run.lock()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with lock:
        for flags in ((), ("--load",)):
            where = ("--log_dir", tmp_path / "logs", "--data_dir", small_data, "--batch_size", 20)
            code, out, err = framework.run("--train", "--train_num", 3, "--config", "lenet5", *where, *flags)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert f"process {os.getpid()} trains in {folder}" in err
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    train(3, "--load")
