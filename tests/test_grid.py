"""A report over any setting: the combinations, the plan, what is kept, and several reports at once."""

import csv
import dataclasses
import itertools
import json
import shutil
import time

import jobs
import pytest
from conftest import notices

from lenet import config as config_file
from lenet.config import load
from lenet.dataset import MNIST
from lenet.errors import UserError
from lenet.flags import several
from lenet.settings import Settings
from lenet.storage.run import Run
from lenet.study import plan as planning
from lenet.study import presence
from lenet.study.groups import dimensions
from lenet.study.plan import Plan
from lenet.study.presence import Presence

GRID = ("--set", "learning_rate=1e-3,1e-2", "--set", "dense=[3],[8, 4]")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-4,3e-4, 1e-3", [1e-4, 3e-4, 1e-3]),
        ("[128],[1024, 64]", [[128], [1024, 64]]),
        ("relu,tanh", ["relu", "tanh"]),
        ("5", [5]),
        ("", [""]),
        ("relu, tanh", ["relu", "tanh"]),
        ("[128", ["[128"]),
        ("[{filters = 2}], [{filters = 3}, {filters = 4}]", [[{"filters": 2}], [{"filters": 3}, {"filters": 4}]]),
    ],
)
def test_a_flag_has_one_value_or_several(text, values):
    assert several(text) == values


def test_a_grid_is_every_combination_each_a_variant_with_its_own_name():
    changes = config_file.grid({"learning_rate": [1e-4, 1e-3], "conv.1.kernel": [5, 7], "activation": ["tanh"]})
    assert len(changes) == 4
    names = {Settings.of(load("lenet"), MNIST, change).variant for change in changes}
    assert names == {  # lenet's own are 1e-4 and 5
        "lenet,activation=tanh",
        "lenet,activation=tanh,learning_rate=0.001",
        "lenet,conv[1].kernel=7,activation=tanh",
        "lenet,conv[1].kernel=7,activation=tanh,learning_rate=0.001",
    }
    assert config_file.grid({}) == [{}]
    assert len(config_file.grid({"conv.1.kernel": [3], "conv[1].kernel": [5]})) == 2
    with pytest.raises(UserError, match="dense: has no value"):
        config_file.grid({"dense": []})


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--set", "learning_rate=1e-3,fast"], "learning_rate: must be a number, not 'fast'"),
        (["--set", "dense=[3],[0]"], "dense[0]: must be positive and finite, not 0"),
        (["--set", "conv[7].kernel=3,5"], "conv[7].kernel: the config has no such key"),
        (["--set", "learning_rate="], "learning_rate: must be a number, not ''"),
        (["--cluster", "tcp://127.0.0.1:1", "--jobs", "2"], "--cluster takes no --jobs"),
        (["--keep", "result"], "did you mean results?"),
    ],
)
def test_a_mistake_in_a_grid_is_named_before_anything_is_trained(flags, complaint, tmp_path):
    where = ["--report", "--train_num", "5", "--config", "lenet5", "--log_dir", str(tmp_path / "logs")]
    code, out, err = jobs.command_line([*where, *flags])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("flag", ["--dry_run", "--keep=results", "--cluster=tcp://127.0.0.1:1"])
def test_flags_of_a_report_go_with_it(flag):
    code, out, err = jobs.command_line(["--train", "--train_num", "5", flag])
    assert (code, out) == (2, "")
    assert f"{flag.partition('=')[0]} needs --report" in err


