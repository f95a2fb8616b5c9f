"""Damaged inputs for one reader, such as checkpoint, idx, csv: python fuzz.py READER COUNT. Prints the counts."""

import collections
import json
import re
import resource
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import safetensors.numpy
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import write_idx
from test_checkpoint import example
from test_formats_of_data import as_csv, as_idx, as_npz

from lenet import UserError
from lenet.config import CONFIGS, load, to_toml
from lenet.data import cifar, idx
from lenet.data import load as load_data
from lenet.storage import checkpoint, lenet1
from lenet.storage.checkpoint import KEY, Checkpoint

LENET_1 = Path(__file__).parent / "files/lenet-1.safetensors"

NUMBERS = ["0", "-1", "1e400", "nan", "inf", "9" * 25, "9" * 5000, "0x7fffffff", "1_0", "true", "[]", "{}", '""']


def mutate(generator, content):
    """A few bits, bytes, pieces or numbers of `content` changed, or the rest cut off."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 4)):
        position = int(generator.integers(len(content) + 1))
        # Half of all damage near the start: a header is what a reader believes.
        position = position % 64 if generator.random() < 0.5 else position
        end = position + int(generator.integers(1, 40))
        match int(generator.integers(7)):
            case 0 if position < len(content):
                content[position] ^= 1 << int(generator.integers(8))
            case 1:
                content[position:end] = generator.bytes(end - position)
            case 2:
                del content[position:end]
            case 3:
                content[position:position] = content[position:end] * int(generator.integers(1, 4))
            case 4:
                del content[position:]
            case 5:
                content[position:position] = b"[{\"'#=\n" * int(generator.choice([1, 5, 3000]))
            case 6:
                found = list(re.finditer(rb"\d+(\.\d+)?", content[:5000]))
                if found:
                    span = found[int(generator.integers(len(found)))].span()
                    content[slice(*span)] = NUMBERS[int(generator.integers(len(NUMBERS)))].encode()
    return bytes(content)


def fuzz_checkpoint(generator, folder):
    """Half of them with a right SHA-256, so that the checks after it are reached."""
    path = folder / "file"
    example().save(path)
    original = path.read_bytes()

    def attempt():
        if generator.random() < 0.5:
            path.write_bytes(mutate(generator, original))
            assert saved(Checkpoint.load(path), folder) == original
            return
        arrays, metadata = parts(original)
        text = mutate(generator, metadata[KEY].encode()).decode(errors="replace")
        try:
            said = json.loads(text)
            del said["sha256"]
        except (ValueError, TypeError, KeyError, RecursionError):  # it is refused before its SHA-256 is looked at
            path.write_bytes(safetensors.numpy.save(arrays, {KEY: text}))
        else:
            held = swapped(generator, arrays)
            said["sha256"] = checkpoint._sha256(held, said)
            path.write_bytes(safetensors.numpy.save(held, {KEY: json.dumps(said)}))
        once = saved(Checkpoint.load(path), folder)
        assert saved(Checkpoint.load(folder / "again"), folder) == once

    return attempt


def fuzz_lenet1(generator, folder):
    """Metadata of the format before, with a right SHA-256."""
    path = folder / "file"
    arrays, metadata = parts(LENET_1.read_bytes())
    del metadata["sha256"]

    def attempt():
        said, held = dict(metadata), swapped(generator, arrays)
        for _ in range(generator.integers(1, 3)):
            key = list(said)[int(generator.integers(len(said)))]
            said[key] = mutate(generator, said[key].encode()).decode(errors="replace")
        said["sha256"] = checkpoint._sha256(held, said)
        path.write_bytes(safetensors.numpy.save(held, said))
        once = saved(Checkpoint.load(path), folder)
        assert saved(Checkpoint.load(folder / "again"), folder) == once

    assert metadata["format"] == lenet1.FORMAT
    return attempt


def parts(content):
    """A safetensors file's arrays and metadata."""
    size = int.from_bytes(content[:8], "little")
    return safetensors.numpy.load(content), json.loads(content[8 : 8 + size])["__metadata__"]


def saved(found, folder):
    """The bytes of a checkpoint that is saved."""
    found.save(folder / "again")
    return (folder / "again").read_bytes()


def swapped(generator, arrays):
    """The arrays, in three of ten cases with one of another dtype, shape or name."""
    arrays = dict(arrays)
    if generator.random() < 0.3:
        name = list(arrays)[int(generator.integers(len(arrays)))]
        array = arrays.pop(name)
        kind = str(generator.choice(["float16", "float64", "int8", "bool", "uint64"]))
        arrays[str(generator.choice([name, "other"]))] = array.astype(kind).reshape(-1)
    return arrays


def fuzz_idx(generator, folder):
    """A file of 20 images, gzipped or not."""
    images = generator.integers(0, 256, (20, 28, 28), np.uint8)
    contents = {}
    for name in ("plain", "zipped.gz"):
        write_idx(folder / name, images)
        contents[name] = (folder / name).read_bytes()

    def attempt():
        name = str(generator.choice(list(contents)))
        (folder / name).write_bytes(mutate(generator, contents[name]))
        found = idx.read(folder / name)
        # Nothing in an IDX file says what its pixels should be: those may differ, the file's form not.
        assert found.dtype in (np.uint8, np.dtype(">i4"))
        assert found.size > 0
        if found.dtype == np.uint8:
            write_idx(folder / "again", found)
            np.testing.assert_array_equal(idx.read(folder / "again"), found)

    return attempt


