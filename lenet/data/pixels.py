"""The border of an image, and its scaling; page/preparation.js scales in the same way."""

import numpy as np


def border(image: np.ndarray, depth: int) -> np.ndarray:
    """The pixels of the four sides, in one row."""
    return np.concatenate([part.ravel() for side in (image, image.T) for part in (side[:depth], side[-depth:])])


def reduced(image: np.ndarray, size: int) -> np.ndarray:
    """Reduce a large picture, its longer side to `size`; float64."""
    whole = min(max(image.shape) // (2 * size), *image.shape)
    if whole > 1:  # first by a whole factor: fast, and little memory
        height, width = (side // whole for side in image.shape)
        image = image[: height * whole, : width * whole].reshape(height, whole, width, whole).mean(axis=(1, 3))
    return scaled(image, size) if max(image.shape) > size else image.astype(float)


def scaled(image: np.ndarray, size: int) -> np.ndarray:
    """Scale the longer side to `size` pixels, the shape kept."""
    height, width = (max(1, int(side * size / max(image.shape) + 0.5)) for side in image.shape)
    return resized(image, height, width)


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale to height x width: by the mean of what a pixel covers where that is more than one, else linearly."""
    return np.asarray(_weights(image.shape[0], height) @ image @ _weights(image.shape[1], width).T)


def _weights(old: int, new: int) -> np.ndarray:
    """The share that each of `old` pixels has in each of `new`: [new, old]."""
    scale, pixels = old / new, np.arange(old)
    first = np.arange(new)[:, np.newaxis] * scale
    if scale > 1:
        weights = np.minimum(first + scale, pixels + 1) - np.maximum(first, pixels)
    else:
        weights = 1 - np.abs(first + scale / 2 - 0.5 - pixels)
    weights = weights.clip(0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
