"""Folders of pictures: their order, sizes and classes, what is held out, and what is left out with a notice."""

import os
import pickle
import shutil

import numpy as np
from PIL import Image
from test_formats_of_data import COLOUR, GENERATOR, GREY, as_idx, as_npz, as_pictures, make_picture, written

from lenet.data import load
from lenet.data.source import a_tenth
from lenet.data.walk import walk


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


def test_a_test_of_one_class_is_read(tmp_path):
    folder = as_pictures(tmp_path / "mine")
    run = load(folder).info
    for name in "123":
        shutil.rmtree(folder / "test" / name)
    shutil.rmtree(folder / "train")
    assert load(folder, like=run, test_only=True).test.labels.tolist() == [0, 0, 0]


def test_a_link_to_itself_costs_no_picture(tmp_path):
    folder = as_pictures(tmp_path / "mine")
    (folder / "train/0/a").symlink_to("a")
    found = [entry.name for _, entry in walk(folder / "train/0", [].append)]
    assert sorted(found) == sorted(path.name for path in (folder / "train/0").glob("*.png"))


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
            make_picture(tmp_path / f"mine/{name}/{i}.png", (4, 4), int(name) + i)
    assert load(tmp_path / "mine").info.classes == ("01", "1", "2", "10")


def test_other_files_beside_folders_of_pictures_change_nothing(tmp_path, capsys):
    folder = as_pictures(tmp_path / "mine")
    info = load(folder).info
    written(folder / "train.csv", b"file,label\n000.png,0\n")
    written(folder / "best.pt", pickle.dumps([1]))
    as_npz(folder / "features.npz")
    assert load(folder).info == info
    assert capsys.readouterr().err == ""
    make_picture(folder / "val/0/a.png", (9, 9))
    load(folder)
    assert capsys.readouterr().err == f"lenet: notice: {folder}: neither train nor test, so ignored: val\n"


def test_the_log_folder_is_no_class(tmp_path):
    folder = as_pictures(tmp_path / "mine", parts=("train",))
    before = load(folder).info
    make_picture(folder / "logs/data/sheet.png", (9, 9))
    assert load(folder, log_dir=folder / "logs").info == before


def test_two_folders_that_were_swapped_are_read_again(tmp_path):
    folder = tmp_path / "mine"
    for name, value in (("a", 1), ("b", 2)):
        for i in range(10):
            make_picture(folder / name / f"{i}.bmp", (4, 4), value * 20 + i)
            os.utime(folder / name / f"{i}.bmp", ns=(1, 1))
    before = load(folder, log_dir=tmp_path).info
    (folder / "a").rename(folder / "c")
    (folder / "b").rename(folder / "a")
    (folder / "c").rename(folder / "b")
    after = load(folder, log_dir=tmp_path).info
    assert after == load(folder).info != before


def test_oddities_are_told(tmp_path, capsys):
    folder = as_pictures(tmp_path / "mine")
    for i in range(3):
        shutil.copy(folder / f"train/{i}/00{i}.png", folder / f"test/{i}/copy.png")
    make_picture(folder / "train/alone/a.png", (9, 9), 3)
    (folder / "train/0/loop").symlink_to(folder / "train", target_is_directory=True)
    (folder / "train/0/.hidden.png").write_bytes(b"")
    for name in ("train/0/notes.txt", "train/1/a.heic", "train/2/b.HEIC", "classes.txt"):
        (folder / name).write_text("not a picture")
    data = load(folder)
    assert capsys.readouterr().err.splitlines() == [
        f"lenet: notice: {folder}/train/0/loop leads back to a folder above it, so it is left out",
        f"lenet: notice: {folder}/train: files that are not pictures, so ignored: 2 with .heic, 1 with .txt",
        f"lenet: notice: {folder}/classes.txt is ignored: the folders' names are the class names",
        f"lenet: notice: {data.info.name}: 3 of the 15 test images are training images, too",
        f"lenet: notice: {data.info.name}: only one image, so either no training or no test image, in class alone",
    ]


def test_what_is_left_out_of_a_folder_is_told(tmp_path, capsys):
    folder = as_pictures(tmp_path / "mine", parts=("train",))
    info = load(folder).info
    make_picture(folder / "loose.png", (9, 9))
    (folder / "empty").mkdir()
    assert load(folder).info == info
    assert capsys.readouterr().err.splitlines() == [
        f"lenet: notice: {folder}: folders without pictures, so no classes: empty",
        f"lenet: notice: {folder}: pictures outside the class folders, so ignored: 1",
    ]


def test_a_class_without_test_images_is_told(tmp_path, capsys):
    folder = as_pictures(tmp_path / "mine")
    shutil.rmtree(folder / "test/3")
    name = load(folder).info.name
    assert capsys.readouterr().err == f"lenet: notice: {name}: no test image in class 3\n"
