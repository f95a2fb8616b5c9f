"""LeNet in Keras 3: layers, compile and train_on_batch, on whichever engine KERAS_BACKEND names."""

import importlib
import os
from typing import Any

import numpy as np

from lenet import UserError
from lenet.architecture import BETA1, BETA2, CLASSES, EPSILON_HAT, IMAGE_SIZE, Architecture
from lenet.backend import Backend, TrainingState, choose_device, storage_dtype

try:
    import keras
except ValueError as error:  # an engine that it does not know
    raise UserError(f"KERAS_BACKEND: {error}; set it to tensorflow, torch or jax") from None


class FastDense(keras.layers.Dense):
    """With the faster of the two ways that TensorFlow has to the gradient of the layer's input."""

    def call(self, inputs: Any) -> Any:
        import tensorflow as tf

        @tf.custom_gradient
        def matmul(x: Any, kernel: Any) -> Any:  # [n, in], [in, out]
            def gradients(upstream: Any) -> tuple[Any, Any]:
                # TensorFlow's own, upstream times the transposed kernel, takes 6 % more of a float32 step on CPUs.
                of_x = tf.transpose(tf.matmul(kernel, upstream, transpose_b=True))
                return of_x, tf.matmul(x, upstream, transpose_a=True)

            return tf.matmul(x, kernel), gradients

        return self.activation(keras.ops.add(matmul(inputs, self.kernel.value), self.bias))


class FusedAdam(keras.optimizers.Adam):
    """With TensorFlow's one kernel, which is a tenth of a step faster than Keras's own ten passes over the arrays."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        import tensorflow as tf

        i, t = self._get_variable_index(variable), tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[i].value.handle,
            v=self._velocities[i].value.handle,
            beta1_power=self.beta_1**t,
            beta2_power=self.beta_2**t,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class LeNet(Backend):
    """The model with Keras's Adam. Its variables have the canonical names and layout by themselves."""

    def __init__(self, architecture: Architecture, precision: str, device: str, threads: int) -> None:
        self.engine = keras.config.backend()
        if self.engine not in ("tensorflow", "torch", "jax"):
            raise UserError(f"Keras on {self.engine} cannot train; set KERAS_BACKEND to tensorflow, torch or jax")
        averaged = [conv.pool_window for conv in architecture.conv if conv.pool == "average"]
        if self.engine == "torch" and max(averaged, default=0) > 2:
            raise UserError("Keras on torch may count the padding of a wide average-pool; set KERAS_BACKEND=tensorflow")
        if precision == "float64" and keras.backend.result_type("float64", "float32") != "float64":
            raise UserError(f"Keras on {self.engine} rounds float64 to float32; set KERAS_BACKEND=tensorflow")
        self.threads = threads
        self.versions = {"keras": keras.__version__, self.engine: importlib.import_module(self.engine).__version__}
        self.device = choose_device(device, _set_up_engine(self.engine, threads), f"Keras on {self.engine}")

        keras.config.set_image_data_format("channels_last")
        # What Keras keeps its losses, metrics and the optimizer's settings in, beside the layers' own dtypes.
        keras.config.set_floatx(storage_dtype(precision))
        with keras.device(self.device):
            self.model = _build(architecture, "mixed_bfloat16" if precision == "bfloat16" else precision)
            adam = FusedAdam if self.engine == "tensorflow" else keras.optimizers.Adam
            # Keras takes a beta's power in floatx, but its difference from 1 exactly: both shall be of the same beta.
            beta1, beta2 = (float(np.asarray(beta, keras.config.floatx())) for beta in (BETA1, BETA2))
            self.adam = adam(architecture.learning_rate, beta1, beta2, EPSILON_HAT, name="adam")
            self.adam.build(self.model.trainable_variables)
            self.model.compile(
                self.adam, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
            )
        self.parameters = {variable.path: variable for variable in self.model.trainable_variables}
        by_path = {variable.path: variable for variable in self.adam.variables}
        self.first_moment, self.second_moment = (
            {name: by_path[f"adam/{name.replace('/', '_')}_{moment}"] for name in self.parameters}
            for moment in ("momentum", "velocity")
        )

    def write_state(self, state: TrainingState) -> None:
        with keras.device(self.device):
            self.adam.iterations.assign(state.step)
            for variables, arrays in zip(self._variables(), state.arrays, strict=True):
                for name, variable in variables.items():
                    variable.assign(arrays[name])

    def read_state(self) -> TrainingState:
        groups = (
            {name: keras.ops.convert_to_numpy(variable) for name, variable in variables.items()}
            for variables in self._variables()
        )
        return TrainingState(int(self.adam.iterations), *groups)

    def _variables(self) -> tuple[dict[str, keras.Variable], ...]:
        return self.parameters, self.first_moment, self.second_moment

    def load_training_set(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images[..., np.newaxis], labels  # train_on_batch puts each batch on the device

    def train(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with keras.device(self.device):
            figures = [self.model.train_on_batch(self.images[batch], self.labels[batch]) for batch in indices]
        cross_entropies, accuracies = np.array(figures).T
        return cross_entropies, accuracies

    def logits(self, images: np.ndarray) -> np.ndarray:
        with keras.device(self.device):
            return self.model.predict_on_batch(images[..., np.newaxis])


def _build(architecture: Architecture, policy: str) -> keras.Model:
    """Images uint8 [n, 28, 28, 1] -> logits [n, 10]; `policy` is the dtype policy of the layers that compute."""
    floatx = keras.config.floatx()
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), dtype="uint8")
    x = keras.ops.cast(images, floatx) / 255
    for layer in architecture.conv_layers:
        conv = layer.conv
        x = keras.layers.Conv2D(conv.filters, conv.kernel, padding=conv.padding, dtype=policy, name=layer.name)(x)
        activation = keras.layers.Activation(architecture.activation, dtype=policy)
        if conv.pool == "max":  # monotonic, the activation gives the same behind it for a quarter of the work
            pool = keras.layers.MaxPooling2D(conv.pool_window, conv.pool_stride, padding="same", dtype=policy)
            x = activation(pool(x))
        else:
            pool = keras.layers.AveragePooling2D(conv.pool_window, conv.pool_stride, padding="same", dtype=policy)
            x = pool(activation(x))
    x = keras.layers.Flatten(dtype=policy)(x)  # [n, height * width * channels]
    *hidden, output = architecture.dense_layers
    dense = FastDense if keras.config.backend() == "tensorflow" else keras.layers.Dense
    for layer in hidden:
        x = dense(layer.output[0], architecture.activation, dtype=policy, name=layer.name)(x)
    x = keras.layers.Dense(CLASSES, dtype=policy, name=output.name)(x)
    logits = keras.layers.Activation("linear", dtype=floatx)(x)  # in full precision under a mixed policy
    return keras.Model(images, logits)


def _set_up_engine(engine: str, threads: int) -> bool:
    """Keras leaves threads, determinism and exact float32 to its engine; returns whether that finds a GPU."""
    if engine == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        return bool(tf.config.list_physical_devices("GPU"))
    if engine == "torch":
        import torch

        torch.set_num_threads(threads)
        torch.backends.fp32_precision = "ieee"
        torch.backends.cudnn.deterministic = True
        return torch.cuda.is_available()
    import jax

    os.environ["PJRT_NPROC"] = str(threads)  # read when JAX is first asked for its devices
    jax.config.update("jax_default_matmul_precision", "highest")
    return jax.default_backend() == "gpu"
