"""The report of complete runs: its table, its words, and how it names mistakes. No framework is needed."""

import csv
import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from conftest import write_curves
from scipy import stats

from lenet import config, dataset
from lenet.architecture import Architecture, Conv
from lenet.data import load as read_data
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.curves import Curve, EventWriter
from lenet.storage.run import PARTS, Run
from lenet.study import chart, comparison, drawings, figures, report, study
from lenet.study.entry import REPORTED_STEPS
from lenet.study.plan import Plan
from lenet.study.work import Local

SMALL = Architecture((Conv(filters=2),), ())


@pytest.fixture(scope="module")
def data():
    return read_data()


def settings_of(name, seed=0, **more):
    """A small architecture under a name, and the data MNIST."""
    own = config.Config(name, SMALL, config.load("lenet").training, **more)
    return Settings(own.architecture, own.training, dataset.MNIST, "float32", seed, own)


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """The arguments of each picture, in place of the picture: to draw takes seconds."""
    drawn = {}

    def render(_, draw, *arguments):
        drawn[draw] = arguments
        return "<svg></svg>"

    monkeypatch.setattr(figures, "render", render)
    return drawn


@pytest.fixture
def make(data, tmp_path):
    """Write complete runs as training leaves them, and their report; returns its Markdown."""

    def make(*settings, frameworks=("pytorch",), steps=12, log_dir=tmp_path, gap=0.0, accuracies=(0.5,), **more):
        for (i, framework), (n, each) in itertools.product(enumerate(frameworks), enumerate(settings)):
            run = Run.of(log_dir, each, framework)
            run.folder.mkdir(parents=True, exist_ok=True)
            start = Checkpoint.initial(each)
            start.advanced(dataclasses.replace(start.state, step=steps), framework).save(run.path)
            for part in PARTS:
                write_curves(run.folder / part, 1, [2.0 + gap * i] * steps, np.resize(accuracies, steps))
            result = {"step": steps, "seed": each.seed, "framework": framework, "engine": framework}
            result |= {"test_accuracy": 0.9 - 0.1 * gap * i, "test_cross_entropy": 0.5 + gap * i}
            result |= {
                "images_per_second": 1000,
                "device": "cpu",
                "threads": 1,
                "precision": "float32",
                "processor": "a processor",
            }
            differing = {key: values[i if len(values) == len(frameworks) else n] for key, values in more.items()}
            run.write(np.full((10_000, 10), 0.1), result | {"versions": {}} | differing)
        plan = Plan.of(settings, frameworks, steps, log_dir)
        done = study.train_and_report(plan, Local(1), data, {}, ["main.py", "--data_dir", "a b"])
        assert (done.page, done.errors) == (log_dir / "report/report.html", {})
        return (log_dir / "report/report.md").read_text()

    return make


def rows(text, heading="Results"):
    """The cells of the table under a heading."""
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_the_rows_are_in_the_order_of_the_2017_report(make):
    accuracies = {"b": None, "worse": 0.9, "a": None, "best": 0.95, "as_bad": 0.9}
    text = make(*(settings_of(name, reported_accuracy=value) for name, value in accuracies.items()))
    names = [row[0].partition("]")[0] for row in rows(text)[2:]]
    assert names == ["[best", "[as_bad", "[worse", "[a", "[b"]
    assert "2017" not in text  # after 12 steps


def test_the_2017_column_is_beside_comparable_runs_alone(make, drawn):
    lenet, other = settings_of("lenet", reported_accuracy=0.9736), settings_of("mine")
    slower = dataclasses.replace(lenet, training=dataclasses.replace(lenet.training, learning_rate=1e-5))
    wider = dataclasses.replace(lenet, architecture=Architecture((Conv(filters=3),), ()))
    double = dataclasses.replace(lenet, precision="float64")
    data = dataclasses.replace(lenet, data=dataclasses.replace(dataset.MNIST, name="other~123456", test_sha256="00"))
    heading, _, *table = rows(make(lenet, slower, wider, double, data, other, steps=REPORTED_STEPS))
    column = heading.index("2017 report, %")
    assert {row[0].partition("]")[0]: row[column] for row in table if row[column]} == {"[lenet": "97.36"}
    assert (len(table), drawn[figures.overview][2]) == (6, {"lenet": 97.36})


