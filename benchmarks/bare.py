"""A backend without the Trainer: python -m benchmarks.bare FRAMEWORK PRECISION STEPS."""

import json
import sys
import time

import numpy as np

import backends
from benchmarks.stopwatch import images_per_second
from lenet import config, data
from lenet.config import read
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.system.machine import Precision, cores
from lenet.trainer import LOGITS_BATCH, TEST_EVERY


def measure(framework: str, precision: Precision, steps: int) -> dict[str, float]:
    """Train in chunks such as the Trainer's, then evaluate the 10,000 test images."""
    dataset, lenet = data.load(), config.load("lenet")
    settings = Settings.of(lenet, dataset.info).changed({}, precision=precision)
    backend = backends.load(framework)(settings.network, precision, "cpu", cores())
    backend.write_state(Checkpoint.initial(settings).state)
    (images, labels), _ = dataset.hold_out(settings.validation)
    step_times: list[float] = []
    for first in range(0, steps, TEST_EVERY):
        chunk = range(first, min(first + TEST_EVERY, steps))
        indices = lenet.training.batches(chunk, 0, len(images))
        backend.train(images[indices], labels[indices], lenet.training.learning_rates(chunk))
        step_times += [time.time()] * len(chunk)

    pieces = np.array_split(dataset.test.images, len(dataset.test.images) // LOGITS_BATCH)
    backend.logits(pieces[0])
    started = time.perf_counter()
    for images in pieces:
        backend.logits(images)
    evaluation = len(dataset.test.images) / (time.perf_counter() - started)
    training = images_per_second(step_times)
    return {"images_per_second": training, "evaluation_to_training_time": training / evaluation}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], read(Precision, sys.argv[2]), int(sys.argv[3]))))
