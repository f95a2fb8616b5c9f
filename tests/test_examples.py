"""examples/ and the benchmarks that use them or put a framework's habit back."""

import json
import os
import subprocess
import sys

import pytest
from conftest import FRAMEWORKS, PROJECT

import lenet
from benchmarks.differences.__main__ import key_of, table
from benchmarks.differences.experiments import DIFFERENCES, plain
from benchmarks.throughput import unpack
from lenet.config import load
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.system.machine import cores

STOCK = [name for name in FRAMEWORKS if name != "jax"]
SAME_AT_FIRST = {"AddedGradients", "LastBatch", "LossOfProbabilities", "RunningAccuracy"}
SHORT = {"EpsilonAfterCorrection"}  # the others are in make torture
COUNT = """
import sys
from examples import lenet_{name} as example
arguments = sys.argv[1:] if "{name}" == "pytorch" else []
steps = []
model = example.train(2, lambda: steps.append(1), *arguments)
parameters = model.parameters() if "{name}" == "pytorch" else [v.numpy() for v in model.trainable_variables]
counts = [each.numel() if "{name}" == "pytorch" else each.size for each in parameters]
print(len(steps), sum(counts), example.test(model, *arguments))
"""


def run(*words, folder=PROJECT, **environment):
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "KERAS_BACKEND": "tensorflow"} | environment
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.one_framework
@pytest.mark.parametrize("framework", STOCK)
def test_an_example_is_lenet_and_trains(framework, tmp_path):
    unpack(tmp_path)
    steps, parameters, accuracy = run("-c", COUNT.format(name=framework), tmp_path).split()
    assert int(steps) == 2
    assert int(parameters) == Settings.of(load("lenet"), MNIST).network.parameters
    assert 0.05 < float(accuracy) < 1
    assert len((PROJECT / f"examples/lenet_{framework}.py").read_text().splitlines()) < 75


@pytest.mark.framework
def test_the_benchmark_times_an_example(request, tmp_path):
    if not request.config.getoption("torture"):
        pytest.skip("in make torture")
    unpack(tmp_path)
    assert json.loads(run("-m", "benchmarks.stock", "pytorch", "12", tmp_path))["images_per_second"] > 0


@pytest.mark.framework
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    cells = json.loads((PROJECT / "examples/notebook.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    out = run("-c", code.replace("steps=1000", "steps=50"), folder=tmp_path, MPLBACKEND="Agg")
    assert "conv1/kernel    (5, 5, 1, 6)" in out
    assert (tmp_path / "logs/draw.html").exists()


def short_run(name, how, config):
    """What an experiment finds in two steps, with this config."""
    code = "import json; from benchmarks.differences.experiments import DIFFERENCES, left, plain; "
    code += f"kind = type('Kind', (DIFFERENCES['{name}'],), {{'config': '{config}'}}); "
    return json.loads(run("-c", f"{code}print(json.dumps({how}(kind)(0).run((1, 2))))"))


@pytest.mark.framework
@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_changes_what_a_run_computes(name, repeats, tmp_path):
    if name not in repeats(SHORT, DIFFERENCES):
        pytest.skip("in make torture")
    if name == "Threads" and cores() == 1:
        pytest.skip("there is one core")
    kind = DIFFERENCES[name]
    config = repeats("lenet5", kind.config)  # lenet5 is tested in a tenth of the time
    own, other = (short_run(name, how, config) for how in ("plain", "left"))
    assert (own["cross_entropy_1"] == other["cross_entropy_1"]) == (name in SAME_AT_FIRST)
    # The run without it is the one that main.py makes.
    flags = [word for key, value in kind.changes.items() for word in ("--set", f"{key}={value}")]
    flags += ["--framework", kind.beside or kind.framework, "--config", config, "--precision", kind.precision]
    run(PROJECT / "main.py", "--train", "--train_num", 2, "--save_every", 1, "--log_dir", tmp_path, *flags)
    (path,) = tmp_path.glob("*/*/seed-0")
    curve = lenet.load(path).curves["validation"]["cross_entropy"]
    assert own["cross_entropy_1"] == pytest.approx(curve.values[0], rel=1e-6)


def test_the_table_of_differences_is_their_means():
    name = "FlattenOrder"
    kind = DIFFERENCES[name]
    done = []
    for seed, (own, left) in enumerate([(0.5, 0.75), (0.7, 0.85)]):
        for each, value in ((plain(kind), own), (kind, left)):
            figures = {"cross_entropy_1": value, "cross_entropy_40": 0.25, "test_accuracy": value, "told_accuracy": 1}
            done.append({"run": key_of(each), "seed": seed} | figures)
    (row,) = (line for line in table(done).splitlines() if "flattens" in line)
    assert row.endswith(
        "| pytorch | 0.600\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}0.800 (0.200) | the same | +20.00 ± 7.07 |"
    )
