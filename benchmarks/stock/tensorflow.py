"""LeNet as TensorFlow's quickstart for experts trains: tf.data, a subclassed tf.keras model, a tf.function a step."""

import sys

import tensorflow as tf

from benchmarks.stock.stopwatch import BATCH_SIZE, Stopwatch
from lenet import data


class MyModel(tf.keras.Model):
    """Images [n, 28, 28, 1] in [0, 1] -> logits [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = tf.keras.layers.Conv2D(32, 5, padding="same", activation="relu")
        self.pool1 = tf.keras.layers.MaxPooling2D()
        self.conv2 = tf.keras.layers.Conv2D(64, 5, padding="same", activation="relu")
        self.pool2 = tf.keras.layers.MaxPooling2D()
        self.flatten = tf.keras.layers.Flatten()
        self.d1 = tf.keras.layers.Dense(1024, activation="relu")
        self.d2 = tf.keras.layers.Dense(10)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return the logits."""
        x = self.pool1(self.conv1(x))
        x = self.pool2(self.conv2(x))
        return self.d2(self.d1(self.flatten(x)))


def train(steps: int) -> None:
    """Train on batches from tf.data."""
    stopwatch = Stopwatch()
    x_train, y_train = data.load().train
    x_train = (x_train / 255.0).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(10000).batch(BATCH_SIZE)
    model = MyModel()
    loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam(1e-4)
    train_loss = tf.keras.metrics.Mean(name="train_loss")
    train_accuracy = tf.keras.metrics.SparseCategoricalAccuracy(name="train_accuracy")

    @tf.function
    def train_step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            predictions = model(images, training=True)
            loss = loss_object(labels, predictions)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        train_loss(loss)
        train_accuracy(labels, predictions)

    for images, labels in batches.take(steps):
        train_step(images, labels)
        stopwatch.lap()
    stopwatch.report()


if __name__ == "__main__":
    train(int(sys.argv[1]))
