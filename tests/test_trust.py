"""Nothing is lost: kills, faults of the disk, signals, two at once, runs that diverge. make torture: at length."""

import collections
import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jobs
import pytest
from conftest import PROJECT
from sabotage import OPERATIONS

from lenet.checkpoint import Checkpoint
from lenet.tensorboard import FILE

CONFIG = "lenet5"  # small, so that most of the time is not a framework's


@pytest.fixture
def flags(framework, small_data):
    """A log folder and more flags -> the flags of a run on the small data."""
    common = ["--framework", framework.name, "--config", CONFIG, "--data_dir", str(small_data), "--batch_size", "20"]
    return lambda log_dir, *more: [*common, "--log_dir", str(log_dir), *map(str, more)]


def start(*command):
    """Start Python; it heeds Ctrl-C even where the tests run in a shell's background, whose jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


def folder(log_dir, framework):
    return log_dir / CONFIG / framework.name / "seed-0"


def tensors(run):
    state = Checkpoint.load(run / "checkpoint.safetensors").state
    return state.step, [(name, array.tobytes()) for arrays in state.arrays for name, array in arrays.items()]


def step_of(run):
    """The checkpoint's step, 0 when there is none; it must load."""
    path = run / "checkpoint.safetensors"
    return Checkpoint.load(path).state.step if path.exists() else 0


def result_of(run):
    """What the run came to, without what differs from run to run: its speed."""
    result = json.loads((run / "result.json").read_text())
    return {key: value for key, value in result.items() if key not in ("seconds", "images_per_second")}


def wait_for(path, process):
    """Wait until it is written, the process has ended, or a minute has passed."""
    began = time.time()
    while not (path.exists() and path.stat().st_mtime > began) and process.poll() is None and time.time() < began + 60:
        time.sleep(0.02)


def go_on(run, steps):
    """The flags that train what is missing of `steps`."""
    done = step_of(run)
    return ["--train", "--train_num", steps - done, *(["--load"] if done else [])]


def test_killed_at_any_moment_nothing_is_lost(framework, flags, reader, repeats, tmp_path):
    steps, kills, kills_a_run = 120, repeats(1, 100), repeats(1, 5)
    code, _, err = framework.do(jobs.command_line, flags(tmp_path / "whole", "--train", "--train_num", steps))
    assert code == 0, err
    whole = folder(tmp_path / "whole", framework)
    generator = random.Random(4)  # its first kill comes half-way through the second save
    counts = collections.Counter()
    for i in itertools.takewhile(lambda _: counts["killed"] < kills, itertools.count()):
        run = folder(tmp_path / str(i), framework)
        for kill in range(kills_a_run):
            if step_of(run) >= steps - 20:
                break
            command = flags(tmp_path / str(i), *go_on(run, steps), "--save_every", 10)
            if kill % 2 == 0:  # in a save
                operation, save = generator.choice(OPERATIONS), generator.randint(1, 2)
                process = start(PROJECT / "tests/sabotage.py", operation, "KILL", save, *command)
                process.communicate()
            else:
                process = start(PROJECT / "main.py", *command)
                # Behind a first save, or among the first steps.
                wait_for(run / ("checkpoint.safetensors" if kill % 4 == 1 else f"train/{FILE}"), process)
                time.sleep(generator.uniform(0, 0.3))
                process.kill()
                process.communicate()
            killed = process.returncode == -signal.SIGKILL
            counts["killed"] += killed
            counts["in a save"] += killed and kill % 2 == 0
            counts["with a checkpoint"] += killed and step_of(run) > 0
        if i % 2 == 0:  # behind all steps
            command = flags(tmp_path / str(i), *go_on(run, steps))
            process = start(PROJECT / "tests/sabotage.py", generator.choice(["test", "result"]), "KILL", 0, *command)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            counts["behind the last save, too"] += 1
        begun_anew = run.exists() and step_of(run) == 0  # killed before its first save: what is there moves aside
        process = start(PROJECT / "main.py", *flags(tmp_path / str(i), *go_on(run, steps)))
        _, err = process.communicate()
        assert (process.returncode, err.count("\n"), "lies in" in err) == (0, begun_anew, begun_anew), err
        assert tensors(run) == tensors(whole)
        curves = {part: reader.do(jobs.read_curve, run / part) for part in ("train", "test")}
        assert curves == {part: reader.do(jobs.read_curve, whole / part) for part in ("train", "test")}
        assert [step for step, _ in curves["train"]["accuracy"]] == list(range(1, steps + 1))
        assert [step for step, _ in curves["test"]["accuracy"]] == list(range(10, steps + 1, 10))
        assert result_of(run) == result_of(whole)
        assert not list((tmp_path / str(i)).rglob("*.tmp"))
        shutil.rmtree(tmp_path / str(i))
    print(framework.name, dict(counts))
    assert counts["in a save"] >= kills / 4


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_in_a_save_ends_the_run_in_one_line_and_leaves_the_old_checkpoint(
    framework, flags, repeats, tmp_path, operation
):
    assert framework.do(jobs.command_line, flags(tmp_path / "whole", "--train", "--train_num", 10))[0] == 0
    whole = tensors(folder(tmp_path / "whole", framework))
    for how in ("ENOSPC", "EIO", "EACCES")[: repeats(1, 3)]:
        log_dir = tmp_path / how
        run = folder(log_dir, framework)
        assert framework.do(jobs.command_line, flags(log_dir, "--train", "--train_num", 3))[0] == 0
        assert step_of(run) == 3
        more = flags(log_dir, "--train", "--train_num", 7, "--load", "--save_every", 2)
        code, out, err = framework.do(jobs.sabotaged, operation, how, 2, more)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"checkpoint.safetensors cannot be written: {os.strerror(getattr(errno, how))}" in err
        assert step_of(run) == (6 if operation == "fsync_folder" else 4)  # whole, and the last one that was saved
        code, _, err = framework.do(jobs.command_line, flags(log_dir, *go_on(run, 10)))
        assert (code, err) == (0, "")
        assert not list(run.glob("*.tmp"))
        assert tensors(run) == whole


