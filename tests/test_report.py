"""--report: many runs, none trained twice, and what is written of them."""

import fcntl
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

import jobs
import pytest
from conftest import PROJECT

from lenet import figures
from lenet.checkpoint import Checkpoint
from lenet.tensorboard import FILE, events

STEPS = 400  # of a run that shall last longer than the next report takes to start


@pytest.fixture
def data_flags(small_data, tmp_path):
    """The flags that every run here has."""
    return ["--batch_size", 20, "--data_dir", small_data, "--log_dir", tmp_path]


@pytest.fixture
def report(data_flags):
    """Start --report on the small data; returns its process."""

    def start(*flags, **environment):
        command = [sys.executable, PROJECT / "main.py", "--report", "--train_num", "12", *data_flags, *flags]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([str(word) for word in command], env={**os.environ, **environment}, **pipes)

    return start


def test_a_killed_report_goes_on_and_trains_nothing_twice(report, reader, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 3, "--jobs", 1, "--train_num", STEPS)
    runs = tmp_path / "lenet5/pytorch"
    killed = report(*flags)
    while not (runs / "seed-1/train").exists():  # the first has ended, the second has all its steps to go
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    first = (runs / "seed-0/result.json").stat().st_mtime_ns

    out, err = report(*flags).communicate()
    assert err == f"main.py: notice: waiting for an earlier report in {tmp_path}\n"
    assert out == f"{tmp_path / 'report/report.html'}\n"
    # What the killed report had begun went on by itself and was waited for: no run was begun again.
    assert sorted(path.name for path in runs.glob("seed-*")) == ["seed-0", "seed-1", "seed-2"]
    assert (runs / "seed-0/result.json").stat().st_mtime_ns == first
    for seed in range(3):
        assert [step for step, _ in reader.do(jobs.read_curve, runs / f"seed-{seed}/train")["accuracy"]] == list(
            range(1, STEPS + 1)
        )

    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.name != "lock"}
    assert report(*flags).wait() == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_only_what_a_run_lacks_is_made(report, data_flags, tmp_path, workers):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)
    runs = tmp_path / "lenet5/pytorch"

    def result():
        return json.loads((runs / "seed-0/result.json").read_text())

    def reported(*more):
        _, err = report(*flags, *more).communicate()
        assert err == ""
        return result()

    workers["pytorch"].run("--config", "lenet5", "--train", "--train_num", 12, *data_flags)
    accuracy = result()["test_accuracy"]
    (runs / "seed-0/result.json").unlink()  # as after a kill in the test
    found = reported()
    assert (found["step"], found["test_accuracy"]) == (12, accuracy)
    assert reported("--train_num", 20)["step"] == 20
    assert [path.name for path in runs.iterdir()] == ["seed-0"]
    reported("--train_num", 20, "--learning_rate", "0.01")  # another setting: trained anew, and the old run kept
    assert "learning_rate = 0.01" in (runs / "seed-0/config.toml").read_text()
    assert "learning_rate = 0.0001" in (runs / "seed-0.1/config.toml").read_text()


def test_a_run_that_was_partly_trained_otherwise_is_trained_anew(report, data_flags, tmp_path, workers):
    flags = ["--config", "lenet5", "--train", "--train_num", 6, *data_flags]
    workers["tensorflow"].run(*flags)
    workers["pytorch"].run(*flags, "--load", tmp_path / "lenet5/tensorflow/seed-0")
    report("--config", "lenet5", "--framework", "pytorch", "--seeds", 1).communicate()
    histories = {
        path.parent.name: [(part["from_step"], part["framework"]) for part in Checkpoint.load(path).history]
        for path in (tmp_path / "lenet5/pytorch").glob("*/checkpoint.safetensors")
    }
    assert histories == {"seed-0.1": [(0, "tensorflow"), (6, "pytorch")], "seed-0": [(0, "pytorch")]}


