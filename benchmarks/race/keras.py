"""Keras's simple MNIST convnet, written after its example: python -m benchmarks.race.keras SEED."""

import sys

import keras
from keras import layers

from benchmarks.race.contest import compete
from lenet import data

PASSES = 15


def main(seed: int) -> None:
    """Train with compile and fit, on the nine tenths of the images that validation_split=0.1 leaves there."""
    keras.utils.set_random_seed(seed)
    dataset = data.load()
    x_train, x_test = (images.astype("float32") / 255 for images in (dataset.train.images, dataset.test.images))
    y_train, y_test = (keras.utils.to_categorical(labels, 10) for labels in (dataset.train.labels, dataset.test.labels))
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    compete(
        lambda: model.fit(x_train[:54_000], y_train[:54_000], batch_size=128, epochs=1, verbose=0),
        lambda: float(model.evaluate(x_test, y_test, verbose=0)[1]),
        PASSES,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