@pytest.mark.framework
def test_a_report_over_a_grid_compares_every_combination(report, repeats, tmp_path):
    seeds = repeats(1, 2)
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", seeds, "--jobs", 1, *GRID)
    planned = report(*flags, "--dry_run").communicate()[0]
    assert planned.count(" pytorch seed ") == 4 * seeds
    assert f"{4 * seeds} runs of 4 variants; {4 * seeds} are not finished." in planned
    assert "Time, 1 at once: unknown until one run is finished." in planned
    assert not [*tmp_path.glob("lenet5*")]

    process = report(*flags)
    _, err = process.communicate()
    assert (process.returncode, notices(err)) == (0, [])
    with (tmp_path / "report/results.csv").open() as file:
        rows = [*csv.DictReader(file)]
    found = {(row["learning_rate"], row["dense"], row["seed"]) for row in rows}
    expected = {*itertools.product(("0.001", "0.01"), ("[3]", "[8,4]"), "01"[:seeds])}
    assert (len(rows), found) == (4 * seeds, expected)

    text = (tmp_path / "report/report.md").read_text()
    best = text.partition("## The best")[2].partition("\n\n")[2].partition("\n\n")[0].splitlines()[2:]
    accuracies = [float(line.split("|")[3]) for line in best]
    assert (len(best), accuracies) == (4, sorted(accuracies, reverse=True))
    variants = {row["variant"] for row in rows}
    by_variant = {
        name: [float(row["validation_accuracy"]) for row in rows if row["variant"] == name] for name in variants
    }
    assert accuracies[0] == pytest.approx(100 * max(sum(values) / seeds for values in by_variant.values()), abs=0.005)
    (row,) = (line for line in text.partition("## The settings")[2].splitlines() if line.startswith("| 0.01 | 2 |"))
    of_rate = [float(row["validation_accuracy"]) for row in rows if row["learning_rate"] == "0.01"]
    assert float(row.split("|")[3]) == pytest.approx(100 * sum(of_rate) / len(of_rate), abs=0.005)
    drawn = {path.name for path in (tmp_path / "report").glob("response-*.svg")}
    assert drawn == {"response-1.svg"}  # of the learning rate, not of dense

    again = report(*flags, "--dry_run").communicate()[0]
    assert f"{4 * seeds} runs of 4 variants; 0 are not finished." in again


@pytest.mark.framework
def test_with_keep_results_no_checkpoint_stays_and_nothing_is_trained_again(report, data_flags, tmp_path, workers):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 1, "--keep", "results")
    assert report(*flags).wait() == 0
    (folder,) = tmp_path.glob("*/pytorch/seed-0")
    names = {path.name for path in folder.iterdir()}
    assert {"result.json", "predictions.npy", "train", "config.toml"} < names
    assert not {name for name in names if name.endswith(".safetensors")}
    written = (folder / "result.json").stat().st_mtime_ns
    process = report(*flags)
    assert (process.communicate()[1], process.returncode) == ("", 0)
    assert (folder / "result.json").stat().st_mtime_ns == written
    assert "kernels" not in (tmp_path / "report/report.md").read_text()
    assert not (tmp_path / "report/draw.html").exists()

    result = json.loads((folder / "result.json").read_text())
    result["settings"]["seed"] = 7  # another run's
    (folder / "result.json").write_text(json.dumps(result))
    process = report(*flags)
    assert f"{folder} has another run: seed is 7 in the saved run, but 0 is asked for" in process.communicate()[1]
    (folder / "result.json").write_text(json.dumps(result | {"settings": result["settings"] | {"seed": 0}}))
    process = report(*flags, "--train_num", 20)
    assert f"{folder} has 12 steps, and no checkpoint to go on from; use --train_num 12" in process.communicate()[1]
    code, _, err = workers["pytorch"].run("--config", "lenet5", "--train", "--train_num", 2, *data_flags)
    assert (code, err) == (0, f"lenet: notice: the old run in {folder} was renamed to {folder}.1\n")


def test_runs_that_do_not_fit_on_the_disk_are_refused(monkeypatch, tmp_path):
    settings = [Settings.of(load("lenet"), MNIST, seed=seed) for seed in range(10)]
    plan = Plan.of(settings, ["pytorch"], 1000, tmp_path / "logs", save_every=500)
    arrays = 3 * 4 * 3_274_634
    assert 21 * arrays < plan.bytes(1) < 21.2 * arrays  # the last and the best of each, and one that is being written
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda _: usage._replace(free=int(5e8)))
    with pytest.raises(UserError, match=r"the runs take up to 832 MB in .*logs, 500 MB are free; .*--keep results"):
        plan.require_disk(1)
    Plan.of(settings, ["pytorch"], 1000, tmp_path / "logs", save_every=500, keep="results").require_disk(1)


