"""Each framework runs in a process of its own, which is started once and asked to do what a test wants of it."""

import gzip
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import jobs
import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

import backends
from lenet.config import CONFIGS, load
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.curves import EventWriter

# What the tests start must hear these, even if a shell has them ignored: in the background, or under nohup.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
PROJECT = Path(__file__).parents[1]
# Configs, one for each architecture: `accurate` has that of `fast`.
ARCHITECTURES = [*{load(name).architecture: name for name in CONFIGS}.values()]
FRAMEWORKS = [name for name in backends.FRAMEWORKS if name in backends.installed()]  # jax may be missing
ONE = next((name for name in ("pytorch", "tensorflow", *FRAMEWORKS) if name in FRAMEWORKS), None)
PACKAGES = {"tensorflow", "torch", "keras", "jax", "torchvision"}
NEEDS_A_FRAMEWORK = {"workers", "framework", "reader", "process", "report", "shown"}


def pytest_addoption(parser):
    parser.addoption("--torture", action="store_true", help="all tests at length: over an hour")


def pytest_collection_modifyitems(config, items):
    """Mark the tests that need a framework: `make check` leaves them out. Leave some to `make torture`."""
    for item in items:
        if NEEDS_A_FRAMEWORK & {*item.fixturenames}:
            item.add_marker("framework")
        if item.get_closest_marker("one_framework") and not config.getoption("--torture"):
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            if parameters.get("framework", ONE) != ONE:
                item.add_marker(pytest.mark.skip("in make torture"))


@pytest.fixture
def repeats(request):
    """How often to do something: the first number, or under --torture the second."""
    return lambda short, long: long if request.config.getoption("torture") else short


class Worker:
    """A process that one framework has for itself."""

    def __init__(self, name, environment=()):
        self.name = name
        self.pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=jobs.set_environment, initargs=(dict(environment),)
        )

    def do(self, job, *arguments, **keywords):
        """Return what a function of jobs.py returns there."""
        return self.pool.submit(job, *arguments, **keywords).result()

    def run(self, *flags):
        """Run main.py there with this framework; returns (exit code, stdout, stderr)."""
        return self.do(jobs.command_line, ["--framework", self.name, *map(str, flags)])


@pytest.fixture(scope="session")
def workers():
    """Framework -> its process, started when it is first asked for."""
    started = {name: Worker(name) for name in FRAMEWORKS}
    yield started
    for worker in started.values():
        worker.pool.shutdown()


@pytest.fixture(params=FRAMEWORKS)
def framework(request, workers):
    return workers[request.param]


@pytest.fixture(scope="session")
def reader():
    """A process for TensorBoard's own reader, which imports TensorFlow."""
    worker = Worker("reader")
    yield worker
    worker.pool.shutdown()


@pytest.fixture
def process():
    """A process for one test."""
    worker = Worker("other")
    yield worker
    worker.pool.shutdown()


def files(folder):
    """Every path below `folder` with its content."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def run_folder(log_dir, framework, seed=0):
    """The folder of the only run of a framework and seed in a log folder."""
    (folder,) = log_dir.glob(f"*/{framework}/seed-{seed}")
    return folder


@pytest.fixture
def train(framework, small_data, tmp_path):
    """Train lenet5, unless told, on the small data; returns (stdout, stderr, the run's folder)."""

    def run(steps, *flags, seed=0, log_dir="logs"):
        where = ("--log_dir", tmp_path / log_dir, "--data_dir", small_data)
        batch = () if any("batch_size" in str(flag) for flag in flags) else ("--batch_size", 20)
        config = () if "--config" in flags else ("--config", "lenet5")
        seeds = ("--seed", seed) if seed else ()
        code, out, err = framework.run("--train", "--train_num", steps, *where, *batch, *config, *seeds, *flags)
        assert code == 0, err
        return out, err, Path(out.removesuffix("\n").rpartition(" images/s, ")[2])

    return run


@pytest.fixture
def flags(framework, small_data):
    """A log folder and more flags -> the flags of a run on the small data."""
    common = ["--framework", framework.name, "--config", "lenet5", "--data_dir", str(small_data), "--batch_size", "20"]
    return lambda log_dir, *more: [*common, "--log_dir", str(log_dir), *map(str, more)]


@pytest.fixture
def data_flags(small_data, tmp_path):
    """The flags that every run here has."""
    return ["--batch_size", 20, "--data_dir", small_data, "--log_dir", tmp_path]


@pytest.fixture
def report(data_flags):
    """Start --report on the small data; returns its process."""

    def start(*flags, **environment):
        command = [sys.executable, PROJECT / "main.py", "--report", "--train_num", "12", *data_flags, *flags]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([str(word) for word in command], env={**os.environ, **environment}, **pipes)

    return start


@pytest.fixture
def trained_run(workers, data_flags, tmp_path):
    """Train a run of lenet5 that a report of 12 steps finds; returns its folder."""
    code, _, err = workers["pytorch"].run("--config", "lenet5", "--train", "--train_num", 12, *data_flags)
    assert code == 0, err
    return run_folder(tmp_path, "pytorch")


def notices(err):
    """The notices and errors in what a report prints to stderr, without the lines of its finished runs."""
    return [line for line in err.splitlines() if line.startswith(("lenet: ", "main.py: "))]


def same_tensors(first, second):
    """Whether two runs' checkpoints have the same bytes in every tensor."""
    a, b = (Checkpoint.load(folder / "checkpoint.safetensors").state for folder in (first, second))
    assert a.step == b.step
    return all(x[name].tobytes() == y[name].tobytes() for x, y in zip(a.arrays, b.arrays, strict=True) for name in x)


def write_curves(folder, first_step, cross_entropies, accuracies):
    """Write a point a step into a new event file."""
    with EventWriter(folder, first_step) as writer:
        for step, values in enumerate(zip(cross_entropies, accuracies, strict=True), first_step):
            points = zip(("cross_entropy", "accuracy"), values, strict=True)
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in points])
            writer.write(Event(step=step, summary=summary))


def write_idx(path, array):
    """Write uint8 in the IDX format, gzipped where the name says so."""
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """A data folder of 200 training images beside 22 held out, so that ten batches of 20 make a pass."""
    folder = tmp_path_factory.mktemp("small_data")
    generator = np.random.default_rng(7)
    for part, count in (("train", 222), ("t10k", 300)):
        write_idx(folder / f"{part}-images-idx3-ubyte", generator.integers(0, 256, (count, 28, 28), np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", generator.integers(0, 10, count, np.uint8))
    return folder
