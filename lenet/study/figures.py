"""The report's charts, drawn by matplotlib: one SVG each, whose colours follow the reader's light or dark page."""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

from lenet.study.chart import Chart
from lenet.study.comparison import Mean

# On a light and on a dark page: text, grid, then hues from Okabe and Ito's palette for colour-blind readers.
COLOURS = {
    "ink": ("#1f2328", "#e6edf3"),
    "grid": ("#d0d7de", "#30363d"),
    "C0": ("#0072b2", "#56b4e9"),
    "C1": ("#d55e00", "#e69f00"),
    "C2": ("#009e73", "#2ecc9b"),
    "C3": ("#cc79a7", "#e3a1c4"),
}
POINTS = 300  # of a line, at most
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)), (0, (10, 2)), (0, (5, 1.5, 1.5, 1.5, 1.5, 1.5)))


def render(size: tuple[float, float], draw: Callable[..., None], *arguments: Any) -> str:
    """Return the SVG of what `draw(figure, *arguments)` draws; the size in inches."""
    light = {name: colours[0] for name, colours in COLOURS.items()}
    style: dict[Any, Any] = {"grid.color": light["grid"], "legend.frameon": False, "svg.fonttype": "none"}
    style |= {"axes.prop_cycle": cycler(color=[light[f"C{i}"] for i in range(4)]), "svg.hashsalt": "lenet"}
    ink = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor")
    style |= dict.fromkeys(ink, light["ink"]) | dict.fromkeys(("axes.spines.top", "axes.spines.right"), False)
    style |= {"font.family": "sans-serif"}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a class's name may be in any script
        figure = Figure(size, layout="constrained")
        draw(figure, *arguments)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _themed(file.getvalue())


def _themed(svg: str) -> str:
    """Return an SVG with each colour as a variable, which is another on a dark page."""
    for name, (light, _) in COLOURS.items():
        svg = svg.replace(light, f"var(--{name})")
    light, dark = ("; ".join(f"--{name}: {pair[i]}" for name, pair in COLOURS.items()) for i in range(2))
    style = f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    style += " text { font-family: system-ui, sans-serif !important }"
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{style}</style>", svg, count=1)


def curves(figure: Figure, chart: Chart) -> None:
    """Draw the smoothed curves of training and validation, each a mean over the seeds in a band from least to most.

    There is one line for all frameworks where they agree. The final test of each seed is a mark at the end.
    """
    axes = figure.subplots()
    for i, (part, (steps, lines)) in enumerate(chart.parts.items()):
        merged = {", ".join(lines): chart.merged(part)} if chart.agrees else lines
        for j, (framework, by_seed) in enumerate(merged.items()):
            hue, dashes = (f"C{i}", "-") if chart.agrees else (f"C{j}", "-" if part == "train" else (0, (3, 1.5)))
            chosen = np.unique(np.linspace(0, len(steps) - 1, POINTS).astype(int))
            values = np.stack([*by_seed.values()])[:, chosen]
            label = {"train": "training", "validation": "validation"}[part]
            label = label if chart.agrees else f"{framework}, {label}"
            axes.fill_between(steps[chosen], values.min(axis=0), values.max(axis=0), color=hue, alpha=0.2, linewidth=0)
            axes.plot(steps[chosen], values.mean(axis=0), color=hue, linestyle=dashes, linewidth=1.6, label=label)
    last = max(steps[-1] for steps, _ in chart.parts.values())
    marks: dict[str, Any] = {
        "color": matplotlib.rcParams["text.color"],
        "markersize": 6,
        "markeredgewidth": 1.5,
        "clip_on": False,
        "label": "test, at the end",
    }
    axes.plot([last] * len(chart.tested), chart.tested, "x", **marks)
    axes.set(xlabel="step", ylabel=chart.tag.replace("_", "-"), ylim=(0, 1.02 * chart.highest))
    axes.grid()
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)


def comparison(figure: Figure, charts: dict[str, Chart]) -> None:
    """Draw every config's error in validation, the mean over seeds and frameworks, on a logarithmic scale."""
    axes = figure.subplots()
    for i, name in enumerate(reversed(charts)):  # they are given with the best first
        steps, accuracy = charts[name].mean("validation")
        dashes = DASHES[i // 4 % len(DASHES)]
        axes.plot(steps, 100 * (1 - accuracy), color=f"C{i % 4}", linestyle=dashes, linewidth=1.5, label=name)
    axes.set(xlabel="step", ylabel="error in validation, %")
    axes.set_yscale("log", nonpositive="clip")  # an error may be zero
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.grid(which="both", linewidth=0.5)
    figure.legend(loc="outside right upper", fontsize=8, reverse=True)


def response(figure: Figure, key: str, lines: dict[str, dict[float, float]]) -> None:
    """Draw the mean error in validation over the values of a setting, a line a config."""
    axes = figure.subplots()
    for i, (name, accuracies) in enumerate(lines.items()):
        errors = [100 - accuracy for accuracy in accuracies.values()]
        dashes = DASHES[i // 4 % len(DASHES)]
        axes.plot([*accuracies], errors, "o", linestyle=dashes, color=f"C{i % 4}", markersize=4, label=name)
    values = [value for accuracies in lines.values() for value in accuracies]
    if min(values) > 0 and max(values) >= 10 * min(values):
        axes.set_xscale("log")
    axes.set(xlabel=key, ylabel="error in validation, %")
    axes.grid(which="both", linewidth=0.5)
    if len(lines) > 1:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)


def overview(
    figure: Figure, accuracies: dict[str, list[float]], means: dict[str, Mean], reported: dict[str, float]
) -> None:
    """Draw each config's test accuracies in %: a dot a seed, the mean with its interval, and the 2017 report's."""
    axes, ink = figure.subplots(), matplotlib.rcParams["text.color"]
    for row, (name, seeds) in enumerate(accuracies.items()):
        mean = means[name]
        axes.errorbar(mean.value, row, xerr=mean.margin, fmt="|", markersize=11, capsize=4, color="C0")
        axes.plot(seeds, [row + 0.22] * len(seeds), "o", markersize=3, color="C0", alpha=0.5)
    rows = [row for row, name in enumerate(accuracies) if name in reported]
    interval = any(mean.margin is not None for mean in means.values())
    axes.plot([], [], "|", color="C0", markersize=11, label="mean and 95 % interval" if interval else "mean")
    axes.plot([], [], "o", color="C0", markersize=3, alpha=0.5, label="a seed")
    if rows:
        axes.plot([*reported.values()], rows, "x", color=ink, markersize=7, label="the 2017 report")
    axes.set(xlabel="test accuracy, %", yticks=range(len(accuracies)))
    axes.set_yticklabels(accuracies)
    axes.set_ylim(len(accuracies) - 0.4, -0.6)  # the first on top
    axes.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
