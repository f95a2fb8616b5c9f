"""The Python API: what the command line does, without its flags."""

import json
import subprocess
import sys

import jobs
import numpy as np
import pytest
from conftest import PROJECT, run_folder, same_tensors

import lenet


@pytest.fixture
def options(small_data, tmp_path):
    """The arguments of a short run."""
    return {"log_dir": tmp_path / "api", "data": small_data, "changes": {"batch_size": 20}}


def test_a_run_of_the_api_is_that_of_the_command_line(framework, options, train, reader):
    name = {"framework": framework.name}
    folder = framework.do(jobs.api, "train", "lenet5", steps=12, seed=3, **name, **options)
    _, _, other = train(12, "--config", "lenet5", seed=3)
    assert same_tensors(folder, other)
    run = lenet.load(folder)
    assert run.result == json.loads((folder / "result.json").read_text())
    assert run.curves["train"]["accuracy"].steps.tolist() == list(range(1, 13))
    shown = reader.do(jobs.read_curve, folder / "test")["cross_entropy"]
    assert [*zip(*map(list, run.curves["test"]["cross_entropy"]), strict=True)] == shown
    assert run.predictions.sum(axis=1) == pytest.approx(np.ones(300), rel=1e-6)
    assert run.checkpoint.state.parameters["conv1/kernel"].shape == (5, 5, 1, 6)
    assert run == lenet.load(folder / "checkpoint.safetensors")
    tested = framework.do(jobs.api, "test", load=folder, data=options["data"], **name)
    assert tested["test_accuracy"] == run.result["test_accuracy"]
    assert {type(version) for version in tested["versions"].values()} == {str}  # torch's own is another type
    assert tested["checkpoint"] == str(folder / "checkpoint.safetensors")
    again = framework.do(jobs.api, "train", "lenet5", steps=3, seed=3, load=True, **name, **options)
    assert (again, lenet.load(again).checkpoint.state.step) == (folder, 15)


def test_twice_in_a_process_and_from_a_thread(framework, options):
    accuracies = framework.do(jobs.api_in_threads, 2, "lenet5", steps=3, framework=framework.name, **options)
    assert accuracies[0] == accuracies[1]
    assert {path.name for path in run_folder(options["log_dir"], framework.name).parent.iterdir()} == {
        "seed-0",
        "seed-0.1",
        "seed-0.lock",
    }


def test_other_threads_in_the_same_process_are_refused_or_work(framework, options, process):
    run = {"steps": 1, "framework": framework.name, **options}
    process.do(jobs.api, "train", "lenet5", threads=1, **run)
    if framework.name == "pytorch":
        process.do(jobs.api, "train", "lenet5", threads=2, **run)
    else:
        with pytest.raises(lenet.UserError, match="after its first use; start a new process"):
            process.do(jobs.api, "train", "lenet5", threads=2, **run)


@pytest.mark.parametrize(
    ("function", "arguments", "complaint"),
    [
        ("train", {"config": "lenett", "steps": 1}, "did you mean lenet?"),
        ("train", {"framework": "caffe", "steps": 1}, "there is no framework 'caffe', only jax, keras, pytorch"),
        ("train", {"precision": "float16", "steps": 1}, "precision: must be one of float32, float64, bfloat16"),
        ("train", {"seed": -1, "steps": 1}, "seed: must be 0 or more, not -1"),
        ("train", {"changes": {"lerning_rate": 1}, "steps": 1}, "lerning_rate: unknown key"),
        (
            "train",
            {"changes": {"batch_size": 99_999}, "steps": 1},
            "batch size 99999: only 55,000 training images are left after 5,000 are held out",
        ),
        ("train", {"steps": 0}, "steps: must be 1 or more, not 0"),
        ("train", {"steps": -1, "load": True}, "steps: must be 0 or more, not -1"),
        ("train", {"steps": 1e3}, "steps: must be a whole number, not 1000.0"),
        ("train", {"steps": 1, "save_every": 0}, "save_every: must be 1 or more, not 0"),
        ("train", {"steps": 1, "threads": 0}, "threads: must be 1 or more, not 0"),
        ("test", {"threads": -1}, "threads: must be 1 or more, not -1"),
        ("report", {"steps": 1, "seeds": 0}, "seeds: must be 1 or more, not 0"),
        ("report", {"steps": 1, "device": "cuda"}, "device: must be one of auto, cpu, gpu, not cuda"),
        ("report", {"steps": 1, "jobs": 0}, "jobs: must be 1 or more, not 0"),
        ("test", {}, "there is no checkpoint"),
        ("load", {"path": "nowhere"}, "there is no checkpoint nowhere"),
        ("report", {"config": "lenett", "steps": 1}, "did you mean lenet?"),
    ],
)
def test_a_mistake_is_a_user_error(function, arguments, complaint, tmp_path):
    where = {} if function == "load" else {"log_dir": tmp_path / "logs"}
    with pytest.raises(lenet.UserError) as raised:
        getattr(lenet, function)(**arguments, **where)
    assert complaint in str(raised.value)
    assert raised.value.exit_code == 2


def test_importing_it_imports_no_numpy_and_no_framework():
    code = "import sys, lenet; print(*sys.modules); lenet.train; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    first, then = (set(line.split()) for line in done.stdout.splitlines())
    assert not {"numpy", "lenet.api", "backends"} & first
    assert {"numpy", "lenet.api"} < then
    assert not {"torch", "tensorflow", "keras", "jax", "matplotlib"} & then
    assert not hasattr(lenet, "trian")
