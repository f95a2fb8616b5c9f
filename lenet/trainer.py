"""Trainer: trains, tests and saves one run. The one loop, the same for every framework."""

import dataclasses
import platform
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lenet import metrics
from lenet.backend import Backend
from lenet.config import to_toml
from lenet.dataset import Dataset, Split
from lenet.errors import DivergedError, UserError
from lenet.log.log import Log
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import Run
from lenet.system.files import replacing
from lenet.system.interrupt import interrupt
from lenet.system.machine import memory_errors, processor
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
        self.versions = {"python": platform.python_version(), "numpy": np.__version__, **backend.versions}
        backend.write_state(start.state)

    def train(self, run: Run, steps: int, save_every: int, detail: str) -> None:
        """Make `steps` more steps, test, and write the run's files; with 0 steps, only test.

        Saves every `save_every` steps, at the end, and when interrupted. `detail` is how much TensorBoard gets. Raises
        UserError if it is interrupted, if the cross-entropy is not finite, or if a file cannot be written.
        """
        self.examples, self.validation = self.dataset.hold_out(self.settings.validation)
        first, batch_size = self.backend.step, self.settings.training.batch_size
        last, saved, seconds, started = first + steps, first, 0.0, time.perf_counter()
        with Log(run, detail, first + 1, steps) as log, interrupt() as signalled:
            log.begin(self.settings, self.framework, self.versions)
            with Progress(first, last) as progress:
                for chunk in chunks(first, last, TEST_EVERY, save_every):
                    began = time.perf_counter()
                    with memory_errors(batch_size):
                        images, labels, rates = self._batches(chunk)
                        cross_entropies, accuracies = self.backend.train(images, labels, rates)
                    seconds += (took := time.perf_counter() - began)
                    curves = {"cross_entropy": cross_entropies, "accuracy": accuracies, "learning_rate": rates}
                    log.curves("train", chunk.start + 1, curves)
                    log.curves("train", chunk.stop, {"images_per_second": [len(chunk) * batch_size / took]})
                    require_finite(cross_entropies, chunk.start + 1)
                    progress.update(len(chunk), accuracies[-1])
                    if chunk.stop % TEST_EVERY == 0 and chunk.stop < last:
                        self._evaluate(log, "test", self._held_out_batch(chunk.stop))
                    if chunk.stop % save_every == 0 and chunk.stop < last:
                        self._save(run, log)
                        saved = chunk.stop
                    if signalled.received:
                        break
            if signalled.received and self.backend.step < last:
                if self.backend.step > saved:
                    self._save(run, log, validate=False)  # no point that a run without a stop lacks
                raise stopped(signalled.received, run, self.backend.step, last)
            # From here on a signal no longer stops the run: only the final test is left.
            of_validation = self._save(run, log)
            result, probabilities = self.test()
            of_test = {tag: [result[f"test_{tag}"]] for tag in ("cross_entropy", "accuracy")}
            log.curves("test", last, of_test)
            log.end(result, probabilities, self.dataset.test, self.start.state.parameters["conv1/kernel"])
            log.sync()
            result |= of_validation | {"seconds": seconds, "images_per_second": steps * batch_size / (seconds or 1)}
            result |= {"evaluation_seconds": time.perf_counter() - started - seconds}
            run.write(probabilities, result)

    def test(self) -> tuple[dict[str, Any], np.ndarray]:
        """Test on the test images; returns a result as in result.json, with the test's speed, and the probabilities."""
        started = time.perf_counter()
        cross_entropy, accuracy, probabilities = self._metrics(self.dataset.test)
        seconds = time.perf_counter() - started
        classes, labels = self.dataset.info.classes, self.dataset.test.labels
        counts = metrics.confusion(labels, probabilities.argmax(axis=1), len(classes))
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
            "processor": processor(),
            "data": self.dataset.info.name,
            "test_accuracy": accuracy,
            "test_cross_entropy": cross_entropy,
            "images_per_second": len(probabilities) / seconds,
            "seconds": seconds,
            "parameters": self.settings.network.parameters,
            "versions": self.versions,
            "settings": dataclasses.asdict(self.settings),
            "history": [dataclasses.asdict(stage) for stage in self.start.history],
            "by_class": dict(zip(classes, metrics.by_class(counts), strict=True)),
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

    def _evaluate(self, log: Log, part: str, split: Split) -> dict[str, float]:
        """Add the cross-entropy and the accuracy on some images to a part's curves, and return them."""
        cross_entropy, accuracy, _ = self._metrics(split)
        values = {"cross_entropy": cross_entropy, "accuracy": accuracy}
        log.curves(part, self.backend.step, {tag: [value] for tag, value in values.items()})
        return values

    def _metrics(self, split: Split) -> tuple[float, float, np.ndarray]:
        """Return mean cross-entropy in nats, accuracy, and the probabilities [n, classes]."""
        logits = np.concatenate([self.backend.logits(piece) for piece in pieces(split.images)]).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        cross_entropy = -log_probabilities[np.arange(len(split.labels)), split.labels].mean()
        require_finite([cross_entropy], self.backend.step)
        accuracy = (log_probabilities.argmax(axis=1) == split.labels).mean()
        return float(cross_entropy), float(accuracy), np.exp(log_probabilities)

    def _save(self, run: Run, log: Log, validate: bool = True) -> dict[str, float]:
        """Write the checkpoint and its settings; the curves first, so that they lack none of its steps.

        Returns what all held-out images say of it, by result.json's keys.
        """
        found = self._evaluate(log, "validation", self.validation) if validate else {}
        state = self.backend.read_state()
        log.state(state)
        log.sync()
        self.start = self.start.advanced(state, self.framework, found.get("cross_entropy"))
        self.start.save(run.path)
        run.keep_best(self.start)
        with replacing(run.folder / "config.toml") as temporary:
            temporary.write_text(to_toml(self.settings.architecture, self.settings.training), encoding="utf-8")
        return {f"validation_{tag}": value for tag, value in found.items()}


def pieces(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield images [n, height, width, channels] in the numbers whose logits are computed at once."""
    pixels = max(28 * 28, images.shape[1] * images.shape[2])  # of larger images fewer, which take as much memory
    at_once = max(1, LOGITS_BATCH * 28 * 28 // pixels)
    return (images[i : i + at_once] for i in range(0, len(images), at_once))


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
        raise DivergedError(
            f"the run diverged: the cross-entropy is not finite at step {first_step + bad[0]}; this step is not saved; "
            "try a smaller --learning_rate",
            exit_code=1,
        )


def stopped(signal: Any, run: Run, step: int, last: int) -> UserError:
    """Return the error of a run that a signal stopped, and that was saved."""
    return UserError(
        f"stopped by {signal.name}, saved after step {step}; to continue, run the same command, but with "
        f"--load {command_line(run.folder)} --train_num {last - step}",
        exit_code=128 + signal,
    )
