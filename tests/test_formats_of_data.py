"""The same images in every format are the same data; sets by other names; labels, and what is kept of a data set."""

import gzip
import os
import struct

import jobs
import numpy as np
import pytest
from conftest import write_idx
from PIL import Image

from lenet import UserError
from lenet.data import load
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


def as_csv(folder, images=GREY, header=True, index=False, names=lambda i: f"pixel{i - 1}" if i else "label"):
    folder.mkdir(parents=True, exist_ok=True)
    for part in images:
        rows = [[label, *image.ravel()] for image, label in zip(images[part], LABELS[part], strict=True)]
        rows = [[40_000 + i, *row] for i, row in enumerate(rows)] if index else rows
        first = [[""] * index + [names(i) for i in range(1 + images[part][0].size)]] if header else []
        (folder / f"my_{part}.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in [*first, *rows]))
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
    "Train and Test": lambda folder: renamed(renamed(as_pictures(folder), "train", "Train"), "test", "Test"),
    "training and testing": lambda folder: renamed(
        renamed(as_pictures(folder), "train", "training"), "test", "testing"
    ),
    "bmp": lambda folder: as_pictures(folder, ending=".bmp"),
    "csv": as_csv,
    "csv without a header": lambda folder: as_csv(folder, header=False),
    "csv of pandas": lambda folder: as_csv(folder, index=True),
    "csv of pandas with numbers for names": lambda folder: as_csv(folder, names=str),
    "csv with the label's name alone": lambda folder: as_csv(folder, names=lambda i: str(i - 1) if i else "label"),
    "npz": lambda folder: as_npz(folder.with_suffix(".npz")),
    "npz in a folder": lambda folder: as_npz(made(folder) / "data.npz").parent,
    "npz of MedMNIST": lambda folder: as_npz(
        folder.with_suffix(".npz"), names=("{}_images", "{}_labels"), dtype=np.int64
    ),
}


def made(folder):
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


def test_emnist_is_turned_upright_from_a_table_too(tmp_path, capsys):
    turned = {part: images.swapaxes(1, 2) for part, images in GREY.items()}
    folder = as_csv(tmp_path / "csv", images=turned)
    for part in GREY:
        (folder / f"my_{part}.csv").rename(folder / f"emnist-mine-{part}.csv")
    written(folder / "emnist-mine-mapping.txt", b"0 65\n1 66\n2 67\n3 68\n")
    data = load(folder)
    assert np.array_equal(data.train.images, GREY["train"])
    assert data.info.classes == ("A", "B", "C", "D")
    assert "EMNIST's images are on their sides" in capsys.readouterr().err


def test_a_table_alone_says_each_time_that_a_tenth_is_tested(tmp_path, capsys):
    run = load(as_idx(tmp_path / "run")).info
    folder = as_csv(tmp_path / "csv", images={"train": GREY["train"]})
    for _ in range(2):  # the second time from what is kept
        load(folder / "my_train.csv", like=run, log_dir=tmp_path, test_only=True)
        assert "only a tenth of each class is tested" in capsys.readouterr().err
    few = written(tmp_path / "few.csv", b"0,1,2,3,4\n1,1,2,3,4\n")
    with pytest.raises(UserError, match="no class has two images, so none can be held out for the test"):
        load(few, like=run, test_only=True)


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


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def renamed(folder, name, other):
    (folder / name).rename(folder / other)
    return folder


def make_picture(path, size, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value % 256).save(path)


def test_image_size_is_for_pictures(tmp_path):
    with pytest.raises(UserError, match="its images are 9x9; --image_size is for folders of pictures"):
        load(as_idx(tmp_path / "mine"), image_size=12)
    assert load(image_size=28).info == MNIST


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


def test_the_label_may_be_the_last_column_of_a_table_with_numbers_for_names(tmp_path):
    rows = [
        ",".join(map(str, [*image.ravel(), label])) for image, label in zip(GREY["train"], LABELS["train"], strict=True)
    ]
    header = ",".join([*map(str, range(81)), "label"])
    (tmp_path / "mine.csv").write_text("\n".join([header, *rows]))
    data = load(tmp_path / "mine.csv")
    assert len(data.train.labels) + len(data.test.labels) == 40
    assert data.info.classes == tuple("0123")
