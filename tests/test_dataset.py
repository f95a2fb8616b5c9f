"""The data: MNIST as published, other folders, what is refused, and the order of the batches."""

import gzip
import shutil
import tracemalloc

import jobs
import numpy as np
import pytest

import lenet.data
from lenet import UserError, dataset
from lenet.data import load
from lenet.dataset import Dataset, Split
from lenet.training import Training, batch_indices

NAMES = sorted(dataset.MNIST_SHA256)


def test_mnist_is_what_torchvision_reads(process, tmp_path):
    data = load()
    arrays = {
        "train-images-idx3-ubyte": data.train.images,
        "train-labels-idx1-ubyte": data.train.labels,
        "t10k-images-idx3-ubyte": data.test.images,
        "t10k-labels-idx1-ubyte": data.test.labels,
    }
    assert [len(split.images) for split in (data.train, data.test)] == [60_000, 10_000]
    train, validation = data.hold_out(data.info.validation_size)
    np.testing.assert_array_equal(np.concatenate([validation.images, train.images]), data.train.images)
    np.testing.assert_array_equal(np.concatenate([validation.labels, train.labels]), data.train.labels)
    assert len(validation.labels) == 5_000
    for name, array in arrays.items():
        with gzip.open(lenet.data.EMBEDDED / f"{name}.gz") as file:
            (tmp_path / name).write_bytes(file.read())
        read = process.do(jobs.read_with_torchvision, str(tmp_path / name))
        np.testing.assert_array_equal(array, read[..., np.newaxis] if "images" in name else read)
        assert array.dtype == np.uint8
    assert data.info == load("mnist").info == dataset.MNIST
    assert len(load(test_only=True).train.images) == 0
    assert data.info.name == "mnist"


def test_damaged_embedded_file_is_noticed(tmp_path, monkeypatch):
    shutil.copytree(lenet.data.EMBEDDED, tmp_path / "mnist")
    monkeypatch.setattr(lenet.data, "EMBEDDED", tmp_path / "mnist")
    labels = tmp_path / "mnist/t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[-1] = (content[-1] + 1) % 10
    labels.write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz: damaged"):
        load(tmp_path / "mnist")


def test_gzipped_and_plain_read_the_same(small_data, tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((small_data / name).read_bytes()))
    plain, gzipped = load(small_data), load(tmp_path)
    assert plain.info == gzipped.info != dataset.MNIST
    for part in ("train", "test"):
        for a, b in zip(getattr(plain, part), getattr(gzipped, part), strict=True):
            np.testing.assert_array_equal(a, b)


def header(*sizes, magic=b"\0\0\x08"):
    return magic + bytes([len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)


IMAGES, LABELS = NAMES[0], NAMES[1]
BROKEN = {
    "missing": (IMAGES, None, "there is no file"),
    "empty": (IMAGES, b"", "not an IDX file"),
    "text": (IMAGES, b"<html>404 Not Found</html>", "not an IDX file"),
    "floats": (IMAGES, header(300, 28, 28, magic=b"\0\0\x0d") + bytes(300 * 784 * 4), "not an IDX file"),
    "labels in place of images": (IMAGES, header(300) + bytes(300), "not images of uint8"),
    "truncated": (IMAGES, header(300, 28, 28) + bytes(300 * 784 - 1), "its header says 235,200 bytes"),
    "too long": (IMAGES, header(300, 28, 28) + bytes(300 * 784 + 1), "the file has more"),
    "claims terabytes": (
        IMAGES,
        header(2**32 - 1, 28, 28) + bytes(784),
        "4,294,967,295 items; at most 1,000,000 are read",
    ),
    "other size": (IMAGES, header(300, 32, 32) + bytes(300 * 1024), "train and test differ in shape"),
    "no images": (IMAGES, header(0, 28, 28), "of shape (0, 28, 28)"),
    "fewer images than labels": (IMAGES, header(299, 28, 28) + bytes(299 * 784), "299 test images but 300 labels"),
    "images in place of labels": (
        LABELS,
        header(300, 2, 2) + bytes(1200),
        "not labels, but uint8 of shape [300, 2, 2]",
    ),
    "negative label": (LABELS, header(300, magic=b"\0\0\x0c") + b"\xff" * 1200, "a label is -1"),
    "300 classes": (
        LABELS,
        header(300, magic=b"\0\0\x0c") + b"\0\0\1\x2c" * 300,
        "a label is 300; at most 256 classes",
    ),
}


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_is_refused(case, gzipped, small_data, tmp_path):
    name, content, complaint = BROKEN[case]
    folder = shutil.copytree(small_data, tmp_path / "data")
    (folder / name).unlink()
    if content is not None:
        path = folder / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(content) if gzipped else content)
    with pytest.raises(UserError) as raised:
        load(folder)
    assert complaint in str(raised.value)
    assert str(folder) in str(raised.value)


