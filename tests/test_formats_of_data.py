"""The same images in every format are the same data; what sets by other names have; what is odd or cannot be read."""

import gzip
import io
import os
import pickle
import shutil
import struct
import zipfile

import jobs
import numpy as np
import pytest
from conftest import write_idx
from PIL import Image

from lenet import UserError
from lenet.data import load
from lenet.data.source import a_tenth
from lenet.dataset import MNIST

GENERATOR = np.random.default_rng(5)
GREY = {part: GENERATOR.integers(0, 256, (n, 9, 9, 1), np.uint8) for part, n in (("train", 40), ("test", 12))}
COLOUR = {part: GENERATOR.integers(0, 256, (n, 12, 10, 3), np.uint8) for part, n in (("train", 40), ("test", 12))}
LABELS = {part: np.arange(len(images), dtype=np.uint8) % 4 for part, images in GREY.items()}


def as_idx(folder, images=GREY, labels=LABELS, train="train-{}-idx{}-ubyte", test="t10k-{}-idx{}-ubyte"):
    folder.mkdir(parents=True, exist_ok=True)
    for part, name in (("train", train), ("test", test)):
        pixels = images[part][..., 0] if images[part].shape[3] == 1 else images[part]
        write_idx(folder / name.format("images", 3), pixels)
        write_idx(folder / name.format("labels", 1), labels[part])
    return folder


