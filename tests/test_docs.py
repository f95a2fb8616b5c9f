"""docs/use.md: its Python runs as it stands there, and the lines of exported files are those that are printed."""

import os
import re
import subprocess
import sys

import jobs
import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

from lenet.config import load
from lenet.data import load as read_data
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.use import forward

BLOCKS = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/use.md").read_text(), re.DOTALL)
OF_FILES = [
    block for block in BLOCKS if 'load_file("checkpoint.safetensors")' not in block and "lenet.load" not in block
]
OF_CHECKPOINTS = [block for block in BLOCKS if 'load_file("checkpoint.safetensors")' in block]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with a checkpoint of lenet and images.npy, and the logits that NumPy finds."""
    folder = tmp_path_factory.mktemp("use")
    start = Checkpoint.initial(Settings.of(load("lenet"), MNIST))
    start.save(folder / "checkpoint.safetensors")
    images = read_data().test.images[:20]
    np.save(folder / "images.npy", images[..., 0])
    return folder, forward.logits(start.settings.network, start.state.parameters, images)


@pytest.mark.framework
@pytest.mark.parametrize("block", OF_CHECKPOINTS, ids=["pytorch", "keras", "tensorflow"])
def test_the_checkpoint_is_loaded_without_this_project(block, checkpoint):
    folder, wanted = checkpoint
    assert 10 <= block.count("\n") - block.count("\n\n") <= 19
    lines = f"{block}\nnp.save('logits.npy', logits.detach() if hasattr(logits, 'detach') else np.asarray(logits))"
    done = subprocess.run([sys.executable, "-I", "-c", lines], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(folder / "logits.npy"), wanted, atol=1e-4 * max(1, np.abs(wanted).max()))


def test_the_lines_of_exported_files_are_those_that_are_printed(workers):
    """Which other tests run."""
    names = {
        "lenet.onnx": "onnx",
        "lenet.pt2": "pytorch",
        "lenet.pt": "pytorch",
        "lenet.keras": "keras",
        "model": "keras",
    }
    printed = []
    for name, module in names.items():
        worker = workers["keras" if module == "keras" else "pytorch"]
        printed.append(worker.do(jobs.loading, module, name))
    assert printed == OF_FILES


def test_the_table_of_the_checkpoint_is_its_layout():
    rows = re.findall(r"\| `(\w+/\w+)` \| \[(.*?)\] \|", (PROJECT / "docs/use.md").read_text())
    shapes = {name: tuple(int(size) for size in shape.split(", ")) for name, shape in rows}
    assert shapes == Settings.of(load("lenet"), MNIST).network.shapes


def test_docs_data_in_python(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/data.md").read_text(), re.DOTALL)
    for name in ("cat", "dog"):
        (tmp_path / "my_pictures" / name).mkdir(parents=True)
        for i in range(20):
            Image.new("L", (40, 30), i).save(tmp_path / "my_pictures" / name / f"{i}.png")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "32x32 ('cat', 'dog')\n(36, 32, 32, 1) (36,)\n", done.stderr
