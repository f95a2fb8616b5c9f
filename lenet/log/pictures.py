"""Pictures of a trained network, drawn by Pillow: a run draws them in milliseconds, where matplotlib takes seconds."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lenet import metrics
from lenet.system.streams import printable

TILE = 84  # pixels, about, of the longer side of an example or a kernel
LONGEST_NAME = 8  # of a class
MOST_NUMBERED = 30  # classes; the cells of more are too small for counts
INK, PAPER = "#1f2328", "#ffffff"


def kernels(kernel: np.ndarray) -> Image.Image:
    """Draw the first layer's kernels [height, width, channels, filters], eight in a row.

    Of images in grey: blue below zero, red above; in colour each channel has its own, and grey is zero.
    """
    filters = kernel.shape[3]
    relative = kernel / (np.abs(kernel).max() or 1)
    if kernel.shape[2] == 1:  # from white to red above zero, from white to blue below
        fade = 1 - np.abs(relative[:, :, 0])
        channels = [np.where(relative[:, :, 0] > 0, 1, fade), fade, np.where(relative[:, :, 0] < 0, 1, fade)]
        relative = 2 * np.stack(channels, axis=2) - 1
    pixels = (255 * (relative + 1) / 2).astype(np.uint8)
    return _sheet([_tile(pixels[..., i]) for i in range(filters)], 8)


def mistakes(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> Image.Image | None:
    """Draw the most confident mistakes, each over its true class, predicted class and probability; None without any."""
    predicted = probabilities.argmax(axis=1)
    chosen = metrics.surest_mistakes(labels, probabilities)
    captions = []
    for n in chosen:
        true, answer = (_short(classes[number]) for number in (labels[n], predicted[n]))
        captions.append(f"{true}, not {answer}\n{100 * probabilities[n, predicted[n]]:.1f} %")
    return _sheet([_tile(images[n]) for n in chosen], 5, captions) if len(chosen) else None


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Image.Image:
    """Draw the confusion matrix; right predictions are counted but not coloured."""
    n = len(classes)
    counts = metrics.confusion(labels, predicted, n)
    wrong = counts * (1 - np.eye(n, dtype=int))
    names = [_short(name) for name in classes]
    font = ImageFont.load_default(12)
    cell = 38 if n <= MOST_NUMBERED else 12
    margin = 54 + max(round(font.getlength(name)) for name in names)
    drawn = Image.new("RGB", (margin + n * cell + 8, margin + n * cell + 8), PAPER)
    draw = ImageDraw.Draw(drawn)
    draw.text((margin, 4), "predicted", INK, font)
    draw.text((4, margin - 16), "true", INK, font)
    for i, name in enumerate(names):
        middle = margin + (i + 0.5) * cell
        if n <= MOST_NUMBERED or i % 5 == 0:
            draw.text((middle, margin - 4), name if len(name) <= 2 else str(i), INK, font, anchor="mb")
            draw.text((margin - 6, middle), name if len(name) <= 2 else f"{i} {name}", INK, font, anchor="rm")
    for (row, column), count in np.ndenumerate(counts):
        left, top = margin + column * cell, margin + row * cell
        share = wrong[row, column] / max(1, wrong.max())
        colour = (255, round(255 - 130 * share), round(255 - 215 * share))  # from white to orange
        draw.rectangle((left, top, left + cell, top + cell), colour, "#d0d7de")
        if count and n <= MOST_NUMBERED:
            draw.text((left + cell / 2, top + cell / 2), str(count), INK, font, anchor="mm")
    return drawn


def _tile(pixels: np.ndarray) -> Image.Image:
    """Pixels uint8 [height, width, channels] -> the image, enlarged by a whole number, or reduced."""
    image = Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    longer = max(image.size)
    scale = TILE // longer if longer <= TILE else TILE / longer
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)


def _sheet(tiles: Sequence[Image.Image], columns: int, captions: Sequence[str] = ()) -> Image.Image:
    """Return tiles of one size in rows, each over its caption of two lines."""
    font, space = ImageFont.load_default(12), 8
    width = max([tiles[0].width, *(math.ceil(font.getlength(line)) for text in captions for line in text.split("\n"))])
    wide, tall = width + space, tiles[0].height + space + (34 if captions else 0)
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new("RGB", (space + wide * min(columns, len(tiles)), space + tall * rows), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, tile in enumerate(tiles):
        left, top = space + wide * (i % columns), space + tall * (i // columns)
        sheet.paste(tile, (left, top))
        if captions:
            draw.multiline_text((left, top + tile.height + 2), captions[i], INK, font)
    return sheet


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."
