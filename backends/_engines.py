"""What the backends share: how each engine is set up, and what is faster on TensorFlow than its own form."""

import functools
import os
from collections.abc import Callable
from typing import Any

from lenet.architecture import Architecture
from lenet.backend import BETA1, BETA2, EPSILON_HAT
from lenet.errors import UserError
from lenet.system.machine import choose_device

_threads_of_jax: dict[int, int] = {}  # process -> the threads at its first use


def set_up_tensorflow(device: str, threads: int, name: str = "TensorFlow") -> str:
    """Set threads, determinism and exact float32; returns the device: cpu or gpu."""
    import tensorflow as tf

    device = choose_device(device, lambda: bool(tf.config.get_visible_devices("GPU")), name)
    try:
        if device == "cpu":
            tf.config.set_visible_devices([], "GPU")  # or TensorFlow would take memory on each
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        text = f"{name} cannot change its device or threads after its first use; start a new process ({error})"
        raise UserError(text) from None
    tf.get_logger().setLevel("ERROR")  # in a notebook it warns of several runs: each compiles its own functions
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # on a GPU float32 would be TF32
    return device


def set_up_torch(device: str, threads: int, name: str = "PyTorch") -> str:
    """Set threads, determinism and exact float32; returns the device: cpu or gpu."""
    import torch

    device = choose_device(device, torch.cuda.is_available, name)
    torch.set_num_threads(threads)
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]  # of all operations
    # TF32 by default; in torch 2.11 the line above does not change it.
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = True
    return device


def set_up_jax(device: str, threads: int, name: str = "JAX") -> str:
    """Set threads and exact float32; returns the device: cpu or gpu."""
    import jax

    if _threads_of_jax.setdefault(os.getpid(), threads) != threads:
        raise UserError(f"{name} cannot change its threads after its first use; start a new process")
    # Both are read when JAX is first asked for its devices.
    os.environ["PJRT_NPROC"] = str(threads)
    if "xla_gpu_deterministic_ops" not in (flags := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true"
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")  # or JAX would open a GPU
    jax.config.update("jax_default_matmul_precision", "highest")  # on a GPU float32 would be TF32
    return choose_device(device, lambda: jax.default_backend() == "gpu", name)


def require_pools(engine: str, architecture: Architecture) -> None:
    """Raise UserError for a pool that Keras computes otherwise on this engine."""
    averaged = [conv.pool_window for conv in architecture.conv if conv.pool == "average"]
    if engine == "torch" and max(averaged, default=0) > 2:
        raise UserError("Keras on torch counts edge pixels twice in a wide average-pool; set KERAS_BACKEND=tensorflow")


def set_up_keras(engine: str, architecture: Architecture, precision: str, device: str, threads: int) -> str:
    """Set up Keras's engine; returns the device. UserError if Keras cannot train this on it."""
    import keras

    require_pools(engine, architecture)
    if precision == "float64" and keras.backend.result_type("float64", "float32") != "float64":
        raise UserError(f"Keras on {engine} rounds float64 to float32; set KERAS_BACKEND=tensorflow")
    set_up = {"tensorflow": set_up_tensorflow, "torch": set_up_torch, "jax": set_up_jax}[engine]
    return set_up(device, threads, f"Keras on {engine}")


def train_function(
    train_step: Callable[[Any, Any, Any], tuple[Any, Any]], image_shape: tuple[int, ...], dtype: Any
) -> Any:
    """Return a tf.function that makes one step on each batch.

    Images uint8 [steps, batch, *image_shape], labels int32 [steps, batch], learning rates [steps] -> cross-entropies
    and accuracies [steps]; train_step does the same for one batch.
    """
    import tensorflow as tf

    signature = [
        tf.TensorSpec([None, None, *image_shape], tf.uint8),
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None], dtype),
    ]

    train_step = tf.autograph.experimental.do_not_convert(train_step)  # only the loop below is one of TensorFlow's

    @tf.function(input_signature=signature, jit_compile=False)  # XLA's convolutions are slower on a CPU
    def train_steps(images: Any, labels: Any, learning_rates: Any) -> tuple[Any, Any]:
        steps = tf.shape(labels)[0]
        cross_entropies, accuracies = tf.TensorArray(dtype, steps), tf.TensorArray(dtype, steps)
        for i in tf.range(steps):
            cross_entropy, accuracy = train_step(images[i], labels[i], learning_rates[i])
            cross_entropies = cross_entropies.write(i, cross_entropy)
            accuracies = accuracies.write(i, accuracy)
        return cross_entropies.stack(), accuracies.stack()

    return train_steps


def fused_adam(step: Any, variable: Any, first: Any, second: Any, learning_rate: Any, gradient: Any) -> None:
    """Make Adam's step number `step` (from 1) on one variable and its moments, with TensorFlow's one kernel for it.

    Keras's ten separate operations take a tenth of a training step more.
    """
    import tensorflow as tf

    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=first.handle,
        v=second.handle,
        beta1_power=BETA1**step,
        beta2_power=BETA2**step,
        lr=learning_rate,
        beta1=BETA1,
        beta2=BETA2,
        epsilon=EPSILON_HAT,
        grad=gradient,
    )


@functools.cache
def fast_matmul() -> Callable[[Any, Any], Any]:
    """Return tf.matmul for x [n, in] and a kernel [in, out], with a faster gradient on several threads of a CPU."""
    import tensorflow as tf

    @tf.custom_gradient
    def matmul(x: Any, kernel: Any) -> Any:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            # TensorFlow's own, upstream times the transposed kernel, takes 6 % more of a float32 step.
            of_x = tf.transpose(tf.matmul(kernel, upstream, transpose_b=True))
            return of_x, tf.matmul(x, upstream, transpose_a=True)

        return tf.matmul(x, kernel), gradients

    faster: Callable[[Any, Any], Any] = matmul
    return faster
