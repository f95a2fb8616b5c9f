"""What a study costs by its number of runs: seconds and peak memory of planning it, of going on with it, of its report.

The runs are made here, as training leaves them: 100 steps of a small network, with ten seeds and as many learning rates
as it takes. One of them is trained, the others are its copies with another name, seed, learning rate and accuracy.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lenet
from benchmarks.throughput import PROJECT
from docs.front import write
from lenet.config import load
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint, Stage
from lenet.storage.run import Run
from lenet.study.figures import render
from lenet.system.files import copy

STEPS, SEEDS = 100, 10
CONFIG = "conv = [{ filters = 2 }]\ndense = []\nbatch_size = 20\n"
Costs = dict[str, tuple[float, float]]  # what is done -> seconds, MB


def main() -> None:
    """Measure every size, print the table, and draw it if that is asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--picture", action="store_true", help="draw docs/scale-light.svg and docs/scale-dark.svg")
    flags = parser.parse_args()
    costs = {}
    for count in flags.runs:
        with tempfile.TemporaryDirectory() as folder:
            costs[count] = measure(Path(folder), count)
        print(count, costs[count], file=sys.stderr)
    print(table(costs))
    if flags.picture:
        write("scale", render((5.2, 3.2), draw, costs))


def measure(folder: Path, count: int) -> Costs:
    """Return what a study of `count` runs costs."""
    config = folder / "small.toml"
    config.write_text(CONFIG)
    rates = [float(f"{rate:.6g}") for rate in np.geomspace(1e-4, 1e-2, count // SEEDS)]
    flags = ["--report", "--train_num", str(STEPS), "--config", str(config), "--framework", "pytorch"]
    flags += ["--seeds", str(SEEDS), "--set", f"learning_rate={','.join(map(str, rates))}", "--log_dir"]
    plan = run(*flags, str(folder / "none"), "--dry_run")
    make(config, rates, folder / "logs")
    go_on = run(*flags, str(folder / "logs"), "--dry_run")
    report = run(*flags, str(folder / "logs"))
    page = (folder / "logs/report/report.html").stat().st_size / 1e6
    return {"plan": plan, "go on": go_on, "report": report, "page": (0, page)}


def make(config: Path, rates: list[float], log_dir: Path) -> None:
    """Write finished runs, of which one is trained."""
    _, *others = variants(config, rates)  # the first is trained
    trained = lenet.train(
        config, steps=STEPS, framework="pytorch", log_dir=log_dir, changes={"learning_rate": rates[0]}
    )
    result, state, generator = trained.result, trained.checkpoint.state, np.random.default_rng(0)
    files = [
        path for path in trained.folder.rglob("*") if path.is_file() and path.suffix not in (".json", ".safetensors")
    ]
    for settings in others:
        run = Run.of(log_dir, settings, "pytorch")
        for path in files:
            target = run.folder / path.relative_to(trained.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            copy(path, target)
        history = (Stage(0, "pytorch", settings),)
        Checkpoint(state, settings, history).save(run.path)
        own = {"variant": settings.variant, "seed": settings.seed, "settings": dataclasses.asdict(settings)}
        own |= {"history": [dataclasses.asdict(stage) for stage in history]}
        own |= {f"{part}_accuracy": float(generator.normal(0.9, 0.01)) for part in ("test", "validation")}
        (run.folder / "result.json").write_text(json.dumps(result | own, indent=2))


def variants(config: Path, rates: list[float]) -> Iterator[Settings]:
    """Yield the settings of each run."""
    own = load(config)
    for rate in rates:
        for seed in range(SEEDS):
            yield Settings.of(own, MNIST, {"learning_rate": rate}, seed=seed)


def run(*flags: str) -> tuple[float, float]:
    """Run main.py; returns its seconds and its peak memory in MB."""
    code = "import runpy, sys, time; began = time.perf_counter()\n"
    code += "sys.argv = ['main.py', *sys.argv[1:]]\n"
    code += "try: runpy.run_path('main.py', run_name='__main__')\n"
    code += "except SystemExit as end: assert not end.code, end.code\n"
    # Linux's own figure: getrusage has at least the memory of the process that starts this one.
    code += "memory = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    code += "print(time.perf_counter() - began, memory)"
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], cwd=PROJECT, env=os.environ, capture_output=True, text=True, check=True
    )
    seconds, kilobytes = done.stdout.splitlines()[-1].split()
    return float(seconds), float(kilobytes) / 1000


def table(costs: dict[int, Costs]) -> str:
    """Return the costs as Markdown."""
    rows = ["| runs | plan | go on | report | the page |", "| --- | --- | --- | --- | --- |"]
    for count, cost in costs.items():
        cells = [f"{cost[name][0]:.1f} s, {cost[name][1]:,.0f} MB" for name in ("plan", "go on", "report")]
        rows.append(f"| {count:,} | {' | '.join(cells)} | {cost['page'][1]:.1f} MB |")
    return "\n".join(rows)


def draw(figure: Figure, costs: dict[int, Costs]) -> None:
    """Draw the seconds over the number of runs."""
    axes = figure.subplots()
    for name in ("plan", "go on", "report"):
        axes.plot([*costs], [cost[name][0] for cost in costs.values()], "o-", label=name)
    axes.set(xlabel="runs", ylabel="seconds", xlim=0, ylim=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(linewidth=0.5)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)


if __name__ == "__main__":
    main()
