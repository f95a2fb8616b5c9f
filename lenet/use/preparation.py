"""Any picture of one digit -> an image as MNIST has them: light ink on black, 28x28.

As MNIST was made (LeCun et al. 1998, section III-A), the digit fills a box of 20x20, its shape kept, and its centre of
mass is in the middle. page/preparation.js does the same with a drawing, which has no paper.
"""

import re

import numpy as np

from lenet.data.pixels import border, reduced, scaled
from lenet.dataset import MNIST, DatasetInfo
from lenet.errors import UserError

IMAGE_SIZE = MNIST.image_shape[0]  # pixels of a side
BOX = 20  # pixels of the digit's longer side
WORKING_SIZE = 320  # pixels of a picture's longer side while its digit is searched
FINE_SIZE = 80  # and of the digit's while its strokes are measured: four for each pixel of the box
LEAST_CONTRAST = 20  # grey levels between paper and ink
MOST_PARTS = 12  # into which a faint pen breaks a digit; noise has hundreds
# Widths of strokes, as shares of the digit's longer side. MNIST's median is 0.13, its 95th percentile 0.20. Thin
# lines are read best when they are as wide as the median.
THINNEST, THICKEST = 0.125, 0.2
# Data that was prepared as MNIST was; its name is that of its folder.
HANDWRITING = re.compile(r"[qe]?mnist(?![a-z])(?!.*fashion)", re.IGNORECASE)


def is_handwriting(data: DatasetInfo) -> bool:
    """Return whether the data's images were prepared as MNIST's, going by its name."""
    return data.image_shape == MNIST.image_shape and bool(HANDWRITING.match(data.name))


