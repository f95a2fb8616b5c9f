"""The experiments: the project's own way to train LeNet, and each framework's own habits, one at a time."""

import importlib
import statistics
from typing import Any, ClassVar

import numpy as np

import backends
from lenet import config, data
from lenet.architecture import Conv, same_padding
from lenet.backend import BETA1, BETA2, EPSILON_HAT, Backend, TrainingState
from lenet.dataset import Split
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.system.machine import Precision, cores

STEPS = (1, 40, 1000)  # after the first two the cross-entropy is compared, after the last the accuracy


class Experiment:
    """The project's own way. Each difference below changes one thing of it."""

    framework, config = "pytorch", "lenet"
    precision: Precision = "float32"
    changes: ClassVar[dict[str, Any]] = {}
    beside = ""  # the framework of the run that it is compared with, if it is another
    compared = "test_accuracy"  # or told_accuracy

    def __init__(self, seed: int) -> None:
        self.seed, self.dataset, self.threads = seed, data.load(), cores()
        chosen = config.load(self.config)
        self.settings = Settings.of(chosen, self.dataset.info, self.changes, precision=self.precision, seed=seed)
        self.examples, self.validation = self.dataset.hold_out(self.settings.validation)

    def prepare(self) -> None:
        """Change what the framework's module has, before the model is built."""

    def start(self, backend: Backend) -> TrainingState:  # noqa: ARG002
        """Return the state before the first step."""
        return Checkpoint.initial(self.settings).state

    def batch(self, step: int) -> np.ndarray:
        """Return the examples that a step, from 0, trains on."""
        batches = self.settings.training.batches(range(step, step + 1), self.seed, len(self.examples.images))
        return batches.ravel()

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, from 0."""
        return float(self.settings.training.learning_rates(range(step, step + 1))[0])

    def told_accuracy(self, of_steps: list[float]) -> float:
        """Return the training accuracy that is told at the end, from that of every batch."""
        return of_steps[-1]

    def run(self, steps: tuple[int, ...] = STEPS) -> dict[str, float]:
        """Train; returns the cross-entropy of the held-out images on the way, and both accuracies at the end."""
        lenet = backends.load(self.framework)
        self.prepare()
        backend = lenet(self.settings.network, self.precision, "cpu", self.threads)
        backend.step = 0
        backend.write_state(self.start(backend))
        found, accuracies = {}, []
        for step in range(steps[-1]):
            batch, rate = self.batch(step), self.learning_rate(step)
            images, labels = self.examples.images[batch], self.examples.labels[batch]
            accuracies.append(float(backend.train(images[None], labels[None], np.array([rate]))[1][0]))
            if step + 1 in steps[:-1]:
                found[f"cross_entropy_{step + 1}"] = evaluate(backend, self.validation)[0]
        found["test_accuracy"] = evaluate(backend, self.dataset.test)[1]
        return found | {"told_accuracy": self.told_accuracy(accuracies)}


def module(name: str) -> Any:
    """Return a module whose content may be replaced."""
    return importlib.import_module(name)


def evaluate(backend: Backend, split: Split) -> tuple[float, float]:
    """Return the mean cross-entropy in nats, and the accuracy."""
    pieces = np.array_split(split.images, max(1, len(split.images) // 200))
    logits = np.concatenate([backend.logits(piece) for piece in pieces]).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    of_labels = logits[np.arange(len(logits)), split.labels] - np.log(np.exp(logits).sum(axis=1))
    return float(-of_labels.mean()), float((logits.argmax(axis=1) == split.labels).mean())


class Threads(Experiment):
    """One thread instead of one per core: only the rounding differs."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.threads = 1


class OtherFramework(Experiment):
    """TensorFlow instead of PyTorch, both as in this project: only the rounding differs."""

    framework, beside = "tensorflow", "pytorch"


class OtherSeed(Experiment):
    """Another seed: other initial parameters, other batches."""

    def __init__(self, seed: int) -> None:
        super().__init__(1000 + seed)


class InitialOfPyTorch(Experiment):
    """nn.Conv2d and nn.Linear draw kernels and biases uniformly between ±1/√n, where an output has n inputs."""

    def start(self, backend: Backend) -> TrainingState:
        """Keep what the module was built with."""
        return backend.read_state()

    def prepare(self) -> None:
        """Seed what the module is built with."""
        import torch

        torch.manual_seed(self.seed)


class InitialOfKeras(Experiment):
    """Keras's layers draw kernels from Glorot's uniform distribution; biases begin at 0 in place of 0.1."""

    framework = "keras"

    def start(self, backend: Backend) -> TrainingState:
        """Keep what the model was built with."""
        return backend.read_state()

    def prepare(self) -> None:
        """Seed what the model is built with."""
        import keras

        keras.utils.set_random_seed(self.seed)


