"""LeNet in Keras 3: layers, compile and train_step, on the engine that KERAS_BACKEND names."""

import importlib
from typing import Any

import keras
import numpy as np

from backends import _engines
from backends._keras import FastDense, FusedAdam
from lenet.backend import BETA1, BETA2, EPSILON_HAT, Backend, storage_dtype
from lenet.network import Network


class LeNet(Backend):
    """The model with Adam. Its variables have the canonical names and layout as Keras makes them."""

    def __init__(self, network: Network, precision: str, device: str, threads: int, label_smoothing: float = 0) -> None:
        self.engine, self.label_smoothing = keras.config.backend(), label_smoothing
        self.device = _engines.set_up_keras(self.engine, network.architecture, precision, device, threads)
        self.versions = {name: str(importlib.import_module(name).__version__) for name in ("keras", self.engine)}
        self.threads, self.network, self.dtype = threads, network, storage_dtype(precision)
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx(self.dtype)  # of losses, metrics and the optimizer's settings
        keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else precision)  # of the layers
        on_tensorflow = self.engine == "tensorflow"
        self.dense = FastDense if on_tensorflow and self.device == "cpu" and threads > 1 else keras.layers.Dense
        with keras.device(self.device):
            images = keras.Input(network.image_shape, dtype="uint8")
            self.model = keras.Model(images, self._forward(images))
            # Keras takes a beta's power in float32, but its difference from 1 exactly: round both.
            betas = [float(np.asarray(beta, self.dtype)) for beta in (BETA1, BETA2)]
            adam = FusedAdam(1.0) if on_tensorflow else keras.optimizers.Adam(1.0, *betas, EPSILON_HAT)
            adam.build(self.model.trainable_variables)
            smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
            loss = smoothed if label_smoothing else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            # XLA's convolutions are slower on a CPU; on JAX a step is compiled by it or not at all.
            self.model.compile(adam, loss, metrics=["accuracy"], jit_compile=self.engine == "jax")
        self.parameters = {variable.path: variable for variable in self.model.trainable_variables}
        by_path = {variable.path: variable for variable in adam.variables}
        self.first_moment, self.second_moment = (
            {name: by_path[f"{adam.name}/{name.replace('/', '_')}_{moment}"] for name in self.parameters}
            for moment in ("momentum", "velocity")
        )
        self.train_steps = on_tensorflow and _engines.train_function(self._train_step, network.image_shape, self.dtype)

    def assign(self, variable: keras.Variable, array: np.ndarray) -> keras.Variable:
        with keras.device(self.device):
            variable.assign(array)
        return variable

    def to_numpy(self, variable: keras.Variable) -> np.ndarray:
        return np.array(keras.ops.convert_to_numpy(variable))

    def train(
        self, images: np.ndarray, labels: np.ndarray, learning_rates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        batches = images, labels.astype(np.int32), learning_rates.astype(self.dtype)
        with keras.device(self.device):
            self.model.optimizer.iterations.assign(self.step)
            metrics = (
                self.train_steps(*batches) if self.train_steps else zip(*map(self._train_step, *batches), strict=True)
            )
            cross_entropies, accuracies = map(np.array, metrics)
        self.step += len(images)
        return cross_entropies, accuracies

    def logits(self, images: np.ndarray) -> np.ndarray:
        with keras.device(self.device):
            return np.asarray(self.model.predict_on_batch(images))

    def _train_step(self, images: Any, labels: Any, learning_rate: Any) -> Any:
        """Make a step; images uint8 [batch, height, width, channels], labels int32 [batch] -> loss, accuracy."""
        self.model.optimizer.learning_rate.assign(learning_rate)
        if self.label_smoothing:  # Keras smooths what is one-hot
            labels = keras.ops.one_hot(labels, self.network.classes, dtype=self.dtype)
        if self.engine != "tensorflow":
            return self.model.train_on_batch(images, labels)
        self.model.reset_metrics()
        metrics = self.model.train_step((images, labels))
        return metrics["loss"], metrics["accuracy"]

    def _forward(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Images uint8 [n, height, width, channels] -> logits [n, classes]."""
        activation = self.network.architecture.activation
        x = keras.ops.cast(images, self.dtype) / 255
        for layer in self.network.conv_layers:
            conv = layer.conv
            x = keras.layers.Conv2D(conv.filters, conv.kernel, padding=conv.padding, name=layer.name)(x)
            if conv.pool == "max":  # the activation is monotonic: after the pool it is a quarter of the work
                x = keras.layers.MaxPooling2D(conv.pool_window, conv.pool_stride, padding="same")(x)
                x = keras.layers.Activation(activation)(x)
            else:
                x = keras.layers.Activation(activation)(x)
                x = keras.layers.AveragePooling2D(conv.pool_window, conv.pool_stride, padding="same")(x)
            # [n, *layer.output]; lenet: [n, 14, 14, 32], then [n, 7, 7, 64]
        x = keras.layers.Flatten()(x)  # [n, height * width * channels]; lenet: [n, 3136]
        *hidden, output = self.network.dense_layers
        for dense in hidden:  # lenet: [n, 1024]
            x = self.dense(dense.output[0], activation, name=dense.name)(x)
        x = keras.layers.Dense(self.network.classes, name=output.name)(x)
        return keras.layers.Activation("linear", dtype=self.dtype)(x)  # in full precision with mixed_bfloat16, too
