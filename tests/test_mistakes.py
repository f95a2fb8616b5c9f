"""What a user does wrong: one line that says what to do, exit code 2, and nothing is changed."""

import itertools
import os
import shutil
import sys

import jobs
import pytest
from conftest import PACKAGES, files

from backends import FRAMEWORKS
from lenet import dataset
from lenet.config import CONFIGS, change, load
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint


def mistakes():
    """Name -> (flags, what the message must say)."""
    train = ["--train", "--train_num", "5"]
    yield "nothing to do", [], "add --train --train_num N, or --test"
    yield "no train_num", ["--train"], "the number of steps is missing; add --train_num N"
    yield "train_num alone", ["--test", "--train_num", "5"], "--train_num needs --train or --report"
    for flag in ("--train_num", "--threads", "--save_every"):
        for value in ("0", "-3", "many", "1.5", ""):
            zero = (flag, value) == ("--train_num", "0")
            complaint = (
                "--train_num must be 1 or more" if zero else f"argument {flag}: '{value}' is not a whole number "
            )
            yield f"{flag} {value}", [*train, f"{flag}={value}"], complaint
    for value, complaint in (("0", "must be positive"), ("-3", "must be positive"), ("many", "must be a whole number")):
        yield f"--batch_size {value}", [*train, f"--batch_size={value}"], f"batch_size: {complaint}"
    yield "too many threads", [*train, "--threads=100000"], f"from 1 to {os.cpu_count()}"
    for value in ("0", "-1e-3", "nan", "inf"):
        for flags in (f"--learning_rate={value}", f"--set=learning_rate={value}"):
            yield f"{flags}", [*train, flags], "learning_rate: must be positive and finite, not "
    yield "several numbers", [*train, "--set", "dense=[8],[9]"], "only --report takes several values of a key; dense"
    yield "no number", [*train, "--learning_rate=fast"], "learning_rate: must be a number, not 'fast'"
    yield "set without a value", [*train, "--set", "dense"], "argument --set: 'dense' is not KEY=VALUE"
    yield "set an unknown key", [*train, "--set", "seed=3"], "seed: unknown key; the known ones are conv, dense,"
    yield (
        "a convolution from the end",
        [*train, "--set", "conv[-1].kernel=3"],
        "conv[-1].kernel: the config has no such",
    )
    yield "a batch size with a zero", [*train, "--batch_size=064"], "batch_size: must be a whole number, not 64.0"
    yield "too many held out", ["--describe", "--validation", "60000"], "validation: must be from 1 to 59990"
    yield "negative seed", [*train, "--seed=-1"], "argument --seed: '-1' is not a whole number from 0"
    yield (
        "unknown framework",
        [*train, "--framework", "caffe"],
        "there is no 'caffe', only " + ", ".join(FRAMEWORKS),
    )
    yield "near framework", [*train, "--framework", "pytorh"], "did you mean pytorch?"
    yield "unknown config", [*train, "--config", "vgg"], "there is no config 'vgg', only " + ", ".join(CONFIGS)
    yield "config missing", [*train, "--config", "{tmp}/nowhere.toml"], "there is no file {tmp}/nowhere.toml"
    yield "near config", [*train, "--config", "lenett"], "did you mean lenet?"
    yield "unknown precision", [*train, "--precision", "float16"], "there is no 'float16', only float32"
    yield "unknown device", [*train, "--device", "tpu"], "there is no 'tpu', only auto, cpu, gpu"
    yield "log alone", ["--test", "--log", "none"], "--log needs --train or --report"
    yield (
        "log",
        ["--train", "--train_num", "1", "--log", "al"],
        "there is no 'al', only none, scalars, all; did you mean all?",
    )
    yield "tensorboard", ["--tensorboard", "--test"], "--train or --test and --tensorboard do not go together"
    yield "tensorboard of a config", ["--tensorboard", "--config", "fast"], "--tensorboard takes only --log_dir"
    yield "save_every alone", ["--test", "--save_every", "3"], "--save_every needs --train or --report"
    near_flags = {"--epochs": "--train_num, which counts steps", "--Train": "--train"}
    for flag, near in (near_flags | {"--learing-rate=1": "--learning_rate"}).items():
        yield f"near flag {flag}", [*train, flag], f"there is no flag {flag.partition('=')[0].replace('-r', '_r')}; "
        yield f"suggested for {flag}", [*train, flag], f"did you mean {near}?"
    yield "unknown flag", [*train, "--zzz"], "there is no flag --zzz (python main.py --help"
    yield (
        "a number for --train",
        ["--train", "1000"],
        "'1000' is neither a flag nor a flag's value",
    )
    yield "too many steps", ["--train", "--train_num", "9" * 20], f"; use --train_num {2**53} or less"
    yield "test without a run", ["--test"], "there is no checkpoint {tmp}/logs/lenet/"
    changed = ["--set", "dense=[9]", "--set", "conv.1.kernel = 7", "--learning_rate", "1e-3"]
    variant = "lenet,conv[1].kernel=7,dense=[9],learning_rate=0.001"
    yield "test of a variant without a run", ["--test", *changed], f"there is no checkpoint {{tmp}}/logs/{variant}/"
    yield "checkpoint missing", [*train, "--load", "{tmp}/nowhere"], "there is no checkpoint {tmp}/nowhere"
    yield "run's folder empty", [*train, "--load", "{tmp}"], "there is no checkpoint {tmp}/checkpoint.safetensors"
    other = [*train, "--load", "{tmp}/other", "--config", "lenet"]
    yield (
        "other architecture",
        other,
        "its architecture differs: dense is [8] in the saved run, but [1024] is asked for",
    )
    yield "other key", [*other[:-2], "--set", "dense=[9]"], "dense is [8] in the saved run, but [9] is asked for"
    yield (
        "truncated",
        [*train, "--load", "{tmp}/truncated"],
        "{tmp}/truncated: not a checkpoint, or an incomplete one; use another copy",
    )
    yield "flipped byte", ["--test", "--load", "{tmp}/flipped"], "{tmp}/flipped: not a checkpoint, or an incomplete one"
    yield "no checkpoint", ["--test", "--load", "{tmp}/text"], "{tmp}/text: not a checkpoint, or an incomplete one"
    yield (
        "a folder's name that is no text",
        [*train, "--load", "{tmp}/\udce9"],
        "is not valid UTF-8; choose another name",
    )
    for name, kind in (
        ("model.pth", "a model of PyTorch"),
        ("zip", "an archive, such as"),
        ("hdf", "a model of Keras"),
    ):
        yield f"{name} of another program", ["--test", "--load", f"{{tmp}}/{name}"], f"{{tmp}}/{name}: {kind}"
        yield (
            f"{name}: what can be loaded",
            ["--test", "--load", f"{{tmp}}/{name}"],
            "own checkpoint.safetensors can be",
        )
    yield "a pipe", ["--test", "--load", "{tmp}/pipe"], "{tmp}/pipe: not a checkpoint, or an incomplete one: not a file"
    yield (
        "another model",
        ["--test", "--load", "{tmp}/float8"],
        "float8: not a checkpoint, or an incomplete one: its format",
    )
    yield (
        "no data folder",
        [*train, "--data_dir", "{tmp}/nowhere"],
        "{tmp}: there is no file or folder nowhere; the folder holds ",
    )
    yield (
        "batch of all",
        [*train, "--batch_size", "55001"],
        "batch size 55001: only 55,000 training images are left after 5,000 are held out",
    )
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
    (tmp / "model.pth").write_bytes(b"PK\x03\x04 and more")
    (tmp / "zip").write_bytes(b"PK\x03\x04 and more")
    (tmp / "hdf").write_bytes(b"\x89HDF\r\n and more")
    os.mkfifo(tmp / "pipe")  # opening it would wait for ever
    said = b'{"weight": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}  '
    (tmp / "float8").write_bytes(len(said).to_bytes(8, "little") + said + bytes(8))
    shutil.copytree(small_data, tmp / "lying")
    images = tmp / "lying/t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    return tmp


# None of them gets as far as a framework, so each is tried with the name of one.
@pytest.mark.parametrize(
    ("name", "flags", "complaint"),
    [(name, *case[1:]) for name, case in zip(itertools.cycle(FRAMEWORKS), mistakes(), strict=False)],
    ids=[case[0] for case in mistakes()],
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
