"""README.md and docs/: every command runs, every link leads somewhere, and the sentences are short."""

import os
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

import main
from docs import make

README = (PROJECT / "README.md").read_text()
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
LINES = [line.partition("  #")[0].strip() for line in README.splitlines()]
COMMANDS = [*dict.fromkeys(line for line in LINES if line.startswith("python main.py"))]
WORDS_A_SENTENCE = 16


def sentences(text):
    """The sentences of the paragraphs and lists: code, tables, headings and pictures have none."""
    text = re.sub(r"<!--.*?-->|```.*?```|<picture>.*?</picture>", "", text, flags=re.DOTALL)
    text = re.sub(r"^(#|\||    |<).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^([-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?:])\s+", " ".join(paragraph.split())):
            if words := [word for word in sentence.split() if re.search(r"\w", word)]:
                yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sentences_are_short(page):
    lengths = [len(words) for words in sentences(page.read_text())]
    assert np.mean(lengths) <= WORDS_A_SENTENCE


def test_sentences_are_counted():
    text = "# A title\n\nOne two. Three\nfour [five six](page.md)!\n\n- seven: eight\n\n    code\n\n| table |\n"
    assert [len(words) for words in sentences(text)] == [2, 4, 1, 1]


def test_the_readme_is_short_and_begins_with_a_picture():
    lines = README.splitlines()
    assert len(lines) <= 120
    assert any("<img" in line for line in lines[:7])
    assert not [line for line in lines if line.startswith("    ") and len(line) > 4 + 88]
    for page in PAGES:
        commands = [line for line in page.read_text().splitlines() if line.startswith("    python main.py")]
        assert max(map(len, commands), default=0) <= 4 + 88, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)|(?:src|srcset)=\"([^\"]+)\"", text):
        path, _, anchor = "".join(target).partition("#")
        if path.startswith("https://"):
            continue
        to = page.parent / path if path else page
        assert to.exists(), f"{page.name} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", to.read_text(), re.MULTILINE)
            assert anchor in map(make.anchor, headings)


def test_what_is_made_from_the_program_is_up_to_date():
    for path, content in make.make().items():
        assert path.read_text() == content, f"{path.name}: python -m docs.make"


def test_every_command_of_the_pages_is_one():
    for page in PAGES:
        lines = page.read_text().replace("\\\n", " ").splitlines()
        commands = [line.partition(" #")[0] for line in lines if line.startswith("    python main.py ")]
        for command in commands:
            if not {"$ADDRESS", "FILE", "CONFIG", "FRAMEWORK", "--help"} & {*command.split()}:
                main.flag_parser().parse(shlex.split(command)[2:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with main.py, and what the commands of the README name."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "main.py").symlink_to(PROJECT / "main.py")
    generator = np.random.default_rng(0)
    for name in ("my_digits", "my_pictures/cat", "my_pictures/dog"):
        (folder / name).mkdir(parents=True)
        for i in range(80):
            pixels = np.full((28, 28), 255, np.uint8)
            pixels[6:22, 8 + i % 6 : 12 + i % 6] = generator.integers(0, 60)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    Image.open(folder / "my_digits/0.png").save(folder / "photo.jpg")
    return folder


# In the order of the README: one goes on from what another leaves.
@pytest.mark.framework
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_runs(command, folder):
    words = shlex.split(command.replace("--train_num 1000", "--train_num 20"))[1:]
    words += ["--train_num", "20"] if "fast" in words else []
    words += ["--config", "lenet5", "--framework", "pytorch", "--seeds", "1"] if "--report" in words else []
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, *words], cwd=folder, env=environment, **pipes) as process:
        out = process.stdout.readline()
        if "--tensorboard" in words:  # it is up
            process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert out, err
    assert process.returncode == (130 if "--tensorboard" in words else 0), err
