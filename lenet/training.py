"""Training: the batch and the learning rate of each step, from the seed and the number of the step alone."""

import functools
from dataclasses import dataclass

import numpy as np

from lenet.architecture import require_positive


@dataclass(frozen=True)
class Training:
    """How a config is trained. The defaults are the 2017 report's."""

    batch_size: int = 100
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        require_positive(batch_size=self.batch_size, learning_rate=self.learning_rate)

    def batches(self, steps: range, seed: int, count: int) -> np.ndarray:
        """Return which of `count` training examples each step trains on: int64 [steps, batch]."""
        return np.stack([batch_indices(seed, step, self.batch_size, count) for step in steps])

    def learning_rates(self, steps: range) -> np.ndarray:
        """Return the learning rate of each step: float64 [steps]."""
        return np.full(len(steps), self.learning_rate)


def batch_indices(seed: int, step: int, batch_size: int, count: int) -> np.ndarray:
    """Return the examples, of `count`, that step number `step` (from 0) trains on: int64 [batch_size].

    Every pass over the examples has its own order. Those left at its end, fewer than a batch, are not used in it.
    """
    pass_number, batch = divmod(step, count // batch_size)
    return _permutation(seed, pass_number, count)[batch * batch_size : (batch + 1) * batch_size]


@functools.lru_cache(maxsize=2)
def _permutation(seed: int, pass_number: int, count: int) -> np.ndarray:
    # The raw stream of a bit generator, unlike the methods of Generator, is the same in every version of NumPy: a run
    # can be continued years later.
    return np.argsort(np.random.PCG64([seed, pass_number]).random_raw(count), kind="stable")
