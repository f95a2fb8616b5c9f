"""The report's pictures, drawn by matplotlib, each for a light and for a dark page."""

import io
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lenet.network import Network
from lenet.storage.curves import Curve

# Text, page, grid; then one hue a framework, from Okabe and Ito's palette for colour-blind readers.
THEMES = {
    "light": ("#1f2328", "#ffffff", "#d0d7de", ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]),
    "dark": ("#e6edf3", "#0d1117", "#30363d", ["#56b4e9", "#e69f00", "#2ecc9b", "#cc79a7"]),
}
SMOOTHING_STEPS = 20
LONGEST_NAME = 14  # of a class, in a picture


def render(size: tuple[float, float], draw: Callable[..., None], *arguments: Any) -> dict[str, bytes]:
    """Return a PNG for each theme of what `draw(figure, *arguments)` draws; the size in inches."""
    pictures = {}
    for theme, (ink, page, grid, hues) in THEMES.items():
        style: dict[Any, Any] = {"grid.color": grid, "legend.edgecolor": grid, "axes.prop_cycle": cycler(color=hues)}
        style |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), ink)
        style |= dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), page)
        style |= dict.fromkeys(("axes.spines.top", "axes.spines.right"), False)
        with matplotlib.rc_context(style), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # a class's name may be in any script
            figure = Figure(size, dpi=130, layout="constrained")
            draw(figure, *arguments)
            file = io.BytesIO()
            figure.savefig(file, format="png")
            pictures[theme] = file.getvalue()
    return pictures


def curves(figure: Figure, by_framework: dict[str, dict[str, dict[str, Curve]]], tag: str) -> None:
    """Draw framework -> train and test -> tag -> curve: train solid, test dashed; raw values faint, smoothed strong.

    The curves of the frameworks coincide, so later ones are drawn thinner. The test curve ends with a dot, the result
    of all test images, which is not smoothed.
    """
    axes = figure.subplots()
    for i, (framework, parts) in enumerate(by_framework.items()):
        width = 1.2 + 1.8 * (len(by_framework) - 1 - i)
        for part, line in (("train", "-"), ("test", (0, (3, 1.5)))):
            steps, values = parts[part][tag]
            axes.plot(steps, values, color=f"C{i}", alpha=0.15, linewidth=0.7, zorder=2)
            smoothed = _smooth(steps, values)
            if part == "test":
                smoothed[-1] = values[-1]
            axes.plot(steps, smoothed, color=f"C{i}", linestyle=line, linewidth=width, zorder=3)
            axes.plot([], [], color=f"C{i}", linestyle=line, label=f"{framework}, {part}")
        axes.plot(steps[-1], values[-1], "o", color=f"C{i}", markersize=2 + 2 * width, zorder=4, clip_on=False)
    # The first few cross-entropies, often above 5, would leave no height for the others.
    trained = np.concatenate([parts["train"][tag].values for parts in by_framework.values()])
    tested = [parts["test"][tag].values[-1] for parts in by_framework.values()]
    highest = 1.0 if tag == "accuracy" else max(float(np.quantile(trained, 0.97)), *tested)
    axes.set(xlabel="step", ylabel=tag.replace("_", "-"), ylim=(0, 1.02 * highest))
    axes.grid()
    axes.legend(ncols=2, fontsize=8)


def _smooth(steps: Iterable[float], values: Iterable[float]) -> list[float]:
    """Return the exponential moving average, with a time constant of SMOOTHING_STEPS."""
    smoothed: list[float] = []
    total = weight = last = 0.0
    for step, value in zip(steps, values, strict=True):
        decay = math.exp((last - step) / SMOOTHING_STEPS)
        total, weight, last = total * decay + value, weight * decay + 1, step
        smoothed.append(total / weight)
    return smoothed


def overview(figure: Figure, accuracies: dict[str, dict[str, list[float]]], reported: dict[str, float]) -> None:
    """Draw config -> framework -> each seed's test accuracy, in %, beside the 2017 report's where it is known."""
    axes = figure.subplots()
    frameworks = list(dict.fromkeys(name for by_framework in accuracies.values() for name in by_framework))
    for i, framework in enumerate(frameworks):
        rows = [row for row, by_framework in enumerate(accuracies.values()) if framework in by_framework]
        values = [by_framework[framework] for by_framework in accuracies.values() if framework in by_framework]
        axes.errorbar(
            [float(np.mean(seeds)) for seeds in values],
            [row + 0.18 * (i - (len(frameworks) - 1) / 2) for row in rows],
            xerr=[float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0 for seeds in values],
            fmt="o",
            markersize=5,
            capsize=3,
            color=f"C{i}",
            label=framework,
        )
    rows = [row for row, config in enumerate(accuracies) if config in reported]
    ink = matplotlib.rcParams["text.color"]
    if rows:
        axes.plot([*reported.values()], rows, "x", color=ink, markersize=8, label="the 2017 report")
    axes.set(xlabel="test accuracy, %\n(mean and standard deviation over the seeds)", yticks=range(len(accuracies)))
    axes.set_yticklabels(accuracies)
    axes.set_ylim(len(accuracies) - 0.4, -0.6)  # the first on top
    axes.grid()
    axes.legend(fontsize=8)


