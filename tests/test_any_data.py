"""47 classes, and 32x32 in colour: everything that MNIST can, in every framework."""

import ast
import itertools
import json
import re
import subprocess
import sys

import jobs
import numpy as np
import pytest
import reference
import sets
from conftest import FRAMEWORKS, PROJECT, same_tensors
from PIL import Image
from test_export import FILES, loaded
from test_parity import initial, largest_difference, same

import lenet
from lenet.config import load
from lenet.data import load as read_data
from lenet.dataset import MNIST
from lenet.network import Network
from lenet.settings import Settings
from lenet.storage.run import Run
from lenet.use import forward

CONFIG = """conv = [{ filters = 16 }, { filters = 32 }]
dense = [128]
initialization = "glorot_uniform"
batch_size = 50
learning_rate = 2e-3
"""
SHAPES = {"letters": ((28, 28, 1), 47), "colours": ((32, 32, 3), 10), "wide": ((13, 22, 3), 3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with both sets and a config."""
    folder = tmp_path_factory.mktemp("any")
    sets.letters(folder / "letters")
    sets.colours(folder / "colours")
    (folder / "any.toml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def trained(folder, workers):
    """(set, framework) -> its run after 150 steps, and what was printed; each trained once."""
    runs = {}

    def run(name, framework):
        if (name, framework) not in runs:
            where = ("--data", folder / name, "--log_dir", folder / "logs", "--config", folder / "any.toml")
            code, out, err = workers[framework].run("--train", "--train_num", 150, *where)
            assert code == 0, err
            runs[name, framework] = Run.at(folder / out.strip().rpartition(" images/s, ")[2]), out
        return runs[name, framework]

    return run


@pytest.mark.parametrize("name", ["letters", "colours"])
@pytest.mark.one_framework
def test_it_is_learned(name, trained, framework, folder):
    run, out = trained(name, framework.name)
    data = read_data(folder / name)
    assert run.result["test_accuracy"] >= 0.9, out
    assert (data.info.image_shape, len(data.info.classes)) == SHAPES[name]
    assert run.predictions.shape == (len(data.test.labels), len(data.info.classes))
    assert run.checkpoint.settings.data == data.info
    assert run.checkpoint.settings.data.classes == data.info.classes
    accuracy = (run.predictions.argmax(axis=1) == data.test.labels).mean()
    assert accuracy == pytest.approx(run.result["test_accuracy"])


@pytest.mark.parametrize(("name", "config"), [*((name, "lenet5") for name in SHAPES), ("wide", "change_conv_number")])
def test_float64_agrees_with_numpy_and_between_frameworks(name, config, workers):
    shape, classes = SHAPES[name]
    generator = np.random.default_rng(3)
    images = generator.integers(0, 256, (5, 8, *shape), np.uint8)
    labels = generator.integers(0, classes, (5, 8), np.uint8)
    network = Network(load(config).architecture, shape, classes)
    start = initial("float64", network)
    for steps in (1, 5):
        batches = list(zip(images[:steps], labels[:steps], strict=True))
        expected, *expected_arrays = reference.train(network, start.parameters, batches)
        arguments = network, "float64", start, images[:steps], labels[:steps]
        found = {framework: worker.do(jobs.train_on, framework, *arguments) for framework, worker in workers.items()}
        for cross_entropies, state, logits in found.values():
            assert same(cross_entropies, np.array(expected))
            assert logits.shape == (8, classes)
            for arrays, wanted in zip(state.arrays, expected_arrays, strict=True):
                # After one step Adam's first moment is a tenth of the gradient.
                assert largest_difference(arrays, wanted, relative=steps == 1) <= 1e-12
        for (one, _, a), (other, _, b) in itertools.combinations(found.values(), 2):
            assert same(one, other)
            assert np.abs(a - b).max() <= 1e-12 * max(1, np.abs(b).max())


@pytest.mark.parametrize("name", ["letters", "colours"])
def test_a_run_goes_on_in_another_framework(name, workers, folder, tmp_path, repeats):
    """float64, by the command line: 3 steps in one and 3 in another are 6 in any. In make torture: every pair."""
    circle = [*zip(FRAMEWORKS, FRAMEWORKS[1:] + FRAMEWORKS[:1], strict=True)]
    pairs = repeats(circle[:1], [*itertools.permutations(FRAMEWORKS, 2)])
    flags = ["--train", "--data", folder / name, "--config", folder / "any.toml", "--precision", "float64"]
    flags += ["--batch_size", 10]

    def train(framework, steps, log_dir, *more):
        code, out, err = workers[framework].run(*flags, "--train_num", steps, "--log_dir", tmp_path / log_dir, *more)
        assert code == 0, err
        return Run.at(tmp_path / out.strip().rpartition(" images/s, ")[2])

    whole = {framework: train(framework, 6, "whole").checkpoint.state for framework in {other for _, other in pairs}}
    for one, other in pairs:
        half = train(one, 3, f"half of {one}, {other}")
        state = train(other, 3, f"{one}, {other}", "--load", half.folder).checkpoint.state
        for arrays, wanted in zip(state.arrays, whole[other].arrays, strict=True):
            assert largest_difference(arrays, wanted) <= 1e-12


def test_a_run_that_was_stopped_is_the_run_that_was_not(framework, folder, tmp_path):
    flags = ["--train", "--data", folder / "colours", "--config", folder / "any.toml", "--batch_size", 10]
    framework.run(*flags, "--train_num", 6, "--log_dir", tmp_path / "whole")
    framework.run(*flags, "--train_num", 4, "--log_dir", tmp_path / "parts")
    code, _, err = framework.run(*flags, "--train_num", 2, "--log_dir", tmp_path / "parts", "--load")
    assert (code, err) == (0, "")
    whole, parts = (next((tmp_path / name).glob("*/*/seed-0")) for name in ("whole", "parts"))
    assert same_tensors(whole, parts)


@pytest.mark.parametrize("file", [*FILES])
@pytest.mark.parametrize("name", ["letters", "colours"])
def test_every_format_has_it_and_its_lines_print_the_classes(
    name, file, trained, workers, process, folder, tmp_path, repeats
):
    short = ("model.safetensors",) if name == "letters" else ("model.onnx", "model.pt2", "model.keras", "model/")
    if file not in repeats(short, FILES):
        pytest.skip("in make torture")
    run, _ = trained(name, "pytorch")
    writer, expression = FILES[file]
    worker = process if writer == "other" else workers[writer]
    code, lines, err = worker.do(jobs.command_line, ["--export", f"{tmp_path}/{file}", "--load", str(run.folder)])
    assert (code, err) == (0, "")
    images = read_data(folder / name, test_only=True).test.images[:20]
    (tmp_path / "of").mkdir()
    np.save(tmp_path / "of/images.npy", images[..., 0] if images.shape[3] == 1 else images)
    if name == "colours":
        expression = expression.replace("images.unsqueeze(1)", "images.movedim(3, 1)")
    found, printed = loaded(lines, tmp_path, tmp_path / "of", expression, read=ast.literal_eval)
    settings, parameters = run.checkpoint.settings, run.checkpoint.state.parameters
    wanted = forward.logits(settings.network, parameters, images)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))
    assert printed == [settings.data.classes[i] for i in wanted.argmax(axis=1)]


def test_onnx_names_the_classes(trained, process, tmp_path):
    import onnx

    run, _ = trained("letters", "pytorch")
    process.do(jobs.command_line, ["--export", f"{tmp_path}/model.onnx", "--load", str(run.folder)])
    properties = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(properties["classes"]) == sets.LETTERS


def test_pictures_are_predicted_as_they_were_tested(trained, framework, folder, tmp_path):
    run, _ = trained("colours", "pytorch")
    code, out, err = framework.run("--predict", folder / "colours/test", "--load", run.folder)
    assert (code, err) == (0, "")
    *lines, summary = out.splitlines()
    accuracy = f"{100 * run.result['test_accuracy']:.2f} %"
    assert summary.startswith(f"accuracy {accuracy} of 300 pictures; confusions: digit ")
    assert re.fullmatch(
        r".*/test/digit 0/\d+\.png: digit \d \(.* %\), then digit \d \(.* %\), digit \d \(.* %\)", lines[0]
    )
    picture = tmp_path / "large.png"
    Image.open(folder / "colours/test/digit 7/00000.png").resize((320, 320)).save(picture)
    _, out, _ = framework.run("--predict", picture, "--load", run.folder, "--json")
    said = json.loads(out)
    assert (said["class"], said["index"], len(said["probabilities"])) == ("digit 7", 7, 10)


@pytest.mark.one_framework
def test_a_test_needs_only_the_test_images(trained, framework, folder, tmp_path):
    run, _ = trained("colours", framework.name)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/test").symlink_to(folder / "colours/test", target_is_directory=True)
    flags = ["--test", "--load", run.folder, "--data", tmp_path / "mine", "--log_dir", tmp_path / "logs"]
    code, out, err = framework.run(*flags)
    assert (code, err) == (0, "")
    assert f"test accuracy {100 * run.result['test_accuracy']:.2f} %" in out


@pytest.mark.one_framework
def test_other_data_is_refused_or_told(trained, framework, folder, tmp_path):
    run, _ = trained("colours", framework.name)
    for action in (("--train", "--train_num", 1), ("--test",)):
        code, _, err = framework.run(*action, "--load", run.folder, "--log_dir", tmp_path)
        assert (code, err.count("\n")) == (2, 1)
        assert f"the run was trained on {run.result['data']}; add --data and its path, or --data mnist" in err
    code, _, err = framework.run(
        "--train", "--train_num", 1, "--load", run.folder, "--data", "mnist", "--log_dir", tmp_path
    )
    assert code == 2
    assert "images of 32x32 in colour in 10 classes, but mnist has 28x28 in 10 classes; use --data" in err
    code, _, err = framework.run("--test", "--load", run.folder, "--data", folder / "letters", "--log_dir", tmp_path)
    assert (code, "but emnist-balanced~" in err) == (2, True)


def test_a_config_is_changed_to_suit_small_images(framework, tmp_path):
    for name in ("a", "b"):
        for i in range(20):
            (tmp_path / "tiny" / name).mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), i).save(tmp_path / f"tiny/{name}/{i}.png")
    flags = ["--train", "--train_num", 1, "--batch_size", 5, "--data", tmp_path / "tiny", "--log_dir", tmp_path]
    code, _, err = framework.run(*flags)
    assert (code, "conv[0].kernel: must be at most 4, the size of an image, not 5" in err) == (2, True)
    code, _, err = framework.run(*flags, "--set", "conv.0.kernel=3", "--set", "conv.1.kernel=3")
    assert code == 0, err


@pytest.mark.one_framework
def test_classes_of_other_names_are_refused(trained, framework, folder, tmp_path):
    run, _ = trained("colours", framework.name)
    (tmp_path / "other").mkdir()
    for part in ("train", "test"):
        for digit in range(10):
            place = tmp_path / "other" / part / ("kitten" if digit == 3 else f"digit {digit}")
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(folder / "colours" / part / f"digit {digit}", target_is_directory=True)
    for flags in (["--test"], ["--train", "--train_num", 1]):
        flags += ["--load", run.folder, "--data", tmp_path / "other", "--log_dir", tmp_path]
        code, _, err = framework.run(*flags)
        assert (code, "its class is 'digit 3' where other~" in err) == (2, True), err


def test_the_report_has_it(folder, tmp_path):
    flags = ["--report", "--train_num", "12", "--seeds", "1", "--data", folder / "colours", "--log_dir", tmp_path]
    flags += ["--framework", "pytorch", "--config", "lenet5", "--batch_size", "20", "--validation", "100"]
    # MNIST's images are too small for this kernel; with one filter it takes little time.
    flags += ["--set", "conv.0.kernel=31", "--set", "conv.0.filters=1"]
    done = subprocess.run([sys.executable, PROJECT / "main.py", *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report/report.html").read_text()
    assert "LeNet on colours~" in page
    assert "grey is zero" in page
    (run,) = tmp_path.glob("lenet5,*/pytorch/seed-0")
    assert ",validation=100" in run.parents[1].name
    settings = lenet.load(run).checkpoint.settings
    assert (settings.validation, settings.data.validation_size) == (100, 200)
    assert '"image_shape": [32, 32, 3]' in (tmp_path / "report/draw.html").read_text()


def test_settings_know_the_share_that_is_held_out():
    assert MNIST.validation_size == 5_000
    settings = Settings.of(load("lenet"), MNIST).changed({}, validation=1_000)
    assert settings.variant == "lenet,validation=1000"
    assert (
        settings.difference(Settings.of(load("lenet"), MNIST))
        == "validation is 1000 in the saved run, but 5000 is asked for"
    )
