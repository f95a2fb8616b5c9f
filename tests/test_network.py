"""The shapes and counts that follow from a config and the data's shape."""

import dataclasses

import pytest

from lenet import UserError
from lenet.config import load
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.training import Training


def network(config, image_shape=MNIST.image_shape, classes=10):
    names = tuple(map(str, range(classes)))
    return Settings.of(load(config), dataclasses.replace(MNIST, image_shape=image_shape, classes=names)).network


def test_lenet_has_the_reports_shapes():
    lenet = network("lenet")
    assert lenet.shapes == {
        "conv1/kernel": (5, 5, 1, 32),
        "conv1/bias": (32,),
        "conv2/kernel": (5, 5, 32, 64),
        "conv2/bias": (64,),
        "dense1/kernel": (3136, 1024),
        "dense1/bias": (1024,),
        "output/kernel": (1024, 10),
        "output/bias": (10,),
    }
    assert [layer.output for layer in lenet.layers] == [(14, 14, 32), (7, 7, 64), (1024,), (10,)]
    assert lenet.parameters == 3_274_634
    assert lenet.architecture.activation == "relu"
    assert load("lenet").training == Training(100, 1e-4, warmup_steps=0, decay_steps=0, shift=0)


def test_lenet5_has_the_usual_61706_parameters():
    lenet5 = network("lenet5")
    assert [layer.output for layer in lenet5.layers] == [(14, 14, 6), (5, 5, 16), (120,), (84,), (10,)]
    assert lenet5.parameters == 61_706
    assert sum(layer.multiply_adds for layer in lenet5.layers) == 117_600 + 240_000 + 48_000 + 10_080 + 840


def test_add_conv_keeps_7x7_after_its_third_pool():
    add_conv = network("add_conv")
    assert [layer.output for layer in add_conv.layers] == [(14, 14, 32), (7, 7, 64), (7, 7, 128), (1024,), (10,)]
    assert add_conv.shapes["dense1/kernel"] == (6272, 1024)


def test_the_datas_shape_and_classes_make_the_first_and_the_last_layer():
    colour = network("lenet", (32, 24, 3), 47)
    assert colour.shapes["conv1/kernel"] == (5, 5, 3, 32)
    assert [layer.output for layer in colour.layers] == [(16, 12, 32), (8, 6, 64), (1024,), (47,)]
    assert colour.shapes["dense1/kernel"] == (8 * 6 * 64, 1024)
    assert colour.conv_layers[0].multiply_adds == 32 * 24 * 75 * 32
    lenet5 = network("lenet5", (32, 32, 1))  # whose second convolution has no padding
    assert [layer.convolved for layer in lenet5.conv_layers] == [(32, 32, 6), (12, 12, 16)]


@pytest.mark.parametrize(
    ("shape", "complaint"), [((4, 9, 1), "larger than the image"), ((3, 3, 1), "at most 3, the si")]
)
def test_an_architecture_too_large_for_the_images_is_refused(shape, complaint):
    with pytest.raises(UserError, match=complaint):
        network("lenet5", shape)
