"""--predict and Run.predict: what a user sees, for good pictures and bad ones, in every framework."""

import io
import json
import os
import struct
import zlib

import jobs
import numpy as np
import pytest
from PIL import Image
from test_formats_of_data import written

import lenet
from lenet import UserError, config
from lenet.data import load as read_data
from lenet.data import picture
from lenet.dataset import MNIST, DatasetInfo
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.use.predict import pictures
from lenet.use.preparation import is_handwriting, prepare

pytestmark = pytest.mark.one_framework  # it is the core that is tested


@pytest.fixture(scope="module")
def model(workers, tmp_path_factory):
    """The folder of a run of lenet5 that knows its digits: 300 fast steps."""
    folder = tmp_path_factory.mktemp("model")
    options = {"framework": "pytorch", "steps": 300, "log_dir": folder, "changes": {"learning_rate": 3e-3}}
    return workers["pytorch"].do(jobs.api, "train", "lenet5", **options)


@pytest.fixture(scope="module")
def sorted_digits(tmp_path_factory):
    """A folder of 60 test images as PNG, one of them in a wrong subfolder, and their images and labels."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = read_data().test
    labels = labels[:60].copy()
    labels[17] = 0  # it shows a 7
    order = np.argsort(labels, kind="stable")
    for i in order:
        (folder / str(labels[i])).mkdir(exist_ok=True)
        Image.fromarray(images[i, ..., 0]).save(folder / str(labels[i]) / f"{i:02}.png")
    return folder, images[order, ..., 0], labels[order]


def predict(framework, model, *words):
    code, out, err = framework.run("--predict", *words, "--load", model)
    return code, out.splitlines(), err.splitlines()


def test_a_folder_is_named_line_by_line_and_its_accuracy_is_that_of_the_test(framework, model, sorted_digits):
    folder, images, labels = sorted_digits
    code, out, err = predict(framework, model, folder, "--json")
    assert (code, err, len(out)) == (0, [], 60)
    said = [json.loads(line) for line in out]
    assert [each["path"] for each in said] == [str(path) for path in sorted(folder.rglob("*.png"))]
    for each in said:
        assert each.keys() == {"path", "class", "index", "probability", "probabilities"}
        assert each["probability"] == each["probabilities"][each["index"]] == max(each["probabilities"])
        assert sum(each["probabilities"]) == pytest.approx(1, abs=1e-12)
    logits = framework.do(jobs.logits_of, framework.name, model, images)
    assert [each["index"] for each in said] == logits.argmax(axis=1).tolist()
    assert all(each["class"] == str(each["index"]) for each in said)
    code, out, err = predict(framework, model, folder)
    right = np.mean(logits.argmax(axis=1) == labels)
    assert right > 0.9
    assert "0 as 7 (1)" in out[60]
    assert (code, err, len(out)) == (0, [], 61)
    assert out[60].startswith(f"accuracy {100 * right:.2f} % of 60 pictures; confusions: ")
    best, second, third = np.argsort(said[0]["probabilities"])[:-4:-1]
    percents = [f"{100 * said[0]['probabilities'][each]:.1f} %" for each in (best, second, third)]
    line = f"{folder}/0/03.png: {best} ({percents[0]}), then {second} ({percents[1]}), {third} ({percents[2]})"
    assert out[0] == line


def test_all_frameworks_say_the_same_of_one_checkpoint(workers, model, sorted_digits):
    said = {}
    for name, worker in workers.items():
        _, out, _ = predict(worker, model, sorted_digits[0], "--json")
        said[name] = np.array([json.loads(line)["probabilities"] for line in out])
    for other in said.values():
        np.testing.assert_allclose(other, said["pytorch"], atol=1e-5)


def test_without_load_the_run_of_the_flags_answers(framework, small_data, tmp_path, sorted_digits):
    flags = ["--log_dir", tmp_path, "--config", "lenet5", "--seed", 3]
    more = ["--train", "--train_num", 2, "--data_dir", small_data, "--batch_size", 20]
    code, _, err = framework.run(*flags, *more)
    assert code == 0, err
    picture = next(sorted_digits[0].rglob("*.png"))
    asked = ["--predict", picture, *flags]
    code, out, err = framework.run(*asked, "--data_dir", small_data, "--batch_size", 20)
    assert (code, err) == (0, "")
    assert out.startswith(f"{picture}: ")
    code, out, err = framework.run(*asked)  # of MNIST there is none
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "there is no checkpoint" in err


def bomb(width, height):
    """Write a PNG whose header says this size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return lambda path: path.write_bytes(content)