def architecture(figure: Figure, network: Network) -> None:
    """Draw boxes from the image to the output, as high as the image and as wide as its channels (logarithms)."""
    axes = figure.subplots()
    shapes: list[tuple[str, tuple[int, ...]]] = [("image", network.image_shape)]
    for layer in network.conv_layers:
        conv = layer.conv
        shapes.append((f"{layer.name}\n{conv.kernel}x{conv.kernel} {conv.padding}", layer.convolved))
        pool = f"{conv.pool}-pool\n{conv.pool_window}x{conv.pool_window}, stride {conv.pool_stride}"
        shapes.append((pool, layer.output))
    shapes += [(layer.name, layer.output) for layer in network.dense_layers]
    x = right = 0.0
    tallest = max(2.25, math.log2(network.image_shape[0] + 1) / 2.2)  # what 32 pixels give, and more does not fit
    for i, (label, shape) in enumerate(shapes):
        dense = len(shape) == 1
        height = math.log2(shape[0]) / 4 if dense else math.log2(shape[0] + 1) / 2.2 * 2.25 / tallest
        width = 0.22 if dense else 0.15 + math.log2(shape[-1] + 1) / 8
        left = x + (1.5 - width) / 2
        color = "none" if i == 0 else "C2" if dense else "C1" if "pool" in label else "C0"
        axes.add_patch(Rectangle((left, -height / 2), width, height, facecolor=color, edgecolor="gray"))
        axes.text(x + 0.75, 1.45, label, ha="center", va="bottom", fontsize=9)
        axes.text(x + 0.75, -1.45, "x".join(map(str, shape)), ha="center", va="top", fontsize=9)
        if i:
            axes.annotate("", (left - 0.05, 0), (right + 0.05, 0), arrowprops={"arrowstyle": "->", "color": "gray"})
        right = left + width
        x += 1.5
    axes.set(xlim=(0, x), ylim=(-1.9, 2.2))
    axes.axis("off")


def kernels(figure: Figure, kernel: np.ndarray) -> None:
    """Draw the first layer's kernels [height, width, channels, filters].

    Of images in grey: blue below zero, red above; in colour each channel has its own, and grey is zero.
    """
    figure.suptitle(f"conv1/kernel, from {kernel.min():.2f} to {kernel.max():.2f}", fontsize=9)
    channels, filters = kernel.shape[2:]
    columns, limit = min(8, filters), np.abs(kernel).max() or 1.0
    grid = figure.subplots(math.ceil(filters / columns), columns, squeeze=False)
    for i, axes in enumerate(grid.flat):
        axes.axis("off")
        if i < filters and channels == 1:
            axes.imshow(kernel[:, :, 0, i], cmap="RdBu_r", vmin=-limit, vmax=limit)
        elif i < filters:
            axes.imshow((kernel[..., i] / limit + 1) / 2)


def confusion_side(classes: Sequence[str]) -> float:
    """Return the confusion matrix's width and height in inches."""
    return max(3.9, min(16.0, 1 + 0.23 * len(classes) + 0.08 * max(map(len, map(_short, classes)))))


def confusion(figure: Figure, labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> None:
    """Draw the confusion matrix; right predictions are counted but not coloured."""
    n = len(classes)
    counts = np.bincount(labels.astype(int) * n + predicted, minlength=n * n).reshape(n, n)
    wrong = counts * (1 - np.eye(n, dtype=int))
    axes = figure.subplots()
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(1, wrong.max()))
    for (row, column), count in np.ndenumerate(counts) if n <= 64 else ():
        if count:
            color = "white" if wrong[row, column] > 0.6 * wrong.max() else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8 if n <= 16 else 5, color=color)
    names = [_short(name) for name in classes]
    style: dict[str, Any] = {"fontsize": 8 if n <= 64 else 4, "parse_math": False}
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_xticks(range(n), names, rotation=90 if max(map(len, names)) > 2 else 0, **style)
    axes.set_yticks(range(n), names, **style)


def mistakes(
    figure: Figure, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    """Draw the 25 most confident mistakes: true class, predicted class, probability."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:25]
    is_short = max(map(len, classes)) <= 2
    for i, axes in enumerate(figure.subplots(5, 5).flat):
        axes.axis("off")
        if i < len(surest):
            n = surest[i]
            axes.imshow(images[n].squeeze(axis=2) if images.shape[3] == 1 else images[n], cmap="gray")
            true, answer = (_short(classes[number]) for number in (labels[n], predicted[n]))
            names = f"{true}, predicted {answer}" if is_short else f"{true}\n\N{RIGHTWARDS ARROW} {answer}"
            title = f"{names}\n{100 * probabilities[n, predicted[n]]:.1f} %"
            axes.set_title(title, fontsize=8 if is_short else 6, parse_math=False)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
