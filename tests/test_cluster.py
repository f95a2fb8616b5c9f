"""--cluster: a real Dask scheduler and its workers, on this machine."""

import contextlib
import importlib.util
import itertools
import os
import random
import re
import signal
import time

import pytest
from conftest import PROJECT, notices, same_tensors

import lenet
from benchmarks.cluster import started, task_of
from lenet.config import load
from lenet.dataset import MNIST
from lenet.errors import UserError
from lenet.settings import Settings
from lenet.storage.curves import read_curves
from lenet.storage.run import Run
from lenet.study import cluster
from lenet.study import worker as worker_module
from lenet.study.cluster import Cluster
from lenet.study.process import Outcome
from lenet.study.worker import examine, run_on_worker, versions
from lenet.system.files import lock

pytestmark = [
    pytest.mark.framework,
    pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="Dask is not installed"),
]
SECONDS = 60  # until runs have ended
LONG = pytest.mark.skipif("not config.getoption('torture')", reason="in make torture")
FLAGS = ("--config", "lenet5", "--framework", "pytorch", "--threads", 1)


@pytest.fixture
def scheduler(request):
    """The process and the address of a scheduler on this machine; the parameter is what Dask calls allowed-failures."""
    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": getattr(request, "param", "3")}
    with started("scheduler", "--host", "127.0.0.1", "--port", "0", **settings) as found:
        yield found


def worker(address, threads=1, **environment):
    """Start a worker; yields its process, and the address."""
    return started("worker", address, "--nthreads", str(threads), "--no-nanny", **environment)


def test_a_cluster_trains_the_runs_that_this_machine_trains(report, scheduler, data_flags, tmp_path, repeats, workers):
    _, address = scheduler
    local, seeds = tmp_path / "local", repeats(1, 4)
    for seed, dense in itertools.product(range(seeds), ("[84]", "[10]")):
        flags = ("--config", "lenet5", "--threads", 1, "--seed", seed, "--set", f"dense={dense}", *data_flags)
        code, _, err = workers["pytorch"].run("--train", "--train_num", 12, *flags, "--log_dir", local)
        assert code == 0, err
    with worker(address), worker(address):
        flags = (*FLAGS, "--seeds", seeds, "--set", "dense=[84],[10]", "--log_dir", tmp_path / "there")
        process = report(*flags, "--cluster", address)
        out, err = process.communicate()
    assert (process.returncode, notices(err)) == (0, [])
    assert err.count(": test accuracy ") == 2 * seeds
    assert out == f"{tmp_path / 'there/report/report.html'}\n"
    folders = [path.parent.relative_to(local) for path in local.glob("*/pytorch/seed-*/result.json")]
    assert len(folders) == 2 * seeds
    for folder in folders:
        assert same_tensors(local / folder, tmp_path / "there" / folder)
    assert "one run at once on each of 2 Dask workers" in (tmp_path / "there/report/report.md").read_text()
    assert not [*(tmp_path / "there").glob("probe-*")]


def test_a_killed_worker_loses_nothing_and_no_run_is_trained_twice(report, scheduler, tmp_path, repeats):
    _, address = scheduler
    seeds, kills, steps = repeats((2, 1, 1000), (20, 10, 2000))
    generator = random.Random(0)
    flags = (*FLAGS, "--seeds", seeds, "--train_num", steps, "--save_every", 50, "--cluster", address)
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker(address))[0] for _ in range(2)]
        process = report(*flags, "--log_dir", tmp_path / "there")
        for _ in range(kills):
            time.sleep(generator.uniform(1, 5))
            assert process.poll() is None, process.communicate()
            victim = workers.pop(generator.randrange(len(workers)))
            victim.send_signal(signal.SIGKILL)
            workers.append(stack.enter_context(worker(address))[0])
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert "Traceback" not in err
    runs = [Run.at(path.parent) for path in (tmp_path / "there").glob("*/pytorch/seed-*/result.json")]
    assert len(runs) == seeds
    for run in runs:
        assert (run.checkpoint.state.step, len(run.checkpoint.history), run.is_held) == (steps, 1, False)
        assert run.curves["train"]["accuracy"].steps.tolist() == list(range(1, steps + 1))
    assert not [*(tmp_path / "there").glob("*/pytorch/seed-*.1")]
    assert report(*flags[:-2], "--log_dir", tmp_path / "local", "--seeds", 1).wait() == 0
    ((one,), (other,)) = ((tmp_path / name).glob("*/pytorch/seed-0") for name in ("there", "local"))
    assert same_tensors(one, other)


