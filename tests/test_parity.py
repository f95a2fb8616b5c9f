"""All frameworks compute the same: against each other, and against plain NumPy.

In float64 a wrong formula stands out from rounding, so the bounds are far below what any mistake would give.
"""

import functools
import itertools

import jobs
import numpy as np
import pytest
from conftest import FRAMEWORKS

from lenet import dataset
from lenet.backend import TrainingState, storage_dtype
from lenet.config import load
from lenet.data import load as read_data
from lenet.initialization import initial_parameters
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.training import Training

LENET = Settings.of(load("lenet"), dataset.MNIST).network


def bound(*names):
    """How far apart cross-entropies may be in float32, relative; XLA's convolutions round otherwise than oneDNN's."""
    return 1e-4 if "jax" in names else 1e-5


PAIRS = list(itertools.combinations(FRAMEWORKS, 2))
INDICES = Training().batches(range(40), 0, 55_000)
FLOAT64_INDICES = INDICES[:, :20]  # a wrong formula shows in a small batch, too


def initial(precision, network=LENET):
    initial = initial_parameters(0, network)
    parameters = {name: array.astype(storage_dtype(precision)) for name, array in initial.items()}
    zeros = {name: np.zeros_like(array) for name, array in parameters.items()}
    return TrainingState(0, parameters, zeros, zeros)


def same(a, b, bound=1e-12):
    """Whether cross-entropies agree, relative to max(1, cross-entropy)."""
    return (np.abs(a - b) / np.maximum(1, np.abs(b))).max() <= bound


@pytest.fixture(scope="module")
def trained(workers):
    """(framework, precision, steps) -> what the first steps of `lenet` give, each computed once."""

    @functools.cache
    def train(name, precision, steps):
        indices = FLOAT64_INDICES if precision == "float64" else INDICES
        if steps <= 20:
            return workers[name].do(jobs.train, name, LENET, precision, initial(precision), indices[:steps])
        half = train(name, precision, 20)
        rest = workers[name].do(jobs.train, name, LENET, precision, half[2], indices[20:steps])
        return np.append(half[0], rest[0]), np.append(half[1], rest[1]), rest[2]

    return train


def largest_difference(a, b, relative=False):
    """Over all arrays of two dictionaries; relative to the largest element of each array."""
    return max(np.abs(a[name] - b[name]).max() / (np.abs(b[name]).max() if relative else 1) for name in b)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_float64_gradients_agree(one, other, trained):
    # After one step Adam's first moment is a tenth of the gradient.
    a, b = (trained(name, "float64", 1)[2].first_moment for name in (one, other))
    assert largest_difference(a, b, relative=True) <= 1e-12


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_float64_cross_entropies_of_40_steps_agree(one, other, trained):
    a, b = (trained(name, "float64", 40)[0] for name in (one, other))
    assert same(a, b)


@pytest.mark.parametrize(("one", "other"), [*itertools.permutations(FRAMEWORKS, 2)])
def test_float64_run_continues_in_another_framework(one, other, trained, workers, tmp_path):
    half = trained(one, "float64", 20)[2]
    settings = Settings(LENET.architecture, Training(), dataset.MNIST, "float64", 0, load("lenet"))
    Checkpoint(half, settings).save(tmp_path / "file")
    start = Checkpoint.load(tmp_path / "file").state
    cross_entropies, _, state = workers[other].do(jobs.train, other, LENET, "float64", start, FLOAT64_INDICES[20:])
    expected_cross_entropies, _, expected = trained(one, "float64", 40)
    assert same(cross_entropies, expected_cross_entropies[20:])
    assert state.step == expected.step == 40
    for found, wanted in zip(state.arrays, expected.arrays, strict=True):
        assert largest_difference(found, wanted) <= 1e-12


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_float32_logits_agree(one, other, workers):
    images = read_data().test.images[:100]
    a, b = (workers[name].do(jobs.logits, name, LENET, "float32", initial("float32"), images) for name in (one, other))
    assert a.shape == (100, 10)
    assert np.abs(a - b).max() <= 1e-4


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_float32_cross_entropies_of_10_steps_agree(one, other, trained):
    a, b = (trained(name, "float32", 10)[0] for name in (one, other))
    assert (np.abs(a - b) / b).max() <= bound(one, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_parameters_and_moments_are_float32(precision, trained, framework):
    for arrays in trained(framework.name, precision, 10)[2].arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}


def test_a_state_that_was_read_does_not_change_with_the_next_step(framework):
    network = Settings.of(load("lenet5"), dataset.MNIST).network
    before, after = framework.do(
        jobs.read_after_training, framework.name, network, initial("float32", network), INDICES[:1]
    )
    for one, other in zip(before, after, strict=True):
        assert largest_difference(one, other) == 0


def test_bfloat16_computes_the_same_more_coarsely(framework, trained):
    coarse, fine = (trained(framework.name, precision, 10)[0] for precision in ("bfloat16", "float32"))
    relative = np.abs(coarse - fine) / fine
    assert 1e-5 < relative.max() < 0.05
    assert relative.mean() < 0.02


def test_accuracies_on_the_test_images_agree(workers, repeats, tmp_path):
    short = ("--train_num", 60, "--config", "lenet5", "--learning_rate", 1e-3)
    flags, least = repeats((short, 80), (("--train_num", 1000), 96.5))
    accuracies = []
    for worker in workers.values():
        code, out, err = worker.run("--train", *flags, "--log_dir", tmp_path)
        noise = [line for line in err.splitlines() if not line.startswith("step ")]  # steps, where it takes minutes
        assert (code, noise) == (0, [])
        accuracies.append(float(out.split("test accuracy ")[1].split(" %")[0]))
    assert max(accuracies) - min(accuracies) <= 0.3
    assert min(accuracies) >= least