def test_a_full_disk(framework, flags, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "lenet", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        run = folder(disk, framework)
        assert framework.do(jobs.command_line, flags(disk, "--train", "--train_num", 3))[0] == 0
        old = tensors(run)
        with (disk / "other").open("wb", buffering=0) as other, pytest.raises(OSError, match="No space"):
            while True:
                other.write(bytes(4096))
        code, out, err = framework.do(jobs.command_line, flags(disk, "--train", "--train_num", 3, "--load"))
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "No space left on device" in err
        assert tensors(run) == old
        (disk / "other").unlink()
        assert framework.do(jobs.command_line, flags(disk, "--train", "--train_num", 3, "--load"))[::2] == (0, "")
        assert tensors(run)[0] == 6
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_read_only_folder(framework, flags, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "lenet", str(disk)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        code, out, err = framework.do(jobs.command_line, flags(disk, "--train", "--train_num", 3))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "Read-only file system" in err
        assert "--log_dir" in err
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_fault_behind_the_last_save_costs_no_step(framework, flags, tmp_path):
    run = folder(tmp_path, framework)
    code, out, err = framework.do(jobs.sabotaged, "result", "ENOSPC", 0, flags(tmp_path, "--train", "--train_num", 7))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "result.json cannot be written: No space left on device" in err
    assert step_of(run) == 7
    assert framework.do(jobs.command_line, flags(tmp_path, *go_on(run, 7)))[::2] == (0, "")
    framework.do(jobs.command_line, flags(tmp_path / "whole", "--train", "--train_num", 7))
    whole = folder(tmp_path / "whole", framework)
    assert tensors(run) == tensors(whole)
    assert result_of(run) == result_of(whole)


def test_a_signal_saves_and_says_how_to_go_on(framework, flags, repeats, tmp_path):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[: repeats(1, 3)]:
        log_dir = tmp_path / number.name
        run = folder(log_dir, framework)
        process = start(PROJECT / "main.py", *flags(log_dir, "--train", "--train_num", 100_000))
        wait_for(run / "train", process)
        time.sleep(1)
        process.send_signal(number)
        signalled = time.monotonic()
        out, err = process.communicate()
        assert time.monotonic() - signalled < 5
        assert (process.returncode, out, err.count("\n")) == (128 + number, "", 1)
        step = step_of(run)
        assert f"stopped by {number.name}, saved after step {step};" in err
        assert err.endswith(f"--load {run} --train_num {100_000 - step}\n")
        code, _, err = framework.do(jobs.command_line, flags(log_dir, "--train", "--load", run, "--train_num", 2))
        assert (code, err) == (0, "")
        assert step_of(run) == step + 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_behind_a_chunk_is_heard_before_the_next(framework, flags, tmp_path, number):
    command = flags(tmp_path, "--train", "--train_num", 100)
    code, out, err = framework.do(jobs.interrupted, number, "behind the first chunk", command)
    assert (code, out, err.count("\n")) == (128 + number, "", 1)
    run = folder(tmp_path, framework)
    assert step_of(run) == 1  # the first chunk is one step: how long they take is not known yet
    assert f"stopped by {number.name}, saved after step 1; " in err
    assert err.endswith(f"--load {run} --train_num 99\n")


def test_a_signal_in_the_final_test_does_not_cost_the_result(framework, flags, tmp_path):
    command = flags(tmp_path, "--train", "--train_num", 20)
    code, out, err = framework.do(jobs.interrupted, signal.SIGTERM, "in the final test", command)
    assert (code, err) == (0, "")
    result = json.loads((folder(tmp_path, framework) / "result.json").read_text())
    assert f"test accuracy {100 * result['test_accuracy']:.2f} %" in out


def test_the_second_signal_leaves_at_once(framework, flags, tmp_path):
    run = folder(tmp_path, framework)
    # A save that takes long: the second signal comes while it lasts.
    slow = "import os, sys, time; sync = os.fsync; os.fsync = lambda file: (time.sleep(20), sync(file)); "
    code = f"{slow}sys.path.insert(0, {str(PROJECT)!r}); import main; sys.exit(main.main(sys.argv[1:]))"
    process = start("-c", code, *flags(tmp_path, "--train", "--train_num", 100_000))
    wait_for(run / "train", process)
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
        assert [path.name for path in folder(tmp_path / str(i), framework).parent.iterdir()] == ["seed-0"]
        assert step_of(folder(tmp_path / str(i), framework)) == 300


def test_a_run_that_diverges_stops_and_keeps_the_last_good_checkpoint(framework, flags, tmp_path):
    run = folder(tmp_path, framework)
    assert framework.do(jobs.command_line, flags(tmp_path, "--train", "--train_num", 3))[0] == 0
    before, result = tensors(run), (run / "result.json").read_text()
    more = flags(tmp_path, "--train", "--train_num", 40, "--load", "--learning_rate", 1e38)
    code, out, err = framework.do(jobs.command_line, more)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search(r"the cross-entropy is not finite at step \d+, ", err)
    assert tensors(run) == before
    assert (run / "result.json").read_text() == result
    assert json.loads(result)["step"] == 3


def test_a_curve_that_is_damaged_in_its_midst_is_named(framework, flags, reader, tmp_path):
    run = folder(tmp_path, framework)
    framework.do(jobs.command_line, flags(tmp_path, "--train", "--train_num", 20))
    path = run / "train" / FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, _, err = framework.do(jobs.command_line, flags(tmp_path, "--train", "--load", "--train_num", 5))
    assert (code, err.count("\n")) == (0, 1)
    shown = [step for step, _ in reader.do(jobs.read_curve, run / "train")["accuracy"]]
    kept = len(shown) - 5
    assert 0 < kept < 20
    assert shown == [*range(1, kept + 1), *range(21, 26)]
    assert f"{path} is damaged: what it had of the steps {kept + 1} to 20 is lost" in err


def test_a_result_that_nobody_takes_is_one_line(small_data, tmp_path):
    flags = ["--config", CONFIG, "--data_dir", small_data, "--batch_size", "20", "--log_dir", tmp_path]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, PROJECT / "main.py", *flags, "--train", "--train_num", "2"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the result cannot be written to stdout" in done.stderr
    assert step_of(tmp_path / CONFIG / "pytorch/seed-0") == 2


def test_a_run_that_another_replaced_meanwhile_is_not_gone_on_with(framework, flags, tmp_path):
    run = folder(tmp_path, framework)
    framework.do(jobs.command_line, flags(tmp_path, "--train", "--train_num", 3))
    code, out, err = framework.do(jobs.replaced, flags(tmp_path, "--train", "--train_num", 3, "--load"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "another process has just trained in" in err
    assert step_of(run) == 3
