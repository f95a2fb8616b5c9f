"""Signals, and two processes on one run: nothing is lost. make torture: at length."""

import json
import os
import shlex
import signal
import tempfile
import time
from pathlib import Path

import jobs
import pytest
from conftest import PROJECT, run_folder
from disturbed import start, step_of, wait_for

from lenet.system.files import is_locked, lock

pytestmark = pytest.mark.one_framework  # it is the core that is tested


def test_a_signal_saves_and_says_how_to_go_on(framework, flags, repeats, tmp_path):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[: repeats(1, 3)]:
        log_dir = tmp_path / number.name
        process = start(PROJECT / "main.py", *flags(log_dir, "--train", "--train_num", 100_000))
        wait_for(log_dir, "train", process)
        time.sleep(1)
        process.send_signal(number)
        signalled = time.monotonic()
        out, err = process.communicate()
        assert time.monotonic() - signalled < 5
        assert (process.returncode, out, err.count("\n")) == (128 + number, "", 1)
        step, run = step_of(log_dir), run_folder(log_dir, framework.name)
        assert f"stopped by {number.name}, saved after step {step};" in err
        assert err.endswith(f"--load {shlex.quote(str(run))} --train_num {100_000 - step}\n")
        code, _, err = framework.do(jobs.command_line, flags(log_dir, "--train", "--load", run, "--train_num", 2))
        assert (code, err) == (0, "")
        assert step_of(log_dir) == step + 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_a_chunk_is_heard_before_the_next(framework, flags, tmp_path, number):
    command = flags(tmp_path, "--train", "--train_num", 100)
    code, out, err = framework.do(jobs.interrupted, number, "after the first chunk", command)
    assert (code, out, err.count("\n")) == (128 + number, "", 1)
    run = run_folder(tmp_path, framework.name)
    assert step_of(tmp_path) == 1  # the first chunk is one step: how long they take is not known yet
    assert f"stopped by {number.name}, saved after step 1; " in err
    assert err.endswith(f"--load {shlex.quote(str(run))} --train_num 99\n")


def test_a_signal_in_the_final_test_does_not_cost_the_result(framework, flags, tmp_path):
    command = flags(tmp_path, "--train", "--train_num", 20)
    code, out, err = framework.do(jobs.interrupted, signal.SIGTERM, "in the final test", command)
    assert (code, err) == (0, "")
    result = json.loads((run_folder(tmp_path, framework.name) / "result.json").read_text())
    assert f"test accuracy {100 * result['test_accuracy']:.2f} %" in out


def test_the_second_signal_leaves_at_once(flags, tmp_path):
    # A save that takes long: the second signal comes while it lasts.
    slow = "import os, sys, time; sync = os.fsync; os.fsync = lambda file: (time.sleep(20), sync(file)); "
    code = f"{slow}sys.path.insert(0, {str(PROJECT)!r}); import main; sys.exit(main.main(sys.argv[1:]))"
    process = start("-c", code, *flags(tmp_path, "--train", "--train_num", 100_000))
    wait_for(tmp_path, "train", process)
    time.sleep(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(1)
    signalled = time.monotonic()
    process.communicate()
    assert time.monotonic() - signalled < 5
    assert process.returncode == -signal.SIGTERM


def test_of_two_at_once_exactly_one_trains(framework, flags, repeats, tmp_path):
    for i in range(repeats(1, 50)):
        command = flags(tmp_path / str(i), "--train", "--train_num", 300)
        both = [start(PROJECT / "main.py", *command) for _ in range(2)]
        said = [process.communicate() for process in both]
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, 2], said
        refused = codes.index(2)
        assert said[refused][0] == ""
        assert said[refused][1].count("\n") == 1
        assert f"process {both[1 - refused].pid} trains in" in said[refused][1]
        run = run_folder(tmp_path / str(i), framework.name)
        assert {path.name for path in run.parent.iterdir()} == {"seed-0", "seed-0.lock"}
        assert step_of(tmp_path / str(i)) == 300


def test_a_run_that_another_replaced_meanwhile_is_not_gone_on_with(framework, flags, tmp_path):
    framework.do(jobs.command_line, flags(tmp_path, "--train", "--train_num", 3))
    code, out, err = framework.do(jobs.replaced, flags(tmp_path, "--train", "--train_num", 3, "--load"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "another process has just trained in" in err
    assert step_of(tmp_path) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_the_lock_of_another_user_is_seen():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "seed-0.lock")
        with lock(path):
            path.chmod(0o644)
            os.seteuid(65534)
            try:
                seen = is_locked(path)
            finally:
                os.seteuid(0)
        assert (seen, is_locked(path)) == (True, False)