@LONG
def test_a_new_worker_goes_on_with_the_run_of_the_only_one_that_was_killed(report, scheduler, tmp_path):
    _, address = scheduler
    flags = (*FLAGS[:-2], "--seeds", 2, "--train_num", 400, "--save_every", 50, "--cluster", address)
    with worker(address, threads=2) as (first, _):
        process = report(*flags, "--log_dir", tmp_path / "there")
        while not [*(tmp_path / "there").glob("*/pytorch/seed-?/checkpoint.safetensors")]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        first.kill()
        first.wait()
        with worker(address, threads=2):
            _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    assert len([*(tmp_path / "there").glob("*/pytorch/seed-?/result.json")]) == 2


@pytest.mark.parametrize("scheduler", ["0", "3"], indirect=True)
def test_a_run_that_ends_every_worker_is_named(scheduler, monkeypatch, tmp_path):
    _, address = scheduler
    monkeypatch.setattr(cluster, "MOST_LOSSES", 2)
    monkeypatch.setattr(cluster, "run_on_worker", lambda *_: os._exit(1))
    with worker(address), worker(address):
        found = Cluster(address, tmp_path / "there", ["numpy"])
        answers = []
        for left in (2, 1):
            while found.count() > left:
                time.sleep(0.05)
            future = found.submit({"a": "run"})
            while not future.done():
                found.count()
                time.sleep(0.05)
            answers.append(future.result())
        found.close()
    assert answers[0] == Outcome(held=True)
    wanted = r"each of 2 workers that trained it was lost, the last one at tcp://\S+; look at .*"
    assert re.fullmatch(wanted, answers[1].error)


@LONG
def test_a_worker_that_stops_a_run_by_mistake_can_train_it_later(monkeypatch, tmp_path):
    # As a network's file system may do, it does not show the lock of the report for a while.
    monkeypatch.setattr("distributed.get_worker", lambda: None)
    monkeypatch.setattr(worker_module, "WATCH_SECONDS", 0.05)
    settings = Settings.of(load("lenet5"), MNIST)
    task = task_of(settings, tmp_path, 2)
    probe = tmp_path / "probe"
    assert run_on_worker(task, str(probe)) == Outcome(held=True)
    with lock(probe):
        assert run_on_worker(task, str(probe)) == Outcome()
    assert Run.of(tmp_path, settings, "pytorch").result["step"] == 2


def test_ctrl_c_saves_every_run_and_a_lost_scheduler_is_said(report, scheduler, tmp_path):
    server, address = scheduler
    flags = (*FLAGS, "--seeds", 2, "--train_num", 100_000, "--cluster", address, "--log_dir", tmp_path / "there")

    def training():
        process = report(*flags)
        while [Run.at(path).is_held for path in (tmp_path / "there").glob("*/pytorch/seed-?")] != [True, True]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        return process

    with worker(address), worker(address):
        process = training()
        while not all(any(read_curves(path)) for path in (tmp_path / "there").glob("*/pytorch/seed-?/train")):
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        assert time.monotonic() - began < 10
        stopped = "main.py: stopped by SIGINT; run the same command again to go on"
        assert (process.returncode, out, notices(err)) == (130, "", [stopped])
        runs = [Run.at(path) for path in (tmp_path / "there").glob("*/pytorch/seed-?")]
        assert [run.is_held for run in runs] == [False, False]
        steps = [run.checkpoint.state.step for run in runs]
        assert min(steps) > 0

        process = training()
        server.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        assert (process.returncode, out) == (1, "")
        assert f"the scheduler at {address} is lost; start it again, then run the same command" in err
        assert "Traceback" not in err


