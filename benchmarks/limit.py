"""The processor's limit, as one library's matrix product shows it: python -m benchmarks.limit {numpy,torch,tensorflow}.

Training `lenet` on an image takes three matrix products a layer: the layer itself, its kernel's gradient and its
input's gradient, the last not in the first layer. The rate is that of the product of two float32 matrices.
"""

import importlib
import json
import sys
import time

import numpy as np

from lenet import config
from lenet.dataset import MNIST
from lenet.settings import Settings

LIBRARIES = {"numpy": "asarray", "torch": "from_numpy", "tensorflow": "constant"}  # and what makes an array its own
SIZE = 2048
REPEATS = 20


def measure(library: str) -> dict[str, float]:
    """The rate over all repeats after a first one."""
    layers = Settings.of(config.load("lenet"), MNIST).network.layers
    multiply_adds_per_image = 3 * sum(layer.multiply_adds for layer in layers) - layers[0].multiply_adds
    convert = getattr(importlib.import_module(library), LIBRARIES[library])
    a, b = (convert(matrix) for matrix in np.random.default_rng(0).random((2, SIZE, SIZE), np.float32))
    a @ b
    started = time.perf_counter()
    for _ in range(REPEATS):
        a @ b
    multiply_adds_per_second = REPEATS * SIZE**3 / (time.perf_counter() - started)
    return {
        "images_per_second": multiply_adds_per_second / multiply_adds_per_image,
        "gigaflops": 2 * multiply_adds_per_second / 1e9,
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