def test_text_of_the_user_is_read_as_it_is(make, tmp_path):
    description = "- A | <b>\n\n# *x* _y_ [z](z) `q` \\| snake_case"
    make(settings_of("_m_", description=description))
    page = (tmp_path / "report/report.html").read_text()
    headings = ["<h1>LeNet on MNIST</h1>", "<h2>Results</h2>", "<h2>Frameworks</h2>", "<h2>&#95;m&#95;</h2>"]
    assert re.findall(r"<h1>.*|<h2>.*", page) == [*headings, "<h2>How it was made</h2>"]
    plain = "- A | &lt;b&gt; # *x* _y_ [z](z) `q` \\| snake_case"
    entities = {"&#124;": "|", "&#42;": "*", "&#95;": "_", "&#91;": "[", "&#93;": "]", "&#96;": "`", "&#92;": "\\"}
    for entity, character in entities.items():
        page = page.replace(entity, character)
    assert f"<p>{plain}</p>" in page
    assert "<code>main.py --data_dir 'a b'\n</code>" in page.replace("&#39;", "'")


def test_the_report_says_where_runs_differ(make, tmp_path):
    frameworks, engine = ("keras", "pytorch"), ("torch", "pytorch")
    text = make(settings_of("x"), frameworks=frameworks, engine=engine, gap=0.25)
    assert "differ by at most 0.25" in text
    assert "computed by keras on torch, pytorch on\ncpu in float32; threads a run: 1;" in text
    assert "The runs differ" not in text
    assert rows(text, "Frameworks")[2][1:] == ["1,000", "1,000", "2.50", "0.25"]
    more = {"engine": engine, "device": ("cpu", "gpu"), "threads": (2, 4)}
    text = make(settings_of("x"), frameworks=frameworks, log_dir=tmp_path / "other", **more)
    assert "computed by keras on torch, pytorch on\ncpu, gpu in float32; threads a run: 2, 4;" in text
    assert "The runs differ in device and threads, so they round differently, and training amplifies that." in text


def test_a_framework_on_two_engines_is_named():
    results = [{"framework": "keras", "engine": engine, "device": "cpu", "threads": 1} for engine in ("jax", "torch")]
    assert report._differing(results) == ["engine"]
    assert report._differing(results[:1]) == []


def test_what_is_asked_for_twice_is_one_run(make):
    (row,) = rows(make(settings_of("x"), settings_of("x"), frameworks=("pytorch", "pytorch")))[2:]
    assert row[-1] == "90.00"


def test_a_damaged_selection_is_another(make, tmp_path, capsys):
    make(settings_of("x"))
    selection = tmp_path / "report/selection.json"
    content = selection.read_text()
    assert json.loads(content) == ["x pytorch seed 0, 12 steps"]
    selection.write_text("{")
    make(settings_of("x"))
    assert selection.read_text() == content
    assert (tmp_path / "report.1/selection.json").read_text() == "{"
    moved = f"lenet: notice: the old report in {tmp_path / 'report'} was renamed to {tmp_path / 'report.1'}\n"
    assert capsys.readouterr().err == moved


def test_a_run_without_curves_has_no_charts(make, monkeypatch, drawn):
    monkeypatch.setattr(EventWriter, "write", lambda *_: None)
    text = make(settings_of("x"))
    assert figures.curves not in drawn
    assert drawings.kernels in drawn
    assert "over the steps" not in text


def test_a_window_is_centred_so_training_and_validation_of_equal_accuracy_look_equal():
    every, tenth = (np.arange(start, 301, start) for start in (1, 10))
    learned = lambda steps: 1 - np.exp(-steps / 60)  # noqa: E731 - at step 30 it rises by 1 point a step
    train, validation = (chart.smooth(Curve(steps, learned(steps))) for steps in (every, tenth))
    assert np.abs(train[9::10] - validation).max() < 0.01
    assert np.abs(train - learned(every)).max() < 0.02  # which a mean of earlier steps misses by 20 points
    assert chart.smooth(Curve(every, 2.0 + 3 * every)) == pytest.approx(2.0 + 3 * every)


def test_the_overview_shows_the_2017_report(monkeypatch):
    monkeypatch.undo()  # draw
    accuracies = {"a": [97.0, 98.0], "b": [96.0]}
    means = {name: comparison.Mean.of(values) for name, values in accuracies.items()}
    with_report, without = (
        figures.render((6, 2), figures.overview, accuracies, means, reported) for reported in ({"a": 97.36}, {})
    )
    assert ("the 2017 report" in with_report, "the 2017 report" in without) == (True, False)
    assert "prefers-color-scheme: dark" in without
    assert not re.search("#1f2328;|#0072b2[^;]*\\}", without.partition("</style>")[2])


