"""The device and the threads that a backend computes on."""

import jobs
import pytest
from conftest import files
from test_parity import INDICES, initial, largest_difference, same

from lenet import UserError
from lenet.backend import choose_device
from lenet.config import load
from lenet.machine import physical_cores


def test_a_device_is_looked_for_only_if_it_may_be_used():
    assert choose_device("cpu", pytest.fail, "Mine") == "cpu"
    for found, device in ((True, "gpu"), (False, "cpu")):
        assert choose_device("auto", lambda found=found: found, "Mine") == device
    assert choose_device("gpu", lambda: True, "Mine") == "gpu"
    with pytest.raises(UserError, match="Mine finds no GPU that it can use"):
        choose_device("gpu", lambda: False, "Mine")
    with pytest.raises(UserError, match="there is no device 'tpu', only auto, cpu, gpu"):
        choose_device("tpu", pytest.fail, "Mine")


def test_a_gpu_that_is_not_there_is_refused(framework, small_data, tmp_path):
    if framework.do(jobs.finds_gpu, framework.name):
        pytest.skip("there is a GPU")
    flags = ("--train", "--train_num", 1, "--data_dir", small_data, "--batch_size", 10, "--log_dir", tmp_path)
    code, out, err = framework.run(*flags, "--device", "gpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "finds no GPU" in err
    assert files(tmp_path) == {}


def test_a_run_on_the_cpu_looks_for_no_gpu(framework, flags, tmp_path):
    train = ["--train", "--train_num", 2]
    job, name = jobs.command_line_that_may_not_look_for_a_gpu, framework.name
    code, out, err = framework.do(job, name, flags(tmp_path / "cpu", *train, "--device", "cpu"))
    assert (code, err, out.count("\n")) == (0, "", 1)
    with pytest.raises(AssertionError, match="it looks for a GPU"):  # so the job notices who does
        framework.do(job, name, flags(tmp_path / "auto", *train, "--device", "auto"))
    assert not (tmp_path / "auto").exists()


@pytest.mark.parametrize("name", ["keras", "tensorflow"])
def test_dense_layers_have_the_faster_gradient_on_several_threads_and_it_is_the_same(name, workers, process):
    architecture = load("lenet5").architecture
    arguments = name, architecture, initial("float64", architecture), INDICES[:5, :20]
    own = physical_cores()  # the threads of the framework's process, which cannot be changed there
    runs = {
        own: workers[name].do(jobs.train_on_threads, *arguments, own),
        (other := 2 if own == 1 else 1): process.do(jobs.train_on_threads, *arguments, other),
    }
    assert {threads: fast for threads, (_, _, fast) in runs.items()} == {own: own > 1, other: other > 1}
    (one, one_state, _), (two, two_state, _) = runs.values()
    assert same(one, two)
    for found, wanted in zip(one_state.arrays, two_state.arrays, strict=True):
        assert largest_difference(found, wanted) <= 1e-12
