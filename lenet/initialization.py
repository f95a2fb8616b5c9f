"""(seed, Network) -> the first parameters, the same for every framework."""

import math

import numpy as np

from lenet.network import Network


def initial_parameters(seed: int, network: Network) -> dict[str, np.ndarray]:
    """Return float64 arrays by canonical name: kernels as the architecture's `initialization` says, biases 0.1 or 0.

    Each array draws from a stream of its own, named by the seed and the array: layers that two networks share
    start from the same parameters.
    """
    draw, bias = {"truncated_normal": (_truncated_normal, 0.1), "glorot_uniform": (_glorot_uniform, 0.0)}[
        network.architecture.initialization
    ]
    return {
        name: draw(np.random.default_rng([seed, *name.encode()]), shape)
        if name.endswith("/kernel")
        else np.full(shape, bias)
        for name, shape in network.shapes.items()
    }


def _truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Mean 0, standard deviation 0.1; values beyond two standard deviations are drawn again."""
    values = generator.standard_normal(math.prod(shape))
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(np.count_nonzero(outside))
    values *= 0.1
    return values.reshape(shape)


def _glorot_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Within +-sqrt(6 / (fan-in + fan-out)) (Glorot & Bengio 2010, equation 16)."""
    *window, inputs, outputs = shape  # (height, width) for a convolution, nothing for a dense layer
    limit = math.sqrt(6 / (math.prod(window) * (inputs + outputs)))
    return generator.uniform(-limit, limit, shape)
