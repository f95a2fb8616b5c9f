"""Entry: one variant in a report, with its finished runs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Self

import numpy as np

from lenet.dataset import MNIST
from lenet.errors import UserError
from lenet.network import Network
from lenet.settings import Settings
from lenet.storage.curves import Curve
from lenet.study.plan import Member

REPORTED_STEPS = 1000  # of the 2017 report
HELD_OUT_BATCHES = 20


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
        """The result of each run."""
        return [member.run.result for member in self.members]

    @property
    def reported(self) -> float | None:
        """The accuracy in the 2017 report, if the runs can be compared with it."""
        config = self.settings.config
        comparable = self.settings.data == MNIST and self.settings == Settings.of(
            config, MNIST, seed=self.settings.seed
        )
        trained = all(result["step"] == REPORTED_STEPS for result in self.results)
        return config.reported_accuracy if comparable and trained else None

    @property
    def accuracies(self) -> dict[str, list[float]]:
        """Framework -> the test accuracy of each seed, in %."""
        accuracies: dict[str, list[float]] = {}
        for result in self.results:
            accuracies.setdefault(result["framework"], []).append(100 * result["test_accuracy"])
        return accuracies

    @property
    def validation_accuracy(self) -> float:
        """The mean accuracy on the last held-out batches of all runs; 0 if there are none."""
        curves = [member.run.curves["test"].get("accuracy") for member in self.members]
        # The last point of a curve is all the test images.
        values = [value for curve in curves if curve for value in curve.values[:-1][-HELD_OUT_BATCHES:]]
        return statistics.fmean(values) if values else 0.0

    @cached_property
    def curves(self) -> dict[str, dict[str, dict[str, Curve]]]:
        """Framework -> train and test -> tag -> curve, of the seed that is shown."""
        shown = [member for member in self.members if member.settings.seed == self.settings.seed]
        curves = {member.framework: member.run.curves for member in shown}
        for member in shown:
            if not all(curves[member.framework].values()):
                raise UserError(f"{member.run.folder} has no curves any more; move it away to train it again", 1)
        return curves

    @property
    def widest_gap(self) -> float:
        """How far apart the frameworks' training cross-entropies are, at the step where they differ most."""
        curves = [parts["train"]["cross_entropy"] for parts in self.curves.values()]
        common = reduce(np.intersect1d, [curve.steps for curve in curves])
        values = [curve.values[np.isin(curve.steps, common)] for curve in curves]
        return float(np.ptp(values, axis=0).max())

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The probabilities of the test images [n, classes] by the run that is shown."""
        return self.members[0].run.predictions

    @property
    def kernels(self) -> np.ndarray:
        """The first layer's kernels of the run that is shown [height, width, channels, filters]."""
        return self.members[0].run.checkpoint.state.parameters["conv1/kernel"]

    def cell(self, framework: str) -> list[str]:
        """Return the lines of a framework's cell in the table: accuracy, speed and time."""
        results = [result for result in self.results if result["framework"] == framework]
        if not results:
            return []
        accuracies = self.accuracies[framework]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
        lines = [f"{statistics.mean(accuracies):.2f}{spread} %"]
        # A run that only finished its test has no training speed.
        if speeds := [result["images_per_second"] for result in results if result["images_per_second"]]:
            images = results[0]["step"] * self.settings.training.batch_size
            # The seconds of a run that was continued are those of the last continuation: take them from the speed.
            seconds = statistics.mean(images / speed for speed in speeds)
            lines += [f"{statistics.mean(speeds):,.0f} images/s", f"{seconds:.1f} s"]
        return lines
