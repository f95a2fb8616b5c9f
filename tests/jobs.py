"""The functions that tests call in another process."""

import contextlib
import importlib
import io
import os
import signal
import sys
import threading
from pathlib import Path
from unittest import mock

import numpy as np
from sabotage import sabotage
from tqdm import tqdm

import backends
import lenet
import main
from lenet import dataset
from lenet.config import load
from lenet.data import load as read_data
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.storage.run import Run
from lenet.system.machine import default_threads
from lenet.trainer import Trainer


def set_environment(variables):
    """Set environment variables, before a framework is imported."""
    os.environ.update(variables)


def command_line(flags):
    """Run main.py with `flags`; returns (exit code, stdout, stderr)."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main.main(flags)
    return code, out.getvalue(), err.getvalue()


def read_curve(folder):
    """Tag -> [(step, value)] as TensorBoard's slow reader has them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=True)
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read_with_torchvision(path):
    """The array in an IDX file as torchvision reads it."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    return read_sn3_pascalvincent_tensor(path).numpy()


def modules():
    """The names of all modules that are imported."""
    return set(sys.modules)


def train(framework, network, precision, start, indices, learning_rate=1e-4, device="cpu"):
    """Make one step on each row of `indices`; returns the cross-entropies, accuracies and the state after them."""
    backend = backends.load(framework)(network, precision, device, default_threads())
    backend.write_state(start)
    cross_entropies, accuracies = backend.train(*batches(indices, learning_rate))
    return cross_entropies, accuracies, backend.read_state()


def train_on(framework, network, precision, start, images, labels, learning_rates=None, device="cpu", smoothing=0.0):
    """Make steps on batches [steps, batch, ...]; returns the cross-entropies, the state, and the logits after."""
    backend = backends.load(framework)(network, precision, device, default_threads(), smoothing)
    backend.write_state(start)
    rates = np.full(len(images), 1e-4) if learning_rates is None else learning_rates
    cross_entropies, _ = backend.train(images, labels, rates)
    return cross_entropies, backend.read_state(), backend.logits(images[0])


def batches(indices, learning_rate=1e-4):
    """The images, labels and learning rates of steps on these examples of MNIST."""
    images, labels = read_data().hold_out(5_000)[0]
    return images[indices], labels[indices], np.full(len(indices), learning_rate)


def api(function, *arguments, **options):
    """Call a function of the API; returns the folder of the run that it returns, or else what it returns."""
    result = getattr(lenet, function)(*arguments, **options)
    return result.folder if isinstance(result, Run) else result


def api_in_threads(count, *arguments, **options):
    """Train in one thread after another; returns the test accuracies."""
    accuracies = []

    def train():
        accuracies.append(lenet.train(*arguments, **options).result["test_accuracy"])

    for _ in range(count):
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    return accuracies


def logits(framework, network, precision, start, images):
    """The logits of `images`."""
    backend = backends.load(framework)(network, precision, "cpu", default_threads())
    backend.write_state(start)
    return backend.logits(images)


def finds_gpu(framework):
    """Whether this machine has one, as the library that computes says."""
    backends.load(framework)
    if "torch" in sys.modules:
        return sys.modules["torch"].cuda.is_available()
    if "jax" in sys.modules:
        return sys.modules["jax"].default_backend() == "gpu"
    return bool(sys.modules["tensorflow"].config.list_physical_devices("GPU"))


def float32_of_torch(framework):
    """How exact PyTorch's float32 is, of products and convolutions, on a GPU and on the CPU."""
    backends.load(framework)(Settings.of(load("lenet5"), MNIST).network, "float32", "cpu", default_threads())
    of = sys.modules["torch"].backends
    kinds = (of.cuda.matmul, of.cudnn, of.cudnn.conv, of.mkldnn, of.mkldnn.matmul, of.mkldnn.conv)
    return {kind.fp32_precision for kind in (of, *kinds)}


def train_deterministically(framework, network, start, indices):
    """Train in PyTorch, with an error where an operation may give other bytes the next time."""
    backend = backends.load(framework)(network, "float32", "cpu", default_threads())
    backend.write_state(start)
    torch = sys.modules["torch"]
    torch.set_deterministic_debug_mode("error")
    try:
        return backend.train(*batches(indices))[0]
    finally:
        torch.set_deterministic_debug_mode("default")


