"""What a Dask cluster costs on one machine: python -m benchmarks.cluster.

It trains the same runs on two workers of one thread each, in one local job of two threads, and in two local jobs of one
thread, one after another in every round. It also times a run that has nothing to do, on a worker and in a local job:
the difference is what the cluster adds to a run.
"""

import argparse
import dataclasses
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import lenet
from benchmarks.throughput import PROJECT
from lenet.settings import Settings
from lenet.study.cluster import Cluster
from lenet.study.work import Local

CONTENDERS = {"one local job of two threads": ("--jobs", "1", "--threads", "2")}
CONTENDERS |= {"two local jobs of one thread": ("--jobs", "2", "--threads", "1")}
TASKS = 40
READY_SECONDS = 60


def main() -> None:
    """Measure every round, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=6, help="how many are trained at a time (%(default)s)")
    parser.add_argument("--train_num", type=int, default=200, help="steps of each (%(default)s)")
    flags = parser.parse_args()
    with ExitStack() as stack:
        _, address = stack.enter_context(started("scheduler", "--host", "127.0.0.1", "--port", "0"))
        for _ in range(2):
            stack.enter_context(started("worker", address, "--nthreads", "1", "--no-nanny"))
        contenders = {"two Dask workers of one thread": ("--cluster", address), **CONTENDERS}
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(flags.rounds):
            for name, where in contenders.items():
                seconds[name].append(study(flags.runs, flags.train_num, *where))
            print(f"{number + 1} of {flags.rounds} rounds", file=sys.stderr)
        added = overhead(address)
    print(table(seconds))
    print(f"\nOn a worker a run takes {added:.3f} s more than in a local job, the median of {TASKS} pairs.")


@contextmanager
def started(role: str, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """While it is entered, Dask's scheduler or worker runs; yields its process and the scheduler's address."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder, "log")
        log = stack.enter_context(path.open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{role}", *arguments, "--no-dashboard"],
            stderr=log,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment,
        )
        stack.enter_context(process)
        stack.callback(process.kill)
        deadline = time.monotonic() + READY_SECONDS
        while not (found := re.search(r"(?:Scheduler at|Registered to):\s+(tcp://\S+)", path.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(path.read_text())
            time.sleep(0.05)
        yield process, found[1]


def task_of(settings: Settings, log_dir: str | Path, steps: int) -> dict[str, Any]:
    """Return what a report sends to a run's process: it trains in PyTorch on one thread."""
    task = {"settings": dataclasses.asdict(settings), "framework": "pytorch", "steps": steps, "log_dir": str(log_dir)}
    task |= {"data": None, "keep": "all", "save_every": 500, "log": "all", "device": "cpu", "threads": 1}
    return task | {"keras_engine": "tensorflow", "command": ["main.py"]}


def study(runs: int, steps: int, *where: str) -> float:
    """Return the seconds of a report of `runs` runs of lenet in PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--train_num", str(steps), "--seeds", str(runs), "--config", "lenet", "--framework", "pytorch"]
        flags += ["--log_dir", folder, *where]
        began = time.perf_counter()
        subprocess.run([sys.executable, "main.py", "--report", *flags], cwd=PROJECT, capture_output=True, check=True)
        return time.perf_counter() - began


def overhead(address: str) -> float:
    """Return the median of what a worker takes more than a local job, in seconds, for a run that is complete."""
    with tempfile.TemporaryDirectory() as folder:
        run = lenet.train("lenet5", steps=1, framework="pytorch", log_dir=folder)
        task = task_of(run.checkpoint.settings, folder, 1)
        differences = []
        with closing(Cluster(address, Path(folder), ["numpy"])) as cluster, closing(Local(1)) as local:
            for _ in range(TASKS):
                seconds = []
                for workers in (cluster, local):
                    began = time.perf_counter()
                    workers.count()
                    if error := workers.submit(task).result().error:
                        sys.exit(error)
                    seconds.append(time.perf_counter() - began)
                differences.append(seconds[0] - seconds[1])
            return statistics.median(differences)


def table(seconds: dict[str, list[float]]) -> str:
    """Return the medians as Markdown; a ratio is the median of the rounds' ratios."""
    cluster, *_ = seconds.values()
    rows = ["| | seconds | speed of the cluster relative to it |", "| --- | --- | --- |"]
    for name, each in seconds.items():
        ratio = statistics.median(other / own for own, other in zip(cluster, each, strict=True))
        rows.append(f"| {name} | {statistics.median(each):.1f} | {ratio:.2f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
