"""Sentences about the runs of a study, from their figures; none claims more than its figure."""

from collections.abc import Sequence

import numpy as np

from lenet.study.chart import WINDOW
from lenet.study.comparison import Difference
from lenet.study.entry import Entry

THRESHOLD = 0.9  # of the accuracy in validation, whose first step is told


def conclusion(baseline: Entry, differences: dict[str, Difference]) -> str:
    """Say which configs differ from the baseline, and which do not."""
    tested = {name: difference for name, difference in differences.items() if difference.p is not None}
    if all(difference.mean.count == 1 for difference in differences.values()):
        return "One seed cannot show a difference between two configs: two seeds of one config differ, too."
    below = [name for name, each in tested.items() if each.is_shown and each.mean.value < 0]
    above = [name for name, each in tested.items() if each.is_shown and each.mean.value > 0]
    rest = [name for name, each in tested.items() if not each.is_shown]
    parts = [f"less accurate than {baseline.name}: {', '.join(below)}"] if below else []
    parts += [f"more accurate: {', '.join(above)}"] if above else []
    parts += [f"no difference shown: {', '.join(rest)}"] if rest else []
    if same := [name for name in differences if name not in tested]:
        parts.append(f"not tested, because their seeds do not vary: {', '.join(same)}")
    if not tested:
        return f"{parts[0][0].upper()}{parts[0][1:]}."
    comparisons = f"{len(tested)} comparisons" if len(tested) > 1 else "one comparison"
    return f"At the 5 % level, after Holm's correction for {comparisons}: {'; '.join(parts)}."


def of_entry(entry: Entry, baseline: Entry, difference: Difference | None) -> str:
    """Return what a config came to, beside the baseline, and what its curves show."""
    sentences = [f"{entry.name} has {entry.network.parameters:,} parameters."]
    if difference:
        ratio = entry.network.parameters / baseline.network.parameters
        count = "as many parameters as" if ratio == 1 else f"{_factor(ratio)} times the parameters of"
        sentences = [f"{entry.name} has {count} {baseline.name}."]
        if times := _times(entry, baseline):
            longer = "" if f"{times:.1f}" == "1.0" else f"{times:.2g} times "
            sentences.append(f"An image takes {longer}as long to train on.")
    mean = entry.accuracy
    margin = f" (95 % interval ± {mean.margin:.2f})" if mean.margin is not None else ""
    seeds = f"{'the mean of ' if mean.count > 1 else ''}{_seeds(mean.count)}"
    sentences.append(f"It predicts {mean.value:.2f} %{margin} of the test images right, {seeds}.")
    if difference:
        points = difference.mean.value
        side = "above" if points > 0 else "below"
        p = number(difference.p)
        shown = f", p {p if p.startswith('<') else f'= {p}'} after Holm's correction" if p else ""
        where = f"{abs(points):.2f} points {side}" if round(points, 2) else "level with"
        common = (
            f", over the {_seeds(difference.mean.count)} that both have" if difference.mean.count < mean.count else ""
        )
        sentences.append(f"That is {where} {baseline.name}{common}{shown}.")
    if entry.has_curves:
        sentences += _curves(entry)
    return " ".join(sentences)


def number(p: float | None) -> str:
    """Return a p-value in two digits, near 0.05 in three; nothing without one."""
    if p is None:
        return ""
    return "< 0.0001" if p < 1e-4 else f"{p:.3g}" if 0.045 < p < 0.055 else f"{p:.2g}"


def _factor(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def _seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "one seed"


def _times(entry: Entry, baseline: Entry) -> float | None:
    """How much longer an image takes, the mean over the frameworks that both have a speed of."""
    names = sorted({result["framework"] for result in entry.results})
    pairs = [(baseline.speed(name), entry.speed(name)) for name in names]
    ratios = [slow / fast for slow, fast in pairs if slow and fast]
    return float(np.mean(ratios)) if ratios else None


def _curves(entry: Entry) -> list[str]:
    chart = entry.chart("accuracy")
    steps, validated = chart.mean("validation")
    passed = np.flatnonzero(validated >= THRESHOLD)
    first = (
        f"passes {100 * THRESHOLD:.0f} % at step {steps[passed[0]]:,}"
        if len(passed)
        else f"stays below {100 * THRESHOLD:.0f} %"
    )
    sentences = [f"The smoothed accuracy in validation {first}."]
    gap = entry.training_accuracy - entry.validation_accuracy
    if entry.validation_accuracy and abs(gap) >= 0.5:
        side = "above" if gap > 0 else "below"
        last = min(WINDOW, entry.members[0].steps)
        text = f"The mean training accuracy of the last {last} steps is {abs(gap):.1f} points {side} the accuracy"
        sentences.append(f"{text} on all held-out images at the end.")
    return sentences


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