# Worked by hand. The differences of the seeds are -1, -2 and -3 points: mean -2, deviation 1, t = -2 / (1 / sqrt(3)) =
# -3.4641 with 2 degrees of freedom, of which p is 1 - t / sqrt(2 + t * t) = 1 - 3.4641 / 3.7417 = 0.07418; the 95 %
# quantile of t is 4.30265, so half of the interval is 4.30265 / sqrt(3) = 2.48414.
def test_a_difference_is_paired_by_seed_with_the_interval_and_p_of_student():
    baseline = {0: 97.0, 1: 98.0, 2: 99.0}
    (found,) = comparison.against(baseline, [{2: 96.0, 0: 96.0, 1: 96.0, 7: 1.0}])
    assert (found.mean.value, found.mean.count) == (-2, 3)
    assert found.mean.margin == pytest.approx(2.48414, abs=1e-5)
    assert found.p == pytest.approx(0.07418, abs=1e-5)
    assert not found.is_shown


# Holm (1979): of 0.01, 0.04, 0.03 the smallest times 3, the next times 2, the last times 1 but not below the next.
def test_holm_corrects_p_values():
    assert comparison.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert comparison.holm([0.5, 0.9]) == [1.0, 1.0]
    assert comparison.holm([]) == []


def test_intervals_and_p_are_those_of_scipys_own_test():
    differences = np.random.default_rng(0).normal(0.3, 1, 5)
    wanted = stats.ttest_1samp(differences, 0)
    (found,) = comparison.against(dict.fromkeys(range(5), 0.0), [dict(enumerate(differences))])
    interval = (found.mean.value - found.mean.margin, found.mean.value + found.mean.margin)
    assert interval == pytest.approx(wanted.confidence_interval(), rel=1e-12)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-12)


def test_one_seed_shows_no_difference():
    (found,) = comparison.against({0: 97.0}, [{0: 90.0}])
    assert (found.mean.margin, found.p, found.is_shown) == (None, None, False)


def test_seeds_that_do_not_vary_have_no_interval_and_are_not_tested(make):
    assert comparison.Mean.of([90.0, 90.0]).margin is None
    text = make(*(settings_of(name, seed) for seed in range(2) for name in ("lenet", "other")))
    assert {row[3] for row in rows(text)[2:]} == {"90.00"}
    assert " Not tested, because their seeds do not vary: other." in text
    assert "other has as many parameters as lenet. An image takes as long to train on. It predicts 90.00 %" in text


def test_the_training_accuracy_at_the_end_is_that_of_the_last_steps(make):
    text = make(settings_of("x"), accuracies=[0.0] * 6 + [1.0] * 6, validation_accuracy=(0.9,))
    assert "The mean training accuracy of the last 12 steps is 40.0 points below the accuracy" in text


def test_frameworks_with_the_same_seed_are_one_measurement():
    results = [{"seed": seed, "x": value} for seed, value in ((0, 1.0), (0, 1.5), (1, 3.0))]
    assert comparison.by_seed(results, "x") == {0: 1.25, 1: 3.0}
    assert comparison.largest_gap(results, "x") == 0.5
    assert comparison.largest_gap(results[1:], "x") is None


def test_the_conclusion_claims_no_more_than_the_test(make):
    accuracies = {"lenet": (0.97, 0.98, 0.99), "worse": (0.90, 0.911, 0.919), "alike": (0.97, 0.981, 0.989)}
    every = [settings_of(name, seed) for seed in range(3) for name in accuracies]
    text = make(*every, test_accuracy=[accuracies[each.variant][each.seed] for each in every], frameworks=("pytorch",))
    (said,) = (line for line in text.splitlines() if "At the 5 %" in line)
    assert said.endswith(
        "At the 5 % level, after Holm's correction for 2 comparisons: less accurate than lenet: worse; "
        "no difference shown: alike."
    )


def test_every_run_is_a_row_of_the_results(make, tmp_path):
    make(settings_of("x"), settings_of("x", 1))
    rows = json.loads((tmp_path / "report/results.json").read_text())
    with (tmp_path / "report/results.csv").open() as file:
        of_csv = [*csv.DictReader(file)]
    assert [(row["seed"], row["test_accuracy"]) for row in rows] == [(0, 0.9), (1, 0.9)]
    assert [(row["seed"], row["test_accuracy"]) for row in of_csv] == [("0", "0.9"), ("1", "0.9")]
    assert rows[0].keys() >= settings_of("x").values.keys()
