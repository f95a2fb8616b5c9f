"""LeNet as Keras's MNIST example is written: python -m examples.lenet_keras.

The official one has another network, dropout and a validation split.
"""

from collections.abc import Callable

import keras
from keras import layers

from lenet import data


def train(steps: int, after_step: Callable[[], None] = lambda: None) -> keras.Model:
    """Train with compile and fit, for one epoch of 600 steps at most."""
    images, labels = data.load().train
    x_train = images.astype("float32") / 255
    y_train = keras.utils.to_categorical(labels, 10)
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(5, 5), padding="same", activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),  # [n, 14, 14, 32]
            layers.Conv2D(64, kernel_size=(5, 5), padding="same", activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),  # [n, 7, 7, 64]
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    adam = keras.optimizers.Adam(learning_rate=1e-4)
    model.compile(loss="categorical_crossentropy", optimizer=adam, metrics=["accuracy"])
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: after_step())  # noqa: ARG005
    model.fit(x_train, y_train, batch_size=100, epochs=1, steps_per_epoch=steps, verbose=0, callbacks=[callback])
    return model


def test(model: keras.Model) -> float:
    """Return the accuracy on the test images."""
    images, labels = data.load().test
    y_test = keras.utils.to_categorical(labels, 10)
    _, accuracy = model.evaluate(images.astype("float32") / 255, y_test, verbose=0)
    return float(accuracy)


if __name__ == "__main__":
    print(f"test accuracy {100 * test(train(600)):.2f} %")
