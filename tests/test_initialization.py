"""The first parameters."""

import numpy as np

from lenet.architecture import Architecture, Conv
from lenet.dataset import MNIST
from lenet.initialization import initial_parameters
from lenet.network import Network

SMALL = Network(Architecture((Conv(32), Conv(64)), (1024,)), MNIST.image_shape, 10)


def test_kernels_are_truncated_normal_and_biases_a_tenth():
    for name, array in initial_parameters(0, SMALL).items():
        if name.endswith("/bias"):
            assert (array == 0.1).all()
        elif array.size > 10_000:
            # A standard normal truncated at 2 has the standard deviation 0.87962566.
            assert np.abs(array).max() <= 0.2
            np.testing.assert_allclose(array.mean(), 0, atol=0.5 / np.sqrt(array.size))
            np.testing.assert_allclose(array.std(), 0.087962566, rtol=2 / np.sqrt(array.size))


def test_a_seed_names_its_parameters():
    first, again, other = (initial_parameters(seed, SMALL) for seed in (0, 0, 1))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        if name.endswith("/kernel"):
            assert not np.array_equal(array, other[name])


def test_layers_that_two_networks_share_start_equal():
    wider = Network(Architecture((Conv(32), Conv(64, kernel=7)), (1024,)), MNIST.image_shape, 10)
    one, two = initial_parameters(0, SMALL), initial_parameters(0, wider)
    for name in one.keys() - {"conv2/kernel"}:
        np.testing.assert_array_equal(one[name], two[name])