def fuzz_data(generator, folder, made, changed):
    """Data of 40 small images; each attempt damages one of its files, and what is read is what IDX says of it, too."""
    contents = [path.read_bytes() for path in changed]

    def attempt():
        n = int(generator.integers(len(changed)))
        changed[n].write_bytes(mutate(generator, contents[n]))
        try:
            data = load_data(made)
        finally:
            changed[n].write_bytes(contents[n])
        for split in (data.train, data.test):
            assert split.images.dtype == split.labels.dtype == np.uint8
            assert split.images.shape == (len(split.labels), *data.info.image_shape)
            assert split.labels.max(initial=0) < len(data.info.classes)
        shutil.rmtree(folder / "again", ignore_errors=True)
        parts = {"train": data.train, "test": data.test}
        as_idx(
            folder / "again",
            {part: split.images for part, split in parts.items()},
            {p: s.labels for p, s in parts.items()},
        )
        if {*np.unique(np.concatenate([data.train.labels, data.test.labels]))} == {*range(len(data.info.classes))}:
            assert load_data(folder / "again").info == data.info

    return attempt


def fuzz_csv(generator, folder):
    """Two files, with a header and without."""
    made = as_csv(folder / "mine")
    (made / "my_test.csv").write_text((made / "my_test.csv").read_text().partition("\n")[2])
    return fuzz_data(generator, folder, made, sorted(made.iterdir()))


def fuzz_npz(generator, folder):
    """An archive; half of the damage is in its arrays, under right checksums."""
    path = as_npz(folder / "mine.npz")
    with zipfile.ZipFile(path) as archive:
        arrays = {name: archive.read(name) for name in archive.namelist()}
    whole = fuzz_data(generator, folder, path, [path])

    def attempt():
        if generator.random() < 0.5:
            return whole()
        name = str(generator.choice(list(arrays)))
        with zipfile.ZipFile(folder / "inside.npz", "w") as archive:
            for each, content in arrays.items():
                archive.writestr(each, mutate(generator, content) if each == name else content)
        return load_data(folder / "inside.npz")

    return attempt


def fuzz_cifar(generator, folder):
    """The six batches of CIFAR-10 with five records each."""
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        records = generator.integers(0, 256, (5, cifar.RECORD), np.uint8)
        records[:, 0] = generator.integers(0, 10, 5)
        (folder / "mine").mkdir(exist_ok=True)
        (folder / "mine" / name).write_bytes(records.tobytes())
    return fuzz_data(generator, folder, folder / "mine", sorted((folder / "mine").iterdir()))


def fuzz_pictures(generator, folder):
    """Folders of PNG, JPEG, TIFF, WebP, BMP and GIF files."""
    made = folder / "mine"
    for i in range(12):
        for part in ("train", "test"):
            place = made / part / f"{i % 2}"
            place.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(generator.integers(0, 256, (9, 9, 3), np.uint8))
            ending = (".png", ".jpg", ".tif", ".webp", ".bmp", ".gif")[i // 2]
            (image if i % 4 else image.convert("L")).save(place / f"{i}{ending}")
    return fuzz_data(generator, folder, made, sorted(path for path in made.rglob("*.*") if path.is_file()))


def fuzz_kept(generator, folder):
    """What is kept of data that took long to read: damaged, it is read again."""
    made, wanted = as_csv(folder / "mine"), None
    wanted = load_data(made, log_dir=folder / "logs")
    (kept,) = (folder / "logs/data").iterdir()
    content = kept.read_bytes()

    def attempt():
        kept.write_bytes(mutate(generator, content))
        found = load_data(made, log_dir=folder / "logs")
        assert found.info == wanted.info
        np.testing.assert_array_equal(found.train.images, wanted.train.images)

    return attempt


def fuzz_config(generator, folder):
    """The project's own configs."""
    texts = [path.read_bytes() for path in CONFIGS.values()]

    def attempt():
        path = folder / "damaged.toml"
        path.write_bytes(mutate(generator, texts[int(generator.integers(len(texts)))]))
        found = load(path)
        (folder / "again.toml").write_text(to_toml(found.architecture, found.training))
        again = load(folder / "again.toml")
        assert (again.architecture, again.training) == (found.architecture, found.training)

    return attempt


def main(reader, count):
    """Print how many were accepted and refused, the longest time in seconds and the growth of memory in MB."""
    generator = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        attempt = globals()[f"fuzz_{reader}"](generator, Path(folder))
        before, longest, counts = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0, collections.Counter()
        for _ in range(count):
            started = time.perf_counter()
            try:
                attempt()
                counts["accepted"] += 1
            except UserError as error:
                assert error.exit_code == 2
                counts["refused"] += 1
            longest = max(longest, time.perf_counter() - started)
        growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    print(json.dumps({**counts, "longest": round(longest, 3), "growth": round(growth)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
