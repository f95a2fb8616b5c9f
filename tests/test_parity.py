"""All frameworks compute the same: against each other, and against plain NumPy.

In float64 a wrong formula stands out from rounding, so the bounds are far below what any mistake would give.
"""

import functools
import importlib.util
import itertools

import jobs
import numpy as np
import pytest
import reference
from conftest import Worker

import main
from lenet import dataset
from lenet.architecture import CONFIGS, from_toml, load
from lenet.checkpoint import Checkpoint

LENET = load("lenet")
PAIRS = list(itertools.combinations(main.FRAMEWORKS, 2))
INDICES = np.stack([dataset.batch_indices(0, step, 100, 55_000) for step in range(40)])


def initial(precision, architecture=LENET):
    return Checkpoint.initial(architecture, {}, 0, precision).state


@pytest.fixture(scope="module")
def trained(workers):
    """(framework, precision, steps) -> what the first steps of `lenet` give, each computed once."""

    @functools.cache
    def train(name, precision, steps):
        if steps <= 20:
            return workers[name].do(jobs.train, name, LENET, precision, initial(precision), INDICES[:steps])
        half = train(name, precision, 20)
        rest = workers[name].do(jobs.train, name, LENET, precision, half[2], INDICES[20:steps])
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
    assert np.abs(a - b).max() <= 1e-12


@pytest.mark.parametrize(("one", "other"), [*itertools.permutations(main.FRAMEWORKS, 2)])
def test_float64_run_continues_in_another_framework(one, other, trained, workers, tmp_path):
    half = trained(one, "float64", 20)[2]
    Checkpoint(half, LENET, 0, "float64", {}).save(tmp_path / "file")
    start = Checkpoint.load(tmp_path / "file").state
    cross_entropies, _, state = workers[other].do(jobs.train, other, LENET, "float64", start, INDICES[20:])
    expected_cross_entropies, _, expected = trained(one, "float64", 40)
    assert np.abs(cross_entropies - expected_cross_entropies[20:]).max() <= 1e-12
    assert state.step == expected.step == 40
    for found, wanted in zip(state.arrays, expected.arrays, strict=True):
        assert largest_difference(found, wanted) <= 1e-12


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_float32_logits_agree(one, other, workers):
    images = dataset.load(dataset.EMBEDDED).test.images[:100]
    a, b = (workers[name].do(jobs.logits, name, LENET, "float32", initial("float32"), images) for name in (one, other))
    assert a.shape == (100, 10)
    assert np.abs(a - b).max() <= 1e-4


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_float32_cross_entropies_of_10_steps_agree(one, other, trained):
    a, b = (trained(name, "float32", 10)[0] for name in (one, other))
    assert (np.abs(a - b) / b).max() <= 1e-5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_parameters_and_moments_are_float32(precision, trained, framework):
    for arrays in trained(framework.name, precision, 10)[2].arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}


def test_a_state_that_was_read_does_not_change_with_the_next_step(framework):
    architecture = load("lenet5")
    before, after = framework.do(
        jobs.read_after_training, framework.name, architecture, initial("float32", architecture), INDICES[:1]
    )
    for one, other in zip(before, after, strict=True):
        assert largest_difference(one, other) == 0


def test_bfloat16_computes_the_same_more_coarsely(framework, trained):
    coarse, fine = (trained(framework.name, precision, 10)[0] for precision in ("bfloat16", "float32"))
    relative = np.abs(coarse - fine) / fine
    assert 1e-5 < relative.max() < 0.05
    assert relative.mean() < 0.02


@pytest.fixture(scope="module")
def tested(workers, tmp_path_factory):
    """Framework -> its result line's test accuracy, in %, after 1000 steps of `lenet`."""
    log_dir = tmp_path_factory.mktemp("logs")

    @functools.cache
    def run(name):
        code, out, err = workers[name].run("--train", "--train_num", 1000, "--log_dir", log_dir)
        assert (code, err) == (0, "")
        return float(out.split("test accuracy ")[1].split(" %")[0])

    return run


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_accuracies_after_1000_steps_agree(one, other, tested):
    assert abs(tested(one) - tested(other)) <= 0.3
    assert tested(one) >= 96.5


