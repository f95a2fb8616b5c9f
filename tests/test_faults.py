"""Faults of the disk, runs that diverge, damaged curves: one line, and nothing is lost. make torture: at length."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jobs
import pytest
from conftest import PROJECT, run_folder
from disturbed import CONFIG, go_on, result_of, start, step_of, tensors
from sabotage import OPERATIONS

pytestmark = pytest.mark.one_framework  # it is the core that is tested


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_in_a_save_ends_the_run_in_one_line_and_leaves_the_old_checkpoint(
    framework, flags, repeats, tmp_path, operation
):
    assert framework.do(jobs.command_line, flags(tmp_path / "whole", "--train", "--train_num", 10))[0] == 0
    whole = tensors(run_folder(tmp_path / "whole", framework.name))
    for how in ("ENOSPC", "EIO", "EACCES")[: repeats(1, 3)]:
        log_dir = tmp_path / how
        assert framework.do(jobs.command_line, flags(log_dir, "--train", "--train_num", 3))[0] == 0
        run = run_folder(log_dir, framework.name)
        assert step_of(log_dir) == 3
        more = flags(log_dir, "--train", "--train_num", 7, "--load", "--save_every", 2)
        code, out, err = framework.do(jobs.sabotaged, operation, how, 2, more)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"checkpoint.safetensors cannot be written: {os.strerror(getattr(errno, how))}" in err
        assert step_of(log_dir) == (6 if operation == "fsync_folder" else 4)  # whole, and the last one that was saved
        code, _, err = framework.do(jobs.command_line, flags(log_dir, *go_on(log_dir, 10)))
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
        assert framework.do(jobs.command_line, flags(disk, "--train", "--train_num", 3))[0] == 0
        run = run_folder(disk, framework.name)
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


def test_a_fault_after_the_last_save_costs_no_step(framework, flags, tmp_path):
    log_dir = tmp_path / "parts"
    code, out, err = framework.do(jobs.sabotaged, "result", "ENOSPC", 0, flags(log_dir, "--train", "--train_num", 7))
    run = run_folder(log_dir, framework.name)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "result.json cannot be written: No space left on device" in err
    assert step_of(log_dir) == 7
    assert framework.do(jobs.command_line, flags(log_dir, *go_on(log_dir, 7)))[::2] == (0, "")
    framework.do(jobs.command_line, flags(tmp_path / "whole", "--train", "--train_num", 7))
    whole = run_folder(tmp_path / "whole", framework.name)
    assert tensors(run) == tensors(whole)
    assert result_of(run) == result_of(whole)


def test_a_run_that_diverges_stops_and_keeps_the_last_good_checkpoint(framework, flags, tmp_path):
    assert framework.do(jobs.command_line, flags(tmp_path, "--train", "--train_num", 3))[0] == 0
    run = run_folder(tmp_path, framework.name)
    before, result = tensors(run), (run / "result.json").read_text()
    more = flags(tmp_path / "other", "--train", "--train_num", 40, "--load", run, "--learning_rate", 1e38)
    code, out, err = framework.do(jobs.command_line, more)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search(r"the run diverged: the cross-entropy is not finite at step \d+; this step is not saved; ", err)
    assert tensors(run) == before
    assert (run / "result.json").read_text() == result
    assert json.loads(result)["step"] == 3


def test_a_curve_that_is_damaged_in_the_middle_is_named(framework, flags, reader, tmp_path):
    framework.do(jobs.command_line, flags(tmp_path, "--train", "--train_num", 20))
    run = run_folder(tmp_path, framework.name)
    (path,) = (run / "train").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, _, err = framework.do(jobs.command_line, flags(tmp_path, "--train", "--load", "--train_num", 5))
    assert (code, err.count("\n")) == (0, 1)
    shown = [step for step, _ in reader.do(jobs.read_curve, run / "train")["accuracy"]]
    kept = len(shown) - 5
    assert 0 < kept < 20
    assert shown == [*range(1, kept + 1), *range(21, 26)]
    assert f"{path} is damaged: its points after step {kept} are lost" in err


@pytest.mark.framework
def test_a_result_that_nobody_takes_is_one_line(small_data, tmp_path):
    flags = ["--config", CONFIG, "--data_dir", small_data, "--batch_size", "20", "--log_dir", tmp_path]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, PROJECT / "main.py", *flags, "--train", "--train_num", "2"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the result cannot be written to stdout" in done.stderr
    assert step_of(tmp_path) == 2


def test_a_file_that_may_grow_no_further_is_one_line(flags, tmp_path):
    limited = "import resource, sys; sys.path.insert(0, sys.argv.pop(1)); import main; "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); sys.exit(main.main(sys.argv[1:]))"
    process = start("-c", limited, PROJECT, *flags(tmp_path, "--train", "--train_num", 3))
    out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert "checkpoint.safetensors cannot be written: " in err
    assert "File too large" in err
    assert step_of(tmp_path) == 0