@LONG
def test_the_runs_of_a_report_that_is_killed_save_and_end(report, scheduler, tmp_path):
    _, address = scheduler
    flags = (*FLAGS, "--seeds", 1, "--train_num", 100_000, "--cluster", address, "--log_dir", tmp_path / "there")
    with worker(address):
        process = report(*flags)
        while not any(any(read_curves(path)) for path in (tmp_path / "there").glob("*/pytorch/seed-0/train")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.kill()
        process.communicate()
        (folder,) = (tmp_path / "there").glob("*/pytorch/seed-0")
        deadline = time.monotonic() + 10
        while Run.at(folder).is_held:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert Run.at(folder).checkpoint.state.step > 0


def test_a_worker_that_cannot_take_part_is_named(report, scheduler, tmp_path):
    _, address = scheduler
    flags = (*FLAGS, "--seeds", 1, "--cluster", address, "--log_dir", tmp_path / "there")

    def refused(**environment):
        with worker(address, **environment):
            process = report(*flags)
            out, err = process.communicate()
        assert (process.returncode, out, err.count("\n")) == (2, "", 1)
        return err

    (tmp_path / "site").mkdir()
    elsewhere = str(tmp_path / "site")
    assert re.search(r"the worker tcp://\S+ cannot import lenet; ", refused(PYTHONPATH=elsewhere))
    (tmp_path / "site/sitecustomize.py").write_text(
        "import importlib.metadata as m; of = m.version\n"
        "m.version = lambda name: '2.0.0' if name == 'torch' else of(name)\n"
    )
    err = refused(PYTHONPATH=os.pathsep.join([elsewhere, str(PROJECT)]))
    assert re.search(
        r"the worker tcp://\S+ has torch 2\.0\.0, but this machine has 2\.\S+; install the same version", err
    )
    assert not [*tmp_path.glob("there/lenet5*")]


def test_mnist_may_be_named(scheduler, tmp_path):
    _, address = scheduler
    with worker(address):
        done = lenet.report("lenet5", steps=1, cluster=address, data="mnist", log_dir=tmp_path, dry_run=True)
    assert done.errors == {}


@LONG
def test_keras_computes_on_the_engine_of_the_report(report, scheduler, tmp_path):
    _, address = scheduler
    flags = ("--config", "lenet5", "--framework", "keras", "--seeds", 1, "--cluster", address, "--log_dir", tmp_path)
    with worker(address, KERAS_BACKEND="tensorflow"):
        process = report(*flags, KERAS_BACKEND="torch")
        _, err = process.communicate()
    assert process.returncode == 0, err
    (path,) = tmp_path.glob("*/keras/seed-0")
    assert Run.at(path).result["engine"] == "torch"


def test_a_scheduler_that_is_not_there_and_one_without_workers(scheduler, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    for address, complaint in (
        ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1"),
        ("nonsense://x", "no Dask scheduler answers at nonsense://x"),
        (scheduler[1], f"the scheduler at {scheduler[1]} has no worker; start some: dask worker {scheduler[1]}"),
    ):
        with pytest.raises(UserError) as raised:
            Cluster(address, tmp_path / "there", ["numpy"])
        assert complaint in str(raised.value)
        assert "\n" not in str(raised.value)
        assert not [*(tmp_path / "there").glob("probe-*")]


def test_a_worker_is_examined(tmp_path):
    wanted, probe = versions(["lenet", "Python", "numpy"]), tmp_path / "probe"
    assert "does not see the report's files" in examine(probe, wanted)
    with lock(probe):
        assert examine(probe, wanted, str(tmp_path)) == ""
        assert f"does not see the data, {tmp_path / 'mine'}" in examine(probe, wanted, str(tmp_path / "mine"))
        assert "has numpy " in examine(probe, wanted | {"numpy": "1.0"})
        other = f"{wanted['lenet']}-other"
        assert f"but this machine has {other}; install the same version" in examine(probe, wanted | {"lenet": other})
    assert "does not see the report's lock" in examine(probe, wanted)
    assert {path.name for path in tmp_path.iterdir()} == {"probe"}
