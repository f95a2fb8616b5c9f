"""What the runs of a study show: how far the frameworks are apart, and which configs differ from the baseline.

A seed's value is the mean over its frameworks: frameworks with the same seed train the same parameters on the same
batches, so they are one measurement, and n is the number of seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

from scipy import special

EQUAL = 1e-9  # less is rounding
LEVEL = 0.95  # of the intervals, and 1 - that of the tests
Result = dict[str, Any]  # as result.json has it


@dataclass(frozen=True)
class Mean:
    """The mean over `count` seeds, and half the width of its 95 % interval: None if the seeds do not vary."""

    value: float
    margin: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Return the mean of a value a seed, with the interval of Student's t distribution."""
        n = len(values)
        if not _vary(values):
            return cls(fmean(values), None, n)
        return cls(fmean(values), float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * _error(values), n)


@dataclass(frozen=True)
class Difference:
    """A config's accuracy minus the baseline's, paired by seed, and the p-value of no difference after Holm."""

    mean: Mean
    p: float | None  # None if the seeds do not vary

    @property
    def is_shown(self) -> bool:
        """Whether the seeds show a difference at the 5 % level."""
        return self.p is not None and self.p < 1 - LEVEL


def by_seed(results: Sequence[Result], key: str) -> dict[int, float]:
    """Return each seed's value: the mean over its frameworks."""
    return {seed: fmean(of_seed) for seed, of_seed in sorted(_values(results, key).items())}


def against(baseline: dict[int, float], others: Sequence[dict[int, float]]) -> list[Difference]:
    """Compare other configs with the baseline, seed by seed; each has a value a seed, and at least one seed with it."""
    differences = [[values[seed] - baseline[seed] for seed in values.keys() & baseline.keys()] for values in others]
    adjusted = iter(holm([_p(values) for values in differences if _vary(values)]))
    return [Difference(Mean.of(values), next(adjusted) if _vary(values) else None) for values in differences]


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values of m tests after Holm's correction (1979): the i-th smallest times m - i, none below another."""
    adjusted, highest = [0.0] * len(p), 0.0
    for i, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        highest = max(highest, min(1.0, (len(p) - i) * p[index]))
        adjusted[index] = highest
    return adjusted


def largest_gap(results: Sequence[Result], key: str) -> float | None:
    """Return how far apart two frameworks are at the same seed, at most; None where no seed has two."""
    gaps = [abs(one - other) for of_seed in _values(results, key).values() for one, other in combinations(of_seed, 2)]
    return max(gaps, default=None)


def _values(results: Sequence[Result], key: str) -> dict[int, list[float]]:
    """Seed -> the value of each of its frameworks."""
    values: dict[int, list[float]] = {}
    for result in results:
        values.setdefault(result["seed"], []).append(result[key])
    return values


def _vary(values: Sequence[float]) -> bool:
    """Whether the seeds vary: a test divides by their deviation. With few test images they can be equal."""
    return len(values) > 1 and stdev(values) > EQUAL


def _p(differences: Sequence[float]) -> float:
    """The two-sided p-value of a mean of zero, by Student's t test."""
    t = fmean(differences) / _error(differences)
    return 2 * float(special.stdtr(len(differences) - 1, -abs(t)))


def _error(values: Sequence[float]) -> float:
    """The standard error of their mean."""
    return stdev(values) / math.sqrt(len(values))