class LearningRate(Experiment):
    """Adam's default learning rate is 1e-3 in PyTorch and Keras; `lenet` has 1e-4."""

    def learning_rate(self, step: int) -> float:  # noqa: ARG002
        """Return Adam's default."""
        return 1e-3


class EpsilonAfterCorrection(Experiment):
    """torch.optim.Adam corrects v before it adds epsilon: Algorithm 1 of the paper. TensorFlow and Keras do not."""

    def prepare(self) -> None:
        """Call PyTorch's Adam with its own step in place of the last of all."""
        import torch
        from torch.optim.adam import adam

        def adam_step(step: int, learning_rate: float, _: Any, parameters: Any, first: Any, second: Any) -> None:
            with torch.no_grad():
                adam(
                    parameters,
                    [parameter.grad for parameter in parameters],
                    first,
                    second,
                    [],
                    [torch.tensor(step - 1.0) for _ in parameters],
                    fused=True,
                    lr=learning_rate,
                    beta1=BETA1,
                    beta2=BETA2,
                    eps=1e-8,
                    weight_decay=0,
                    amsgrad=False,
                    maximize=False,
                )

        module("backends.pytorch").adam_step = adam_step


class EpsilonOfKeras(Experiment):
    """Adam's default epsilon is 1e-7 in Keras and TensorFlow, 1e-8 in PyTorch and in the paper."""

    framework = "keras"

    def prepare(self) -> None:
        """Set it."""
        module("backends._engines").EPSILON_HAT = 1e-7


