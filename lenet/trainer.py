"""Trainer: trains, tests and saves one run. The one loop, the same for every framework."""

import dataclasses
import platform
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lenet.backend import Backend
from lenet.config import to_toml
from lenet.dataset import Dataset, Split
from lenet.errors import UserError
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.curves import CurveWriter
from lenet.storage.run import Run
from lenet.system.files import replacing
from lenet.system.interrupt import interrupt
from lenet.system.machine import memory_errors
from lenet.system.progress import Progress
from lenet.system.streams import command_line

TEST_EVERY = 10  # steps
TEST_BATCH = 100  # held-out images
LOGITS_BATCH = 200  # images at once; with activations above 32 MB malloc calls mmap each time: a third slower


class Trainer:
    """A backend that goes on from a checkpoint, and the data that it trains and tests on."""

    def __init__(self, backend: Backend, framework: str, dataset: Dataset, start: Checkpoint) -> None:
        self.backend, self.framework, self.dataset, self.start = backend, framework, dataset, start
        self.settings = start.settings
        backend.write_state(start.state)

    def train(self, run: Run, steps: int, save_every: int) -> None:
        """Make `steps` more steps, test, and write the run's files; with 0 steps, only test.

        Saves every `save_every` steps, at the end, and when interrupted. Raises UserError if it is interrupted, if the
        cross-entropy is not finite, or if a file cannot be written.
        """
        self.examples, self.validation = self.dataset.hold_out(self.settings.validation)
        first = self.backend.step
        last = first + steps
        started = time.perf_counter()
        with (
            CurveWriter(run.folder / "train", first + 1) as train_curve,
            CurveWriter(run.folder / "test", first + 1 if steps else first) as test_curve,
            interrupt() as signalled,
        ):
            with Progress(first, last) as progress:
                for chunk in chunks(first, last, TEST_EVERY, save_every):
                    with memory_errors(self.settings.training.batch_size):
                        cross_entropies, accuracies = self.backend.train(*self._batches(chunk))
                    train_curve.write(chunk.start + 1, cross_entropies, accuracies)
                    require_finite(cross_entropies, chunk.start + 1)
                    progress.update(len(chunk), accuracies[-1])
                    if chunk.stop % TEST_EVERY == 0 and chunk.stop < last:
                        test_curve.write(chunk.stop, *self._metrics(self._held_out_batch(chunk.stop))[:2])
                    if chunk.stop % save_every == 0 and chunk.stop < last:
                        self._save(run, train_curve, test_curve)
                    if signalled.received:
                        break
            self._save(run, train_curve, test_curve)
            if signalled.received and self.backend.step < last:
                raise stopped(signalled.received, run, self.backend.step, last)
            # From here on a signal no longer stops the run: only the final test is left.
            seconds = time.perf_counter() - started
            speed = {"seconds": seconds, "images_per_second": steps * self.settings.training.batch_size / seconds}
            result, probabilities = self.test()
            test_curve.write(last, [result["test_cross_entropy"]], [result["test_accuracy"]])
            test_curve.sync()
            run.write(probabilities, result | speed)

    def test(self) -> tuple[dict[str, Any], np.ndarray]:
        """Test on the test images; returns a result as in result.json, with the test's speed, and the probabilities."""
        started = time.perf_counter()
        (cross_entropy,), (accuracy,), probabilities = self._metrics(self.dataset.test)
        seconds = time.perf_counter() - started
        result = {
            "config": self.settings.config.name,
            "variant": self.settings.variant,
            "framework": self.framework,
            "engine": self.backend.engine,
            "seed": self.settings.seed,
            "step": self.backend.step,
            "precision": self.settings.precision,
            "device": self.backend.device,
            "threads": self.backend.threads,
            "data": self.dataset.info.name,
            "test_accuracy": accuracy,
            "test_cross_entropy": cross_entropy,
            "images_per_second": len(probabilities) / seconds,
            "seconds": seconds,
            "parameters": self.settings.network.parameters,
            "versions": {"python": platform.python_version(), "numpy": np.__version__, **self.backend.versions},
            "settings": dataclasses.asdict(self.settings),
        }
        return result, probabilities

    def _batches(self, steps: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images [steps, batch, height, width, channels], labels [steps, batch] and learning rates [steps]."""
        images, labels = self.examples
        training, seed = self.settings.training, self.settings.seed
        indices = training.batches(steps, seed, len(images))
        return training.shifted(images[indices], steps, seed), labels[indices], training.learning_rates(steps)

    def _held_out_batch(self, step: int) -> Split:
        """The held-out batch of this step's test point."""
        images, labels = self.validation
        first, count = (step // TEST_EVERY - 1) * TEST_BATCH, min(TEST_BATCH, len(images))
        indices = np.arange(first, first + count) % len(images)
        return Split(images[indices], labels[indices])

    def _metrics(self, split: Split) -> tuple[list[float], list[float], np.ndarray]:
        """Return mean cross-entropy in nats and accuracy, as a curve has them, and the probabilities [n, classes]."""
        pieces = range(0, len(split.images), LOGITS_BATCH)
        logits = np.concatenate([self.backend.logits(split.images[i : i + LOGITS_BATCH]) for i in pieces])
        logits = logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        cross_entropy = -log_probabilities[np.arange(len(split.labels)), split.labels].mean()
        require_finite([cross_entropy], self.backend.step)
        accuracy = (log_probabilities.argmax(axis=1) == split.labels).mean()
        return [float(cross_entropy)], [float(accuracy)], np.exp(log_probabilities)

    def _save(self, run: Run, *curves: CurveWriter) -> None:
        """Write the checkpoint and its settings; the curves first, so that they lack none of its steps."""
        for curve in curves:
            curve.sync()
        self.start.advanced(self.backend.read_state(), self.framework).save(run.path)
        with replacing(run.folder / "config.toml") as temporary:
            temporary.write_text(to_toml(self.settings.architecture, self.settings.training), encoding="utf-8")


def chunks(first: int, last: int, *every: int) -> Iterator[range]:
    """Yield the steps from `first` to `last` in ranges that end at each multiple of the numbers in `every`.

    A range takes about a second, so that a signal is handled in time even if steps are slow.
    """
    at_once = 1
    while first < last:
        chunk = range(first, min(last, first + at_once, *(first - first % n + n for n in every)))
        started = time.perf_counter()
        yield chunk
        at_once = max(1, int(len(chunk) / (time.perf_counter() - started)))
        first = chunk.stop


def require_finite(cross_entropies: Sequence[float] | np.ndarray, first_step: int) -> None:
    """Raise UserError with the first step whose cross-entropy is infinite or not a number."""
    if len(bad := np.flatnonzero(~np.isfinite(cross_entropies))):
        raise UserError(
            f"the cross-entropy is not finite at step {first_step + bad[0]}; what was saved before is unchanged; "
            "try a smaller --learning_rate",
            exit_code=1,
        )


def stopped(signal: Any, run: Run, step: int, last: int) -> UserError:
    """Return the error of a run that a signal stopped, and that was saved."""
    return UserError(
        f"stopped by {signal.name}, saved after step {step}; to go on, the same command with "
        f"--load {command_line(run.folder)} --train_num {last - step}",
        exit_code=128 + signal,
    )
