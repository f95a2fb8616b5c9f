"""LeNet in TensorFlow: variables, tf.nn, and the steps of a chunk in one tf.function."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from lenet.architecture import BETA1, BETA2, EPSILON_HAT, IMAGE_SIZE, Architecture
from lenet.backend import Backend, TrainingState, choose_device, storage_dtype


@tf.custom_gradient
def matmul(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Return x [n, in] times the kernel [in, out], and the gradients."""

    def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # tf.matmul's own, upstream times the transposed kernel, is slower on a processor: a twentieth of a step.
        of_x = tf.transpose(tf.matmul(kernel, upstream, transpose_b=True))
        return of_x, tf.matmul(x, upstream, transpose_a=True)

    return tf.matmul(x, kernel), gradients


class LeNet(Backend):
    """The parameters and Adam's moments as variables; under bfloat16 only what _forward computes is bfloat16."""

    engine = "tensorflow"

    def __init__(self, architecture: Architecture, precision: str, device: str, threads: int) -> None:
        self.device = choose_device(device, bool(tf.config.list_physical_devices("GPU")), "TensorFlow")
        self.threads, self.versions = threads, {"tensorflow": tf.__version__}
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)  # on a GPU float32 would be TF32

        self.architecture = architecture
        self.activation = getattr(tf.nn, architecture.activation)
        self.compute_dtype, self.dtype = tf.as_dtype(precision), tf.as_dtype(storage_dtype(precision))
        with tf.device(self.device):
            self.step = tf.Variable(0, dtype=tf.int64)
            self.parameters, self.first_moment, self.second_moment = (
                {name: tf.Variable(tf.zeros(shape, self.dtype)) for name, shape in architecture.shapes.items()}
                for _ in range(3)
            )

    def write_state(self, state: TrainingState) -> None:
        self.step.assign(state.step)
        for variables, arrays in zip(self._variables(), state.arrays, strict=True):
            for name, variable in variables.items():
                variable.assign(tf.cast(arrays[name], self.dtype))

    def read_state(self) -> TrainingState:
        groups = ({name: variable.numpy() for name, variable in variables.items()} for variables in self._variables())
        return TrainingState(int(self.step), *groups)

    def _variables(self) -> tuple[dict[str, tf.Variable], ...]:
        return self.parameters, self.first_moment, self.second_moment

    def load_training_set(self, images: np.ndarray, labels: np.ndarray) -> None:
        with tf.device("cpu"):  # a GPU has no tf.gather for uint8: it gets each batch
            self.images = tf.constant(images)  # uint8 [n, 28, 28]
            self.labels = tf.constant(labels, tf.int32)  # [n]

    def train(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with tf.device(self.device):
            cross_entropies, accuracies = self._train_steps(self.images, self.labels, indices)
        return cross_entropies.numpy(), accuracies.numpy()

    def logits(self, images: np.ndarray) -> np.ndarray:
        with tf.device(self.device):
            return self._logits(images).numpy()

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, IMAGE_SIZE, IMAGE_SIZE], tf.uint8),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, None], tf.int64),
        ]
    )
    def _train_steps(self, images: tf.Tensor, labels: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Make one step on each row of `indices`, [steps, batch]."""
        steps = tf.shape(indices)[0]
        cross_entropies, accuracies = tf.TensorArray(self.dtype, steps), tf.TensorArray(self.dtype, steps)
        for i in tf.range(steps):
            with tf.device("cpu"):
                batch_images, batch_labels = tf.gather(images, indices[i]), tf.gather(labels, indices[i])
            cross_entropy, accuracy = self._train_step(batch_images, batch_labels)
            cross_entropies = cross_entropies.write(i, cross_entropy)
            accuracies = accuracies.write(i, accuracy)
        return cross_entropies.stack(), accuracies.stack()

    def _train_step(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One update; images uint8 [batch, 28, 28], labels int32 [batch] -> cross-entropy, accuracy."""
        with tf.GradientTape() as tape:
            logits = self._forward(images)
            cross_entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        gradients = tape.gradient(cross_entropy, self.parameters)
        t = tf.cast(self.step.assign_add(1), self.dtype)
        for name, parameter in self.parameters.items():
            tf.raw_ops.ResourceApplyAdam(
                var=parameter.handle,
                m=self.first_moment[name].handle,
                v=self.second_moment[name].handle,
                beta1_power=BETA1**t,
                beta2_power=BETA2**t,
                lr=self.architecture.learning_rate,
                beta1=BETA1,
                beta2=BETA2,
                epsilon=EPSILON_HAT,
                grad=gradients[name],
            )
        correct = tf.argmax(logits, axis=1, output_type=tf.int32) == labels
        return cross_entropy, tf.reduce_mean(tf.cast(correct, self.dtype))

    @tf.function(input_signature=[tf.TensorSpec([None, IMAGE_SIZE, IMAGE_SIZE], tf.uint8)])
    def _logits(self, images: tf.Tensor) -> tf.Tensor:
        return self._forward(images)

    def _forward(self, images: tf.Tensor) -> tf.Tensor:
        """Images uint8 [n, 28, 28] -> logits [n, 10]."""
        weights = {name: tf.cast(parameter, self.compute_dtype) for name, parameter in self.parameters.items()}
        x = tf.cast(tf.cast(images, self.dtype)[..., tf.newaxis] / 255, self.compute_dtype)  # [n, 28, 28, 1]
        for layer in self.architecture.conv_layers:
            conv = layer.conv
            x = tf.nn.conv2d(x, weights[f"{layer.name}/kernel"], strides=1, padding=conv.padding.upper())
            x = tf.nn.bias_add(x, weights[f"{layer.name}/bias"])
            if conv.pool == "max":  # monotonic, the activation gives the same behind it for a quarter of the work
                x = self.activation(tf.nn.max_pool2d(x, conv.pool_window, conv.pool_stride, "SAME"))
            else:
                x = tf.nn.avg_pool2d(self.activation(x), conv.pool_window, conv.pool_stride, "SAME")
        x = tf.reshape(x, [tf.shape(x)[0], -1])  # [n, height * width * channels]
        *hidden, output = self.architecture.dense_layers
        for layer in hidden:
            x = self.activation(matmul(x, weights[f"{layer.name}/kernel"]) + weights[f"{layer.name}/bias"])
        x = tf.matmul(x, weights[f"{output.name}/kernel"]) + weights[f"{output.name}/bias"]
        return tf.cast(x, self.dtype)