@pytest.mark.framework
def test_the_plan_knows_the_time_and_size_of_runs_by_those_that_are_trained(report, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--save_every", "6")
    report(*flags, "--seeds", 1).communicate()
    (folder,) = tmp_path.glob("*/pytorch/seed-0")
    result = json.loads((folder / "result.json").read_text())
    text = report(*flags, "--seeds", 3, "--dry_run", "--jobs", 1).communicate()[0]
    assert "seed 0: done" in text
    assert "seed 2: 0 of 12 steps" in text
    seconds = 2 * (result["seconds"] + result["evaluation_seconds"] + planning.START_SECONDS)
    assert f"Time, 1 at once: about {planning.duration(seconds)}, " in text
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    settings = Run.at(folder).checkpoint.settings
    settings = dataclasses.replace(settings, seed=9)
    plan = Plan.of([settings], ["pytorch"], 12, tmp_path, save_every=6, test_images=300)
    assert size / 2 < plan.bytes(1) < 3 * size  # one more while it is written


@pytest.mark.framework
def test_two_reports_at_once_share_the_work(report, tmp_path):
    flags = ("--config", "lenet5", "--framework", "pytorch", "--seeds", 2, "--jobs", 1, "--train_num", 200)
    both = [report(*flags) for _ in range(2)]
    errs = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert not any("Traceback" in err for err in errs)
    assert (tmp_path / "report/report.html").exists()
    runs = sorted(tmp_path.glob("*/pytorch/seed-*"))
    assert [path.name for path in runs if path.is_dir()] == [f"seed-{i}" for i in range(2)]
    for run in map(Run.at, (path for path in runs if path.is_dir())):
        assert (run.checkpoint.state.step, len(run.checkpoint.history)) == (200, 1)
        assert run.curves["train"]["accuracy"].steps.tolist() == list(range(1, 201))


def test_where_the_lock_of_another_machine_is_not_seen_a_report_stops(monkeypatch, tmp_path):
    monkeypatch.setattr(presence, "BEAT_SECONDS", 0.05)

    def both():
        with Presence(tmp_path) as one, Presence(tmp_path) as other:
            time.sleep(0.5)
            one.require_locks()
            other.require_locks()

    path = tmp_path / "study.lock"
    path.write_text("elsewhere")  # by a process that was killed
    both()
    assert path.read_text() == ""
    monkeypatch.setattr(presence, "is_locked", lambda _: False)
    monkeypatch.setattr(presence, "lock", lambda path: path.open("a+"))
    names = iter(("here", "there"))
    monkeypatch.setattr(presence.platform, "node", lambda: next(names))
    with pytest.raises(UserError, match=r"another report works in .* on \w*here .*, and its lock is not seen here"):
        both()


def test_a_dimension_groups_the_configs_by_a_settings_value():
    class Stub:
        def __init__(self, config, rate, validation):
            self.validation_accuracy, self.values = validation, {"config": config, "learning_rate": rate}
            self.settings = type("Settings", (), {"config": type("Config", (), {"name": config})})

        def value(self, key):
            return self.values.get(key)

    entries = [Stub("a", 1e-3, 90.0), Stub("a", 1e-4, 80.0), Stub("b", 1e-3, 70.0), Stub("b", 1e-4, 75.0)]
    by_config, by_rate = dimensions(entries, ["learning_rate", "dense"])
    assert (by_config.key, by_rate.key, [*by_rate.groups]) == ("config", "learning_rate", [1e-4, 1e-3])
    assert (by_config.is_numeric, by_rate.is_numeric) == (False, True)
    assert by_rate.lines == {"a": {1e-4: 80.0, 1e-3: 90.0}, "b": {1e-4: 75.0, 1e-3: 70.0}}
    assert by_rate.best(1e-4) is entries[1]
    assert dimensions(entries, []) == []