def prepare(grey: np.ndarray) -> np.ndarray:
    """Return a picture of a digit, uint8 [height, width], as MNIST has it: uint8 [28, 28].

    One that looks so already is left as it is. UserError if it shows no digit.
    """
    if is_prepared(grey):
        return grey
    ink, mask = _ink(grey)
    close_up = _box(mask, max(ink.shape) // 40, grey.shape)
    if 2 * max(grey[close_up].shape) < max(grey.shape) > WORKING_SIZE:  # a small digit in a large picture
        ink, mask = _ink(grey[close_up])
    return _digit(ink * _spread(mask), mask)


def is_prepared(grey: np.ndarray) -> bool:
    """Whether a picture looks as MNIST's do: 28x28, bright ink, its centre of mass in the middle, a black border."""
    if grey.shape != (IMAGE_SIZE, IMAGE_SIZE) or grey.max() < 200:
        return False
    off_centre = np.abs(_centre_of_mass(grey) - (IMAGE_SIZE - 1) / 2).max()
    return bool(np.mean(border(grey, 2) > 32) < 0.06 and off_centre < 1)


def _ink(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ink, from 0 (paper) to 1, and which of it is the digit: two arrays of at most WORKING_SIZE."""
    image = _light_on_dark(reduced(grey, WORKING_SIZE))
    ink = image - _paper(image)
    tone, darker = np.percentile(ink, [30, 10])
    grain = (tone - darker) / 0.76  # the standard deviation of noise: these two percentiles are 0.76 of it apart
    ink -= tone
    brightest = max(1, ink.size // 2000)  # more pixels than noise has
    high = np.partition(ink.ravel(), -brightest)[-brightest]
    if high < max(LEAST_CONTRAST, 6 * grain):
        raise UserError("no digit found: the contrast is too low")
    ink = (ink / high).clip(0, 1)
    return ink, _main_parts(ink > np.clip(_otsu(ink), 0.2, 0.5))


def _light_on_dark(image: np.ndarray) -> np.ndarray:
    return 255 - image if np.median(border(image, max(1, min(image.shape) // 40))) > 127 else image


def _paper(image: np.ndarray) -> np.ndarray:
    """The paper's tone at each pixel, however it is lit: a parabola through the darkest parts of 4x4 windows."""
    if min(image.shape) < 24:
        return np.full(image.shape, np.median(border(image, 1)))
    rows, columns = (np.linspace(0, side - side // 3, 4).astype(int) for side in image.shape)
    height, width = (side // 3 for side in image.shape)
    tones = [np.percentile(image[y : y + height, x : x + width], 10) for y in rows for x in columns]
    y, x = np.meshgrid((rows + height / 2) / image.shape[0], (columns + width / 2) / image.shape[1], indexing="ij")
    factors = np.linalg.lstsq(_powers(y.ravel(), x.ravel()), np.array(tones), rcond=None)[0]
    y, x = (np.arange(side) / side for side in image.shape)
    return np.asarray(_powers(y[:, np.newaxis], x) @ factors).clip(0, 255)


def _powers(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(1.0, x, y, x * x, x * y, y * y), axis=-1)


def _otsu(ink: np.ndarray) -> float:
    """The threshold with the greatest variance between the pixels above and below (Otsu 1979)."""
    counts, edges = np.histogram(ink, 64, (0, 1))
    below = np.cumsum(counts)[:-1]
    mass = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    variance = (mass[-1] * below / ink.size - mass[:-1]) ** 2 / np.maximum(below * (ink.size - below), 1)
    return float(edges[1 + variance.argmax()])


def _main_parts(mask: np.ndarray) -> np.ndarray:
    """The largest connected part, and others that are not far smaller and do not touch the picture's edge."""
    parts, areas = _connected_parts(mask)
    at_edge = np.isin(np.arange(len(areas)), border(parts, 1))
    inside = np.where(at_edge, 0, areas)
    main = inside.argmax() if inside.max() >= 0.2 * areas.max() else areas.argmax()
    kept = inside > 0.04 * areas[main]
    kept[main] = True
    if kept.sum() > MOST_PARTS:
        raise UserError("no digit found: there are too many spots; crop the picture to one digit")
    return np.asarray(kept[parts])


def _connected_parts(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the parts of a mask that touch, corners count, from 1 on; 0 is outside. Returns also their areas."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        spread = np.where(mask, _spread(labels), 0)  # each pixel takes its neighbours' largest label,
        spread = np.append(0, spread)[spread]  # then that of the pixel which the label is the number of
        if np.array_equal(spread, labels):
            break
        labels = spread
    names, parts, areas = np.unique(np.append(0, labels), return_inverse=True, return_counts=True)
    return parts[1:].reshape(mask.shape), np.where(names > 0, areas, 0)


def _spread(values: np.ndarray) -> np.ndarray:
    """The largest value of each pixel and its eight neighbours."""
    padded = np.pad(values, 1)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.asarray(np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))


def _digit(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the ink of a digit, from 0 to 1, where the mask shows it, as uint8 [28, 28]."""
    ink = scaled(ink[_box(mask, 0, mask.shape)], FINE_SIZE).clip(0, 1)
    ink /= ink.max()
    width = _stroke_width(ink > 0.4) / FINE_SIZE
    if (wider := round((THINNEST - width) * FINE_SIZE / 2)) > 0:
        ink = _widened(np.pad(ink, wider), wider)
    elif (narrower := round((width - THICKEST) * FINE_SIZE / 2)) > 0:
        thin = 1 - _widened(1 - np.pad(ink, 1), narrower)
        ink = thin[_box(thin > 0.1, 0, thin.shape)] if thin.max() > 0.5 else ink
    return _centred(scaled(ink, BOX).clip(0, 1))


def _stroke_width(mask: np.ndarray) -> float:
    """Twice the area over the outline's length, which is pi / 4 of the sides of its pixels, on average over slants."""
    padded = np.pad(mask, 1)
    sides = np.count_nonzero(np.diff(padded, axis=0)) + np.count_nonzero(np.diff(padded, axis=1))
    return float(2 * np.count_nonzero(mask) / (sides * np.pi / 4))


def _widened(ink: np.ndarray, radius: int) -> np.ndarray:
    """Each pixel gets the largest value within a circle around it."""
    padded = np.pad(ink, radius, mode="edge")
    height, width = ink.shape
    reach = range(-radius, radius + 1)
    shifts = [(y, x) for y in reach for x in reach if y * y + x * x <= (radius + 0.3) ** 2]
    views = (padded[radius + y : radius + y + height, radius + x : radius + x + width] for y, x in shifts)
    return np.asarray(np.maximum.reduce(list(views)))


def _centred(ink: np.ndarray) -> np.ndarray:
    """Put a digit, from 0 to 1, into 28x28, its centre of mass in the middle as far as it fits."""
    corner = np.floor((IMAGE_SIZE - 1) / 2 - _centre_of_mass(ink) + 0.5).astype(int)
    row, column = corner.clip(0, IMAGE_SIZE - np.array(ink.shape))
    image = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    image[row : row + ink.shape[0], column : column + ink.shape[1]] = np.floor(255 * ink / ink.max() + 0.5)
    return image


def _centre_of_mass(image: np.ndarray) -> np.ndarray:
    """Row and column."""
    weights: np.ndarray = image / image.sum(dtype=float)
    return np.array([weights.sum(axis=1) @ np.arange(len(weights)), weights.sum(axis=0) @ np.arange(weights.shape[1])])


def _box(mask: np.ndarray, margin: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of a picture of this shape that a mask of it, perhaps smaller, shows, with a margin around it."""
    slices = []
    for axis, side in enumerate(shape):
        shown, scale = np.flatnonzero(mask.any(axis=1 - axis)), side / mask.shape[axis]
        first, end = max(0, shown[0] - margin), min(mask.shape[axis], shown[-1] + 1 + margin)
        slices.append(slice(int(first * scale), int(np.ceil(end * scale))))
    return tuple(slices)
