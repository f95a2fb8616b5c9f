"""A real TensorBoard, open before the runs go on, with both of its readers: what it shows is what is so."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from conftest import PROJECT

SECONDS = 60  # until TensorBoard must show it


@contextlib.contextmanager
def tensorboard(log_dir, load_fast):
    """Start TensorBoard on a log folder, with one of its readers; returns its address."""
    command = [Path(sys.executable).with_name("tensorboard"), "--logdir", log_dir, "--port", "0"]
    command += ["--reload_interval", "1", "--load_fast", load_fast]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield next(found[0] for line in process.stderr if (found := re.search(r"http://localhost:\d+", line)))
        finally:
            process.kill()  # told to end, it sometimes hangs


@pytest.fixture
def shown(tmp_path):
    """Start it with each reader; returns a function: run, steps -> their values, once both readers show these steps."""
    with tensorboard(tmp_path, "true") as fast, tensorboard(tmp_path, "false") as slow:

        def ask(address, run):
            query = urllib.parse.urlencode({"run": str(run.relative_to(tmp_path)), "tag": "cross_entropy"})
            try:
                with urllib.request.urlopen(f"{address}/data/plugin/scalars/scalars?{query}") as answer:
                    return [(step, value) for _, step, value in json.load(answer)]
            except urllib.error.HTTPError:  # it does not know the run yet
                return []

        def wait_until(run, steps):
            deadline = time.monotonic() + SECONDS
            for address in (fast, slow):
                while [step for step, _ in ask(address, run)] != steps and time.monotonic() < deadline:
                    time.sleep(0.2)
            of_fast, of_slow = (ask(address, run) for address in (fast, slow))
            assert [step for step, _ in of_fast] == steps
            assert of_fast == of_slow
            return [value for _, value in of_fast]

        yield wait_until


@pytest.fixture
def train(small_data, tmp_path):
    """Run main.py, or the same with a kill in a save, in a process of its own; returns the run's folder."""

    def run(*flags, kill=False):
        script = ["tests/sabotage.py", "fsync", "KILL", "2"] if kill else ["main.py"]
        common = ["--config", "lenet5", "--framework", "pytorch", "--train", "--save_every", "20", "--batch_size", "20"]
        command = [sys.executable, *script, *common, "--data_dir", small_data, "--log_dir", tmp_path, *flags]
        done = subprocess.run(list(map(str, command)), cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == (-9 if kill else 0), done.stderr
        return max(tmp_path.glob("*/pytorch/seed-0"), key=lambda folder: (folder / "train").stat().st_mtime_ns)

    return run


def test_a_run_from_scratch_shows_its_curve_and_the_old_one_beside_it(shown, train):
    folder = train("--train_num", 60)
    old = shown(folder / "train", [*range(1, 61)])
    train("--train_num", 40)
    assert shown(folder / "train", [*range(1, 41)]) == old[:40]
    assert shown(folder.with_name("seed-0.1") / "train", [*range(1, 61)]) == old
    shown(folder / "test", [10, 20, 30, 40])


def test_a_run_that_was_killed_shows_each_step_once_after_it_goes_on(shown, train):
    folder = train("--train_num", 100, kill=True)  # in its second save, of step 40
    lost = shown(folder / "train", [*range(1, 41)])
    other = train("--train_num", 10, "--load", folder, "--learning_rate", 0.01)
    assert other != folder
    values = shown(other / "train", [*range(1, 31)])
    assert values[:21] == lost[:21]
    assert all(one != another for one, another in zip(values[21:], lost[21:], strict=False))
    train("--train_num", 10, "--load")
    assert shown(folder / "train", [*range(1, 31)]) == lost[:30]


def test_the_programs_own_command_shows_the_runs_to_this_machine_alone(train, tmp_path):
    train("--train_num", 10)
    command = [sys.executable, "main.py", "--tensorboard", "--log_dir", str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=PROJECT, **pipes) as process:
        try:
            line = process.stdout.readline()
            address, port = re.search(r"(http://localhost:(\d+)/)", line).groups()
            assert str(tmp_path) in line
            deadline, runs = time.monotonic() + SECONDS, []
            while len(runs) < 4 and time.monotonic() < deadline:
                with urllib.request.urlopen(f"{address}data/runs") as answer:
                    runs = json.load(answer)
                time.sleep(0.2)
            assert {Path(run).name for run in runs} == {"seed-0", "train", "test", "validation"}
            own = socket.gethostbyname(socket.gethostname())
            if not own.startswith("127."):
                with socket.socket() as other:
                    assert other.connect_ex((own, int(port))) != 0
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 130
            assert process.stderr.read() == "main.py: stopped by SIGINT\n"
        finally:
            process.kill()


def test_without_a_log_folder_it_says_so(tmp_path):
    command = [sys.executable, "main.py", "--tensorboard", "--log_dir", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "there is no log folder" in done.stderr
