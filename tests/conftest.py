"""Each framework runs in a process of its own, which is started once and asked to do what a test wants of it."""

import gzip
import multiprocessing
import struct
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import jobs
import numpy as np
import pytest

import main

PROJECT = Path(main.__file__).parent


def pytest_addoption(parser):
    parser.addoption("--torture", action="store_true", help="the long version of what has one: half an hour")


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
    started = {name: Worker(name) for name in main.FRAMEWORKS}
    yield started
    for worker in started.values():
        worker.pool.shutdown()


@pytest.fixture(params=main.FRAMEWORKS)
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


def write_idx(path, array):
    """Write uint8 in the IDX format, gzipped where the name says so."""
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """A data folder of 200 training images behind the 5,000 held out, so that ten batches of 20 make a pass."""
    folder = tmp_path_factory.mktemp("small_data")
    generator = np.random.default_rng(7)
    for part, count in (("train", 5_200), ("t10k", 300)):
        write_idx(folder / f"{part}-images-idx3-ubyte", generator.integers(0, 256, (count, 28, 28), np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", generator.integers(0, 10, count, np.uint8))
    return folder
