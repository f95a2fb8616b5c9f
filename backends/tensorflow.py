"""LeNet in TensorFlow: variables, tf.nn, and the steps of a chunk in one tf.function."""

import numpy as np
import tensorflow as tf

from backends import _engines
from lenet.backend import Backend, storage_dtype
from lenet.network import Network


class LeNet(Backend):
    """The parameters and Adam's moments as variables; with bfloat16 only what _forward computes is bfloat16."""

    engine = "tensorflow"

    def __init__(self, network: Network, precision: str, device: str, threads: int, label_smoothing: float = 0) -> None:
        self.device = _engines.set_up_tensorflow(device, threads)
        self.threads, self.versions = threads, {"tensorflow": tf.__version__}
        self.network, self.label_smoothing = network, label_smoothing
        self.activation = getattr(tf.nn, network.architecture.activation)
        self.matmul = _engines.fast_matmul() if self.device == "cpu" and threads > 1 else tf.matmul
        self.compute_dtype, self.dtype = tf.as_dtype(precision), tf.as_dtype(storage_dtype(precision))
        with tf.device(self.device):
            self.steps_made = tf.Variable(0, dtype=tf.int64)
            self.parameters, self.first_moment, self.second_moment = (
                {name: tf.Variable(tf.zeros(shape, self.dtype)) for name, shape in network.shapes.items()}
                for _ in range(3)
            )
        signature = [tf.TensorSpec([None, *network.image_shape], tf.uint8)]
        # XLA's convolutions are slower on a CPU. AutoGraph would take a third of a second: there is nothing to convert.
        self.forward = tf.function(self._forward, signature, autograph=False, jit_compile=False)
        self.train_steps = _engines.train_function(self._train_step, network.image_shape, self.dtype)

    def assign(self, variable: tf.Variable, array: np.ndarray) -> tf.Variable:
        variable.assign(tf.cast(array, self.dtype))
        return variable

    def to_numpy(self, variable: tf.Variable) -> np.ndarray:
        return np.array(variable)

    def train(
        self, images: np.ndarray, labels: np.ndarray, learning_rates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.steps_made.assign(self.step)
        with tf.device(self.device):
            metrics = self.train_steps(images, labels.astype(np.int32), learning_rates.astype(self.dtype.name))
        self.step += len(images)
        cross_entropies, accuracies = map(np.array, metrics)
        return cross_entropies, accuracies

    def logits(self, images: np.ndarray) -> np.ndarray:
        with tf.device(self.device):
            return np.asarray(self.forward(images))

    def _train_step(
        self, images: tf.Tensor, labels: tf.Tensor, learning_rate: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Make a step; images uint8 [batch, height, width, channels], labels int32 [batch] -> loss, accuracy."""
        with tf.GradientTape() as tape:
            logits = self._forward(images)
            cross_entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            if self.label_smoothing:
                advantage = tf.gather(logits, labels, batch_dims=1) - tf.reduce_mean(logits, axis=1)
                cross_entropy += self.label_smoothing * tf.reduce_mean(advantage)
        gradients = tape.gradient(cross_entropy, self.parameters)
        step = tf.cast(self.steps_made.assign_add(1), self.dtype)
        for name, parameter in self.parameters.items():
            moments = self.first_moment[name], self.second_moment[name]
            _engines.fused_adam(step, parameter, *moments, learning_rate, gradients[name])
        correct = tf.argmax(logits, axis=1, output_type=tf.int32) == labels
        return cross_entropy, tf.reduce_mean(tf.cast(correct, self.dtype))

    def _forward(self, images: tf.Tensor) -> tf.Tensor:
        """Images uint8 [n, height, width, channels] -> logits [n, classes]."""
        weights = {name: tf.cast(parameter, self.compute_dtype) for name, parameter in self.parameters.items()}
        x = tf.cast(tf.cast(images, self.dtype) / 255, self.compute_dtype)  # lenet: [n, 28, 28, 1]
        for layer in self.network.conv_layers:
            conv = layer.conv
            x = tf.nn.conv2d(x, weights[f"{layer.name}/kernel"], strides=1, padding=conv.padding.upper())
            x = tf.nn.bias_add(x, weights[f"{layer.name}/bias"])
            if conv.pool == "max":  # the activation is monotonic: after the pool it is a quarter of the work
                x = self.activation(tf.nn.max_pool2d(x, conv.pool_window, conv.pool_stride, "SAME"))
            else:
                x = tf.nn.avg_pool2d(self.activation(x), conv.pool_window, conv.pool_stride, "SAME")
            # [n, *layer.output]; lenet: [n, 14, 14, 32], then [n, 7, 7, 64]
        x = tf.reshape(x, [tf.shape(x)[0], -1])  # [n, height * width * channels]; lenet: [n, 3136]
        *hidden, output = self.network.dense_layers
        for dense in hidden:  # lenet: [n, 1024]
            x = self.activation(self.matmul(x, weights[f"{dense.name}/kernel"]) + weights[f"{dense.name}/bias"])
        x = tf.matmul(x, weights[f"{output.name}/kernel"]) + weights[f"{output.name}/bias"]  # [n, classes]
        return tf.cast(x, self.dtype)
