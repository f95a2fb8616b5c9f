"""The processor's limit: the images per second that its matrix products alone allow.

Training `lenet` on an image takes three matrix products a layer: the layer itself, its kernel's gradient and its
input's gradient, the last not in the first layer. The rate is that of NumPy's product of two float32 matrices.
"""

import json
import time

import numpy as np

from lenet import architecture

SIZE = 2048
REPEATS = 20


def measure() -> dict[str, float]:
    """The rate over all repeats after a first one."""
    layers = architecture.load("lenet").layers
    multiply_adds_per_image = 3 * sum(layer.multiply_adds for layer in layers) - layers[0].multiply_adds
    a, b = np.random.default_rng(0).random((2, SIZE, SIZE), np.float32)
    np.matmul(a, b)
    started = time.perf_counter()
    for _ in range(REPEATS):
        np.matmul(a, b)
    multiply_adds_per_second = REPEATS * SIZE**3 / (time.perf_counter() - started)
    return {
        "images_per_second": multiply_adds_per_second / multiply_adds_per_image,
        "gigaflops": 2 * multiply_adds_per_second / 1e9,
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
