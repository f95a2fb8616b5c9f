"""The device and the threads that a backend computes on."""

import os

import jobs
import pytest
from conftest import files
from test_parity import INDICES, initial, largest_difference, same

from lenet import UserError
from lenet.config import load
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.system import machine
from lenet.system.machine import choose_device, default_threads


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
    network = Settings.of(load("lenet5"), MNIST).network
    arguments = name, network, initial("float64", network), INDICES[:5, :20]
    own = default_threads()  # the threads of the framework's process, which cannot be changed there
    runs = {
        own: workers[name].do(jobs.train_on_threads, *arguments, own),
        (other := 2 if own == 1 else 1): process.do(jobs.train_on_threads, *arguments, other),
    }
    assert {threads: fast for threads, (_, _, fast) in runs.items()} == {own: own > 1, other: other > 1}
    (one, one_state, _), (two, two_state, _) = runs.values()
    assert same(one, two)
    for found, wanted in zip(one_state.arrays, two_state.arrays, strict=True):
        assert largest_difference(found, wanted) <= 1e-12


@pytest.mark.parametrize(
    ("groups", "limits", "quota"),
    [
        ("0::/", {}, None),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/pod/box", {"pod/cpu.max": "150000 100000", "pod/box/cpu.max": "max 100000"}, 1.5),
        ("0::/pod/box", {"pod/cpu.max": "150000 100000", "pod/box/cpu.max": "250000 100000"}, 1.5),
        ("0::/elsewhere/box", {"cpu.max": "200000 100000"}, 2),  # the folder that a container sees is its own
        ("5:cpu,cpuacct:/\n3:memory:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("5:cpu,cpuacct:/box", {"cpu/box/cpu.cfs_quota_us": "25000", "cpu/box/cpu.cfs_period_us": "100000"}, 0.25),
    ],
)
def test_threads_are_at_most_the_quota_of_the_container(groups, limits, quota, monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    own = machine.cores()
    (tmp_path / "own").write_text(groups + "\n")
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroups")
    for name, text in limits.items():
        path = tmp_path / "cgroups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert machine.quota() == (quota or float("inf"))
    assert machine.default_threads() == max(1, int(min(own, machine.quota())))


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("5,2", 5), ("", None), ("0", None), ("many", None)])
def test_omp_num_threads_is_respected(value, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert machine.default_threads() == (threads or machine.cores())


@pytest.mark.parametrize("value", [None, "77"])
def test_waiting_threads_of_pytorch_do_not_spin_for_long_unless_the_user_says_so(value, process):
    process.do(jobs.set_environment, {"GOMP_SPINCOUNT": value} if value else {})
    process.do(jobs.finds_gpu, "pytorch")
    assert process.do(os.getenv, "GOMP_SPINCOUNT") == (value or "10000")
