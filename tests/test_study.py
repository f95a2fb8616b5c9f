"""--report: no run is trained twice, none is moved, and a report that is stopped goes on."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import jobs
from conftest import PROJECT, notices, run_folder

from benchmarks.cluster import task_of
from lenet.config import load
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.storage.curves import read_curves
from lenet.storage.run import Run
from lenet.study.process import Outcome, Processes

STEPS = 1000  # of a run that is killed before its end
SECONDS = 10  # until a run whose report was killed has saved


def test_a_killed_report_goes_on_and_trains_nothing_twice(report, reader, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 2, "--jobs", 1, "--train_num", STEPS)
    killed = report(*flags)
    while not [*tmp_path.glob("*/pytorch/seed-1/train")]:  # the first has ended, the second has all its steps to go
        assert killed.poll() is None
        time.sleep(0.02)
    runs = run_folder(tmp_path, "pytorch").parent
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    first = (runs / "seed-0/result.json").stat().st_mtime_ns
    second, ends = Run.at(runs / "seed-1"), time.monotonic() + SECONDS
    while second.is_held:  # its process notices, saves and ends
        assert time.monotonic() < ends
        time.sleep(0.02)
    saved = second.checkpoint.state.step if second.exists else 0  # it may not have begun
    assert saved < STEPS

    out, err = report(*flags).communicate()
    assert notices(err) == []
    assert out == f"{tmp_path / 'report/report.html'}\n"
    assert sorted(path.name for path in runs.glob("seed-?")) == ["seed-0", "seed-1"]
    assert not [*runs.glob("seed-*.1")]
    assert (runs / "seed-0/result.json").stat().st_mtime_ns == first
    for seed in range(2):
        assert [step for step, _ in reader.do(jobs.read_curve, runs / f"seed-{seed}/train")["accuracy"]] == list(
            range(1, STEPS + 1)
        )

    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.suffix != ".lock"}
    assert report(*flags).wait() == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_only_what_a_run_lacks_is_made(report, trained_run, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)

    def result():
        return json.loads((trained_run / "result.json").read_text())

    def reported(*more):
        _, err = report(*flags, *more).communicate()
        assert notices(err.replace(moved, "")) == []
        return result()

    moved = f"lenet: notice: the old report in {tmp_path / 'report'} was renamed to {tmp_path / 'report.1'}\n"
    accuracy = result()["test_accuracy"]
    for name in ("result.json", "predictions.npy"):  # as after a kill in the test
        (trained_run / name).unlink()
        found = reported()
        assert (found["step"], found["test_accuracy"]) == (12, accuracy)
    assert reported("--train_num", 20)["step"] == 20
    assert {path.name for path in trained_run.parent.iterdir()} == {"seed-0", "seed-0.lock"}
    assert (tmp_path / "report.1/report.html").exists()  # the report of 12 steps
    report(*flags, "--train_num", 20, "--learning_rate", "0.01").communicate()  # another setting is another run
    runs = [path.parent for path in tmp_path.glob("*/pytorch/seed-0/result.json")]
    rates = {Run.at(run).checkpoint.settings.training.learning_rate for run in runs}
    assert (len(runs), rates) == (2, {1e-4, 0.01})


def test_sigterm_ends_a_report_and_what_it_runs(report, tmp_path):
    process = report("--config", "lenet5", "--framework", "pytorch", "--seeds", 2, "--jobs", 1, "--train_num", 100_000)
    while not any(read_curves(path) for path in tmp_path.glob("*/pytorch/seed-0/train")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    stopped = "main.py: stopped by SIGTERM; run the same command again to go on"
    assert (process.returncode, out, notices(err)) == (143, "", [stopped])
    run = Run.at(run_folder(tmp_path, "pytorch"))
    assert not run.is_held
    assert run.checkpoint.state.step > 0
    assert not [*tmp_path.glob("*/pytorch/seed-1")]


def test_a_run_whose_process_cannot_be_started_fails_alone(monkeypatch):
    def full(*_, **__):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    processes = Processes()
    monkeypatch.setattr(subprocess, "Popen", full)
    error = "cannot be started: Resource temporarily unavailable; start fewer runs, or other programs, at once"
    assert processes.train({}) == Outcome(error)


def test_a_run_ignores_a_second_signal(tmp_path):
    # Who stops a whole service signals a run, and so does its report. A save that takes long: both come while it lasts.
    slow = "import os, runpy, time; sync = os.fsync; os.fsync = lambda file: (time.sleep(1), sync(file)); "
    code = f"{slow}runpy.run_module('lenet.study.child', run_name='__main__')"
    settings = Settings.of(load("lenet5"), MNIST)
    task = task_of(settings, tmp_path, 100_000)
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True, cwd=PROJECT)
    print(json.dumps(task), file=process.stdin, flush=True)
    while not any(read_curves(path) for path in tmp_path.glob("*/pytorch/seed-0/train")):
        assert process.poll() is None
        time.sleep(0.02)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert Run.of(tmp_path, settings, "pytorch").checkpoint.state.step > 0
