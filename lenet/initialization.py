"""(seed, Architecture) -> the first parameters, the same for every framework."""

import math

import numpy as np

from lenet.architecture import Architecture

STANDARD_DEVIATION = 0.1
BIAS = 0.1


def initial_parameters(seed: int, architecture: Architecture) -> dict[str, np.ndarray]:
    """Canonical name -> float64 array: kernels truncated normal, biases 0.1.

    Each array draws from a stream of its own, named by the seed and the array: layers that two architectures share
    start from the same parameters.
    """
    return {
        name: np.full(shape, BIAS)
        if name.endswith("/bias")
        else STANDARD_DEVIATION * _truncated_normal(np.random.default_rng([seed, *name.encode()]), shape)
        for name, shape in architecture.shapes.items()
    }


def _truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal, what lies outside [-2, 2] drawn again."""
    values = generator.standard_normal(math.prod(shape))
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(np.count_nonzero(outside))
    return values.reshape(shape)
