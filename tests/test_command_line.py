"""What a user types and reads: help, mistakes, and what a run leaves behind."""

import re
import subprocess
import sys

import jobs
import numpy as np
import pytest
from conftest import PACKAGES, PROJECT, files
from PIL import Image

import lenet
import main
from backends import FRAMEWORKS
from lenet.config import load
from lenet.data import load as read_data
from lenet.dataset import MNIST
from lenet.settings import Settings


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=PROJECT, capture_output=True, text=True)


def test_help_names_every_flag_and_imports_no_framework():
    code = (
        "import sys, main\n"
        "try: main.main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        f"print(sorted({PACKAGES | {'numpy', 'tensorboard', 'safetensors'}} & sys.modules.keys()))"
    )
    done = python(code)
    assert done.stdout.endswith("[]\n")
    names = """train train_num load test framework log_dir config set data data_dir seed batch_size learning_rate
        precision device threads report describe image_size validation seeds jobs save_every"""
    for name in names.split():
        assert f"--{name}" in done.stdout
    for group in ("what to do", "the run", "a report", "the machine"):
        assert f"\n{group}:\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_flag_may_be_written_with_hyphens():
    flags = main.flag_parser().parse(
        ["--train", "--train-num", "5", "--log-dir=my-logs", "--load", "a--b-c", "--save-every", "2"]
    )
    assert (flags.steps, flags.save_every) == (5, 2)
    assert (str(flags.log_dir), str(flags.load)) == ("my-logs", "a--b-c")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_that_is_not_installed_is_named_with_what_to_install(tmp_path, name):
    absent = "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'torch', 'keras', 'jax'])); import main; "
    flags = ["--train", "--train_num", "1", "--framework", name, "--log_dir", str(tmp_path / "logs")]
    done = python(absent + "sys.exit(main.main(sys.argv[1:]))", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith(f"main.py: {name} needs ")
    assert done.stderr.endswith(f"pip install -r requirements/{name}.txt\n")
    assert done.stderr.count("\n") == 1
    assert files(tmp_path) == {}


def test_a_python_without_the_requirements_is_told_what_to_do(tmp_path):
    absent = "import sys; sys.modules.update(dict.fromkeys(['tqdm'])); import main; sys.exit(main.main(sys.argv[1:]))"
    done = python(absent, "--train", "--train_num", "1", "--log_dir", str(tmp_path / "logs"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install -r requirements/pytorch.txt" in done.stderr
    assert files(tmp_path) == {}


@pytest.mark.parametrize("source", ["KERAS_BACKEND", "keras.json"])
def test_an_engine_that_keras_cannot_train_with_is_named_with_what_asks_for_it(source, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "numpy"}' if source == "keras.json" else "")
    engine = {"KERAS_BACKEND": "numpy"} if source == "KERAS_BACKEND" else {}
    code = f"import os, sys; os.environ.update({engine}, KERAS_HOME={str(tmp_path)!r}); "
    code += "import main; sys.exit(main.main(sys.argv[1:]))"
    flags = ["--train", "--train_num", "1", "--framework", "keras", "--log_dir", str(tmp_path / "logs")]
    done = python(code, *flags)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    place = source if engine else tmp_path / source
    assert f"Keras cannot train on numpy, set by {place}; set KERAS_BACKEND to one of tensorflow" in done.stderr
    assert not (tmp_path / "logs").exists()


def test_without_a_name_the_first_framework_that_is_installed_is_taken(tmp_path):
    code = "import sys; sys.modules.update(dict.fromkeys({})); import backends; print(*backends.installed())"
    absent = [["jax"], ["torch", "jax"], ["torch", "keras", "jax"]]
    found = [python(code.format(names)).stdout.split() for names in absent]
    assert found == [["pytorch", "tensorflow", "keras"], ["tensorflow", "keras"], ["tensorflow"]]
    code = code.format(["torch", "tensorflow", "jax"]).replace(
        "import backends; print(*backends.installed())", "import main; "
    )
    done = python(code + "sys.exit(main.main(sys.argv[1:]))", "--test", "--log_dir", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "no framework is installed: pip install -r requirements/pytorch.txt" in done.stderr


def test_the_version_is_printed():
    assert python("import main; main.main(['--version'])").stdout == f"lenet {lenet.__version__}\n"


def test_synonyms_are_taken():
    words = ["--train", "--train_num", "5", "--framework", "TF", "--device", "cuda", "--lr", "0.01"]
    flags = main.flag_parser().parse(words)
    assert (flags.framework, flags.device, flags.changes) == ("tensorflow", "gpu", {"learning_rate": "0.01"})
    assert main.flag_parser().parse(["--test", "--framework", "torch"]).framework == "pytorch"


def test_a_log_folder_that_cannot_be_written_is_refused(framework, tmp_path, small_data):
    (tmp_path / "file").write_text("")
    before = files(tmp_path)
    flags = ("--train", "--train_num", 1, "--data_dir", small_data, "--batch_size", 10)
    code, out, err = framework.run(*flags, "--log_dir", tmp_path / "file")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "choose another with --log_dir" in err
    assert files(tmp_path) == before


def test_describe_says_what_the_data_the_network_and_the_settings_are(small_data, tmp_path):
    common = ["--describe", "--data", str(small_data), "--log_dir", str(tmp_path)]
    code, out, err = jobs.command_line([*common, "--config", "lenet5", "--set", "dense=[7]", "--validation", "30"])
    assert (code, err) == (0, "")
    counts = [np.bincount(labels, minlength=10) for labels in labels_of(small_data, 30)]
    rows = dict(re.findall(r"^  (\w+) +([\d, ]+)$", out.partition("\n\n")[0], re.MULTILINE))
    for digit in range(10):
        assert rows[str(digit)].split() == [str(count[digit]) for count in counts]
    assert rows["all"].split() == ["192", "30", "300"]
    lenet5 = Settings.of(load("lenet5"), MNIST).changed({"dense": [7]}).network
    for layer in lenet5.layers:
        (line,) = re.findall(rf"^  {layer.name} .*$", out, re.MULTILINE)
        assert line.split()[-2:] == [f"{layer.parameters:,}", f"{layer.multiply_adds:,}"]
        assert "x".join(map(str, layer.kernel)) in line
    assert f"Memory: {4 * lenet5.parameters / 1e6:.1f} MB for the parameters" in out
    for line in ("dense = [7]", "validation = 30", "config = lenet5", "seed = 0"):
        assert f"\n  {line}\n" in out
    (sheet,) = (tmp_path / "data").glob("*.png")
    assert out.endswith(f"\nExamples: {sheet}\n")
    with Image.open(sheet) as picture:
        assert picture.width > 500
        assert len(np.unique(np.asarray(picture.convert("L")))) > 100
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # it trains nothing
    sheet.unlink()
    sheet.mkdir()
    code, other, err = jobs.command_line([*common, "--config", "lenet5", "--set", "dense=[7]", "--validation", "30"])
    assert (code, other) == (0, out.partition("Examples:")[0].rstrip("\n") + "\n")
    assert err.startswith("lenet: notice: there is no picture with examples: ")
    code, _, err = jobs.command_line([*common, "--load"])
    assert (code, "--describe needs the path of a run after --load" in err) == (2, True)


def labels_of(folder, validation):
    data = read_data(folder)
    train, held_out = data.hold_out(validation)
    return train.labels, held_out.labels, data.test.labels
