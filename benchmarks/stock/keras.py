"""LeNet as Keras's MNIST example trains: float32 images, a Sequential model, compile, fit."""

import sys

import keras
from keras import layers

from benchmarks.stock.stopwatch import BATCH_SIZE, Stopwatch
from lenet import data


class Lap(keras.callbacks.Callback):
    """Tells the stopwatch of every step."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__()
        self.stopwatch = stopwatch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """One more step is done."""
        self.stopwatch.lap()


def train(steps: int) -> None:
    """Train on the first examples, as many as the steps take."""
    stopwatch = Stopwatch()
    images, labels = data.load().train
    x_train = (images.astype("float32") / 255)[: steps * BATCH_SIZE]
    y_train = keras.utils.to_categorical(labels, 10)[: steps * BATCH_SIZE]
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(5, 5), padding="same", activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(5, 5), padding="same", activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    adam = keras.optimizers.Adam(learning_rate=1e-4)
    model.compile(loss="categorical_crossentropy", optimizer=adam, metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=BATCH_SIZE, epochs=1, verbose=0, callbacks=[Lap(stopwatch)])
    stopwatch.report()


if __name__ == "__main__":
    train(int(sys.argv[1]))