def as_pictures(folder, images=GREY, parts=("train", "test"), ending=".png", names="0123"):
    for part in parts:
        for i, (image, label) in enumerate(zip(images[part], LABELS[part], strict=True)):
            place = folder / part / names[label] if len(parts) == 2 else folder / names[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(place / f"{i:03}{ending}")
    return folder


def as_csv(folder, images=GREY, header=True, parts=("train", "test")):
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        rows = [
            ",".join(map(str, (label, *image.ravel()))) for image, label in zip(images[part], LABELS[part], strict=True)
        ]
        first = [",".join(["label", *(f"pixel{i}" for i in range(images[part][0].size))])] if header else []
        (folder / f"my_{part}.csv").write_text("\n".join([*first, *rows]) + "\n")
    return folder


def as_npz(path, images=GREY, names=("x_{}", "y_{}"), dtype=np.uint8):
    arrays = {
        names[0].format(part): images[part].squeeze(axis=3) if images is GREY else images[part] for part in images
    }
    np.savez(path, **arrays, **{names[1].format(part): LABELS[part].astype(dtype) for part in images})
    return path


FORMATS = {
    "idx": as_idx,
    "idx with dots": lambda folder: as_idx(folder, train="train-{}.idx{}-ubyte", test="t10k-{}.idx{}-ubyte"),
    "idx, gzipped": lambda folder: as_idx(folder, train="train-{}-idx{}-ubyte.gz", test="t10k-{}-idx{}-ubyte.gz"),
    "idx, another's name": lambda folder: as_idx(
        folder, train="k49-train-{}-idx{}-ubyte", test="k49-test-{}-idx{}-ubyte"
    ),
    "torchvision's root": lambda folder: as_idx(folder / "KMNIST/raw").parents[1],
    "torchvision's folder": lambda folder: as_idx(folder / "KMNIST/raw").parent,
    "png": as_pictures,
    "Train and Test": lambda folder: _renamed(_renamed(as_pictures(folder), "train", "Train"), "test", "Test"),
    "bmp": lambda folder: as_pictures(folder, ending=".bmp"),
    "csv": as_csv,
    "csv without a header": lambda folder: as_csv(folder, header=False),
    "npz": lambda folder: as_npz(folder.with_suffix(".npz")),
    "npz in a folder": lambda folder: as_npz(_made(folder) / "data.npz").parent,
    "npz of MedMNIST": lambda folder: as_npz(
        folder.with_suffix(".npz"), names=("{}_images", "{}_labels"), dtype=np.int64
    ),
}


def _made(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_images_are_the_same_data_in_every_format(name, tmp_path, capsys):
    data = load(FORMATS[name](tmp_path / "mine"))
    for part in ("train", "test"):
        np.testing.assert_array_equal(getattr(data, part).images, GREY[part])
        np.testing.assert_array_equal(getattr(data, part).labels, LABELS[part])
    assert data.info == load(as_idx(tmp_path / "same")).info
    assert (data.info.image_shape, data.info.classes, data.info.training_images) == ((9, 9, 1), tuple("0123"), 40)
    assert data.info.name.startswith(("mine~", "KMNIST~", "k49~", "data~"))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "make", [as_idx, as_pictures, lambda folder, images: as_npz(folder.with_suffix(".npz"), images)]
)
def test_colour_is_read_as_it_is(make, tmp_path):
    data = load(make(tmp_path / "mine", images=COLOUR))
    np.testing.assert_array_equal(data.test.images, COLOUR["test"])
    assert data.info.image_shape == (12, 10, 3)


def test_csv_holds_square_images_in_colour(tmp_path):
    square = {part: images[:, :10] for part, images in COLOUR.items()}
    data = load(as_csv(tmp_path / "mine", images=square))
    np.testing.assert_array_equal(data.train.images, square["train"])


def test_a_spreadsheets_csv(tmp_path):
    lines = [f'"{label}";' + ";".join(f'"{value}"' for value in range(label, label + 4)) for label in range(20)]
    header = "\ufeffp1;p2;label;p3;p4"
    rows = [";".join([*cells[1:3], cells[0], *cells[3:]]) for cells in (line.split(";") for line in lines)]
    (tmp_path / "mine.csv").write_text("\r\n".join([header, *rows, "", ""]), encoding="utf-8")
    data = load(tmp_path / "mine.csv")
    images = np.concatenate([data.train.images, data.test.images]).reshape(-1, 4)
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert {(int(label), *image.tolist()) for label, image in zip(labels, images, strict=True)} == {
        (label, *range(label, label + 4)) for label in range(20)
    }


def test_cifar_10s_binary_version(tmp_path):
    folder = tmp_path / "root/cifar-10-batches-bin"
    folder.mkdir(parents=True)
    images = GENERATOR.integers(0, 256, (60, 32, 32, 3), np.uint8)
    labels = np.arange(60, dtype=np.uint8) % 10
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    for i, name in enumerate(names):  # red, green, blue, one after the other
        own = slice(10 * i, 10 * i + 10)
        records = [
            bytes([label]) + image.transpose(2, 0, 1).tobytes()
            for image, label in zip(images[own], labels[own], strict=True)
        ]
        (folder / name).write_bytes(b"".join(records))
    (folder / "batches.meta.txt").write_text("airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n")
    for path in (folder, folder.parent):
        data = load(path)
        np.testing.assert_array_equal(data.train.images, images[:50])
        np.testing.assert_array_equal(data.test.labels, labels[50:])
        assert data.info.classes[3] == "cat"
    (folder / "data_batch_3.bin").write_bytes(b"x" * 3072)
    with pytest.raises(UserError, match=r"data_batch_3.bin: 3,072 bytes; CIFAR-10's records have 3,073 each"):
        load(folder)


def test_emnist_is_turned_upright_and_its_letters_have_names(tmp_path, capsys):
    folder = tmp_path / "gzip"
    sides = {part: images.swapaxes(1, 2) for part, images in GREY.items()}
    names = {"train": "emnist-letters-train-{}-idx{}-ubyte.gz", "test": "emnist-letters-test-{}-idx{}-ubyte.gz"}
    as_idx(folder, sides, {part: labels + 1 for part, labels in LABELS.items()}, **names)
    (folder / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n4 68 100\n")
    data = load(folder)
    np.testing.assert_array_equal(data.train.images, GREY["train"])
    np.testing.assert_array_equal(data.train.labels, LABELS["train"])  # from 0
    assert (data.info.classes, data.info.name[:15]) == (("A", "B", "C", "D"), "emnist-letters~")
    assert "emnist-letters: EMNIST's images are on their sides; they are turned upright" in capsys.readouterr().err
    names = {part: name.replace("letters", "digits") for part, name in names.items()}
    as_idx(folder, **names)
    with pytest.raises(UserError, match=r"holds several sets; give one of them: \S*emnist-digits, \S*emnist-letters"):
        load(folder)
    assert load(folder / "emnist-letters").info == data.info


def test_qmnists_labels_are_the_first_of_eight_columns(tmp_path):
    names = {part: f"qmnist-{part}" + "-{}-idx{}-ubyte" for part in ("train", "test")}
    folder = as_idx(tmp_path / "qmnist", **names)
    for part, labels in LABELS.items():
        (folder / f"qmnist-{part}-labels-idx1-ubyte").unlink()
        table = np.full((len(labels), 8), 77, ">i4")
        table[:, 0] = labels
        header = struct.pack(">BBBBII", 0, 0, 12, 2, *table.shape)
        (folder / f"qmnist-{part}-labels-idx2-int.gz").write_bytes(gzip.compress(header + table.tobytes()))
    assert load(folder).info == load(as_idx(tmp_path / "same")).info


def test_labels_may_begin_at_1_and_have_names(tmp_path):
    folder = as_idx(tmp_path / "mine", labels={part: labels + 1 for part, labels in LABELS.items()})
    assert load(folder).info.classes == ("1", "2", "3", "4")
    (folder / "classes.txt").write_text("shirt\ntrousers\ncoat\nbag\n")
    data = load(folder)
    assert data.info.classes == ("shirt", "trousers", "coat", "bag")
    np.testing.assert_array_equal(data.train.labels, LABELS["train"])
    (folder / "classes.txt").write_text("shirt\ntrousers\n")
    with pytest.raises(UserError, match="there are names for 2 classes, but a label is 4"):
        load(folder)


def test_pictures_are_ordered_by_name_and_fitted_to_the_commonest_size(tmp_path):
    folder = as_pictures(tmp_path / "mine", names=["cat", "dog", "eel", "fox"])
    Image.new("L", (18, 9), 7).save(folder / "train/dog/0005.png")  # between 000.png and 001.png
    data = load(folder)
    assert data.info.classes == ("cat", "dog", "eel", "fox")
    assert (data.train.labels[:3].tolist(), data.train.images.shape) == ([0, 1, 1], (41, 9, 9, 1))
    assert (data.train.images[1] == 7).all()
    small = load(folder, image_size=(4, 5))
    assert small.info.image_shape == (4, 5, 1)
    assert small.info.training_sha256 != data.info.training_sha256


def test_pictures_in_colour_that_are_all_grey_are_grey(tmp_path):
    grey = {part: np.repeat(images, 3, axis=3) for part, images in GREY.items()}
    folder = as_pictures(tmp_path / "mine", images=grey)
    assert load(folder).info == load(as_idx(tmp_path / "same")).info
    Image.fromarray(COLOUR["train"][0]).save(folder / "train/0/red.png")
    assert load(folder).info.image_shape == (9, 9, 3)


def test_without_a_test_folder_a_tenth_of_each_class_is_held_out_by_name(tmp_path):
    folder = as_pictures(tmp_path / "mine", parts=("train",))
    data = load(folder)
    assert np.bincount(data.test.labels).tolist() == [1, 1, 1, 1]
    known = {image.tobytes() for image in data.test.images}
    for i in range(3):  # new pictures change nothing of what was chosen, or take a place
        Image.fromarray(GENERATOR.integers(0, 256, (9, 9), np.uint8)).save(folder / f"0/new{i}.png")
    assert len(known & {image.tobytes() for image in load(folder).test.images}) >= 3
    assert load(folder, test_only=True).info.test_sha256 == load(folder).info.test_sha256
    # The same on every machine and in every version.
    labels = np.repeat([0, 1, 2], [30, 14, 1])
    assert np.flatnonzero(a_tenth(labels, (f"{i}.png" for i in range(45)))).tolist() == CHOSEN


CHOSEN = [0, 6, 8, 33]


def test_a_test_needs_no_training_files(tmp_path):
    folder = as_idx(tmp_path / "mine")
    whole = load(folder)
    for path in folder.glob("train*"):
        path.unlink()
    tested = load(folder, test_only=True)
    assert (tested.info.test_sha256, tested.info.training_sha256) == (whole.info.test_sha256, "")
    with pytest.raises(UserError, match="there is no file train-images-idx3-ubyte; the folder holds t10k-images"):
        load(folder)


def test_labels_are_those_of_the_run_by_name(tmp_path):
    run = load(as_pictures(tmp_path / "mine", names=["ant", "bee", "cat", "dog"])).info
    folder = as_pictures(tmp_path / "other", names=["dog", "cat", "bee", "bee"])  # in another order, one is missing
    data = load(folder, like=run, test_only=True)
    assert data.info.classes == run.classes
    assert data.test.labels.tolist() == [[3, 2, 1, 1][label] for label in LABELS["test"]]
    colour = load(as_pictures(tmp_path / "colour", images=COLOUR), like=run, test_only=True)
    assert colour.info.image_shape == run.image_shape


def test_a_test_alone_without_the_last_class_has_the_same_labels(tmp_path):
    """Whose labels begin at 1, as the names in classes.txt do."""
    folder = as_idx(tmp_path / "mine", labels={part: labels + 1 for part, labels in LABELS.items()})
    (folder / "classes.txt").write_text("ant\nbee\ncat\ndog\n", encoding="utf-8-sig")
    run = load(folder).info
    assert (run.classes, run.first_label) == (("ant", "bee", "cat", "dog"), 1)
    write_idx(folder / "t10k-labels-idx1-ubyte", LABELS["test"] % 3 + 1)
    tested = load(folder, like=run, test_only=True)
    np.testing.assert_array_equal(tested.test.labels, LABELS["test"] % 3)


def test_a_test_alone_of_class_folders_says_that_it_is_a_tenth(tmp_path, capsys):
    folder = as_pictures(tmp_path / "mine", parts=("train",))
    run = load(folder).info
    load(folder, like=run, test_only=True)
    assert capsys.readouterr().err == ""  # it is what the run was tested on
    other = as_pictures(tmp_path / "other", images={"train": 255 - GREY["train"]}, parts=("train",))
    load(other, like=run, test_only=True)
    said = capsys.readouterr().err
    assert "has no test part, so only a tenth of each class is tested, 4 images" in said


def test_classes_are_numbered_the_same_in_every_process(tmp_path):
    for name in ("1", "01", "2", "10"):
        for i in range(3):
            _picture(tmp_path / f"mine/{name}/{i}.png", (4, 4), int(name) + i)
    assert load(tmp_path / "mine").info.classes == ("01", "1", "2", "10")


def test_other_files_beside_folders_of_pictures_change_nothing(tmp_path, capsys):
    folder = as_pictures(tmp_path / "mine")
    info = load(folder).info
    _written(folder / "train.csv", b"file,label\n000.png,0\n")
    _written(folder / "best.pt", pickle.dumps([1]))
    as_npz(folder / "features.npz")
    assert load(folder).info == info
    assert capsys.readouterr().err == ""
    _picture(folder / "val/0/a.png", (9, 9))
    load(folder)
    assert capsys.readouterr().err == f"lenet: notice: {folder}: beside train and test, val is left out\n"


def test_two_folders_that_were_swapped_are_read_again(tmp_path):
    folder = tmp_path / "mine"
    for name, value in (("a", 1), ("b", 2)):
        for i in range(10):
            _picture(folder / name / f"{i}.bmp", (4, 4), value * 20 + i)
            os.utime(folder / name / f"{i}.bmp", ns=(1, 1))
    before = load(folder, log_dir=tmp_path).info
    (folder / "a").rename(folder / "c")
    (folder / "b").rename(folder / "a")
    (folder / "c").rename(folder / "b")
    after = load(folder, log_dir=tmp_path).info
    assert after == load(folder).info != before


def test_classes_without_training_images_are_told(tmp_path, capsys):
    labels = {"train": LABELS["train"] // 2 * 5, "test": LABELS["test"] // 2 * 5}  # 0 and 5
    data = load(as_idx(tmp_path / "mine", labels=labels))
    said = f"lenet: notice: {data.info.name}: no training image in class 1, 2, 3, 4\n"
    assert capsys.readouterr().err == said


def test_a_pipe_is_no_file_and_names_are_escaped(tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    folder = as_idx(tmp_path / "mine")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    os.mkfifo(folder / "t10k-labels-idx1-ubyte")
    for path, complaint in ((tmp_path / "x.csv", "neither a folder nor a file"), (folder, "idx1-ubyte: not a file")):
        with pytest.raises(UserError, match=complaint):
            load(path)
    code, _, err = jobs.command_line(["--describe", "--data", f"{tmp_path}/\x1b[31m", "--log_dir", str(tmp_path)])
    assert (code, "\x1b" in err, r"\x1b[31m" in err) == (2, False, True)


BAD = {
    "no such folder": (lambda tmp: tmp / "mnits", "there is no file or folder mnits; the folder holds"),
    "a typing mistake in a folder": (
        lambda tmp: as_idx(tmp / "my_data").with_name("my_daat"),
        "there is no file or folder my_daat; the folder holds my_data; did you mean my_data?",
    ),
    "train and Train": (
        lambda tmp: _renamed(_renamed(as_pictures(tmp / "mine"), "test", "Train"), "Train", "Train"),
        "holds both ",
    ),
    "a fraction": (lambda tmp: _csv(tmp, "1,1.5,2,3,4\n2,3,4,5,6\n"), "could not convert string '1.5'"),
    "a gap": (lambda tmp: _csv(tmp, "1,,2,3,4\n2,3,4,5,6\n"), "could not convert string ''"),
    "an empty folder": (lambda tmp: _made(tmp / "mine"), "the folder holds nothing"),
    "a typing mistake": (
        lambda tmp: _renamed(as_idx(tmp / "mine"), "t10k-images-idx3-ubyte", "t10k-image-idx3-ubyte"),
        "there is no file t10k-images-idx3-ubyte; the folder holds t10k-image-idx3-ubyte, t10k-labels-idx1-ubyte, "
        "train-images-idx3-ubyte, train-labels-idx1-ubyte; did you mean t10k-image-idx3-ubyte?",
    ),
    "labels without pictures": (
        lambda tmp: _without(as_idx(tmp / "mine"), "train-images*"),
        "no file train-images-idx3",
    ),
    "pictures without labels": (lambda tmp: _without(as_idx(tmp / "mine"), "t10k-labels*"), "no file t10k-labels-idx1"),
    "another file": (lambda tmp: _written(tmp / "mine.txt", b"hello"), "not data that can be read"),
    "a pickle": (lambda tmp: _written(tmp / "data.pkl", pickle.dumps([1])), "a pickle, which can run any code"),
    "pickles of CIFAR-10": (
        lambda tmp: _written(_made(tmp / "cifar-10-batches-py") / "data_batch_1", b"\x80").parent,
        "CIFAR-10 comes in a binary version, too",
    ),
    "pictures in no class": (
        lambda tmp: _written(_made(tmp / "mine") / "a.png", b"").parent,
        "pictures are read from folders that are named after their classes",
    ),
    "a picture that cannot be read": (
        lambda tmp: _written(as_pictures(tmp / "mine") / "train/2/bad.png", b"GIF89").parents[2],
        "train/2/bad.png: not a picture in one of the formats",
    ),
    "a cut off picture": (
        lambda tmp: _cut(as_pictures(tmp / "mine", ending=".bmp"), "train/2/002.bmp"),
        "train/2/002.bmp: cannot be read: image file is truncated",
    ),
    "a class that is not trained": (
        lambda tmp: _renamed(as_pictures(tmp / "mine"), "train/3", "train/three"),
        "train: there is no folder 3, which test has; the folder holds 0, 1, 2, three",
    ),
    "train alone": (
        lambda tmp: _without(as_pictures(tmp / "mine"), "test"),
        "there is no folder test with pictures in a folder for each class; the folder holds train; or give ",
    ),
    "one class": (lambda tmp: _of_classes(tmp / "mine", 1), "there is one class, 0; at least two are needed"),
    "10,000 classes": (lambda tmp: _of_classes(tmp / "mine", 10_000), "10,000 classes; at most 256 can be trained"),
    "too large": (
        lambda tmp: (
            _written(tmp / "mine/1/a.png", b"").parents[1]
            if not [_picture(tmp / f"mine/{i}/{j}.png", (800, 600)) for i in range(2) for j in range(3)]
            else tmp / "mine"
        ),
        "most pictures are 600x800; at most 512 pixels on a side are trained on; add --image_size 32, say",
    ),
    "a decompression bomb": (
        lambda tmp: _bomb(as_pictures(tmp / "mine") / "train/1/bomb.png"),
        "train/1/bomb.png: too large",
    ),
    "a pixel of 300": (
        lambda tmp: _csv(tmp, "1,2,3,4,5\n2,3,300,5,6\n"),
        "line 2: a pixel is 300; they go from 0 to 255",
    ),
    "a missing column": (lambda tmp: _csv(tmp, "1,2,3,4,5\n2,3,4,5\n"), "changed from 5 to 4 in line 2"),
    "a word in a table": (
        lambda tmp: _csv(tmp, "label,a,b,c,d\n1,2,3,4,5\n2,3,x,5,6\n"),
        "could not convert string 'x'",
    ),
    "pixels alone": (lambda tmp: _csv(tmp, "1,2,3,4,5,6,7,8,9\n" * 2), "9 columns are pixels without a label"),
    "no square": (
        lambda tmp: _csv(tmp, "label,a,b\n2,3,4\n"),
        "3 columns, so 2 pixels; wanted is a label, then a square",
    ),
    "an empty table": (lambda tmp: _csv(tmp, ""), "there is nothing in it"),
    "a header alone": (lambda tmp: _csv(tmp, "label,a,b,c,d\n"), "there is no image in it, only a header"),
    "Kaggle's test without labels": (
        lambda tmp: _renamed(_without(as_csv(tmp / "mine"), "my_test.csv"), "my_train.csv", "train.csv"),
        "there is no file test.csv; the folder holds train.csv; or give ",
    ),
    "an archive that is none": (lambda tmp: _written(tmp / "mine.npz", b"PK\3\4 no"), "mine.npz: cannot be read"),
    "an array of objects": (
        lambda tmp: _npz(tmp, x_train=np.array([{}, 1], object)),
        "x_train: of object; wanted are whole numbers",
    ),
    "fractions": (
        lambda tmp: _npz(tmp, x_train=np.zeros((4, 9, 9))),
        "x_train: of float64; wanted are whole numbers, pixels from 0 to 255; if they go from 0 to 1",
    ),
    "no labels in the archive": (
        lambda tmp: _npz(tmp, y_train=None),
        "there is no array y_train or train_labels; it holds",
    ),
    "fewer labels": (lambda tmp: _npz(tmp, y_train=np.zeros(3, int)), "train: 40 images, but labels of shape [3]"),
    "pixels of 256": (
        lambda tmp: _npz(tmp, x_test=np.full((12, 9, 9), 256)),
        "a pixel is 256 or 256; wanted is 0 to 255",
    ),
    "a header that lies": (lambda tmp: _lying(tmp / "mine.npz"), "at most 1,000,000 are read"),
    "several archives": (
        lambda tmp: shutil.copy(as_npz(_made(tmp / "mine") / "a.npz"), tmp / "mine/b.npz").parent,
        "holds several .npz files; give one of them",
    ),
}


def _written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _renamed(folder, name, other):
    (folder / name).rename(folder / other)
    return folder


def _without(folder, names):
    for path in list(folder.glob(names)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def _cut(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    return folder


def _of_classes(folder, count):
    for i in range(count):
        _picture(folder / f"{i}/a.png", (2, 2), i)
    return folder


def _picture(path, size, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value % 256).save(path)


def _bomb(path):
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    return _written(path, buffer.getvalue()).parents[2]


def _csv(tmp, text):
    return _written(tmp / "mine.csv", text.encode())


def _npz(tmp, **changed):
    arrays = {f"x_{part}": GREY[part][..., 0] for part in GREY} | {f"y_{part}": LABELS[part] for part in GREY} | changed
    np.savez(tmp / "mine.npz", **{name: array for name, array in arrays.items() if array is not None})
    return tmp / "mine.npz"


def _lying(path):
    as_npz(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["x_train.npy"] = contents["x_train.npy"].replace(b"(40, 9, 9)", b"(4000000000, 9, 9)")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_said_in_one_line(name, tmp_path):
    make, complaint = BAD[name]
    with pytest.raises(UserError) as raised:
        load(make(tmp_path))
    assert complaint in str(raised.value)
    assert str(tmp_path) in str(raised.value)
    assert ("\n" not in str(raised.value), raised.value.exit_code) == (True, 2)


def test_image_size_is_for_pictures(tmp_path):
    with pytest.raises(UserError, match="its images are 9x9; --image_size is for folders of pictures"):
        load(as_idx(tmp_path / "mine"), image_size=12)
    assert load(image_size=28).info == MNIST


def test_oddities_are_told(tmp_path, capsys):
    folder = as_pictures(tmp_path / "mine")
    for i in range(3):
        shutil.copy(folder / f"train/{i}/00{i}.png", folder / f"test/{i}/copy.png")
    _picture(folder / "train/alone/a.png", (9, 9), 3)
    (folder / "train/0/loop").symlink_to(folder / "train", target_is_directory=True)
    (folder / "train/0/.hidden.png").write_bytes(b"")
    (folder / "train/0/notes.txt").write_text("not a picture")
    data = load(folder)
    assert capsys.readouterr().err.splitlines() == [
        f"lenet: notice: {folder}/train/0/loop leads back to a folder above it, so it is left out",
        f"lenet: notice: {data.info.name}: 3 of the 15 test images are training images, too",
        f"lenet: notice: {data.info.name}: a single image, so none for the test or none to train on, in class alone",
    ]


@pytest.mark.parametrize("make", [as_pictures, as_csv])
def test_what_took_long_is_kept_until_a_file_changes(make, tmp_path, monkeypatch):
    folder, logs = make(tmp_path / "mine"), tmp_path / "logs"
    first = load(folder, log_dir=logs)
    (kept,) = (logs / "data").iterdir()
    with monkeypatch.context() as patched:
        for module in ("pictures.Folders", "table.CsvFiles"):
            patched.setattr(f"lenet.data.{module}.read", None)
        again = load(folder, log_dir=logs)
    assert again.info == first.info
    np.testing.assert_array_equal(again.train.images, first.train.images)
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # damage is noticed
    assert load(folder, log_dir=logs).info == first.info
    changed = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    if make is as_pictures:
        Image.fromarray(255 - GREY["test"][0][..., 0]).save(changed)
    else:
        changed.write_text(changed.read_text().replace(",", ",0", 1))
        os.utime(changed, ns=(1, 1))
    assert (load(folder, log_dir=logs).info == first.info) == (make is as_csv)
    assert len(list((logs / "data").iterdir())) == 1
