"""The report of complete runs: its table, its words, and how it names mistakes. No framework is needed."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest

from lenet import config, dataset
from lenet.architecture import Architecture, Conv
from lenet.data import load as read_data
from lenet.errors import UserError
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.curves import CurveWriter
from lenet.storage.run import PARTS, Run
from lenet.study import figures, report
from lenet.study.entry import REPORTED_STEPS

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
        return dict.fromkeys(figures.THEMES, b"\x89PNG")

    monkeypatch.setattr(figures, "render", render)
    return drawn


@pytest.fixture
def make(data, tmp_path):
    """Write complete runs as training leaves them, and their report; returns its Markdown."""

    def make(*settings, frameworks=("pytorch",), steps=12, log_dir=tmp_path, gap=0.0, **more):
        for (i, framework), each in itertools.product(enumerate(frameworks), settings):
            run = Run.of(log_dir, each, framework)
            run.folder.mkdir(parents=True, exist_ok=True)
            start = Checkpoint.initial(each)
            start.advanced(dataclasses.replace(start.state, step=steps), framework).save(run.path)
            for part in PARTS:
                with CurveWriter(run.folder / part, 1) as curve:
                    curve.write(1, [2.0 + gap * i] * steps, [0.5] * steps)
            result = {"step": steps, "framework": framework, "engine": framework, "test_accuracy": 0.9}
            result |= {"images_per_second": 1000, "device": "cpu", "threads": 1, "precision": "float32"}
            run.write(np.full((10_000, 10), 0.1), result | {"versions": {}} | {k: v[i] for k, v in more.items()})
        done = report.make(settings, frameworks, steps, log_dir, data, 1, {}, ["main.py", "--data_dir", "a b"])
        assert (done.page, done.errors) == (log_dir / "report/report.html", {})
        return (log_dir / "report/report.md").read_text()

    return make


def rows(text):
    """The cells of the table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
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
    column = heading.index("2017 report")
    assert {row[0].partition("]")[0]: row[column] for row in table if row[column]} == {"[lenet": "97.36 %"}
    assert (len(table), drawn[figures.overview][1]) == (6, {"lenet": 97.36})


def test_text_of_the_user_is_read_as_it_is(make, tmp_path):
    description = "- A | <b>\n\n# *x* _y_ [z](z) `q` \\| snake_case"
    text = make(settings_of("_m_", description=description))
    assert len(rows(text)[2]) == 5
    page = (tmp_path / "report/report.html").read_text()
    headings = ["<h1>LeNet on MNIST</h1>", "<h2>&#95;m&#95;</h2>", "<h2>How it was made</h2>"]
    assert re.findall(r"<h1>.*|<h2>.*", page) == headings
    plain = "- A | &lt;b&gt; # *x* _y_ [z](z) `q` \\| snake_case"
    entities = {"&#124;": "|", "&#42;": "*", "&#95;": "_", "&#91;": "[", "&#93;": "]", "&#96;": "`", "&#92;": "\\"}
    for entity, character in entities.items():
        page = page.replace(entity, character)
    assert f"<td>{plain}</td>" in page
    assert f"<p>{plain}</p>" in page
    assert "<code>main.py --data_dir 'a b'\n</code>" in page.replace("&#39;", "'")


def test_the_report_says_where_runs_differ(make, tmp_path):
    frameworks, engine = ("keras", "pytorch"), ("torch", "pytorch")
    text = make(settings_of("x"), frameworks=frameworks, engine=engine, gap=0.25)
    assert "nowhere more than 0.25 apart" in text
    assert "computed by keras on torch, pytorch on cpu in float32; threads a run: 1;" in text
    assert "The runs differ" not in text
    more = {"engine": engine, "device": ("cpu", "gpu"), "threads": (2, 4)}
    text = make(settings_of("x"), frameworks=frameworks, log_dir=tmp_path / "other", **more)
    assert "computed by keras on torch, pytorch on cpu, gpu in float32; threads a run: 2, 4;" in text
    assert "The runs differ in device and threads, which changes the last digits of their numbers." in text


def test_a_framework_on_two_engines_is_named():
    results = [{"framework": "keras", "engine": engine, "device": "cpu", "threads": 1} for engine in ("jax", "torch")]
    assert report._differing(results) == ["engine"]
    assert report._differing(results[:1]) == []


def test_what_is_asked_for_twice_is_one_run(make):
    (row,) = rows(make(settings_of("x"), settings_of("x"), frameworks=("pytorch", "pytorch")))[2:]
    assert row[-1] == "90.00 %<br>1,000 images/s<br>1.2 s"


def test_a_damaged_selection_is_another(make, tmp_path, capsys):
    make(settings_of("x"))
    selection = tmp_path / "report/selection.json"
    content = selection.read_text()
    assert json.loads(content) == {"steps": 12, "runs": ["x pytorch seed 0"]}
    selection.write_text("{")
    make(settings_of("x"))
    assert selection.read_text() == content
    assert (tmp_path / "report.1/selection.json").read_text() == "{"
    moved = f"lenet: notice: the report that was in {tmp_path / 'report'} is in {tmp_path / 'report.1'} now\n"
    assert capsys.readouterr().err == moved


def test_a_run_without_curves_is_named(make, tmp_path, monkeypatch):
    monkeypatch.setattr(CurveWriter, "write", lambda *_: None)
    with pytest.raises(UserError, match=r"seed-0 has no curves any more; move it away to train it again") as raised:
        make(settings_of("x"))
    assert raised.value.exit_code == 1
    assert not (tmp_path / "report/report.html").exists()


def test_the_overview_shows_the_2017_report(monkeypatch):
    monkeypatch.undo()  # draw
    pictures = [
        figures.render((6, 2), figures.overview, {"a": {"pytorch": [97.0, 98.0]}, "b": {"keras": [96.0]}}, reported)
        for reported in ({"a": 97.36}, {})
    ]
    assert all(picture.keys() == {"light", "dark"} for picture in pictures)
    assert pictures[0]["light"] != pictures[1]["light"]
