"""Which pictures a report has, and how large each is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lenet.dataset import Dataset
from lenet.study import drawings, figures
from lenet.study.chart import Chart
from lenet.study.entry import Entry
from lenet.study.groups import Dimension
from lenet.system.streams import printable

PIXELS_PER_INCH = 96  # of the page


def draw(
    folder: Path,
    entries: Sequence[Entry],
    data: Dataset,
    reported: dict[str, float],
    charts: dict[str, Chart],
    dimensions: Sequence[Dimension],
) -> dict[str, float]:
    """Draw the pictures of a report in place of those that are there; returns the width of each on the page."""
    reported = {entry.name: reported[entry.name] for entry in entries if entry.name in reported}
    accuracies = {entry.name: [*entry.accuracies.values()] for entry in entries}
    means = {entry.name: entry.accuracy for entry in entries}
    longest = 0.08 * max(map(len, accuracies))
    pictures: dict[str, tuple[tuple[float, float], Callable[..., None], tuple[Any, ...]]] = {
        "overview": ((4.8 + longest, 1.5 + 0.4 * len(entries)), figures.overview, (accuracies, means, reported)),
    }
    if len(charts) > 1:
        pictures["comparison"] = ((4.8 + longest, 3.8), figures.comparison, (charts,))
    for i, dimension in enumerate(dimensions, 1):
        if dimension.is_numeric:
            pictures[f"response-{i}"] = ((5.2, 3.6), figures.response, (dimension.key, dimension.lines))
    names = [printable(name) for name in data.info.classes]
    side = drawings.confusion_side(names)
    for entry in entries:
        predicted = entry.probabilities.argmax(axis=1)
        pictures |= {
            f"{entry.name}-architecture": ((1.1 * entry.boxes, 2.5), drawings.architecture, (entry.network,)),
            f"{entry.name}-confusion": ((side, side), drawings.confusion, (data.test.labels, predicted, names)),
            f"{entry.name}-mistakes": ((4.4, 5.2), drawings.mistakes, (*data.test, entry.probabilities, names)),
        }
        if (kernels := entry.kernels) is not None:
            pictures[f"{entry.name}-kernels"] = ((3.6, 2.4), drawings.kernels, (kernels,))
        if entry.name in charts:
            for chart in (charts[entry.name], entry.chart("cross_entropy")):
                pictures[f"{entry.name}-{chart.tag}"] = ((5.2, 3.6), figures.curves, (chart,))
    for old in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        old.unlink()
    for name, (size, figure, arguments) in pictures.items():
        (folder / f"{name}.svg").write_text(figures.render(size, figure, *arguments), encoding="utf-8")
    return {name: PIXELS_PER_INCH * size[0] for name, (size, _, _) in pictures.items()}
