"""Description: what data is, what a network is on it, and the settings that a run of it has."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lenet.backend import storage_dtype
from lenet.data import load as read_data
from lenet.data.cache import FOLDER
from lenet.dataset import Dataset
from lenet.errors import UserError, notice
from lenet.settings import Settings, to_text
from lenet.storage.run import AnyPath
from lenet.storage.selection import Selection
from lenet.system.files import log_folder, replacing
from lenet.system.streams import printable

EXAMPLES = 12  # of each class on the sheet
EXAMPLE_SIDE = 56  # pixels, about, of an example's longer side there
NAME_WIDTH = 150  # pixels


class Description(NamedTuple):
    """Text of many lines, and the path of a PNG with examples of each class; None if it cannot be written."""

    text: str
    sheet: Path | None


def describe(
    config: AnyPath | None = None,
    *,
    load: AnyPath | Literal[False] = False,
    log_dir: AnyPath = "logs",
    data: AnyPath | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Description:
    """Describe what lenet.train would train, or go on with from the path `load`, with the same arguments.

    Trains nothing; the sheet is in data/ in the log folder. Raises UserError.
    """
    which = Selection(Path(log_dir), "", load, config, changes, seed, precision, validation)
    dataset = read_data(data, image_size=image_size, like=which.known, log_dir=log_dir)
    _, start = which.start(dataset.info, training=True)
    description = text(dataset, start.settings)
    try:
        dataset.require(start.settings.training.batch_size, start.settings.validation)
    except UserError as error:
        notice(f"this cannot be trained yet: {error}")
    sheet = Path(log_dir, FOLDER, f"{dataset.info.name}.png")
    try:
        write_sheet(dataset, sheet)
    except UserError as error:
        notice(f"there is no picture with examples: {error}")
        return Description(description, None)
    return Description(description, sheet)


def text(dataset: Dataset, settings: Settings) -> str:
    """Return the description in lines."""
    return "\n\n".join([_data(dataset, settings), _network(settings), _settings(settings)])


def _data(dataset: Dataset, settings: Settings) -> str:
    info = dataset.info
    train, validation = dataset.hold_out(settings.validation)
    parts = [split.labels for split in (train, validation, dataset.test)]
    counts = [np.bincount(labels, minlength=len(info.classes)) for labels in parts]
    rows = [
        (printable(name), *(f"{n:,}" for n in numbers)) for name, *numbers in zip(info.classes, *counts, strict=True)
    ]
    totals = ("all", *(f"{len(labels):,}" for labels in parts))
    heading = ("class", "training", "validation", "test")
    return f"Data: {info.name}, {info.size}, {len(info.classes)} classes\n{_table([heading, *rows, totals])}"


def _network(settings: Settings) -> str:
    network = settings.network
    rows = [
        ("layer", "kernel", "output", "parameters", "multiply-adds"),
        ("image", "", _by(network.image_shape), "", ""),
    ]
    for layer in network.layers:
        rows.append(
            (layer.name, _by(layer.kernel), _by(layer.output), f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        )
    rows.append(("all", "", "", f"{network.parameters:,}", f"{network.multiply_adds:,}"))
    itemsize, batch_size = np.dtype(storage_dtype(settings.precision)).itemsize, settings.training.batch_size
    shapes = [network.image_shape, *(layer.convolved for layer in network.conv_layers)]
    activations = batch_size * sum(map(math.prod, [*shapes, *(layer.output for layer in network.layers)]))
    memory = (
        f"Memory: {_megabytes(network.parameters * itemsize)} for the parameters, three times that with Adam's "
        f"moments, {_megabytes(activations * itemsize)} for the layers' outputs of a batch of {batch_size}"
    )
    return f"Network: {settings.variant}\n{_table(rows)}\n{memory}"


def _settings(settings: Settings) -> str:
    return "\n".join(
        ["Settings:", *(f"  {key} = {printable(to_text(value))}" for key, value in settings.values.items())]
    )


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows in columns, the first of them to the left."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"  {first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join(lines)


def write_sheet(dataset: Dataset, path: Path) -> None:
    """Write the first training images of each class, a class a row, as one PNG; UserError if it cannot be written."""
    height, width, channels = dataset.info.image_shape
    scale = EXAMPLE_SIDE / max(height, width)
    scale = max(1, round(scale)) if scale > 0.5 else scale  # by whole numbers, or reduced
    size = max(1, round(width * scale)), max(1, round(height * scale))
    wide, tall = (side + 4 for side in size)
    classes = dataset.info.classes
    sheet = Image.new("RGB", (NAME_WIDTH + EXAMPLES * wide, len(classes) * max(tall, 20) + 4), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    images, labels = dataset.train
    for row, name in enumerate(classes):
        top = 4 + row * max(tall, 20)
        draw.text((4, top), printable(name)[:20], "black", font)
        for column, n in enumerate(np.flatnonzero(labels == row)[:EXAMPLES]):
            example = Image.fromarray(images[n, ..., 0] if channels == 1 else images[n])
            method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
            sheet.paste(example.resize(size, method), (NAME_WIDTH + column * wide, top))
    with log_folder(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")
