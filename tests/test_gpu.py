"""A GPU computes what the processor does. All but the last two are skipped where there is none."""

import jobs
import numpy as np
import pytest
from conftest import ARCHITECTURES
from test_parity import INDICES, LENET, initial, same

from lenet.config import load
from lenet.dataset import MNIST
from lenet.network import Network
from lenet.settings import Settings

STEPS = INDICES[:12]


# With TF32, which PyTorch takes for convolutions unless it is told, float32 differs by 7e-4.
@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-4), ("float64", 1e-12)])
def test_a_gpu_gives_the_numbers_of_the_processor_and_always_the_same(framework, process, precision, bound):
    name = framework.name
    if not framework.do(jobs.finds_gpu, name):
        pytest.skip("there is no GPU")
    arguments = name, LENET, precision, initial(precision), STEPS
    expected, _, _ = framework.do(jobs.train, *arguments)
    cross_entropies, _, state = process.do(jobs.train, *arguments, device="gpu")
    assert same(cross_entropies, expected, bound)
    again, _, same_state = process.do(jobs.train, *arguments, device="gpu")
    assert np.array_equal(cross_entropies, again)
    for one, other in zip(state.arrays, same_state.arrays, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(("shape", "classes"), [((32, 32, 3), 10), ((28, 28, 1), 47), ((13, 22, 3), 3)])
def test_a_gpu_computes_the_same_of_any_shape(framework, process, shape, classes):
    name, generator = framework.name, np.random.default_rng(0)
    if not framework.do(jobs.finds_gpu, name):
        pytest.skip("there is no GPU")
    images = generator.integers(0, 256, (12, 20, *shape), np.uint8)
    labels = generator.integers(0, classes, (12, 20), np.uint8)
    network = Network(LENET.architecture, shape, classes)
    arguments = name, network, "float32", initial("float32", network), images, labels
    expected, *_ = framework.do(jobs.train_on, *arguments)
    found, *_ = process.do(jobs.train_on, *arguments, device="gpu")
    assert same(found, expected, 1e-4)


def test_no_float32_of_pytorch_is_tf32(workers):
    assert workers["pytorch"].do(jobs.float32_of_torch, "pytorch") == {"ieee"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_operation_of_pytorch_is_one_that_varies(name, workers):
    network = Settings.of(load(name), MNIST).network
    arguments = "pytorch", network, initial("float32", network), INDICES[:2, :20]
    assert np.isfinite(workers["pytorch"].do(jobs.train_deterministically, *arguments)).all()
