"""A backend without the Trainer: python -m benchmarks.bare FRAMEWORK PRECISION STEPS."""

import json
import sys
import time

import numpy as np

import backends
from benchmarks.stock.stopwatch import BATCH_SIZE, images_per_second
from lenet import architecture, dataset
from lenet.checkpoint import Checkpoint
from lenet.flags import physical_cores
from lenet.trainer import LOGITS_BATCH, TEST_EVERY


def measure(framework: str, precision: str, steps: int) -> dict[str, float]:
    """Train in chunks such as the Trainer's, then evaluate the 10,000 test images."""
    data = dataset.load(dataset.EMBEDDED)
    start = Checkpoint.initial(architecture.load("lenet"), data.training_sha256, precision=precision)
    backend = backends.load(framework)(start.architecture, precision, "cpu", physical_cores())
    backend.write_state(start.state)
    backend.load_training_set(*data.train)
    batches = np.stack([dataset.batch_indices(0, step, BATCH_SIZE, len(data.train.images)) for step in range(steps)])
    step_times: list[float] = []
    for first in range(0, steps, TEST_EVERY):
        backend.train(chunk := batches[first : first + TEST_EVERY])
        step_times += [time.time()] * len(chunk)

    pieces = np.array_split(data.test.images, len(data.test.images) // LOGITS_BATCH)
    backend.logits(pieces[0])
    started = time.perf_counter()
    for images in pieces:
        backend.logits(images)
    evaluation = len(data.test.images) / (time.perf_counter() - started)
    training = images_per_second(step_times)
    return {"images_per_second": training, "evaluation_to_training_time": training / evaluation}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