BAD = {
    "a_missing.png": (lambda _: None, "there is no such file"),
    "b_empty.png": (lambda path: path.touch(), "not a picture in one of the formats"),
    "c_text.png": (lambda path: path.write_text("seven"), "not a picture in one of the formats"),
    "d_bomb.png": (bomb(100_000, 100_000), "too large; at most 80,000,000 pixels and sides of 30,000 are read"),
    "d_line.png": (bomb(20_000_000, 1), "too large; at most 80,000,000 pixels and sides of 30,000 are read"),
    "e_folder": (lambda path: path.mkdir(), "no picture in this folder can be read; the formats are PNG"),
    "f_pipe.png": (os.mkfifo, "not a file"),
    "g_white.png": (lambda path: Image.new("L", (90, 90), 255).save(path), "no digit found: the contrast is too low"),
    "h_program.eps": (lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "not a pic"),
}


def test_each_bad_picture_gets_one_line_and_the_others_go_on(framework, model, sorted_digits, tmp_path):
    good = next(sorted_digits[0].rglob("*.png"))
    for name, (make, _) in BAD.items():
        make(tmp_path / name)
    truncated, lying = tmp_path / "i_truncated.jpg", tmp_path / "j_lying.jpg"
    file = io.BytesIO()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8))
    noise.save(file, "JPEG")
    truncated.write_bytes(file.getvalue()[:3000])
    lying.write_bytes(good.read_bytes())  # it is a PNG: its content counts
    long = tmp_path / ("n" * 300)
    paths = [good, *(tmp_path / name for name in BAD), long, truncated, lying]
    code, out, err = predict(framework, model, *paths)
    assert (code, len(out), len(err)) == (1, 2, len(BAD) + 2)
    assert out[0].partition(": ")[2] == out[1].partition(": ")[2]
    for line, (name, (_, reason)) in zip(err, BAD.items(), strict=False):
        assert line.startswith(f"main.py: {tmp_path / name}: ")
        assert reason in line
    assert f"{long}: cannot be read: " in err[-2]
    assert f"{truncated}: cannot be read: " in err[-1]
    code, out, err = predict(framework, model, *paths, "--json")
    said = [json.loads(line) for line in out]
    assert (code, err, [each["path"] for each in said]) == (1, [], list(map(str, paths)))
    assert [each.keys() == {"path", "error"} for each in said] == [False, *[True] * (len(BAD) + 2), False]


def test_names_cannot_change_the_terminal_and_other_files_of_a_folder_are_no_pictures(framework, model, tmp_path):
    image = read_data().test.images[0, ..., 0]
    Image.fromarray(image).save(tmp_path / "red\x1b[31m\nline.png")
    (tmp_path / "labels.csv").write_text("a,b")
    code, out, err = predict(framework, model, tmp_path)
    assert (code, err, len(out)) == (0, [], 1)
    assert out[0].startswith(f"{tmp_path}/red\\x1b[31m\\nline.png: ")


def test_what_the_network_sees_is_saved(framework, model, tmp_path):
    (tmp_path / "in/a").mkdir(parents=True)
    images = read_data().test.images[:2, ..., 0]
    large = Image.fromarray(255 - images[0]).resize((300, 300))
    large.save(tmp_path / "in/a/x.jpg")
    Image.fromarray(images[1]).save(tmp_path / "in/y.png")
    code, _, err = predict(framework, model, tmp_path / "in", "--save_prepared", tmp_path / "seen")
    assert (code, err) == (0, [])
    seen = {path.name: np.asarray(Image.open(path)) for path in (tmp_path / "seen").rglob("*.*")}
    assert seen.keys() == {"x.png", "y.png"}
    np.testing.assert_array_equal(seen["y.png"], images[1])
    np.testing.assert_array_equal(seen["x.png"], prepare(picture.read(tmp_path / "in/a/x.jpg", 1)[..., 0]))


