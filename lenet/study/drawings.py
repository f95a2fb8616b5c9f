"""Pictures of one network in a report: its layers, what its first layer learned, and its mistakes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lenet import metrics
from lenet.network import Network

RED, BLUE, ORANGE = (0.84, 0.19, 0.15), (0.13, 0.44, 0.82), (0.90, 0.45, 0.0)  # seen on a light and a dark page
LONGEST_NAME = 14  # of a class


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
    """Draw the first layer's kernels [height, width, channels, filters], eight in a row.

    Of images in grey: blue below zero, red above; in colour each channel has its own, and grey is zero.
    """
    figure.suptitle(f"conv1/kernel, from {kernel.min():.2f} to {kernel.max():.2f}", fontsize=9)
    relative = kernel / (np.abs(kernel).max() or 1.0)
    if kernel.shape[2] == 1:
        weights = np.moveaxis(relative[:, :, 0], -1, 0)  # [filters, height, width]
        colours = np.where(weights[..., np.newaxis] > 0, RED, BLUE)
        tiles = np.concatenate([colours, np.abs(weights)[..., np.newaxis]], axis=-1)
    else:
        colours = np.moveaxis((relative + 1) / 2, -1, 0)
        tiles = np.concatenate([colours, np.ones((*colours.shape[:3], 1))], axis=-1)
    axes = figure.subplots()
    axes.imshow(_grid(tiles, 8), interpolation="nearest")
    axes.axis("off")


def _grid(tiles: np.ndarray, columns: int) -> np.ndarray:
    """RGBA tiles [n, height, width, 4] -> one picture with them in rows, a transparent pixel apart."""
    count, height, width = tiles.shape[:3]
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    grid = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4))
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        grid[top : top + height, left : left + width] = tile
    return grid


def confusion_side(classes: Sequence[str]) -> float:
    """Return the confusion matrix's width and height in inches."""
    return max(3.9, min(16.0, 1 + 0.23 * len(classes) + 0.08 * max(map(len, map(_short, classes)))))


def confusion(figure: Figure, labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> None:
    """Draw the confusion matrix; right predictions are counted but not coloured."""
    n = len(classes)
    counts = metrics.confusion(labels, predicted, n)
    wrong = counts * (1 - np.eye(n, dtype=int))
    colours = np.empty((n, n, 4))
    colours[..., :3], colours[..., 3] = ORANGE, 0.85 * wrong / max(1, wrong.max())
    axes = figure.subplots()
    axes.imshow(colours, interpolation="nearest")
    for (row, column), count in np.ndenumerate(counts) if n <= 64 else ():
        if count:
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8 if n <= 16 else 5)
    names = [_short(name) for name in classes]
    style: dict[str, Any] = {"fontsize": 8 if n <= 64 else 4, "parse_math": False}
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(True)
    axes.set_xticks(range(n), names, rotation=90 if max(map(len, names)) > 2 else 0, **style)
    axes.set_yticks(range(n), names, **style)


def mistakes(
    figure: Figure, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    """Draw the most confident mistakes: true class, predicted class, probability."""
    predicted = probabilities.argmax(axis=1)
    surest = metrics.surest_mistakes(labels, probabilities)
    is_short = max(map(len, classes)) <= 2
    places = figure.subplots(5, metrics.MISTAKES // 5, subplot_kw={"xticks": [], "yticks": []})  # ticks take time
    for i, axes in enumerate(places.flat):
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
