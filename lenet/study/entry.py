"""Entry: one variant in a report, with its finished runs."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Self

import numpy as np

from lenet import metrics
from lenet.dataset import MNIST
from lenet.network import Network
from lenet.settings import Settings, to_text
from lenet.storage.curves import Curve
from lenet.study import comparison
from lenet.study.chart import WINDOW, Chart, Lines, gap, smooth
from lenet.study.comparison import Mean
from lenet.study.member import Member

LARGE = ("settings", "history")
REPORTED_STEPS = 1000  # of the 2017 report


@dataclass(frozen=True)
class Entry:
    """The runs with the same settings but for the seed; the first is the one that is shown."""

    members: list[Member]

    @classmethod
    def of(cls, members: Sequence[Member]) -> list[Self]:
        """Return an entry for each variant: the best of the 2017 report first, then those that are not in it."""
        variants: dict[str, list[Member]] = {}
        for member in members:
            variants.setdefault(member.settings.variant, []).append(member)
        entries = [cls(of_variant) for of_variant in variants.values()]
        return sorted(entries, key=lambda entry: (-(entry.settings.config.reported_accuracy or 0), entry.name))

    @property
    def settings(self) -> Settings:
        """The settings of the run that is shown."""
        return self.members[0].settings

    @property
    def name(self) -> str:
        """The variant."""
        return self.settings.variant

    @property
    def network(self) -> Network:
        """The layers."""
        return self.settings.network

    @property
    def description(self) -> str:
        """What the config says of itself."""
        return self.settings.config.description

    @property
    def boxes(self) -> int:
        """The number of boxes in the drawing: the image, the layers and the pools."""
        return 1 + len(self.network.layers) + len(self.network.conv_layers)

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """The result of each run, without the settings, which the run has."""
        results = [member.run.result for member in self.members]
        return [{key: value for key, value in result.items() if key not in LARGE} for result in results]

    @property
    def pairs(self) -> list[tuple[Member, dict[str, Any]]]:
        """Each run with its result."""
        return [*zip(self.members, self.results, strict=True)]

    def value(self, key: str) -> Any:
        """Return a setting by the key that --set takes, or the `config`; None if the architecture has none."""
        if key == "conv":  # its keys are settings, too
            return to_text([dataclasses.asdict(conv) for conv in self.settings.architecture.conv])
        return self.values.get(key)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The settings by key."""
        return self.settings.values

    @property
    def reported(self) -> float | None:
        """The accuracy in the 2017 report, if the runs can be compared with it."""
        config = self.settings.config
        comparable = self.settings.data == MNIST and self.settings == Settings.of(
            config, MNIST, seed=self.settings.seed
        )
        trained = all(result["step"] == REPORTED_STEPS for result in self.results)
        return config.reported_accuracy if comparable and trained else None

    @cached_property
    def accuracies(self) -> dict[int, float]:
        """Seed -> the test accuracy in %, the mean over its frameworks."""
        return {seed: 100 * value for seed, value in comparison.by_seed(self.results, "test_accuracy").items()}

    @cached_property
    def accuracy(self) -> Mean:
        """The mean test accuracy over the seeds, in %."""
        return Mean.of([*self.accuracies.values()])

    @cached_property
    def validation_accuracy(self) -> float:
        """The mean accuracy on all held-out images in %; 0 if a run does not have it."""
        return 100 * float(np.mean([result.get("validation_accuracy", 0) for result in self.results]))

    @cached_property
    def validation_cross_entropy(self) -> float:
        """The mean cross-entropy on them in nats; infinite if a run does not have it."""
        return float(np.mean([result.get("validation_cross_entropy", np.inf) for result in self.results]))

    @property
    def training_accuracy(self) -> float:
        """The mean accuracy in training over the last WINDOW steps, in %."""
        lines = self._lines("train", "accuracy", lambda curve: curve.values)[1].values()
        return 100 * float(np.mean([values[-WINDOW:] for by_seed in lines for values in by_seed.values()]))

    def gap(self, key: str) -> float | None:
        """Return how far apart two frameworks' results are at the same seed, at most; None with one framework."""
        return comparison.largest_gap(self.results, key)

    def by_class(self, labels: np.ndarray) -> dict[str, dict[str, Any]]:
        """Return each class's precision, recall and number of test images, in the run that is shown."""
        classes = self.settings.data.classes
        counts = metrics.confusion(labels, self.probabilities.argmax(axis=1), len(classes))
        return dict(zip(classes, metrics.by_class(counts), strict=True))

    def speed(self, framework: str) -> float | None:
        """Return the mean of a framework's images per second; None if no run of it was timed."""
        speeds = [result["images_per_second"] for result in self.results if result["framework"] == framework]
        return float(np.mean(timed)) if (timed := [speed for speed in speeds if speed]) else None

    @cached_property
    def _curves(self) -> dict[Member, dict[str, dict[str, Curve]]]:
        """Each run's curves in training and in validation: its held-out batches."""
        curves = {}
        for member in self.members:
            of_run = member.run.curves
            # The last point of test/ is of the test images.
            held_out = {tag: Curve(curve.steps[:-1], curve.values[:-1]) for tag, curve in of_run["test"].items()}
            curves[member] = {"train": of_run["train"], "validation": held_out}
        return curves

    @property
    def has_curves(self) -> bool:
        """Whether every run has them from its first to its last step; --log none leaves them out."""
        for member, run in self._curves.items():
            if not all("accuracy" in part and len(part["accuracy"].steps) for part in run.values()):
                return False
            steps = run["train"]["accuracy"].steps
            if (steps[0], steps[-1]) != (1, member.steps):
                return False
        return True

    def chart(self, tag: str) -> Chart:
        """Return the curves of `accuracy` or `cross_entropy`."""
        parts = {part: self._lines(part, tag, smooth) for part in ("train", "validation")}
        trained = [values for of_seed in parts["train"][1].values() for values in of_seed.values()]
        tested = [*comparison.by_seed(self.results, f"test_{tag}").values()]
        # The first few cross-entropies, often above 5, would leave no height for the others.
        highest = 1.0 if tag == "accuracy" else max(float(np.quantile(trained, 0.97)), *tested)
        return Chart(tag, highest, parts, tested)

    @property
    def widest_gap(self) -> float | None:
        """How far two frameworks' cross-entropies of the same training batch are apart, at most; None with one."""
        return gap(self._lines("train", "cross_entropy", lambda curve: curve.values)[1])

    def _lines(self, part: str, tag: str, values: Callable[[Curve], np.ndarray]) -> tuple[np.ndarray, Lines]:
        """The steps that all runs have, and each run's values there."""
        curves = {member: run[part][tag] for member, run in self._curves.items()}
        steps = reduce(np.intersect1d, [curve.steps for curve in curves.values()])
        lines: Lines = {}
        for member, curve in curves.items():
            at_steps = values(curve)[np.isin(curve.steps, steps)]
            lines.setdefault(member.framework, {})[member.settings.seed] = at_steps
        return steps, lines

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The probabilities of the test images [n, classes] by the run that is shown."""
        return self.members[0].run.predictions

    @property
    def kernels(self) -> np.ndarray | None:
        """The first layer's kernels of the run that is shown [height, width, channels, filters], if they were kept."""
        run = self.members[0].run
        return run.checkpoint.state.parameters["conv1/kernel"] if run.exists else None