def test_saved_images_replace_nothing_and_never_share_a_name(framework, model, sorted_digits, tmp_path):
    images = sorted_digits[1]
    for i, name in enumerate(("a/5.png", "a/5.png.jpg", "a/5.jpg", "5.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(images[i]).resize((300, 300)).save(tmp_path / name)
    before = (tmp_path / "5.png").read_bytes()
    code, out, err = predict(framework, model, tmp_path / "5.png", "--save_prepared", tmp_path)
    assert (code, out, len(err)) == (2, [], 1)
    assert "is not empty; choose another folder" in err[0]
    assert (tmp_path / "5.png").read_bytes() == before
    code, _, err = predict(framework, model, tmp_path / "a", tmp_path / "5.png", "--save_prepared", tmp_path / "seen")
    assert (code, err, len([*(tmp_path / "seen").rglob("*.png")])) == (0, [], 4)
    file = tmp_path / "file"
    file.touch()
    code, out, err = predict(framework, model, tmp_path / "5.png", "--save_prepared", file / "seen")
    assert (code, out, len(err)) == (1, [], 1)
    assert "choose another folder" in err[0]


@pytest.mark.parametrize("flag", [("--precision", "bfloat16"), ("--seed", 7), ("--learning_rate", 1)])
def test_a_flag_that_the_checkpoint_contradicts_is_refused(flag, workers, model):
    code, out, err = predict(workers["pytorch"], model, "any.png", *flag)
    assert (code, out, len(err)) == (2, [], 1)
    assert f"{flag[0][2:]} is " in err[0]
    assert err[0].endswith("; remove the flag that says otherwise")


def test_a_run_nearby_is_named_as_a_shell_reads_it(tmp_path):
    folder = tmp_path / "lenet,conv=[{filters=6}]/pytorch/seed-0"
    folder.mkdir(parents=True)
    (folder / "checkpoint.safetensors").touch()
    with pytest.raises(UserError) as raised:
        lenet.load(folder.parent / "seed-1")
    assert str(raised.value).endswith(f"; did you mean --load '{folder}'?")


def test_a_run_nearby_is_named(workers, model):
    log_dir = model.parents[2]
    for load in (log_dir, log_dir / model.parents[1].name):
        code, _, err = workers["pytorch"].run("--predict", "any.png", "--load", load)
        assert (code, f"did you mean --load {model}?" in err) == (2, True)
    code, _, err = workers["pytorch"].run("--predict", "any.png", "--log_dir", log_dir)
    assert (code, f"did you mean --load {model}?" in err) == (2, True)


@pytest.mark.parametrize("flag", [("--data", "mnist"), ("--image_size", 28)])
def test_a_run_knows_its_data(flag, workers, model):
    code, out, err = predict(workers["pytorch"], model, "any.png", *flag)
    assert (code, out) == (2, [])
    assert err == [f"main.py: {model}: the run already names its data; remove --data and --image_size"]


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path):
    for place in ("elsewhere/3/a.png", "mine/5/b.png", "mine/5/.hidden/c.png", "mine/__MACOSX/d.png"):
        written(tmp_path / place, b"")
    (tmp_path / "mine/3").symlink_to(tmp_path / "elsewhere/3")
    (tmp_path / "mine/5/circle").symlink_to(tmp_path / "mine")
    found = [*pictures([tmp_path / "mine"], "0123456789")]
    assert found == [(tmp_path / "mine/3/a.png", 3), (tmp_path / "mine/5/b.png", 5)]


def test_the_api_takes_arrays_and_paths(framework, model, sorted_digits):
    folder, images, _ = sorted_digits
    paths = sorted(folder.rglob("*.png"))
    several = [images, paths, str(paths[7]), images[:0], list(images)]
    answers = framework.do(jobs.predictions, model, several, framework=framework.name)
    of_arrays, of_paths, of_one, of_none, of_list = answers
    np.testing.assert_array_equal(of_list, of_arrays)
    assert (of_arrays.dtype, of_arrays.shape, of_none.shape) == (np.float64, (60, 10), (0, 10))
    np.testing.assert_array_equal(of_arrays, of_paths)
    np.testing.assert_allclose(of_one[0], of_arrays[7], atol=1e-6)


def test_the_api_says_what_is_wrong_with_images(framework, model, tmp_path):
    run = lenet.load(model)
    wrong = [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8), [tmp_path / "none.png"], tmp_path, [3]]
    texts = ["images: must be uint8 [n, 28, 28], from 0 to 255, not float64 [2, 28, 28]", "not uint8 [28, 28]"]
    texts += [
        "no such file",
        "is a folder; name its pictures, or use predict_each",
        "images: must be an array of uint8",
    ]
    assert run.checkpoint.settings.data == MNIST
    for images, text in zip(wrong, texts, strict=True):
        assert text in framework.do(jobs.refusal, model, images)


