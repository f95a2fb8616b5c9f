"""Training: what each step is given - batch, shifts, learning rate - from the seed and the step's number alone."""

import functools
from dataclasses import dataclass

import numpy as np

from lenet.architecture import require_positive


@dataclass(frozen=True)
class Training:
    """How a config is trained. The defaults are the 2017 report's."""

    batch_size: int = 100
    learning_rate: float = 1e-4  # the highest, if there is a schedule
    warmup_steps: int = 0  # over which the learning rate rises
    decay_steps: int = 0  # the step at which it has fallen to zero, the last one; 0: it does not fall
    shift: int = 0  # pixels; each image is moved by up to as many, up or down and left or right, at random
    label_smoothing: float = 0.0  # share of a label's probability that the loss gives to all classes alike

    def __post_init__(self) -> None:
        require_positive(batch_size=self.batch_size, learning_rate=self.learning_rate)
        for key in ("warmup_steps", "decay_steps", "shift"):
            if (value := getattr(self, key)) < 0:
                raise ValueError(f"{key}: must be 0 or more, not {value}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing: must be 0 or more, and less than 1, not {self.label_smoothing}")
        if 0 < self.decay_steps <= self.warmup_steps:
            raise ValueError(
                f"decay_steps: must be more than warmup_steps, {self.warmup_steps}, not {self.decay_steps}"
            )

    def batches(self, steps: range, seed: int, count: int) -> np.ndarray:
        """Return which of `count` training examples each step trains on: int64 [steps, batch]."""
        return np.stack([batch_indices(seed, step, self.batch_size, count) for step in steps])

    def learning_rates(self, steps: range) -> np.ndarray:
        """Return the learning rate of each step: float64 [steps]. It rises, and falls, in a straight line."""
        step = np.arange(steps.start, steps.stop)
        rates = np.full(len(steps), self.learning_rate)
        if self.warmup_steps:
            rates *= np.minimum(1, (step + 1) / self.warmup_steps)
        if self.decay_steps:
            rates *= 1 - step / self.decay_steps
        return rates

    def shifted(self, images: np.ndarray, steps: range, seed: int) -> np.ndarray:
        """Return each step's images, uint8 [steps, batch, height, width, channels], moved at random.

        New pixels at an edge repeat the pixels of that edge.
        """
        if not self.shift:
            return images
        return np.stack([_shifted(*each, self.shift, seed) for each in zip(images, steps, strict=True)])


def batch_indices(seed: int, step: int, batch_size: int, count: int) -> np.ndarray:
    """Return the examples, of `count`, that step number `step` (from 0) trains on: int64 [batch_size].

    Each epoch has its own order. The examples left at its end, fewer than a batch, are dropped.
    """
    pass_number, batch = divmod(step, count // batch_size)
    return _permutation(seed, pass_number, count)[batch * batch_size : (batch + 1) * batch_size]


@functools.lru_cache(maxsize=2)
def _permutation(seed: int, pass_number: int, count: int) -> np.ndarray:
    return np.argsort(_random(count, seed, pass_number), kind="stable")


def _shifted(images: np.ndarray, step: int, shift: int, seed: int) -> np.ndarray:
    """Images uint8 [batch, height, width, channels] of step number `step` -> the same, moved."""
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, images.shape[1:3], axis=(1, 2))
    rows, columns = (_random(2 * len(images), seed, step, 1) % (2 * shift + 1)).astype(np.int64).reshape(2, -1)
    moved = windows[np.arange(len(images)), rows, columns]  # [batch, channels, height, width]
    return np.moveaxis(moved, 1, -1)


def _random(count: int, *key: int) -> np.ndarray:
    """Return uint64 [count]."""
    # The raw stream of a bit generator, unlike the methods of Generator, is the same in every version of NumPy: a run
    # can be continued years later.
    return np.random.PCG64(key).random_raw(count)
