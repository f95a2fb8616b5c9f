"""The shapes and counts that follow from a config."""

from lenet.config import load


def test_lenet_has_the_reports_shapes():
    lenet = load("lenet").architecture
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
    assert lenet.activation == "relu"
    assert vars(load("lenet").training) == {"batch_size": 100, "learning_rate": 1e-4}


def test_lenet5_has_the_usual_61706_parameters():
    lenet5 = load("lenet5").architecture
    assert [layer.output for layer in lenet5.layers] == [(14, 14, 6), (5, 5, 16), (120,), (84,), (10,)]
    assert lenet5.parameters == 61_706
    assert sum(layer.multiply_adds for layer in lenet5.layers) == 117_600 + 240_000 + 48_000 + 10_080 + 840


def test_add_conv_keeps_7x7_after_its_third_pool():
    add_conv = load("add_conv").architecture
    assert [layer.output for layer in add_conv.layers] == [(14, 14, 32), (7, 7, 64), (7, 7, 128), (1024,), (10,)]
    assert add_conv.shapes["dense1/kernel"] == (6272, 1024)
