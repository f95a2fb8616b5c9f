"""Every config in every framework, and small networks beside plain NumPy; Keras on its other engines."""

import importlib.util
import itertools

import jobs
import numpy as np
import pytest
import reference
from conftest import ARCHITECTURES, Worker
from test_parity import INDICES, LENET, bound, initial, largest_difference, same

from lenet.config import load
from lenet.data import load as read_data
from lenet.dataset import MNIST
from lenet.settings import Settings

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
def test_numpy_agrees(case, framework, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL[case])
    config = load(tmp_path / "small.toml")
    network, rate = Settings.of(config, MNIST).network, config.training.learning_rate
    start = initial("float64", network)
    images, labels = read_data().hold_out(5_000)[0]
    batches = [(images[batch], labels[batch]) for batch in INDICES[:5, :10]]
    expected_cross_entropies, *expected = reference.train(network, start.parameters, batches, rate)
    found = framework.do(jobs.train, framework.name, network, "float64", start, INDICES[:5, :10], rate)
    assert same(found[0], np.array(expected_cross_entropies))
    for arrays, wanted in zip(found[2].arrays, expected, strict=True):
        assert largest_difference(arrays, wanted) <= 1e-12
    *_, expected_logits = reference.gradients(network, start.parameters, *batches[0])
    logits = framework.do(jobs.logits, framework.name, network, "float64", start, batches[0][0])
    assert np.abs(logits - expected_logits).max() <= 1e-12
    accuracy = (expected_logits.argmax(axis=1) == batches[0][1]).mean()
    assert found[1][0] == pytest.approx(accuracy)


@pytest.mark.parametrize("engine", ["torch", "jax"])
def test_keras_computes_the_same_on_its_other_engines(engine, workers):
    if not importlib.util.find_spec(engine):
        pytest.skip(f"{engine} is not installed")
    worker = Worker("keras", {"KERAS_BACKEND": engine})
    cross_entropies, *_ = worker.do(jobs.train, "keras", LENET, "float32", initial("float32"), INDICES[:10])
    imported = worker.do(jobs.modules)
    code, _, err = worker.run("--train", "--train_num", 1, "--precision", "float64")
    worker.pool.shutdown()
    expected, *_ = workers["keras"].do(jobs.train, "keras", LENET, "float32", initial("float32"), INDICES[:10])
    assert (np.abs(cross_entropies - expected) / expected).max() <= bound(engine)
    assert engine in imported
    assert "tensorflow" not in imported
    # Keras computes means in float32 there, whatever it is told; that must not pass for float64.
    assert (code, err.count("\n")) == (2, 1)
    assert f"Keras on {engine} rounds float64 to float32" in err


@pytest.mark.parametrize("config", ARCHITECTURES)
def test_every_config_agrees_in_float64_over_10_steps(config, workers):
    network = Settings.of(load(config), MNIST).network
    start, indices = initial("float64", network), INDICES[:10, :10]
    runs = [worker.do(jobs.train, name, network, "float64", start, indices) for name, worker in workers.items()]
    for (a, _, one), (b, _, other) in itertools.combinations(runs, 2):
        assert same(a, b)
        for found, wanted in zip(one.arrays, other.arrays, strict=True):
            assert largest_difference(found, wanted) <= 1e-12


@pytest.mark.parametrize("config", ARCHITECTURES)
def test_every_config_agrees_in_float32_over_5_steps(config, workers):
    network = Settings.of(load(config), MNIST).network
    start, indices = initial("float32", network), INDICES[:5, :20]  # roundings grow, fastest in add_conv
    runs = {name: worker.do(jobs.train, name, network, "float32", start, indices) for name, worker in workers.items()}
    for (one, (a, _, _)), (other, (b, _, _)) in itertools.combinations(runs.items(), 2):
        assert (np.abs(a - b) / b).max() <= bound(one, other)