def command_line_that_may_not_look_for_a_gpu(framework, flags):
    """command_line, but AssertionError if the project asks for a GPU; Keras may, which uses none of what it finds."""
    backends.load(framework)
    ours = [str(Path(module.__file__).parent) for module in (backends, lenet)]

    def ask(*_):
        assert not sys._getframe(1).f_code.co_filename.startswith(tuple(ours)), "it looks for a GPU"
        return []

    questions = {"torch": "torch.cuda.is_available", "tensorflow": "tensorflow.config.get_visible_devices"}
    questions |= {"jax": "jax.default_backend"}
    with contextlib.ExitStack() as stack:
        for module in questions.keys() & sys.modules.keys():
            stack.enter_context(mock.patch(questions[module], ask))
        return command_line(flags)


def train_on_threads(framework, network, start, indices, threads):
    """Train in float64; returns the cross-entropies, the state, and whether dense layers have the faster gradient."""
    backend_class = backends.load(framework)
    from backends import _engines

    with mock.patch.object(_engines, "fast_matmul", wraps=_engines.fast_matmul) as fast:
        backend = backend_class(network, "float64", "cpu", threads)
        backend.write_state(start)
        cross_entropies, _ = backend.train(*batches(indices))
        return cross_entropies, backend.read_state(), fast.called


def read_after_training(framework, network, start, indices):
    """The state that is read, and the same after one more step: it must not have changed."""
    backend = backends.load(framework)(network, "float32", "cpu", default_threads())
    backend.write_state(start)
    state = backend.read_state()
    before = [{name: array.copy() for name, array in arrays.items()} for arrays in state.arrays]
    backend.train(*batches(indices))
    return before, state.arrays


def sabotaged(operation, how, save, flags):
    """command_line, but one step of saving a checkpoint goes wrong."""
    with sabotage(operation, how, save):
        return command_line(flags)


MOMENTS = {"after the first chunk": (tqdm, "update"), "in the final test": (Trainer, "test")}


def interrupted(number, moment, flags):
    """command_line, but a signal comes at that moment."""
    owner, name = MOMENTS[moment]
    method, signals = getattr(owner, name), iter([number])

    def then_signal(*arguments):
        done = method(*arguments)
        for each in signals:
            signal.raise_signal(each)
        return done

    with mock.patch.object(owner, name, then_signal):
        return command_line(flags)


def replaced(flags):
    """command_line, but another process has trained the run from scratch, just as far, before this one has its lock."""
    make_ready = Run.make_ready

    def late(run, *arguments):
        start = run.checkpoint
        for array in start.state.parameters.values():
            array *= 2
        start.save(run.path)
        return make_ready(run, *arguments)

    with mock.patch.object(Run, "make_ready", late):
        return command_line(flags)


def logits_of(framework, folder, images):
    """The logits of `images` [n, 28, 28] by a run's checkpoint."""
    checkpoint = lenet.load(folder).checkpoint
    return logits(framework, checkpoint.settings.network, "float32", checkpoint.state, images[..., np.newaxis])


def predictions(folder, several, **machine):
    """What Run.predict returns for each of several images."""
    return [lenet.load(folder).predict(images, **machine) for images in several]


def refusal(folder, images):
    """The error of Run.predict."""
    try:
        lenet.load(folder).predict(images)
    except lenet.UserError as error:
        return str(error)
    return ""


def exported(folder, path):
    """What Run.export returns, or its error."""
    try:
        return lenet.load(folder).export(path)
    except lenet.UserError as error:
        return str(error)


def accuracy_of_onnx(path, images, labels):
    """The accuracy of an ONNX file in onnxruntime."""
    import onnxruntime

    logits, _ = onnxruntime.InferenceSession(path).run(None, {"images": images})
    return (logits.argmax(axis=1) == labels).mean()


def loading(module, name):
    """The lines that load a file of lenet."""
    settings = Settings.of(load("lenet"), dataset.MNIST)
    return importlib.import_module(f"lenet.use.formats.{module}").loading(Path(name), settings)


def kinds_of_saved_model(folder):
    """Output -> dtype of a SavedModel."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))
    outputs = model.serve(np.zeros((1, 28, 28, 1), np.uint8))
    return {name: output.dtype.name for name, output in outputs.items()}
