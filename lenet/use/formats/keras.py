"""Keras: a .keras file of its own layers, or TensorFlow's SavedModel, a folder, of the same."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from backends import _engines
from lenet.architecture import CLASSES, IMAGE_SHAPE, Architecture
from lenet.errors import UserError
from lenet.settings import Settings
from lenet.system.machine import default_threads
from lenet.system.streams import silenced_stderr
from lenet.use.formats import literal

MODEL = """\
import keras
import numpy as np

model = keras.models.load_model({name})
logits = model.predict(np.load("images.npy")[..., np.newaxis], verbose=0)  # uint8 [n, 28, 28, 1]
print(logits.argmax(axis=1).tolist())
"""
SAVED_MODEL = """\
import numpy as np
import tensorflow as tf

model = tf.saved_model.load({name})
outputs = model.serve(np.load("images.npy")[..., np.newaxis])  # uint8 [n, 28, 28, 1]
print(outputs["probabilities"].numpy().argmax(axis=1).tolist())
"""


def loading(path: Path, settings: Settings) -> str:  # noqa: ARG001 - the same for each
    """Return the lines that load the file."""
    return (MODEL if path.suffix == ".keras" else SAVED_MODEL).format(name=literal(path))


def write(path: Path, settings: Settings, parameters: Mapping[str, np.ndarray]) -> None:
    """Write the file or folder."""
    with contextlib.suppress(UserError):  # TensorFlow takes threads and precision once: as training would set them
        _engines.set_up_keras(keras.config.backend(), settings.architecture, "float32", "auto", default_threads())
    images = keras.Input(IMAGE_SHAPE, dtype="uint8")
    model = keras.Model(images, _logits(settings.architecture, images))
    for layer in settings.architecture.layers:
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
    """Images uint8 [n, 28, 28] -> logits [n, 10]."""
    batch = images[..., np.newaxis]
    if path.suffix == ".keras":
        with keras.device("cpu"):  # on a GPU float32 may be TF32
            return np.asarray(keras.models.load_model(path).predict_on_batch(batch))
    import tensorflow as tf

    model = tf.saved_model.load(str(path))  # which has the variables as long as it is there
    with tf.device("CPU"):
        return np.asarray(model.serve(batch)["logits"])


def _logits(architecture: Architecture, images: keras.KerasTensor) -> keras.KerasTensor:
    """Images uint8 [n, 28, 28, 1] -> logits [n, 10], in float32 whatever Keras's own setting is."""
    options = {"dtype": "float32"}
    places = {"data_format": "channels_last", **options}
    x = keras.layers.Rescaling(1 / 255, **options)(images)
    for layer in architecture.conv_layers:
        conv, more = layer.conv, {"activation": architecture.activation, "name": layer.name, **places}
        x = keras.layers.Conv2D(conv.filters, conv.kernel, padding=conv.padding, **more)(x)
        pool = keras.layers.MaxPooling2D if conv.pool == "max" else keras.layers.AveragePooling2D
        x = pool(conv.pool_window, conv.pool_stride, padding="same", **places)(x)
    x = keras.layers.Flatten(**places)(x)
    *hidden, output = architecture.dense_layers
    for dense in hidden:
        x = keras.layers.Dense(dense.output[0], architecture.activation, name=dense.name, **options)(x)
    return keras.layers.Dense(CLASSES, name=output.name, **options)(x)
