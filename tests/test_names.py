"""Names of classes come from strangers: nothing in them reaches a terminal, a page or a picture as more than text."""

import ast
import json
import re

import browser
import numpy as np
import pytest
from conftest import run_folder
from PIL import Image

import lenet
from lenet.data import load

NAMES = ["<script>alert(1)<", "\x1b[31mred", "=1+1", "a\nb", '$x$ & "y"', "{0} %s", "\u65e5\u672c", "x" * 200]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, generator = tmp_path_factory.mktemp("named") / "mine", np.random.default_rng(0)
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(generator.integers(0, 256, (9, 9), np.uint8)).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def shown(pictures, tmp_path_factory, workers):
    """Train, predict, describe, export and report by the command line; returns the log folder and what was printed."""
    logs = tmp_path_factory.mktemp("logs")
    common = ["--config", "lenet5", "--set", "conv.1.padding=same", "--log_dir", logs]
    common += ["--data", pictures, "--batch_size", "20"]
    printed = {}
    actions = {
        "report": ["--report", "--train_num", "3", "--seeds", "1"],
        "predict": ["--predict", pictures],
        "describe": ["--describe"],
        "page": ["--export", logs / "page.html"],
        "onnx": ["--export", logs / "model.onnx"],
    }
    for name, flags in actions.items():
        code, out, err = workers["pytorch"].run(*flags, *common)
        assert code == 0, err
        printed[name] = out + err
    return logs, printed


def test_a_terminal_shows_them_in_one_line(shown, pictures):
    logs, printed = shown
    for text in printed.values():
        assert "\x1b" not in text
    lines = printed["predict"].splitlines()
    assert len(lines) == 20 * len(NAMES) + 1
    for line in lines[:-1]:
        assert re.search(r": (.+) \(\d+\.\d %\), then .+ \(\d+\.\d %\), .+ \(\d+\.\d %\)$", line)
    assert r"\x1b[31mred" in printed["describe"]
    assert r"a\nb" in printed["describe"]
    assert sum(line.startswith("  <script>") for line in printed["describe"].splitlines()) == 1
    settings = lenet.load(run_folder(logs, "pytorch")).checkpoint.settings
    assert sorted(settings.data.classes) == sorted(NAMES)
    assert settings.data == load(pictures).info


def test_a_page_shows_them_as_text(shown):
    logs, _ = shown
    for path in (logs / "page.html", logs / "report/draw.html", logs / "report/report.html"):
        assert "<script>alert" not in path.read_text()
    model = re.search(r'id="model">(.*?)</script>', (logs / "page.html").read_text(), re.DOTALL)[1]
    assert sorted(json.loads(model)["classes"]) == sorted(NAMES)


def test_a_browser_shows_them_as_text(shown, request):
    if not request.config.getoption("torture"):
        pytest.skip("in make torture")
    logs, _ = shown
    with browser.opened(logs / "page.html", width=390) as page:
        names = page.evaluate("[...document.querySelectorAll('#bars .name')].map(each => each.textContent)")
        assert sorted(names) == sorted(NAMES)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.complaints() == []


def test_printed_lines_are_python_with_the_names(shown):
    _, printed = shown
    (line,) = [line for line in printed["onnx"].splitlines() if line.startswith("classes = ")]
    assert sorted(ast.literal_eval(line.removeprefix("classes = "))) == sorted(NAMES)
    compile(printed["onnx"], "lines", "exec")
