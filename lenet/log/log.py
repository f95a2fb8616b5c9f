"""Log: all that TensorBoard gets of a run while it is trained."""

import io
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from lenet.backend import BETA1, BETA2, EPSILON_HAT, TrainingState
from lenet.dataset import Split
from lenet.errors import DivergedError
from lenet.log import DETAILS, hparams, pictures, summaries
from lenet.log.graph import graph_def
from lenet.settings import Settings, to_text
from lenet.storage.curves import EventWriter
from lenet.storage.run import Run
from lenet.system.streams import command_line, printable

Curves = Mapping[str, Sequence[float] | np.ndarray]  # tag -> the value at each step


class Log:
    """The event files of a run, from `first_step` on: curves in train/, test/ and validation/, all else in its folder.

    With detail `scalars` there are curves alone, with `none` nothing.
    """

    def __init__(self, run: Run, detail: str, first_step: int, steps: int) -> None:
        self.stack, self.described, self.first_step = ExitStack(), set[tuple[str, str]](), first_step
        self.writers = {
            # With 0 steps the last one is only tested again: its old points go, but for those in train/.
            part: self.stack.enter_context(EventWriter(run.folder / part, first_step - (part != "train" and not steps)))
            for part in DETAILS[detail]
        }

    def begin(self, settings: Settings, framework: str, versions: dict[str, str]) -> None:
        """Write what the run is: its hyperparameters, its graph and its settings."""
        if own := self.writers.get("."):
            self.settings = settings
            values = hparams.hyperparameters(settings, framework)
            command = f"    {command_line(*sys.argv)}\n\n{_table(versions)}"
            texts = summaries.text("settings", _table(values)), summaries.text("command", command)
            own.write(Event(graph_def=graph_def(settings.network).SerializeToString()))
            own.write(_event(0, *hparams.start(values)), _event(self.first_step - 1, *texts))

    def curves(self, part: str, first_step: int, curves: Curves) -> None:
        """Add points to curves of a part, one a step from `first_step` on."""
        if writer := self.writers.get(part):
            events = []
            for step, values in enumerate(zip(*curves.values(), strict=True), first_step):
                points = zip(curves, values, strict=True)
                events.append(_event(step, *(self._scalar(part, tag, value) for tag, value in points)))
            writer.write(*events)

    def state(self, state: TrainingState) -> None:
        """Add the distributions of the parameters and of their last update."""
        if not (own := self.writers.get(".")) or not state.step:
            return
        (learning_rate,) = self.settings.training.learning_rates(range(state.step - 1, state.step))
        rate = learning_rate * np.sqrt(1 - BETA2**state.step) / (1 - BETA1**state.step)
        values = []
        for name, parameter in state.parameters.items():
            first, second = state.first_moment[name], state.second_moment[name]
            update = rate.astype(first.dtype) * first / (np.sqrt(second) + EPSILON_HAT)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a zero has no logarithm
                relative = np.log10(np.abs(update / parameter))
            kinds = {"parameter": parameter, "first_moment": first, "update_to_parameter": relative}
            values += [summaries.histogram(f"{kind}/{name}", array) for kind, array in kinds.items()]
        own.write(_event(state.step, *values))

    def end(self, result: dict[str, Any], probabilities: np.ndarray, test: Split, kernel: np.ndarray) -> None:
        """Add the pictures of a model that is tested, and the end of its session."""
        if own := self.writers.get("."):
            classes = [printable(name) for name in self.settings.data.classes]
            drawn = {
                "kernels": pictures.kernels(kernel),
                "mistakes": pictures.mistakes(*test, probabilities, classes),
                "confusion": pictures.confusion(test.labels, probabilities.argmax(axis=1), classes),
            }
            for tag, image in drawn.items():
                if image is not None:
                    image.save(file := io.BytesIO(), "PNG")
                    own.write(_event(result["step"], summaries.picture(tag, image.size, file.getvalue())))
            tags = ("test_accuracy", "test_cross_entropy")
            own.write(_event(result["step"], *(summaries.scalar(tag, result[tag]) for tag in tags)))
            own.write(_event(result["step"], hparams.end(hparams.SUCCESS)))

    def sync(self) -> None:
        """Flush all of it to disk."""
        for writer in self.writers.values():
            writer.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.stack:
            if isinstance(error, DivergedError) and (own := self.writers.get(".")):
                own.write(_event(0, hparams.end(hparams.FAILURE)))

    def _scalar(self, part: str, tag: str, value: float) -> Summary.Value:
        """A point of a curve; the first of each has the description, which TensorBoard keeps."""
        new = (part, tag) not in self.described
        self.described.add((part, tag))
        return summaries.scalar(tag, value) if new else Summary.Value(tag=tag, simple_value=value)


def _event(step: int, *values: Summary.Value) -> Event:
    return Event(step=step, summary=Summary(value=values))


def _table(values: dict[str, Any]) -> str:
    """Return keys and values as a Markdown table."""
    rows = [("key", "value"), ("---", "---"), *((key, f"`{to_text(value)}`") for key, value in values.items())]
    return "\n".join(f"| {key} | {value} |" for key, value in rows)
