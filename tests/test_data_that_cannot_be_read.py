"""Data that cannot be read: one line that says what is wrong, exit code 2."""

import io
import pickle
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_formats_of_data import (
    GREY,
    LABELS,
    as_csv,
    as_idx,
    as_npz,
    as_pictures,
    made,
    make_picture,
    renamed,
    written,
)

from lenet import UserError
from lenet.data import load

BAD = {
    "no such folder": (lambda tmp: tmp / "mnits", "there is no file or folder mnits; the folder holds"),
    "a typing mistake in a folder": (
        lambda tmp: as_idx(tmp / "my_data").with_name("my_daat"),
        "there is no file or folder my_daat; the folder holds my_data; did you mean my_data?",
    ),
    "train and Train": (
        lambda tmp: renamed(renamed(as_pictures(tmp / "mine"), "test", "Train"), "Train", "Train"),
        "holds both ",
    ),
    "a fraction": (
        lambda tmp: _csv(tmp, "1,1.5,2,3,4\n2,3,4,5,6\n"),
        "'1.5' is not a whole number in line 1, column 2",
    ),
    "a gap": (lambda tmp: _csv(tmp, "1,,2,3,4\n2,3,4,5,6\n"), "'' is not a whole number in line 1, column 2"),
    "an empty folder": (lambda tmp: made(tmp / "mine"), "the folder holds nothing"),
    "a typing mistake": (
        lambda tmp: renamed(as_idx(tmp / "mine"), "t10k-images-idx3-ubyte", "t10k-image-idx3-ubyte"),
        "there is no file t10k-images-idx3-ubyte; the folder holds t10k-image-idx3-ubyte, t10k-labels-idx1-ubyte, "
        "train-images-idx3-ubyte, train-labels-idx1-ubyte; did you mean t10k-image-idx3-ubyte?",
    ),
    "labels without pictures": (
        lambda tmp: _without(as_idx(tmp / "mine"), "train-images*"),
        "no file train-images-idx3",
    ),
    "pictures without labels": (lambda tmp: _without(as_idx(tmp / "mine"), "t10k-labels*"), "no file t10k-labels-idx1"),
    "another file": (lambda tmp: written(tmp / "mine.txt", b"hello"), "unknown format; give a folder"),
    "a pickle": (lambda tmp: written(tmp / "data.pkl", pickle.dumps([1])), "a pickle, which can run any code"),
    "pickles of CIFAR-10": (
        lambda tmp: written(made(tmp / "cifar-10-batches-py") / "data_batch_1", b"\x80").parent,
        "use CIFAR-10's binary version",
    ),
    "pictures in no class": (
        lambda tmp: written(made(tmp / "mine") / "a.png", b"").parent,
        "its pictures are not in class folders; move them into one folder for each class",
    ),
    "a picture that cannot be read": (
        lambda tmp: written(as_pictures(tmp / "mine") / "train/2/bad.png", b"GIF89").parents[2],
        "train/2/bad.png: not a picture in one of the formats",
    ),
    "a cut off picture": (
        lambda tmp: _cut(as_pictures(tmp / "mine", ending=".bmp"), "train/2/002.bmp"),
        "train/2/002.bmp: cannot be read: image file is truncated",
    ),
    "a class that is not trained": (
        lambda tmp: renamed(as_pictures(tmp / "mine"), "train/3", "train/three"),
        "train: there is no folder 3, which test has; add it to train, or remove it from test; the folder holds 0, 1, ",
    ),
    "train alone": (
        lambda tmp: _without(as_pictures(tmp / "mine"), "test"),
        "there is no folder test with pictures in a folder for each class; the folder holds train; make that folder, ",
    ),
    "one class": (lambda tmp: _of_classes(tmp / "mine", 1), "there is one class, 0; at least two are needed"),
    "10,000 classes": (lambda tmp: _of_classes(tmp / "mine", 10_000), "10,000 classes; at most 256 can be trained"),
    "too large": (
        lambda tmp: (
            written(tmp / "mine/1/a.png", b"").parents[1]
            if not [make_picture(tmp / f"mine/{i}/{j}.png", (800, 600)) for i in range(2) for j in range(3)]
            else tmp / "mine"
        ),
        "most pictures are 600x800; at most 512 pixels on a side are trained on; add --image_size 32, say",
    ),
    "a decompression bomb": (
        lambda tmp: _bomb(as_pictures(tmp / "mine") / "train/1/bomb.png"),
        "train/1/bomb.png: too large",
    ),
    "a pixel of 300": (
        lambda tmp: _csv(tmp, "label,a,b,c,d\n\n1,2,3,4,5\n \n2,3,300,5,6\n"),
        "line 5: a pixel is 300; they go from 0 to 255",
    ),
    "a missing column": (lambda tmp: _csv(tmp, "\n1,2,3,4,5\n\n2,3,4,5\n"), "changed from 5 to 4 in line 4"),
    "an index alone in a line": (
        lambda tmp: _csv(tmp, ",label,a,b,c,d\n0,1,2,3,4,5\n1\n"),
        "changed from 5 to 1 in line 3",
    ),
    "a word in a table": (
        lambda tmp: _csv(tmp, "label,a,b,c,d\n1,2,3,4,5\n2,3,x,5,6\n"),
        "'x' is not a whole number in line 3, column 3; must be whole numbers",
    ),
    "pixels alone": (lambda tmp: _csv(tmp, "1,2,3,4,5,6,7,8,9\n" * 2), "9 columns are pixels without a label"),
    "no square": (
        lambda tmp: _csv(tmp, "label,a,b\n2,3,4\n"),
        "3 columns, so 2 pixels; must be a label, then a square",
    ),
    "an empty table": (lambda tmp: _csv(tmp, ""), "there is nothing in it"),
    "a header alone": (lambda tmp: _csv(tmp, "label,a,b,c,d\n"), "there is no image in it, only a header"),
    "Kaggle's test without labels": (
        lambda tmp: renamed(_without(as_csv(tmp / "mine"), "my_test.csv"), "my_train.csv", "train.csv"),
        "there is no file test.csv; the folder holds train.csv; or give ",
    ),
    "Kaggle's test without labels, beside train": (
        lambda tmp: _without_labels(as_csv(tmp / "mine"), "my_test.csv"),
        "my_test.csv: 81 columns are pixels without a label; the first column must be the label; give only the table ",
    ),
    "names in Latin-1": (
        lambda tmp: written(as_idx(tmp / "mine") / "classes.txt", "caf\xe9\n".encode("latin-1") * 4).parent,
        "classes.txt: not text in UTF-8; save it as UTF-8",
    ),
    "an archive that is none": (lambda tmp: written(tmp / "mine.npz", b"PK\3\4 no"), "mine.npz: cannot be read"),
    "an array of objects": (
        lambda tmp: _npz(tmp, x_train=np.array([{}, 1], object)),
        "x_train: of object; must be whole numbers",
    ),
    "fractions": (
        lambda tmp: _npz(tmp, x_train=np.zeros((4, 9, 9))),
        "x_train: of float64; must be whole numbers, pixels from 0 to 255; if they go from 0 to 1",
    ),
    "no labels in the archive": (
        lambda tmp: _npz(tmp, y_train=None),
        "there is no array y_train or train_labels; it holds",
    ),
    "labels as a table": (
        lambda tmp: _npz(tmp, y_train=np.zeros((40, 4))),
        "y_train: of float64; must be whole numbers, one for each image; save labels.argmax(axis=1)",
    ),
    "pictures of the test in no folders": (
        lambda tmp: renamed(as_pictures(tmp / "mine") / "test", "0", "../loose").parent and _flat(tmp / "mine/test"),
        "there is no folder test with pictures in a folder for each class; the folder holds loose, test, train; make",
    ),
    "Kaggle's folders": (
        lambda tmp: (
            [make_picture(tmp / f"mine/{name}/cat.0.png", (9, 9), 1) for name in ("train", "test1")] and tmp / "mine"
        ),
        "there are no class folders in test1 and train; make them, such as train/cat",
    ),
    "257 classes": (
        lambda tmp: _npz(tmp, x_train=np.zeros((514, 9, 9), int), y_train=np.arange(514) % 257),
        "a label is 256; at most 256 classes can be trained, from 0",
    ),
    "a pixel of 16 bits": (lambda tmp: _csv(tmp, "0,1,2,3,65535\n"), "'65535' is too large in line 1, column 5"),
    "an address": (lambda tmp: f"https://{tmp}/mnist.zip", "a web address; download the data, and give its path"),
    "fewer labels": (lambda tmp: _npz(tmp, y_train=np.zeros(3, int)), "train: 40 images, but labels of shape [3]"),
    "pixels of 256": (
        lambda tmp: _npz(tmp, x_test=np.full((12, 9, 9), 256)),
        "pixels from 256 to 256; must be 0 to 255",
    ),
    "a header that lies": (lambda tmp: _lying(tmp / "mine.npz"), "at most 1,000,000 are read"),
    "several archives": (
        lambda tmp: shutil.copy(as_npz(made(tmp / "mine") / "a.npz"), tmp / "mine/b.npz").parent,
        "holds several .npz files; give one of them",
    ),
}


def _without(folder, names):
    for path in list(folder.glob(names)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def _without_labels(folder, name):
    lines = (folder / name).read_text().splitlines()
    (folder / name).write_text("\n".join(line.partition(",")[2] for line in lines))
    return folder


def _flat(folder):
    for path in list(folder.glob("*/*")):
        path.rename(folder / path.name)
    for path in [path for path in folder.iterdir() if path.is_dir()]:
        path.rmdir()
    return folder.parent


def _cut(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    return folder


def _of_classes(folder, count):
    for i in range(count):
        make_picture(folder / f"{i}/a.png", (2, 2), i)
    return folder


def _bomb(path):
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    return written(path, buffer.getvalue()).parents[2]


def _csv(tmp, text):
    return written(tmp / "mine.csv", text.encode())


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
