"""What a user types and reads: help, mistakes, and what a run leaves behind."""

import os
import shutil
import subprocess
import sys

import jobs
import pytest
from conftest import PROJECT, files

import main
from backends import FRAMEWORKS
from lenet import dataset
from lenet.checkpoint import Checkpoint
from lenet.config import CONFIGS, change, load
from lenet.settings import Settings

PACKAGES = {"tensorflow", "torch", "keras", "jax", "torchvision"}


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
    names = "train train_num load test framework log_dir config set data_dir seed batch_size learning_rate precision"
    for name in (*names.split(), "device", "threads", "report", "seeds", "jobs", "save_every"):
        assert f"--{name}" in done.stdout
    for group in ("what to do", "the run", "the study", "the machine"):
        assert f"\n{group}:\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_flag_may_be_written_with_hyphens():
    flags = main.parse(["--train", "--train-num", "5", "--log-dir=my-logs", "--load", "a--b-c", "--save-every", "2"])
    assert (flags.steps, flags.save_every) == (5, 2)
    assert (str(flags.log_dir), str(flags.load)) == ("my-logs", "a--b-c")


def mistakes():
    """Name -> (flags, what the message must say). None of them gets as far as a framework."""
    train = ["--train", "--train_num", "5"]
    yield "nothing to do", [], "add --train --train_num N, or --test"
    yield "no train_num", ["--train"], "--train needs --train_num N"
    yield "train_num alone", ["--test", "--train_num", "5"], "--train_num goes with --train"
    for flag in ("--train_num", "--threads", "--save_every"):
        for value in ("0", "-3", "many", "1.5", ""):
            complaint = f"argument {flag}: '{value}' is not a whole number "
            yield f"{flag} {value}", [*train, f"{flag}={value}"], complaint
    for value, complaint in (("0", "must be positive"), ("-3", "must be positive"), ("many", "must be a whole number")):
        yield f"--batch_size {value}", [*train, f"--batch_size={value}"], f"batch_size: {complaint}"
    yield "too many threads", [*train, "--threads=100000"], f"from 1 to {os.cpu_count()}"
    for value in ("0", "-1e-3", "nan", "inf"):
        for flags in (f"--learning_rate={value}", f"--set=learning_rate={value}"):
            yield f"{flags}", [*train, flags], "learning_rate: must be positive and finite, not "
    yield "no number", [*train, "--learning_rate=fast"], "learning_rate: must be a number, not 'fast'"
    yield "set without a value", [*train, "--set", "dense"], "argument --set: 'dense' is not KEY=VALUE"
    yield "set an unknown key", [*train, "--set", "seed=3"], "seed: unknown key; the known ones are conv, dense,"
    yield "negative seed", [*train, "--seed=-1"], "argument --seed: '-1' is not a whole number from 0"
    yield (
        "unknown framework",
        [*train, "--framework", "caffe"],
        "there is no 'caffe', only " + ", ".join(FRAMEWORKS),
    )
    yield "near framework", [*train, "--framework", "pytorh"], "did you mean pytorch?"
    yield "unknown config", [*train, "--config", "vgg"], "there is no config 'vgg', only " + ", ".join(CONFIGS)
    yield "config missing", [*train, "--config", "{tmp}/nowhere.toml"], "{tmp}/nowhere.toml: cannot be read"
    yield "near config", [*train, "--config", "lenett"], "did you mean lenet?"
    yield "unknown precision", [*train, "--precision", "float16"], "there is no 'float16', only float32"
    yield "unknown device", [*train, "--device", "tpu"], "there is no 'tpu', only auto, cpu, gpu"
    yield "save_every alone", ["--test", "--save_every", "3"], "--save_every goes with --train"
    yield "unknown flag", [*train, "--epochs", "3"], "unrecognized arguments: --epochs 3"
    yield "test without a run", ["--test"], "there is no checkpoint {tmp}/logs/lenet/"
    changed = ["--set", "dense=[9]", "--set", "conv.1.kernel = 7", "--learning_rate", "1e-3"]
    variant = "lenet,conv[1].kernel=7,dense=[9],learning_rate=0.001"
    yield "test of a variant without a run", ["--test", *changed], f"there is no checkpoint {{tmp}}/logs/{variant}/"
    yield "checkpoint missing", [*train, "--load", "{tmp}/nowhere"], "there is no checkpoint {tmp}/nowhere"
    yield "run's folder empty", [*train, "--load", "{tmp}"], "there is no checkpoint {tmp}/checkpoint.safetensors"
    other = [*train, "--load", "{tmp}/other", "--config", "lenet"]
    yield "other architecture", other, "a checkpoint of another architecture: dense is [8] in it, [1024] here"
    yield "other key", [*other[:-2], "--set", "dense=[9]"], "dense is [8] in it, [9] here"
    yield "truncated", [*train, "--load", "{tmp}/truncated"], "{tmp}/truncated: not a checkpoint, or not a whole one"
    yield "flipped byte", ["--test", "--load", "{tmp}/flipped"], "{tmp}/flipped: not a checkpoint, or not a whole one"
    yield "no checkpoint", ["--test", "--load", "{tmp}/text"], "{tmp}/text: not a checkpoint, or not a whole one"
    yield "a folder's name that is no text", [*train, "--load", "{tmp}/\udce9"], "is not text; choose another name"
    yield "a pipe", ["--test", "--load", "{tmp}/pipe"], "{tmp}/pipe: not a checkpoint, or not a whole one: not a file"
    yield (
        "another model",
        ["--test", "--load", "{tmp}/float8"],
        "float8: not a checkpoint, or not a whole one: its format",
    )
    yield "no data folder", [*train, "--data_dir", "{tmp}/nowhere"], "{tmp}/nowhere: there is no file train-images"
    yield "batch of all", [*train, "--batch_size", "55001"], "batch size 55001: there are 55000 training images"
    yield "lying data file", [*train, "--data_dir", "{tmp}/lying"], "its header says 235,200 bytes of data"


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory, small_data):
    """A folder with all that the mistakes name."""
    tmp = tmp_path_factory.mktemp("mistaken")
    lenet = load("lenet")
    architecture, training = change(lenet.architecture, lenet.training, {"dense": [8]})
    Checkpoint.initial(Settings(architecture, training, dataset.MNIST, "float32", 0, lenet)).save(tmp / "other")
    content = (tmp / "other").read_bytes()
    (tmp / "truncated").write_bytes(content[:-1])
    (tmp / "flipped").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (tmp / "text").write_text("hello")
    os.mkfifo(tmp / "pipe")  # opening it would wait for ever
    said = b'{"weight": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}  '
    (tmp / "float8").write_bytes(len(said).to_bytes(8, "little") + said + bytes(8))
    shutil.copytree(small_data, tmp / "lying")
    images = tmp / "lying/t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    return tmp


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize(
    ("flags", "complaint"), [case[1:] for case in mistakes()], ids=[case[0] for case in mistakes()]
)
def test_a_mistake_gets_one_line_and_changes_nothing(mistaken, name, flags, complaint):
    flags = [flag.format(tmp=mistaken) for flag in flags]
    if "--framework" not in flags:
        flags += ["--framework", name]
    before = files(mistaken)
    code, out, err = jobs.command_line([*flags, "--log_dir", str(mistaken / "logs")])
    assert (code, out) == (2, "")
    assert err.startswith("main.py: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert complaint.format(tmp=mistaken) in err
    assert files(mistaken) == before
    assert not PACKAGES & sys.modules.keys()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_that_is_not_installed_is_named_with_what_to_install(tmp_path, name):
    absent = "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'torch', 'keras'])); import main; "
    flags = ["--train", "--train_num", "1", "--framework", name, "--log_dir", str(tmp_path / "logs")]
    done = python(absent + "sys.exit(main.main(sys.argv[1:]))", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith(f"main.py: {name} cannot be imported")
    assert done.stderr.endswith("pip install -r requirements.txt\n")
    assert done.stderr.count("\n") == 1
    assert files(tmp_path) == {}


def test_a_python_without_the_requirements_is_told_what_to_do(tmp_path):
    absent = "import sys; sys.modules.update(dict.fromkeys(['tqdm'])); import main; sys.exit(main.main(sys.argv[1:]))"
    done = python(absent, "--train", "--train_num", "1", "--log_dir", str(tmp_path / "logs"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install -r requirements.txt" in done.stderr
    assert files(tmp_path) == {}


def test_an_engine_that_keras_does_not_know_is_refused(tmp_path):
    code = "import os, sys; os.environ['KERAS_BACKEND'] = 'pytorch'; import main; sys.exit(main.main(sys.argv[1:]))"
    done = python(code, "--train", "--train_num", "1", "--framework", "keras", "--log_dir", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "tensorflow, torch or jax" in done.stderr
    assert files(tmp_path) == {}


def test_a_log_folder_that_cannot_be_written_is_refused(framework, tmp_path, small_data):
    (tmp_path / "file").write_text("")
    before = files(tmp_path)
    flags = ("--train", "--train_num", 1, "--data_dir", small_data, "--batch_size", 10)
    code, out, err = framework.run(*flags, "--log_dir", tmp_path / "file")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "choose another with --log_dir" in err
    assert files(tmp_path) == before