def test_sigterm_ends_a_report_and_what_it_runs(report, tmp_path):
    process = report("--config", "lenet5", "--framework", "pytorch", "--seeds", 2, "--jobs", 1, "--train_num", 100_000)
    curve = tmp_path / "lenet5/pytorch/seed-0/train" / FILE
    while not (curve.exists() and any(event.step for _, event in events(curve.read_bytes()))):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (143, "", "main.py: stopped by SIGTERM\n")
    with (tmp_path / "report/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody holds it
    assert Checkpoint.load(tmp_path / "lenet5/pytorch/seed-0/checkpoint.safetensors").state.step > 0
    assert not (tmp_path / "lenet5/pytorch/seed-1").exists()


def test_a_run_that_fails_is_named_and_the_others_go_on(report, tmp_path):
    # Keras on PyTorch refuses float64, PyTorch itself does not.
    flags = ("--config", "lenet5", "--framework", "keras", "--framework", "pytorch", "--seeds", 1)
    process = report(*flags, "--precision", "float64", KERAS_BACKEND="torch")
    out, err = process.communicate()
    assert process.returncode == 1
    assert err.startswith("main.py: notice: lenet5 keras seed 0 failed: main.py: Keras on torch rounds float64 to")
    assert err.count("\n") == 1
    assert out == f"{tmp_path / 'report/report.html'}\n"
    assert not (tmp_path / "lenet5/keras").exists()


def test_a_report_that_cannot_be_written_says_so_in_one_line(report, tmp_path):
    (tmp_path / "report/overview-light.png").mkdir(parents=True)  # where a picture shall lie
    process = report("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)
    out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert f"{tmp_path / 'report'} cannot be written: " in err


def test_one_report_at_a_time_is_written(report, tmp_path):
    process = report("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)
    while not (tmp_path / "report/overview-light.png").exists():  # its first picture
        assert process.poll() is None
        time.sleep(0.02)
    with (tmp_path / "report/lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    process.communicate()
    assert process.returncode == 0


def test_the_report_says_what_the_runs_came_to(report, tmp_path):
    flags = ("--config", "lenet5", "--config", "change_fc_size", "--framework", "pytorch", "--seeds", 2)
    _, err = report(*flags).communicate()
    assert err == ""
    text, page = ((tmp_path / f"report/report.{kind}").read_text() for kind in ("md", "html"))
    parameters = {"lenet5": "61,706", "change_fc_size": "454,922"}
    for config in parameters:
        results = [json.loads((tmp_path / f"{config}/pytorch/seed-{i}/result.json").read_text()) for i in range(2)]
        accuracies = [100 * result["test_accuracy"] for result in results]
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {config} |"))
        assert f"{statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f} %" in row
        assert f"{statistics.mean(result['images_per_second'] for result in results):,.0f} images/s" in row
        assert f"| {parameters[config]} |" in row
    assert "| The dense layer 128 in place of 1024. |" in text
    assert "| 95.84 % |" in text
    # The page needs no other file, and says the same.
    assert set(re.findall(r'(?:src|srcset|href)="(.{5})', page)) == {"data:"}
    cells = {cell.strip() for cell in re.findall(r"<td>(.*?)</td>", page)}
    assert cells >= {
        cell.strip() for line in text.splitlines() if line.startswith("| lenet5") for cell in line.split("|")[1:-1]
    }
    names = set(re.findall(r'(?:src|srcset)="([^"]+)"', text))
    assert names == {path.name for path in (tmp_path / "report").glob("*.png")}
    kinds = ("architecture", "accuracy", "cross_entropy", "kernels", "confusion", "mistakes")
    pictures = ["overview", *(f"{config}-{kind}" for config in parameters for kind in kinds)]
    assert names == {f"{picture}-{theme}.png" for picture in pictures for theme in ("light", "dark")}
    for name in names:
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--report"], "--report needs --train_num N"),
        (["--report", "--train_num", "5", "--train"], "--report trains and tests by itself"),
        (["--report", "--train_num", "5", "--load"], "--report trains and tests by itself"),
        (["--report", "--train_num", "5", "--seed", "1"], "--report trains and tests by itself"),
        (["--train", "--train_num", "5", "--seeds", "2"], "--seeds and --jobs go with --report"),
        (
            ["--train", "--train_num", "5", "--config", "lenet", "--config", "lenet5"],
            "several --config or --framework go",
        ),
        (["--report", "--train_num", "5", "--seeds", "0"], "'0' is not a whole number above 0"),
        (["--report", "--train_num", "5", "--config", "lenet-5"], "did you mean lenet5?"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, complaint, tmp_path):
    code, out, err = jobs.command_line([*flags, "--log_dir", str(tmp_path / "logs")])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err
    assert not (tmp_path / "logs").exists()


def test_smoothing_is_a_mean_of_what_was_before():
    assert figures._smooth([1, 2, 3], [5.0, 5.0, 5.0]) == pytest.approx([5, 5, 5])
    # exp(-1 / 20) = 0.9512294245
    assert figures._smooth([1, 2], [1.0, 2.0])[1] == pytest.approx((0.9512294245 + 2) / (0.9512294245 + 1))
