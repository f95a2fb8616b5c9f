"""Keras: a .keras file of its own layers, or TensorFlow's SavedModel, a folder, of the same."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from backends import _engines
from lenet.errors import UserError
from lenet.network import Network
from lenet.settings import Settings
from lenet.system.machine import default_threads
from lenet.system.streams import silenced_stderr
from lenet.use.formats import answers, literal, shape

MODEL = """\
import keras
import numpy as np

model = keras.models.load_model({name})
logits = model.predict(np.load("images.npy"){channels}, verbose=0)  # uint8 {shape}
{answers}
"""
SAVED_MODEL = """\
import numpy as np
import tensorflow as tf

model = tf.saved_model.load({name})
outputs = model.serve(np.load("images.npy"){channels})  # uint8 {shape}
{answers}
"""


def loading(path: Path, settings: Settings) -> str:
    """Return the lines that load the file."""
    text, result = (MODEL, "logits") if path.suffix == ".keras" else (SAVED_MODEL, 'outputs["probabilities"].numpy()')
    channels = "[..., np.newaxis]" if settings.data.image_shape[2] == 1 else ""
    numbers = answers(settings, f"{result}.argmax(axis=1).tolist()")
    return text.format(name=literal(path), channels=channels, shape=shape(settings, 1), answers=numbers)


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the file or folder."""
    _engines.require_pools(keras.config.backend(), settings.architecture)
    with contextlib.suppress(UserError):  # TensorFlow takes threads and precision once: as training would set them
        _engines.set_up_keras(keras.config.backend(), settings.architecture, "float32", "auto", default_threads())
    images = keras.Input(settings.data.image_shape, dtype="uint8")
    model = keras.Model(images, _logits(settings.network, images))
    for layer in settings.network.layers:
        model.get_layer(layer.name).set_weights([parameters[f"{layer.name}/{part}"] for part in ("kernel", "bias")])
    if path.suffix == ".keras":
        with silenced_stderr():  # on another engine Keras imports TensorFlow to save
            model.save(path)
        return
    if keras.config.backend() != "tensorflow":
        raise UserError("Keras writes a SavedModel only on TensorFlow; set KERAS_BACKEND=tensorflow")
    outputs = {"logits": model.output, "probabilities": keras.layers.Softmax(dtype="float32")(model.output)}
    import tensorflow as tf

    try:
        keras.Model(images, outputs).export(path, format="tf_saved_model", verbose=False)
    except tf.errors.OpError as error:  # such as a full disk
        raise OSError(error.message) from None


def logits(path: Path, settings: Settings, images: np.ndarray) -> np.ndarray:  # noqa: ARG001
    """Images uint8 [n, height, width, channels] -> logits [n, classes]."""
    if path.suffix == ".keras":
        with keras.device("cpu"):  # on a GPU float32 may be TF32
            return np.asarray(keras.models.load_model(path).predict_on_batch(images))
    import tensorflow as tf

    model = tf.saved_model.load(str(path))  # which has the variables as long as it is there
    with tf.device("CPU"):
        return np.asarray(model.serve(images)["logits"])


def _logits(network: Network, images: keras.KerasTensor) -> keras.KerasTensor:
    """Images uint8 [n, height, width, channels] -> logits [n, classes], in float32 whatever Keras's own setting is."""
    activation, options = network.architecture.activation, {"dtype": "float32"}
    places = {"data_format": "channels_last", **options}
    x = keras.layers.Rescaling(1 / 255, **options)(images)
    for layer in network.conv_layers:
        conv, more = layer.conv, {"activation": activation, "name": layer.name, **places}
        x = keras.layers.Conv2D(conv.filters, conv.kernel, padding=conv.padding, **more)(x)
        pool = keras.layers.MaxPooling2D if conv.pool == "max" else keras.layers.AveragePooling2D
        x = pool(conv.pool_window, conv.pool_stride, padding="same", **places)(x)
    x = keras.layers.Flatten(**places)(x)
    *hidden, output = network.dense_layers
    for dense in hidden:
        x = keras.layers.Dense(dense.output[0], activation, name=dense.name, **options)(x)
    return keras.layers.Dense(network.classes, name=output.name, **options)(x)