class OrderOfDataLoader(Experiment):
    """DataLoader(shuffle=True) shuffles with PyTorch's generator, so the batches differ."""

    def batch(self, step: int) -> np.ndarray:
        """Return the batch in the order of torch.randperm."""
        import torch

        batches = len(self.examples.images) // 100
        generator = torch.Generator().manual_seed(1000 * self.seed + step // batches)
        order: np.ndarray = torch.randperm(len(self.examples.images), generator=generator).numpy()
        return order[step % batches * 100 :][:100]


class OrderOfTheFiles(Experiment):
    """DataLoader and tf.data do not shuffle by default. MNIST's files are mixed already; other data need it."""

    def batch(self, step: int) -> np.ndarray:
        """Return the next images of the file."""
        return (100 * step + np.arange(100)) % len(self.examples.images)


class ShuffleBuffer(Experiment):
    """tf.data's shuffle(10000) draws from a buffer: the first batches are from the first 10,000 of 55,000 images."""

    framework = "tensorflow"

    def start(self, backend: Backend) -> TrainingState:
        """Make the pipeline of TensorFlow's quickstart, of the examples' numbers; the backend has set TensorFlow up."""
        import tensorflow as tf

        numbers = tf.data.Dataset.range(len(self.examples.images)).shuffle(10_000, self.seed).batch(100).repeat()
        self.batches = numbers.as_numpy_iterator()
        return super().start(backend)

    def batch(self, step: int) -> np.ndarray:  # noqa: ARG002
        """Return the next batch."""
        batch: np.ndarray = next(self.batches)
        return batch


class LastBatch(Experiment):
    """With batches of 128 an epoch's last batch has 88 images: loaders keep it by default, this project drops it."""

    changes: ClassVar = {"batch_size": 128}

    def batch(self, step: int) -> np.ndarray:
        """Return a batch of the pass's order, the last one with what is left."""
        count = len(self.examples.images)
        number, batch = divmod(step, -(-count // 128))
        full = count // 128
        passes = self.settings.training.batches(range(number * full, (number + 1) * full), self.seed, count).ravel()
        rest = np.setdiff1d(np.arange(count), passes)
        return np.concatenate([passes, rest])[batch * 128 :][:128]


class FlattenOrder(Experiment):
    """PyTorch flattens [channels, height, width], the others channels last: the random kernel meets other pixels."""

    def start(self, backend: Backend) -> TrainingState:
        """Move the rows of the first dense kernel as that order would."""
        state = super().start(backend)
        height, width, channels = self.settings.network.conv_layers[-1].output
        kernel = state.parameters["dense1/kernel"]
        moved = kernel.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(kernel.shape)
        return TrainingState(0, state.parameters | {"dense1/kernel": moved}, state.first_moment, state.second_moment)


class Probabilities(Experiment):
    """nn.CrossEntropyLoss takes logits: after a softmax, with which Keras's examples end, it applies a second one."""

    def prepare(self) -> None:
        """Give the loss probabilities."""
        from torch.nn import functional

        loss = functional.cross_entropy
        functional.cross_entropy = lambda logits, labels, **more: loss(logits.softmax(dim=1), labels, **more)


class LossOfProbabilities(Experiment):
    """Keras's losses take probabilities by default; on TensorFlow they find the softmax, and use its logits."""

    framework = "keras"

    def prepare(self) -> None:
        """Give the loss probabilities."""
        import keras

        def loss(labels: Any, logits: Any) -> Any:
            return keras.losses.sparse_categorical_crossentropy(labels, keras.ops.softmax(logits))

        keras.losses.SparseCategoricalCrossentropy = lambda from_logits: loss  # noqa: ARG005


class ClippedProbabilities(Experiment):
    """Keras's losses clip probabilities at 1e-7 if they find no logits: on torch, on JAX, or after a cast."""

    framework = "keras"

    def prepare(self) -> None:
        """Give the loss probabilities that no softmax has just made."""
        import keras

        def loss(labels: Any, logits: Any) -> Any:
            return keras.losses.sparse_categorical_crossentropy(labels, 1.0 * keras.ops.softmax(logits))

        keras.losses.SparseCategoricalCrossentropy = lambda from_logits: loss  # noqa: ARG005


class AddedGradients(Experiment):
    """backward() adds to the old gradients: without zero_grad(), each step uses the sum of all gradients so far."""

    def prepare(self) -> None:
        """Empty nothing."""
        module("backends.pytorch").Layers.zero_grad = lambda self, set_to_none=True: None  # noqa: ARG005


class Pixels(Experiment):
    """keras.datasets has pixels from 0 to 255; PyTorch's ToTensor divides by 255."""

    def prepare(self) -> None:
        """Multiply by 255 again in the module, so that the held-out images have it, too."""
        layers = module("backends.pytorch").Layers
        forward = layers.forward
        layers.forward = lambda self, x: forward(self, 255 * x)


class Normalization(Experiment):
    """PyTorch's example subtracts the pixels' mean, 0.1307, and divides by their standard deviation, 0.3081."""

    def prepare(self) -> None:
        """Do so in the module, so that the held-out images have it, too."""
        layers = module("backends.pytorch").Layers
        forward = layers.forward
        layers.forward = lambda self, x: forward(self, (x - 0.1307) / 0.3081)


class SideOfPadding(Experiment):
    """SAME puts an odd row of padding at the end of a side. Padded by hand at the start, each window shifts."""

    config = "add_conv"

    def prepare(self) -> None:
        """Give it to the beginning, in PyTorch alone."""

        def pool_padding(conv: Conv, size: int) -> tuple[int, int]:
            before, after = same_padding(size, conv.pool_window, conv.pool_stride)
            return after, before

        module("lenet.architecture").Conv.pool_padding = pool_padding


class PaddedAverage(Experiment):
    """nn.AvgPool2d averages over the padding's zeros, too (count_include_pad); TensorFlow does not."""

    changes: ClassVar = {
        "conv.0.pool": "average",
        "conv.0.pool_window": 3,
        "conv.1.pool": "average",
        "conv.1.pool_window": 3,
    }

    def prepare(self) -> None:
        """Pool what is padded."""
        from torch import Tensor
        from torch.nn import functional

        def pool(x: Tensor, conv: Conv) -> Tensor:
            height, width = x.shape[-2:]
            padded = functional.pad(x, [*conv.pool_padding(width), *conv.pool_padding(height)])
            return functional.avg_pool2d(padded, conv.pool_window, conv.pool_stride)

        module("backends.pytorch").pool = pool


class Float32OfKeras(Experiment):
    """With float64 layers Keras keeps the learning rate and the loss in float32, and rounds Adam's betas to it."""

    framework, precision = "keras", "float64"

    def prepare(self) -> None:
        """Leave floatx as it is, and take Keras's own Adam; only what the loop collects is cast."""
        import keras
        import tensorflow as tf

        backend, engines = module("backends.keras"), module("backends._engines")
        module("keras").config.set_floatx = lambda dtype: None  # noqa: ARG005
        backend.FusedAdam = lambda rate: keras.optimizers.Adam(rate, BETA1, BETA2, EPSILON_HAT)
        train_function = engines.train_function
        engines.train_function = lambda train_step, *more: train_function(
            lambda *batch: [tf.cast(metric, tf.float64) for metric in train_step(*batch)], *more
        )


class RunningAccuracy(Experiment):
    """Keras's fit reports the mean accuracy of the epoch so far; this project reports that of the last batch."""

    framework, compared = "keras", "told_accuracy"

    def told_accuracy(self, of_steps: list[float]) -> float:
        """Return that mean."""
        batches = len(self.examples.images) // 100
        return statistics.mean(of_steps[(len(of_steps) - 1) // batches * batches :])


DIFFERENCES = {kind.__name__: kind for kind in Experiment.__subclasses__()}


def plain(difference: type[Experiment]) -> type[Experiment]:
    """Return the project's own way, in the framework and with the settings of a difference."""
    names = ("config", "changes", "precision")
    same = {name: getattr(difference, name) for name in names}
    return type("Plain", (Experiment,), same | {"framework": difference.beside or difference.framework})


def left(difference: type[Experiment]) -> type[Experiment]:
    """Return the difference itself: what it is about is left as the framework has it."""
    return difference