@pytest.mark.parametrize("change", [{"batch_size": 50}, {"learning_rate": 1e-3}])
def test_a_variant_that_is_not_there_is_not_answered_for_by_another(change, tmp_path):
    settings = Settings.of(config.load("lenet5"), MNIST)
    Checkpoint.initial(settings).save(_made(tmp_path / "lenet5/pytorch/seed-0/checkpoint.safetensors"))
    assert lenet.load(config="lenet5", framework="pytorch", log_dir=tmp_path).path.exists()
    with pytest.raises(UserError, match="there is no checkpoint"):
        lenet.load(config="lenet5", framework="pytorch", log_dir=tmp_path, changes=change)


def _made(path):
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("name", "handwriting"),
    [
        *((name, True) for name in ("mnist", "QMNIST~1234", "emnist-letters", "mnist_small~1")),
        *((name, False) for name in ("fashion-mnist~1", "kmnist", "mnistlike", "own~1")),
    ],
)
def test_data_that_was_prepared_as_mnist_is_known_by_its_name(name, handwriting):
    assert is_handwriting(DatasetInfo(name, "00", "00")) == handwriting


def damaged(content, generator):
    """A file with a few bytes changed, inserted or cut off."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 6)):
        place = generator.integers(min(len(content), 80) if generator.random() < 0.5 else len(content))
        kind = generator.integers(3)
        if kind == 0:
            content[place] = generator.integers(256)
        elif kind == 1:
            content[place:place] = generator.bytes(int(generator.integers(1, 9)))
        else:
            del content[place : place + int(generator.integers(1, 99))]
        content = content or bytearray(1)
    return content


def test_no_damaged_picture_gives_a_traceback_or_noise(tmp_path, repeats, capfd):
    """Files of every format and compression: read, prepared and fitted, or refused in one line."""
    generator = np.random.default_rng(1)
    image = Image.fromarray(read_data().test.images[0, ..., 0]).resize((56, 56))
    files = {form: io.BytesIO() for form in picture.FORMATS}
    for form, file in files.items():
        image.save(file, form)
    for compression in ("group3", "group4", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        files[compression] = io.BytesIO()
        image.convert("1" if "group" in compression else "L").save(files[compression], "TIFF", compression=compression)
    contents = [file.getvalue() for file in files.values()]
    path, refused, count = tmp_path / "picture", 0, repeats(600, 10_000)
    for i in range(count):
        path.write_bytes(damaged(contents[i % len(contents)], generator))
        try:
            with picture.quietly():
                grey, colour = picture.read(path, 1), picture.read(path, 3)
                assert picture.look(path)[:2] == grey.shape[:2] == colour.shape[:2]
            assert grey.dtype == colour.dtype == np.uint8
            assert prepare(grey[..., 0]).shape == (28, 28)
            assert picture.fit(colour, 20, 28).shape == (20, 28, 3)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
    assert capfd.readouterr().err == ""
    assert 0.2 * count < refused < count
    print(f"\ndamaged pictures: {refused:,} of {count:,} refused, the others read")
