"""Draws the README's first picture and its picture of the study: python -m docs.front.

They show the runs of a report:

    python main.py --report --train_num 1000 --seeds 5 --log_dir study
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import lenet
from lenet import data, metrics
from lenet.storage.run import Run
from lenet.study import drawings
from lenet.study.chart import WINDOW, smooth
from lenet.study.figures import COLOURS, render

DOCS, STUDY = Path(__file__).parent, Path("study")
FRAMEWORKS = {"TensorFlow": 7.0, "PyTorch": 4.0, "Keras": 1.2}  # and its line's width, so that each is seen
MISTAKES = 8


def front(figure: Figure, runs: dict[str, Run]) -> None:
    """Draw the layers, the curves of all frameworks, and some mistakes."""
    halves: Any = figure.subfigures(2, 1, height_ratios=[1, 1.05])
    layers, below = halves
    curves, mistakes = below.subfigures(1, 2, width_ratios=[1.25, 1])
    run = next(iter(runs.values()))
    drawings.architecture(layers, run.checkpoint.settings.network)

    axes = curves.subplots()
    for i, (name, of_name) in enumerate(runs.items()):
        curve = of_name.curves["train"]["accuracy"]
        whole = slice(None, -WINDOW // 4)  # at the end the window has few points
        axes.plot(curve.steps[whole], 100 * smooth(curve)[whole], label=name, linewidth=FRAMEWORKS[name], color=f"C{i}")
    axes.set(xlabel="step", ylabel="training accuracy, %", ylim=(60, 100.5), xlim=(0, 1000))
    axes.legend(loc="lower right", title="one on top of the other")

    images, labels = data.load().test
    surest = metrics.surest_mistakes(labels, run.predictions, MISTAKES)
    for axes, i in zip(mistakes.subplots(2, MISTAKES // 2).flat, surest, strict=True):
        axes.imshow(images[i, :, :, 0], cmap="gray")
        axes.set_title(f"{labels[i]}, predicted {np.argmax(run.predictions[i])}", fontsize=8)
        axes.axis("off")


def write(name: str, svg: str) -> None:
    """Write a picture twice: in the README it follows the site's theme, not the system's."""
    for i, theme in enumerate(("light", "dark")):
        colours = "; ".join(f"--{name}: {pair[i]}" for name, pair in COLOURS.items())
        fixed = re.sub(r":root {[^}]*} @media[^{]*{ :root {[^}]*} }", f":root {{ {colours} }}", svg, count=1)
        (DOCS / f"{name}-{theme}.svg").write_text(fixed, encoding="utf-8")


def main() -> None:
    """Write the pictures into docs/."""
    runs = {name: lenet.load(STUDY / f"lenet/{name.lower()}/seed-0") for name in FRAMEWORKS}
    write("front", render((10.5, 5.6), front, runs))
    for name in ("overview", "comparison"):
        write(name, (STUDY / f"report/{name}.svg").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
