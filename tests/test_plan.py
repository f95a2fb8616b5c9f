"""--report: runs that do not fit, other selections, notices, and the settings of each process."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys

import jobs
import pytest
from conftest import PROJECT, files, notices, run_folder

from lenet.config import load
from lenet.data import load as read_data
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint, Stage
from lenet.storage.run import Run
from lenet.study import study
from lenet.study.plan import Plan
from lenet.study.work import Local
from lenet.training import Training

LOCKS = {"report.lock", "study.lock"}


def all_but_the_lock(folder):
    return {path: content for path, content in files(folder).items() if path.name not in LOCKS}


@pytest.fixture
def refused(data_flags, tmp_path):
    """Ask for a report of lenet5 that must be refused for this reason, with nothing trained and nothing moved."""

    def check(reason, *more):
        before = files(tmp_path)
        flags = ["--report", "--train_num", 12, *data_flags, "--config", "lenet5", "--framework", "pytorch"]
        code, out, err = jobs.command_line([*map(str, flags), "--seeds", "2", *map(str, more)])
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert reason in err
        assert "choose another --log_dir, or move that run elsewhere" in err
        after = files(tmp_path)
        assert {path: after[path] for path in before} == before
        assert {path.name for path in after.keys() - before.keys()} <= LOCKS

    return check


def test_a_run_that_does_not_fit_is_named_before_anything_is_trained(refused, report, trained_run, tmp_path):
    (tmp_path / "report").mkdir()  # of another selection
    refused(f"{trained_run} already has 12 steps; use --train_num 12, not 5; ", "--train_num", 5)
    saved, content = Run.at(trained_run), (trained_run / "checkpoint.safetensors").read_bytes()
    checkpoint = saved.checkpoint
    settings = checkpoint.settings
    edited = dataclasses.replace(settings.config, architecture=load("lenet").architecture)
    other_data = dataclasses.replace(settings.data, test_sha256="00")
    for other, reason in (
        (
            dataclasses.replace(settings, config=edited),
            "conv[0].filters in the config is 32 in the saved run, but 6 is asked for",
        ),
        (dataclasses.replace(settings, data=other_data), "data's SHA-256 is "),
        (
            dataclasses.replace(settings, precision="bfloat16"),
            "precision is bfloat16 in the saved run, but float32 is asked for",
        ),
    ):
        Checkpoint(checkpoint.state, other, (Stage(0, "pytorch", other),)).save(saved.path)
        refused(f"{trained_run} has another run: {reason}")
    histories = [Stage(0, "keras", settings)], [Stage(0, "pytorch", settings), Stage(6, "keras", settings)]
    for history in (*histories, [Stage(3, "pytorch", settings)]):
        Checkpoint(checkpoint.state, settings, tuple(history)).save(saved.path)
        refused(f"a part of the run in {trained_run} was trained with other settings or another framework")
    saved.path.write_bytes(content[:-1])
    refused("checkpoint.safetensors: not a checkpoint, or an incomplete one")
    second = shutil.copytree(trained_run, trained_run.with_name("seed-1"))
    refused(" (and 1 more like it); ")
    saved.path.write_bytes(content)
    refused(f"{second / 'checkpoint.safetensors'}: not a checkpoint, or an incomplete one")
    (second / "checkpoint.safetensors").write_bytes(content)
    refused(f"{second} has another run: seed is 0 in the saved run, but 1 is asked for; ")
    shutil.rmtree(second)
    process = report("--config", "lenet5", "--framework", "pytorch", "--seeds", 2)
    _, err = process.communicate()
    assert notices(err) == [f"lenet: notice: the old report in {tmp_path}/report was renamed to {tmp_path}/report.1"]
    assert process.returncode == 0


def test_a_report_of_another_selection_moves_the_one_before_aside(report, trained_run, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)
    assert report(*flags).communicate()[1] == ""
    before = files(tmp_path / "report")
    assert report(*flags).communicate()[1] == ""  # the same selection: in its place
    assert not (tmp_path / "report.1").exists()
    _, err = report(*flags, "--seeds", 2).communicate()
    assert notices(err) == [f"lenet: notice: the old report in {tmp_path}/report was renamed to {tmp_path}/report.1"]
    assert {path.name for path in (tmp_path / "report.1").iterdir()} == {path.name for path in before}
    assert trained_run.exists()


@pytest.mark.framework
def test_notices_of_runs_reach_the_user_and_the_report_loads_no_framework(tmp_path, small_data):
    """The config is given by path, with a changed key."""
    config, log_dir = tmp_path / "my net.toml", tmp_path / "logs"
    config.write_text("conv = [{ filters = 3 }]\ndense = [5]\nbatch_size = 20")
    # The processes of the runs import this first: their processor has no bfloat16.
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "import lenet.system.machine; lenet.system.machine.lacks_bfloat16 = lambda: True\n"
    )
    (tmp_path / "torch.py").write_text("raise SystemExit('a module of the current folder')")
    code = "import sys, lenet; lenet.report(sys.argv[1], steps=int(sys.argv[4]), framework='pytorch', seeds=1, "
    code += "log_dir=sys.argv[2], data=sys.argv[3], precision='bfloat16', device='cpu', "
    code += "grid={'conv[0].kernel': [3]}); "
    code += "print(*sys.modules)"

    def report(steps):
        words = [sys.executable, "-P", "-c", code, *map(str, (config, log_dir, small_data, steps))]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not {"torch", "tensorflow", "keras", "jax"} & set(done.stdout.split())
        return done.stderr

    err = report(3)
    run = Run.at(run_folder(log_dir, "pytorch"))
    name = run.folder.parents[1].name
    assert re.fullmatch(r"my_net~\w{6},conv\[0\].kernel=3,data=small_data0~\w{6},precision=bfloat16", name)
    notice = "this processor has no bfloat16 instructions, so bfloat16 will be slower than float32"
    assert notices(err) == [f"lenet: notice: {name} pytorch seed 0: {notice}"]
    assert run.checkpoint.settings.variant == name
    assert run.checkpoint.settings.architecture.conv[0].kernel == 3
    trained = run.path.stat().st_mtime_ns
    assert report(3) == ""
    assert run.path.stat().st_mtime_ns == trained


@pytest.mark.framework
def test_a_run_needs_no_file_of_its_config(small_data, tmp_path, capsys):
    config = tmp_path / "mine.toml"
    config.write_text("conv = [{ filters = 3 }]\ndense = [5]\nbatch_size = 20")
    data, own = read_data(small_data), load(config)
    settings = Settings.of(own, data.info)
    config.unlink()
    flags = {"data": str(small_data), "device": "cpu", "threads": 1, "save_every": 500, "log": "all"}
    flags |= {"log_dir": str(tmp_path), "keep": "all", "keras_engine": "tensorflow", "command": ["make"]}
    done = study.train_and_report(Plan.of([settings], ["pytorch"], 3, tmp_path), Local(1), data, flags, ["make"])
    run = Run.of(tmp_path, settings, "pytorch")
    assert done[:2] == (tmp_path / "report/report.html", {})
    assert (run.checkpoint.settings, run.checkpoint.state.step) == (settings, 3)
    greedy = dataclasses.replace(settings, training=Training(batch_size=500))
    done = study.train_and_report(Plan.of([greedy], ["pytorch"], 3, tmp_path), Local(1), data, flags, [])
    error = "batch size 500: only 200 training images are left after 22 are held out; "
    error += "choose a smaller --batch_size"
    assert done[:2] == (None, {Run.of(tmp_path, greedy, "pytorch"): error})
    assert capsys.readouterr().err.endswith(f"\nlenet: notice: {greedy.variant} pytorch seed 0 failed: {error}\n")
