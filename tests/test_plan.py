"""--report: runs that do not fit, other selections, notices, and the 2017 column."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT, files, run_folder

from lenet.checkpoint import Checkpoint, Stage
from lenet.config import load
from lenet.dataset import MNIST
from lenet.run import Run
from lenet.settings import Settings
from lenet.study.entry import Entry
from lenet.study.plan import Member
from lenet.training import Training


@pytest.fixture
def trained(workers, data_flags, tmp_path):
    """Train a run of lenet5 for 12 steps; returns its folder."""
    code, _, err = workers["pytorch"].run("--config", "lenet5", "--train", "--train_num", 12, *data_flags)
    assert code == 0, err
    return run_folder(tmp_path, "pytorch")


def all_but_the_lock(folder):
    return {path: content for path, content in files(folder).items() if path.name != "report.lock"}


def test_a_run_that_does_not_fit_is_named_before_anything_is_trained(report, trained, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 2)

    def refused(reason, *more):
        before = all_but_the_lock(tmp_path)
        process = report(*flags, *more)
        out, err = process.communicate()
        assert (process.returncode, out, err.count("\n")) == (2, "", 1)
        assert reason in err
        assert "a report moves no run aside: choose another --log_dir, or move it away yourself" in err
        assert all_but_the_lock(tmp_path) == before

    refused(f"{trained} has 12 steps, more than 5", "--train_num", 5)
    saved, content = Run.at(trained), (trained / "checkpoint.safetensors").read_bytes()
    checkpoint = saved.checkpoint
    settings = checkpoint.settings
    edited = dataclasses.replace(settings.config, architecture=load("lenet").architecture)
    other_data = dataclasses.replace(settings.data, test_sha256="00")
    for other, reason in (
        (dataclasses.replace(settings, config=edited), "conv[0].filters in the config is 32 in it, 6 here"),
        (dataclasses.replace(settings, data=other_data), "data's SHA-256 is "),
        (dataclasses.replace(settings, precision="bfloat16"), "precision is bfloat16 in it, float32 here"),
    ):
        Checkpoint(checkpoint.state, other, (Stage(0, "pytorch", other),)).save(saved.path)
        refused(f"{trained} is another run: {reason}")
    histories = [Stage(0, "keras", settings)], [Stage(0, "pytorch", settings), Stage(6, "keras", settings)]
    for history in (*histories, [Stage(3, "pytorch", settings)]):
        Checkpoint(checkpoint.state, settings, tuple(history)).save(saved.path)
        refused(f"{trained} has another history")
    saved.path.write_bytes(content[:-1])
    refused("checkpoint.safetensors: not a checkpoint, or not a whole one")
    saved.path.write_bytes(content)
    process = report(*flags)
    assert process.communicate()[1] == ""
    assert process.returncode == 0


def test_a_report_of_another_selection_moves_the_one_before_aside(report, trained, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 1)
    assert report(*flags).communicate()[1] == ""
    before = files(tmp_path / "report")
    assert report(*flags).communicate()[1] == ""  # the same selection: in its place
    assert not (tmp_path / "report.1").exists()
    _, err = report(*flags, "--seeds", 2).communicate()
    assert err == f"lenet: notice: the report that was in {tmp_path / 'report'} is in {tmp_path / 'report.1'} now\n"
    assert {path.name for path in (tmp_path / "report.1").iterdir()} == {path.name for path in before}
    assert trained.exists()


def test_notices_of_runs_reach_the_user_and_the_report_loads_no_framework(tmp_path, small_data):
    config = tmp_path / "my | <b>.toml"
    config.write_text('description = "A | <b>."\nconv = [{ filters = 3 }]\ndense = [5]\nbatch_size = 20')
    code = "import sys, lenet; lenet.report(sys.argv[1], steps=3, framework='pytorch', seeds=1, log_dir=sys.argv[2], "
    code += "data_dir=sys.argv[3], precision='bfloat16'); print(*sys.modules)"
    code = "import lenet.machine; lenet.machine.CPU_INFO = lenet.machine.Path('nowhere'); " + code
    flags = [config, tmp_path / "logs", small_data]
    child = {"PYTHONPATH": str(tmp_path)}
    # The processes of the runs import this: their processor has no bfloat16.
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "import lenet.machine; lenet.machine.lacks_bfloat16 = lambda: True\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, flags)],
        cwd=PROJECT,
        env={**os.environ, **child},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    name = run_folder(tmp_path / "logs", "pytorch").parents[1].name
    notice = "this processor has no bfloat16 instructions, so bfloat16 will be slower than float32"
    assert done.stderr == f"lenet: notice: {name} pytorch seed 0: {notice}\n"
    assert not {"torch", "tensorflow", "keras", "jax"} & set(done.stdout.split())
    text = (tmp_path / "logs/report/report.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {name} |"))
    assert row.count("|") == 6 + 1 - 1
    assert "| A &#124; &lt;b&gt;. |" in row


def test_the_2017_column_is_beside_comparable_runs_alone(tmp_path):
    own = load("lenet")
    settings = Settings(own.architecture, own.training, MNIST, "float32", 0, own)
    other = dataclasses.replace(settings, training=Training(batch_size=50))
    results = []
    for each, steps in ((settings, 1000), (settings, 999), (other, 1000)):
        run = Run.of(tmp_path / str(steps), each, "pytorch")
        run.folder.mkdir(parents=True)
        run.write(np.zeros((1, 10)), {"step": steps, "framework": "pytorch"})
        results.append(Entry([Member(each, "pytorch", run)]).reported)
    assert results == [0.9736, None, None]
