"""The comparison of many runs: report.md, and the same as one report.html with the pictures inside."""

import json
import os
import platform
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lenet import UserError, figures
from lenet.architecture import Architecture, description
from lenet.checkpoint import Checkpoint
from lenet.dataset import Split
from lenet.files import write_atomically
from lenet.grid import Task
from lenet.page import page
from lenet.run import Run
from lenet.tensorboard import read_scalars

# The 2017 report's test accuracies after 1000 steps, in %, one seed each.
REPORTED = {
    "lenet": 97.36,
    "add_conv": 96.38,
    "change_conv_size": 97.33,
    "change_conv_number": 96.8,
    "change_activation": 86.93,
    "change_fc_size": 95.84,
    "add_fc": 96.7,
}


@dataclass(frozen=True)
class Entry:
    """One config and its finished runs."""

    config: str
    architecture: Architecture
    runs: list[Run]

    def results(self) -> dict[str, list[dict[str, Any]]]:
        """Framework -> the result of each seed."""
        found: dict[str, list[dict[str, Any]]] = {}
        for run in self.runs:
            found.setdefault(run.framework, []).append(json.loads(run.result.read_text()))
        return found


def write(folder: Path, tasks: list[Task], test: Split, predict: Callable[[Run], np.ndarray], command: str) -> Path:
    """Write the report of finished tasks anew; returns the page. `predict` gives a run's probabilities of `test`."""
    for old in folder.glob("*.png"):
        old.unlink()

    def picture(name: str, alt: str, size: tuple[float, float], draw: Callable[..., None], *arguments: Any) -> str:
        for theme, png in figures.render(size, draw, *arguments).items():
            (folder / f"{name}-{theme}.png").write_bytes(png)
        dark = f'<source media="(prefers-color-scheme: dark)" srcset="{name}-dark.png">'
        return f'<picture>{dark}<img src="{name}-light.png" alt="{alt}" width="{96 * size[0]:.0f}"></picture>'

    architectures = {task.run.config: task.architecture for task in tasks}
    order = sorted(architectures, key=lambda config: [*REPORTED, config].index(config))  # the report's, then the others
    entries = [Entry(name, architectures[name], [t.run for t in tasks if t.run.config == name]) for name in order]
    accuracies = {
        entry.config: {name: [100 * r["test_accuracy"] for r in results] for name, results in entry.results().items()}
        for entry in entries
    }
    size = (6.2, 1.4 + 0.5 * len(entries))
    overview = picture("overview", "The test accuracies of all configs", size, figures.overview, accuracies, REPORTED)
    sections = [_summary(entries), f'<div class="pictures">{overview}</div>']
    sections += [_section(entry, test, predict(entry.runs[0]), picture) for entry in entries]
    sections.append(_colophon(entries, command))
    text = "\n\n".join(sections) + "\n"
    write_atomically(folder / "report.md", text.encode())
    write_atomically(folder / "report.html", page(text, folder).encode())
    return folder / "report.html"


def _summary(entries: list[Entry]) -> str:
    frameworks = list(dict.fromkeys(run.framework for entry in entries for run in entry.runs))
    seeds = len({run.seed for entry in entries for run in entry.runs})
    steps, *others = {result["step"] for result in _all_results(entries)}
    if others:
        raise UserError("a run was trained further while the report was written; start it again", exit_code=1)
    headings = ["config", "what it changes", "parameters", "multiply-adds per image", "2017 report", *frameworks]
    rows = [headings, ["---"] * len(headings)]
    for entry in entries:
        multiply_adds = sum(layer.multiply_adds for layer in entry.architecture.layers)
        reported = f"{REPORTED[entry.config]:.2f} %" if entry.config in REPORTED else ""
        numbers = [f"{entry.architecture.parameters:,}", f"{multiply_adds:,}", reported]
        images = steps * entry.architecture.batch_size
        cells = [_cell(entry.results().get(framework, []), images) for framework in frameworks]
        rows.append([entry.config, description(entry.config), *numbers, *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""# LeNet on MNIST

Every config after {steps} steps, from the same parameters, batches and Adam in every framework; seeds: {seeds}. Under
each framework: the accuracy on the test images (mean and standard deviation over the seeds), training images per
second, and training seconds (means).

{table}"""


def _cell(results: list[dict[str, Any]], images: int) -> str:
    if not results:
        return ""
    accuracies = [100 * result["test_accuracy"] for result in results]
    spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    accuracy = f"{statistics.mean(accuracies):.2f}{spread} %"
    # A run that was killed in its test was trained by another process, whose speed it does not know.
    speeds = [result["images_per_second"] for result in results if result["images_per_second"]]
    if not speeds:
        return accuracy
    # One that was interrupted before knows the seconds since it was continued alone.
    speed, seconds = statistics.mean(speeds), statistics.mean(images / speed for speed in speeds)
    return f"{accuracy}<br>{speed:,.0f} images/s<br>{seconds:.1f} s"


def _section(entry: Entry, test: Split, probabilities: np.ndarray, picture: Callable[..., str]) -> str:
    name, shown = entry.config, entry.runs[0]
    curves = {
        run.framework: {part: read_scalars(run.folder / part) for part in ("train", "test")}
        for run in entry.runs
        if run.seed == shown.seed
    }
    boxes = len(entry.architecture.layers) + len(entry.architecture.conv) + 1
    size = (1.1 * boxes, 2.5)
    drawing = picture(
        f"{name}-architecture",
        f"The layers of {name} with their shapes",
        size,
        figures.architecture,
        entry.architecture,
    )
    plots = [
        picture(f"{name}-{tag}", f"{tag} of {name} over the steps", (5.4, 3.5), figures.curves, curves, tag)
        for tag in ("accuracy", "cross_entropy")
    ]
    said = probabilities.argmax(axis=1)
    kernel = Checkpoint.load(shown.checkpoint).state.parameters["conv1/kernel"]
    learned = [
        picture(f"{name}-kernels", f"The first kernels of {name}", (3.6, 2.2), figures.kernels, kernel),
        picture(f"{name}-confusion", "What it said", (3.9, 3.9), figures.confusion, test.labels, said),
        picture(f"{name}-mistakes", "Its surest mistakes", (4.4, 5.2), figures.mistakes, *test, probabilities),
    ]
    return f"""## {name}

{description(name)}

<div class="scroll wide">{drawing}</div>

Seed {shown.seed}; raw values faint, smoothed ones strong. A test point is a batch of 100 that is never trained on, the
last one all the test images.

<div class="pictures">{"".join(plots)}</div>

What it learned in {shown.framework}: the first layer's kernels (red above zero, blue below); which digit (row) it took
for which (column); the {min(25, (said != test.labels).sum())} test digits that it was most surely wrong about.

<div class="pictures">{"".join(learned)}</div>"""


def _all_results(entries: list[Entry]) -> list[dict[str, Any]]:
    return [result for entry in entries for of_framework in entry.results().values() for result in of_framework]


def _colophon(entries: list[Entry], command: str) -> str:
    results = _all_results(entries)

    def all_of(*keys: str) -> str:
        return ", ".join(sorted({" ".join(str(result[key]) for key in keys) for result in results}))

    versions = sorted({f"{name} {version}" for result in results for name, version in result["versions"].items()})
    return f"""## How it was made

    {command}

{platform.system()} on {_processor()}, {os.cpu_count()} processors; threads a run: {all_of("threads")}; on
{all_of("device")} in {all_of("precision")}; {", ".join(versions)}."""


def _processor() -> str:
    """Return the processor's name, as Linux says it or else Python."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
