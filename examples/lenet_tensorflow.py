"""LeNet as TensorFlow's quickstart for experts is written: python -m examples.lenet_tensorflow."""

from collections.abc import Callable

import tensorflow as tf

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
        x = self.pool1(self.conv1(x))  # [n, 14, 14, 32]
        x = self.pool2(self.conv2(x))  # [n, 7, 7, 64]
        return self.d2(self.d1(self.flatten(x)))


def train(steps: int, after_step: Callable[[], None] = lambda: None) -> MyModel:
    """Train on batches from tf.data, a tf.function a step, for one epoch of 600 steps at most."""
    x_train, y_train = data.load().train
    x_train = (x_train / 255.0).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(10000).batch(100)
    model = MyModel()
    loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam(1e-4)
    # The quickstart prints these after each epoch.
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
        after_step()
    return model


def test(model: MyModel) -> float:
    """Return the accuracy on the test images."""
    accuracy = tf.keras.metrics.SparseCategoricalAccuracy(name="test_accuracy")

    @tf.function
    def test_step(images: tf.Tensor, labels: tf.Tensor) -> None:
        accuracy(labels, model(images, training=False))

    x_test, y_test = data.load().test
    for images, labels in tf.data.Dataset.from_tensor_slices(((x_test / 255.0).astype("float32"), y_test)).batch(1000):
        test_step(images, labels)
    return float(accuracy.result())


if __name__ == "__main__":
    print(f"test accuracy {100 * test(train(600)):.2f} %")