SMALL = {
    "relu": """conv = [{ filters = 3 }, { filters = 4, kernel = 3 }]
        dense = [7]""",
    "sigmoid": """conv = [{ filters = 3, kernel = 4 }]
        dense = [7, 6]
        activation = "sigmoid"
        learning_rate = 0.01""",
    "tanh": """conv = [{ filters = 2 }, { filters = 3 }, { filters = 4 }]
        dense = []
        activation = "tanh" """,
    "stride 1": """conv = [{ filters = 2, pool_stride = 1 }, { filters = 3, pool_window = 3, pool_stride = 1 }]
        dense = []""",
    "odd windows": """conv = [{ filters = 2, pool_window = 5, pool_stride = 3 }, { filters = 3, pool_window = 3 }]
        dense = [5]""",
    "average": """conv = [{ filters = 2, pool = "average" }, { filters = 3, padding = "valid", pool = "average" }]
        dense = [5]
        activation = "tanh"
        initialization = "glorot_uniform" """,
    "odd averages": """conv = [
            { filters = 2, pool = "average", pool_window = 3 },
            { filters = 3, pool = "average", pool_window = 4, pool_stride = 3 },
        ]
        dense = [5]""",
}


@pytest.mark.parametrize("case", SMALL)
def test_numpy_agrees(case, framework):
    architecture = from_toml(SMALL[case], case)
    start = initial("float64", architecture)
    data = dataset.load(dataset.EMBEDDED)
    batches = [(data.train.images[batch], data.train.labels[batch]) for batch in INDICES[:5, :10]]
    expected_cross_entropies, *expected = reference.train(architecture, start.parameters, batches)
    found = framework.do(jobs.train, framework.name, architecture, "float64", start, INDICES[:5, :10])
    assert np.abs(found[0] - expected_cross_entropies).max() <= 1e-12
    for arrays, wanted in zip(found[2].arrays, expected, strict=True):
        assert largest_difference(arrays, wanted) <= 1e-12
    *_, expected_logits = reference.gradients(architecture, start.parameters, *batches[0])
    logits = framework.do(jobs.logits, framework.name, architecture, "float64", start, batches[0][0])
    assert np.abs(logits - expected_logits).max() <= 1e-12
    accuracy = (expected_logits.argmax(axis=1) == batches[0][1]).mean()
    assert found[1][0] == pytest.approx(accuracy)


# XLA's convolutions, JAX's, round differently on a processor.
@pytest.mark.parametrize(("engine", "bound"), [("torch", 1e-5), ("jax", 1e-4)])
def test_keras_computes_the_same_on_its_other_engines(engine, bound, trained):
    if not importlib.util.find_spec(engine):
        pytest.skip(f"{engine} is not installed")
    worker = Worker("keras", {"KERAS_BACKEND": engine})
    cross_entropies, *_ = worker.do(jobs.train, "keras", LENET, "float32", initial("float32"), INDICES[:10])
    imported = worker.do(jobs.modules)
    code, _, err = worker.run("--train", "--train_num", 1, "--precision", "float64")
    worker.pool.shutdown()
    expected = trained("keras", "float32", 10)[0]
    assert (np.abs(cross_entropies - expected) / expected).max() <= bound
    assert engine in imported
    assert "tensorflow" not in imported
    # Keras computes means in float32 there, whatever it is told; that must not pass for float64.
    assert (code, err.count("\n")) == (2, 1)
    assert f"Keras on {engine} rounds float64 to float32" in err


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_agrees_in_float64_over_20_steps(config, workers):
    architecture = load(config)
    start, indices = initial("float64", architecture), INDICES[:20, :10]
    runs = [worker.do(jobs.train, name, architecture, "float64", start, indices) for name, worker in workers.items()]
    for (a, _, one), (b, _, other) in itertools.combinations(runs, 2):
        assert np.abs(a - b).max() <= 1e-12
        for found, wanted in zip(one.arrays, other.arrays, strict=True):
            assert largest_difference(found, wanted) <= 1e-12


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_agrees_in_float32_over_5_steps(config, workers):
    architecture = load(config)
    start, indices = initial("float32", architecture), INDICES[:5, :20]  # roundings grow, fastest in add_conv
    runs = [worker.do(jobs.train, name, architecture, "float32", start, indices) for name, worker in workers.items()]
    for (a, _, _), (b, _, _) in itertools.combinations(runs, 2):
        assert (np.abs(a - b) / b).max() <= 1e-5
