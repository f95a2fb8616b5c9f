"""Prediction: what a model says of one picture, as text and as JSON."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from json import dumps as to_json
from pathlib import Path
from typing import Any

import numpy as np

from lenet.errors import UserError
from lenet.system.streams import print_line, printable

CONFUSIONS = 10  # that are printed


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of one picture: the probabilities float64 [classes], or the error that kept it from that."""

    path: Path
    names: Sequence[str]  # of the classes
    label: int | None = None  # the number of the class that the picture's folder is named after
    probabilities: np.ndarray | None = None
    error: str = ""

    @property
    def classes(self) -> list[int]:
        """The numbers of the classes, the most probable first."""
        return [] if self.probabilities is None else np.argsort(-self.probabilities, kind="stable").tolist()

    def as_text(self) -> str:
        """Return one line: path, class, probability, and the next two."""
        assert self.probabilities is not None  # noqa: S101 - for mypy
        texts = [f"{self.name(each)} ({100 * self.probabilities[each]:.1f} %)" for each in self.classes[:3]]
        return f"{printable(str(self.path))}: {texts[0]}, then {', '.join(texts[1:])}"

    def name(self, number: int) -> str:
        """Return a class's name in a form that a terminal shows as it is."""
        return printable(self.names[number])

    def as_json(self) -> str:
        """Return one JSON object with path, class, probability and probabilities, or with path and error."""
        values: dict[str, Any] = {"path": os.fsencode(self.path).decode(errors="replace")}
        if self.probabilities is None:
            return to_json(values | {"error": self.error})
        best = self.classes[0]
        values |= {"class": self.names[best], "index": best, "probability": float(self.probabilities[best])}
        return to_json(values | {"probabilities": self.probabilities.tolist()})


def print_all(predictions: Iterable[Prediction], json: bool) -> int:
    """Print each on stdout, or why it failed on stderr, and at the end the accuracy; return the exit code."""
    done = []
    for each in predictions:
        done.append(each)
        if each.error and not json:
            print_line(f"main.py: {printable(str(each.path))}: {each.error}", sys.stderr)
        elif not print_line(each.as_json() if json else each.as_text(), sys.stdout):
            raise UserError("the predictions cannot be written to stdout", 1)
    if not json and (text := summary(done)):
        print_line(text, sys.stdout)
    return 1 if any(each.error for each in done) else 0


def summary(predictions: Iterable[Prediction]) -> str:
    """Return the accuracy on the pictures with a label, and the most frequent mistakes; empty if there is none."""
    labelled = [(each, each.label) for each in predictions if each.label is not None and each.classes]
    pairs = [(each.name(label), each.name(each.classes[0])) for each, label in labelled]
    if not pairs:
        return ""
    mistakes = Counter((label, said) for label, said in pairs if label != said)
    text = f"accuracy {100 * (1 - mistakes.total() / len(pairs)):.2f} % of {len(pairs):,} pictures"
    for i, ((label, said), count) in enumerate(mistakes.most_common(CONFUSIONS)):
        text += f"{', ' if i else '; confusions: '}{label} as {said} ({count})"
    return text + (f", and {len(mistakes) - CONFUSIONS} others" if len(mistakes) > CONFUSIONS else "")
