"""What tests have done in another process."""

import contextlib
import io
import os
import sys

import main
from lenet import dataset


def set_environment(variables):
    """Set environment variables, before a framework is imported."""
    os.environ.update(variables)


def command_line(flags):
    """Run main.py with `flags`; returns (exit code, stdout, stderr)."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main.main(flags)
    return code, out.getvalue(), err.getvalue()


def read_curve(folder):
    """Tag -> [(step, value)] as TensorBoard itself reads a folder of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read_with_torchvision(path):
    """The array in an IDX file as torchvision reads it."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    return read_sn3_pascalvincent_tensor(path).numpy()


def modules():
    """The names of all modules that are imported."""
    return set(sys.modules)


def train(framework, architecture, precision, start, indices, data_dir=None):
    """Make one step on each row of `indices`; returns the cross-entropies, accuracies and the state after them."""
    backend = main.load_backend(framework)(architecture, precision, "cpu", main.physical_cores())
    data = dataset.load(data_dir or dataset.EMBEDDED)
    backend.load_training_set(*data.train)
    backend.write_state(start)
    cross_entropies, accuracies = backend.train(indices)
    return cross_entropies, accuracies, backend.read_state()


def logits(framework, architecture, precision, start, images):
    """The logits of `images`."""
    backend = main.load_backend(framework)(architecture, precision, "cpu", main.physical_cores())
    backend.write_state(start)
    return backend.logits(images)
