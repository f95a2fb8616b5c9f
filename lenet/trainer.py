"""Trainer: trains, tests and saves one run. The one loop, the same for every framework."""

import dataclasses
import json
import platform
import shlex
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from lenet import UserError
from lenet.backend import Backend
from lenet.checkpoint import Checkpoint
from lenet.dataset import Dataset, Split, batch_indices
from lenet.files import write_atomically
from lenet.interrupt import Interrupt
from lenet.run import Run
from lenet.tensorboard import ScalarWriter

TEST_EVERY = 10  # steps
TEST_BATCH = 100  # held-out images
LOGITS_BATCH = 200  # images at once; from 32 MB an activation on, malloc asks the system anew each time: a third slower


class Trainer:
    """A backend that goes on from a checkpoint, and the data that it works on."""

    def __init__(self, backend: Backend, dataset: Dataset, start: Checkpoint) -> None:
        self.backend = backend
        self.dataset = dataset
        self.start = start
        self.step = start.state.step
        backend.write_state(start.state)

    def train(self, steps: int, run: Run, save_every: int) -> dict[str, Any]:
        """Make `steps` more steps and test; returns what it writes into result.json.

        Saves every `save_every` steps, at the end, and when interrupted: then, or when the cross-entropy is not finite
        or a file cannot be written, UserError. Without a step to make it tests what a run that was killed had trained.
        """
        seed, batch_size, count = self.start.seed, self.start.architecture.batch_size, len(self.dataset.train.images)
        self.backend.load_training_set(*self.dataset.train)
        train_curve = ScalarWriter(run.folder / "train", self.step)
        test_curve = ScalarWriter(run.folder / "test", self.step if steps else self.step - 1)
        last, at_once = self.step + steps, 1
        started = time.perf_counter()
        with Interrupt() as interrupt:
            with tqdm(total=last, initial=self.step, unit="step", disable=None) as progress:
                while self.step < last and not interrupt.received:
                    ends = (self.step - self.step % every + every for every in (TEST_EVERY, save_every))
                    chunk = range(self.step, min(*ends, self.step + at_once, last))
                    chunk_started = time.perf_counter()
                    indices = np.stack([batch_indices(seed, step, batch_size, count) for step in chunk])
                    cross_entropies, accuracies = self.backend.train(indices)
                    train_curve.write(chunk.start + 1, cross_entropies, accuracies)
                    _require_finite(cross_entropies, chunk.start + 1)
                    self.step = chunk.stop
                    if self.step % TEST_EVERY == 0 and self.step < last:
                        test_curve.write(self.step, *self._evaluate(self._held_out_batch()))
                    if self.step % save_every == 0 and self.step < last:
                        self.save(run, (train_curve, test_curve))
                    # What takes about a second, so that a signal is heard in time however slow the steps are.
                    at_once = max(1, int(len(chunk) / (time.perf_counter() - chunk_started)))
                    progress.set_postfix(cross_entropy=cross_entropies[-1], accuracy=accuracies[-1], refresh=False)
                    progress.update(len(chunk))
            self.save(run, (train_curve, test_curve))
            seconds = time.perf_counter() - started
            if interrupt.received and self.step < last:
                raise UserError(
                    f"stopped by {interrupt.received.name}, saved after step {self.step}; to go on, the same command "
                    f"with --load {shlex.quote(str(run.folder))} --train_num {last - self.step}",
                    exit_code=128 + interrupt.received,
                )
            # A signal that comes from here on is too late to stop anything but the test that the run is for.
            result = self.test(run) | {"seconds": seconds, "images_per_second": steps * batch_size / seconds}
            test_curve.write(last, [result["test_cross_entropy"]], [result["test_accuracy"]])
            test_curve.sync()
            write_atomically(run.result, json.dumps(result, indent=2).encode())
        return result

    def test(self, run: Run) -> dict[str, Any]:
        """Evaluate the test images; returns what result.json says, its times being the evaluation's."""
        started = time.perf_counter()
        (cross_entropy,), (accuracy,) = self._evaluate(self.dataset.test)
        seconds = time.perf_counter() - started
        return {
            "config": run.config,
            "framework": run.framework,
            "engine": self.backend.engine,
            "seed": self.start.seed,
            "step": self.step,
            "precision": self.start.precision,
            "device": self.backend.device,
            "threads": self.backend.threads,
            "test_accuracy": accuracy,
            "test_cross_entropy": cross_entropy,
            "images_per_second": len(self.dataset.test.images) / seconds,
            "seconds": seconds,
            "parameters": self.start.architecture.parameters,
            "versions": self._versions(),
        }

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 [n, 28, 28] -> probabilities, float64 [n, 10]."""
        probabilities: np.ndarray = np.exp(self._log_probabilities(images))
        return probabilities

    def save(self, run: Run, curves: Iterable[ScalarWriter]) -> None:
        """Write the run's checkpoint, its curves before it, and the settings that it was trained with."""
        for curve in curves:  # going on from the checkpoint, no step shall be missing
            curve.sync()
        written_by = {"framework": run.framework, "engine": self.backend.engine, "versions": self._versions()}
        settings = {
            "framework": run.framework,
            "seed": self.start.seed,
            "precision": self.start.precision,
            "batch_size": self.start.architecture.batch_size,
            "learning_rate": self.start.architecture.learning_rate,
            "training_sha256": self.start.training_sha256,
        }
        state, history = self.backend.read_state(), self.start.history
        if state.step > self.start.state.step and (not history or history[-1] != {**history[-1], **settings}):
            history = [*history, {"from_step": self.start.state.step, **settings}]
        dataclasses.replace(self.start, state=state, written_by=written_by, history=history).save(run.checkpoint)
        write_atomically(run.folder / "config.toml", self.start.architecture.to_toml().encode())

    def _held_out_batch(self) -> Split:
        """The batch for the test curve whose turn it is at this step."""
        images, labels = self.dataset.validation
        first = (self.step // TEST_EVERY - 1) * TEST_BATCH % len(images)
        return Split(images[first : first + TEST_BATCH], labels[first : first + TEST_BATCH])

    def _evaluate(self, split: Split) -> tuple[list[float], list[float]]:
        """The one point of a curve: mean cross-entropy in nats and accuracy, in float64 from the logits on."""
        log_probabilities = self._log_probabilities(split.images)
        cross_entropy = -log_probabilities[np.arange(len(split.labels)), split.labels].mean()
        _require_finite([cross_entropy], self.step)
        accuracy = (log_probabilities.argmax(axis=1) == split.labels).mean()
        return [float(cross_entropy)], [float(accuracy)]

    def _log_probabilities(self, images: np.ndarray) -> np.ndarray:
        """The logarithm of the softmax, float64 [n, 10]."""
        pieces = [self.backend.logits(images[i : i + LOGITS_BATCH]) for i in range(0, len(images), LOGITS_BATCH)]
        logits = np.concatenate(pieces).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits

    def _versions(self) -> dict[str, str]:
        return {"python": platform.python_version(), "numpy": np.__version__, **self.backend.versions}


def _require_finite(cross_entropies: Sequence[float] | np.ndarray, first_step: int) -> None:
    """UserError naming the first step whose cross-entropy is infinite or no number."""
    if len(bad := np.flatnonzero(~np.isfinite(cross_entropies))):
        raise UserError(
            f"the cross-entropy is not finite at step {first_step + bad[0]}, and nothing since the last checkpoint is "
            "saved; go on from that with --load, or begin anew, with a smaller --learning_rate",
            exit_code=1,
        )
