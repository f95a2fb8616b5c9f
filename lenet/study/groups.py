"""What a setting with several values does: its values beside each other, over all other settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lenet.settings import to_text
from lenet.study.entry import Entry

LINES = 8  # of a picture, at most


@dataclass(frozen=True)
class Dimension:
    """A setting with several values, and the configs with each of them."""

    key: str
    groups: dict[Any, list[Entry]]  # by value, in order

    @property
    def is_numeric(self) -> bool:
        """Whether a curve over its values means something."""
        return all(isinstance(value, int | float) for value in self.groups)

    @property
    def lines(self) -> dict[str, dict[float, float]]:
        """Config -> value -> the mean validation accuracy in %, over all other settings; one line if there are many."""
        names = {entry.settings.config.name for entries in self.groups.values() for entry in entries}
        found: dict[str, dict[float, float]] = {}
        for name in sorted(names) if len(names) <= LINES else ["all configs"]:
            for value, entries in self.groups.items():
                of_name = [entry for entry in entries if len(names) > LINES or entry.settings.config.name == name]
                if of_name:
                    found.setdefault(name, {})[value] = fmean(entry.validation_accuracy for entry in of_name)
        return found

    def best(self, value: Any) -> Entry:
        """Return the config with a value that is best in validation."""
        return max(self.groups[value], key=lambda entry: entry.validation_accuracy)

    def mean(self, value: Any) -> tuple[float, float]:
        """Return the mean accuracies of the configs with a value, in validation and in the test, in %."""
        entries = self.groups[value]
        return fmean(entry.validation_accuracy for entry in entries), fmean(entry.accuracy.value for entry in entries)


def dimensions(entries: Sequence[Entry], keys: Sequence[str]) -> list[Dimension]:
    """Return the config and each of the keys, where they have several values."""
    found = []
    for key in ("config", *keys) if keys else ():
        groups: dict[Any, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(entry.value(key), []).append(entry)
        if len(groups) > 1:
            found.append(Dimension(key, dict(sorted(groups.items(), key=lambda group: _order(group[0])))))
    return found


def _order(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0.0, to_text(value)
