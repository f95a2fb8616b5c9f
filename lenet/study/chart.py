"""Chart: the curves of a config over its seeds and frameworks, smoothed."""

from dataclasses import dataclass

import numpy as np

from lenet.storage.curves import Curve

WINDOW = 40  # steps, of a smoothed curve
AGREEMENT = 0.01  # of what a chart shows: lines of frameworks that are nearer are drawn as one
Lines = dict[str, dict[int, np.ndarray]]  # framework -> seed -> values [steps]


@dataclass(frozen=True)
class Chart:
    """The smoothed curves of a tag, in training and in validation, and the final test of each seed."""

    tag: str
    highest: float  # that the chart shows
    parts: dict[str, tuple[np.ndarray, Lines]]  # train and validation -> steps [n], lines
    tested: list[float]

    def merged(self, part: str) -> dict[int, np.ndarray]:
        """Return each seed's curve in a part, the mean over its frameworks."""
        lines = self.parts[part][1].values()
        seeds = sorted({seed for by_seed in lines for seed in by_seed})
        return {seed: np.mean([by_seed[seed] for by_seed in lines if seed in by_seed], axis=0) for seed in seeds}

    def mean(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and the mean over the seeds."""
        return self.parts[part][0], np.mean([*self.merged(part).values()], axis=0)

    @property
    def agrees(self) -> bool:
        """Whether one line stands for all frameworks."""
        return all((gap(lines) or 0) <= AGREEMENT * self.highest for _, lines in self.parts.values())


def smooth(curve: Curve) -> np.ndarray:
    """Return the mean over a window of WINDOW steps around each point.

    Near an end the window is narrower, on both sides: it stays centred, so the line rises where the data do.
    """
    steps, values = curve
    half = np.minimum(WINDOW / 2, np.minimum(steps - steps[0], steps[-1] - steps))
    first, last = np.searchsorted(steps, steps - half), np.searchsorted(steps, steps + half, side="right")
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means: np.ndarray = (sums[last] - sums[first]) / (last - first)
    return means


def gap(lines: Lines) -> float | None:
    """How far two frameworks are apart at the same seed and step, at most; None where no seed has two."""
    seeds = {seed for of_framework in lines.values() for seed in of_framework}
    by_seed = [[values[seed] for values in lines.values() if seed in values] for seed in seeds]
    return max((float(np.ptp(values, axis=0).max()) for values in by_seed if len(values) > 1), default=None)
