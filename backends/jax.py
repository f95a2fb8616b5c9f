"""LeNet in JAX: the state is a pytree, and a step a compiled function from one state to the next."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from backends import _engines
from backends._jax import pool
from lenet.backend import BETA1, BETA2, EPSILON_HAT, Backend, storage_dtype
from lenet.network import Network

Arrays = dict[str, Array]  # by canonical name
State = tuple[Arrays, Arrays, Arrays]  # the parameters and Adam's moments


class LeNet(Backend):
    """The parameters and Adam's moments, which every step replaces by new ones."""

    engine = "jax"

    def __init__(self, network: Network, precision: str, device: str, threads: int, label_smoothing: float = 0) -> None:
        self.device = _engines.set_up_jax(device, threads)
        self.threads, self.versions = threads, {"jax": jax.__version__}
        jax.config.update("jax_enable_x64", True)  # or float64 becomes float32
        self.place = jax.devices(self.device)[0]
        self.network, self.label_smoothing = network, label_smoothing
        self.activation = getattr(jax.nn, network.architecture.activation)
        self.compute_dtype, self.dtype = jnp.dtype(precision), jnp.dtype(storage_dtype(precision))
        self.parameters, self.first_moment, self.second_moment = (
            {name: jnp.zeros(shape, self.dtype, device=self.place) for name, shape in network.shapes.items()}
            for _ in range(3)
        )
        self.forward = jax.jit(self._forward)
        self.train_step = jax.jit(self._train_step, donate_argnums=0)  # the new state takes the old one's memory

    def assign(self, variable: Array, array: np.ndarray) -> Array:  # noqa: ARG002 - it cannot be changed
        return jax.device_put(array.astype(self.dtype), self.place)

    def to_numpy(self, variable: Array) -> np.ndarray:
        return np.array(variable)

    def train(
        self, images: np.ndarray, labels: np.ndarray, learning_rates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        metrics = []
        # Not lax.scan: inside a compiled loop XLA's convolutions are 16 times slower on a CPU.
        for batch in zip(images, labels.astype(np.int32), learning_rates, strict=True):
            state, of_step = self.train_step(self._variables(), *batch, self.step + 1)
            self.parameters, self.first_moment, self.second_moment = state
            self.step += 1
            metrics.append(of_step)  # not waited for
        cross_entropies, accuracies = np.stack(jax.device_get(metrics)).T
        return cross_entropies, accuracies

    def logits(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self.forward(self.parameters, images))

    def _train_step(
        self, state: State, images: Array, labels: Array, learning_rate: Array, step: Array
    ) -> tuple[State, Array]:
        """Make step number `step` (from 1); returns the next state, and loss and accuracy in an array.

        Images uint8 [batch, height, width, channels], labels int32 [batch].
        """

        def loss(parameters: Arrays) -> tuple[Array, Array]:
            logits = self._forward(parameters, images)
            log_probabilities = jax.nn.log_softmax(logits)
            of_labels = jnp.take_along_axis(log_probabilities, labels[:, None], axis=1)
            smoothed = (1 - self.label_smoothing) * of_labels.mean() + self.label_smoothing * log_probabilities.mean()
            return -smoothed, (logits.argmax(axis=1) == labels).mean(dtype=self.dtype)

        parameters, first, second = state
        (cross_entropy, accuracy), gradients = jax.value_and_grad(loss, has_aux=True)(parameters)
        rate = (learning_rate * jnp.sqrt(1 - BETA2**step) / (1 - BETA1**step)).astype(self.dtype)
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradients)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradients)
        parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON_HAT), parameters, first, second)
        return (parameters, first, second), jnp.stack([cross_entropy, accuracy])

    def _forward(self, parameters: Arrays, images: Array) -> Array:
        """Images uint8 [n, height, width, channels] -> logits [n, classes]."""
        weights = {name: parameter.astype(self.compute_dtype) for name, parameter in parameters.items()}
        x = (images.astype(self.dtype) / 255).astype(self.compute_dtype)  # lenet: [n, 28, 28, 1]
        for layer in self.network.conv_layers:
            kernel, padding = weights[f"{layer.name}/kernel"], layer.conv.padding.upper()
            x = lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = x + weights[f"{layer.name}/bias"]
            if layer.conv.pool == "max":  # the activation is monotonic: after the pool it is a quarter of the work
                x = self.activation(pool(x, layer.conv))
            else:
                x = pool(self.activation(x), layer.conv)
            # [n, *layer.output]; lenet: [n, 14, 14, 32], then [n, 7, 7, 64]
        x = x.reshape(len(x), -1)  # [n, height * width * channels]; lenet: [n, 3136]
        *hidden, output = self.network.dense_layers
        for dense in hidden:  # lenet: [n, 1024]
            x = self.activation(x @ weights[f"{dense.name}/kernel"] + weights[f"{dense.name}/bias"])
        x = x @ weights[f"{output.name}/kernel"] + weights[f"{output.name}/bias"]  # [n, classes]
        return x.astype(self.dtype)