def test_gzip_is_read_no_further_than_the_header_says(small_data, tmp_path):
    folder = shutil.copytree(small_data, tmp_path / "data")
    (folder / IMAGES).unlink()
    (folder / f"{IMAGES}.gz").write_bytes(gzip.compress(header(300, 28, 28) + bytes(200_000_000)))
    tracemalloc.start()
    with pytest.raises(UserError, match="the file has more"):
        load(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000  # with the other files' 4 MB


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: content[:40] + content[60:]])
def test_damaged_gzip_is_refused(damage, small_data, tmp_path):
    folder = shutil.copytree(small_data, tmp_path / "data")
    content = gzip.compress((folder / IMAGES).read_bytes())
    (folder / IMAGES).unlink()
    (folder / f"{IMAGES}.gz").write_bytes(damage(content))
    with pytest.raises(UserError, match="cannot be read"):
        load(folder)


def dataset_of(labels):
    """Images that have their number as a pixel."""
    images = np.arange(len(labels), dtype=np.uint32).view(np.uint8).reshape(-1, 2, 2, 1)
    train = Split(images, np.array(labels, np.uint8))
    return Dataset(train, train, dataset.MNIST)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_of_each_class_the_same_share_is_held_out_the_first_of_it(count):
    labels = [0, 1, 1, 1, 1, 2, 0, 1, 1, 2, 2, 1, 0]  # 3, 7 and 3
    train, validation = dataset_of(labels).hold_out(count)
    numbers = [split.images.reshape(-1, 4).view(np.uint32).ravel().tolist() for split in (train, validation)]
    assert sorted(numbers[0] + numbers[1]) == list(range(13))
    assert all(
        split.labels.tolist() == [labels[i] for i in own]
        for split, own in zip((train, validation), numbers, strict=True)
    )
    counts = np.bincount(validation.labels, minlength=3)
    assert (np.abs(counts - count * np.array([3, 7, 3]) / 13) < 1).all()
    for label in range(3):  # its first
        assert [i for i in numbers[1] if labels[i] == label] == [i for i in range(13) if labels[i] == label][
            : counts[label]
        ]


def test_of_a_large_set_the_first_are_held_out_unless_a_class_would_be_lost():
    mixed = np.arange(50_000) % 100
    train, validation = dataset_of(mixed).hold_out(5_000)
    np.testing.assert_array_equal(validation.images.reshape(-1, 4).view(np.uint32).ravel(), np.arange(5_000))
    for count in (5_000, 3_000):  # sorted by class: a share of each
        train, validation = dataset_of(np.sort(mixed)).hold_out(count)
        assert (np.bincount(validation.labels, minlength=100) == count // 100).all()
        assert (np.bincount(train.labels, minlength=100) == 500 - count // 100).all()
    # As every version held out 5,000: a run of before goes on with the same images.
    _, validation = dataset_of(mixed[:9_000]).hold_out(5_000)
    np.testing.assert_array_equal(validation.images.reshape(-1, 4).view(np.uint32).ravel(), np.arange(5_000))


def test_no_class_is_held_out_whole():
    train, _ = dataset_of([0] * 50 + [1, 2]).hold_out(49)
    assert sorted(train.labels) == [0, 1, 2]
    for count in (0, 50):
        with pytest.raises(UserError, match="validation: must be from 1 to 49, of 52 training images"):
            dataset_of([0] * 50 + [1, 2]).hold_out(count)


def test_a_pass_takes_every_example_once_in_an_order_of_its_own():
    passes = [[batch_indices(3, step, 20, 200) for step in range(first, first + 10)] for first in (0, 10)]
    for batches in passes:
        assert sorted(np.concatenate(batches)) == list(range(200))
    assert not np.array_equal(passes[0], passes[1])
    other_seed = [batch_indices(4, step, 20, 200) for step in range(10)]
    assert not np.array_equal(passes[0], other_seed)


def test_the_order_of_the_batches_is_the_same_for_ever():
    # What a checkpoint of an earlier version continues with; a change here breaks exact resume.
    assert batch_indices(0, 0, 5, 55_000).tolist() == [53924, 25556, 20554, 16026, 47310]
    assert batch_indices(1, 550 * 7 + 3, 100, 55_000)[:5].tolist() == [27768, 34887, 14913, 33793, 49134]


def test_data_is_named_after_its_folder_and_mnist_is_mnist_anywhere(small_data, tmp_path):
    for name in NAMES:
        shutil.copy(lenet.data.EMBEDDED / f"{name}.gz", tmp_path)
    assert load(tmp_path).info.name == "mnist"
    folder = shutil.copytree(small_data, tmp_path / "my digits")
    one = load(folder).info
    assert one.name.startswith("my_digits~")
    assert one == load(small_data).info
    labels = folder / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\3")
    other = load(folder).info
    assert (other.training_sha256 == one.training_sha256, other.test_sha256 == one.test_sha256) == (True, False)
    assert other.name != one.name


def test_each_step_has_its_batch_and_its_learning_rate():
    batches = Training(20, 0.5).batches(range(3, 7), seed=3, count=200)
    assert batches.shape == (4, 20)
    np.testing.assert_array_equal(batches[1], batch_indices(3, 4, 20, 200))
    assert Training(20, 0.5).learning_rates(range(3, 7)).tolist() == [0.5] * 4
