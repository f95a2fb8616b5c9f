"""TensorFlow's quickstart for experts, written after its tutorial: python -m benchmarks.race.tensorflow SEED."""

import sys

import tensorflow as tf

from benchmarks.race.contest import compete
from lenet import data

PASSES = 5


class MyModel(tf.keras.Model):
    """Images [n, 28, 28, 1] in [0, 1] -> logits [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = tf.keras.layers.Conv2D(32, 3, activation="relu")
        self.flatten = tf.keras.layers.Flatten()
        self.d1 = tf.keras.layers.Dense(128, activation="relu")
        self.d2 = tf.keras.layers.Dense(10)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return the logits."""
        return self.d2(self.d1(self.flatten(self.conv1(x))))


def main(seed: int) -> None:
    """Train with Adam at its default rate, a tf.function a step."""
    tf.keras.utils.set_random_seed(seed)
    dataset = data.load()
    (x_train, y_train), (x_test, y_test) = (
        ((x / 255.0).astype("float32"), y) for x, y in (dataset.train, dataset.test)
    )
    train_batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(10000).batch(32)
    test_batches = tf.data.Dataset.from_tensor_slices((x_test, y_test)).batch(32)
    model = MyModel()
    loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam()
    train_loss = tf.keras.metrics.Mean(name="train_loss")
    train_accuracy = tf.keras.metrics.SparseCategoricalAccuracy(name="train_accuracy")
    test_accuracy = tf.keras.metrics.SparseCategoricalAccuracy(name="test_accuracy")

    @tf.function
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = loss_object(labels, predictions)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        train_loss(loss)
        train_accuracy(labels, predictions)

    @tf.function
    def test_step(images: tf.Tensor, labels: tf.Tensor) -> None:
        test_accuracy(labels, model(images, training=False))

    def train_pass() -> None:
        train_loss.reset_state()
        train_accuracy.reset_state()
        for images, labels in train_batches:
            train_step(images, labels)

    def test() -> float:
        test_accuracy.reset_state()
        for images, labels in test_batches:
            test_step(images, labels)
        return float(test_accuracy.result())

    compete(train_pass, test, PASSES)


if __name__ == "__main__":
    main(int(sys.argv[1]))
