"""Config files: what they may say, and the shapes that follow."""

import pytest

from lenet import UserError
from lenet.architecture import CONFIGS, from_toml, load

LENET = CONFIGS["lenet"].read_text()


def test_lenet_has_the_reports_shapes():
    lenet = from_toml(LENET, "lenet")
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
    assert (lenet.activation, lenet.batch_size, lenet.learning_rate) == ("relu", 100, 1e-4)


def test_lenet5_has_the_usual_61706_parameters():
    lenet5 = load("lenet5")
    assert [layer.output for layer in lenet5.layers] == [(14, 14, 6), (5, 5, 16), (120,), (84,), (10,)]
    assert lenet5.parameters == 61_706
    assert sum(layer.multiply_adds for layer in lenet5.layers) == 117_600 + 240_000 + 48_000 + 10_080 + 840


def test_add_conv_keeps_7x7_behind_its_third_pool():
    add_conv = load("add_conv")
    assert [layer.output for layer in add_conv.layers] == [(14, 14, 32), (7, 7, 64), (7, 7, 128), (1024,), (10,)]
    assert add_conv.shapes["dense1/kernel"] == (6272, 1024)


@pytest.mark.parametrize("name", CONFIGS)
def test_resolved_config_reads_back_as_the_same(name):
    architecture = load(name)
    assert from_toml(architecture.to_toml(), "resolved") == architecture


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LENET.replace("dense =", "dnese ="), "dnese: unknown key"),
        (LENET.replace("kernel", "kernal") + "\n[x]", "x: unknown key"),
        (LENET.replace("filters = 64", "filters = 64, size = 3"), "conv[1].size: unknown key"),
        (LENET.replace("dense = [1024]", ""), "dense: missing"),
        (LENET.replace("filters = 32", ""), "conv[0].filters: missing"),
        (LENET.replace("filters = 32", "filters = '32'"), "conv[0].filters: must be a whole number, not '32'"),
        (LENET.replace("filters = 32", "filters = true"), "conv[0].filters: must be a whole number, not True"),
        (LENET.replace("filters = 32", "filters = 32.0"), "conv[0].filters: must be a whole number, not 32.0"),
        (LENET.replace("filters = 32", "filters = 0"), "conv[0].filters: must be positive"),
        (LENET.replace("filters = 32", "filters = 32, kernel = -5"), "conv[0].kernel: must be positive"),
        (LENET.replace("[1024]", "1024"), "dense: must be a list, not 1024"),
        (LENET.replace("[1024]", "['a']"), "dense[0]: must be a whole number, not 'a'"),
        (LENET.replace("[1024]", "[0]"), "dense[0]: must be positive"),
        (LENET.replace("[1024]", "[1000000000]"), "parameters; at most"),
        (LENET + "activation = 'elu'", "activation: must be one of relu, sigmoid, tanh, not 'elu'"),
        (LENET + "learning_rate = 0", "learning_rate: must be positive"),
        (LENET + "learning_rate = nan", "learning_rate: must be positive"),
        (LENET + "batch_size = 1.5", "batch_size: must be a whole number"),
        ("conv = []\ndense = [10]", "conv: at least one"),
        ("conv = [1]\ndense = [10]", "conv[0]: must be a table, not 1"),
        (
            LENET.replace("filters = 32", "filters = 32, padding = 'full'"),
            "conv[0].padding: must be one of same, valid",
        ),
        (LENET.replace("filters = 32", "filters = 32, pool = 'min'"), "conv[0].pool: must be one of max, average"),
        (LENET.replace("filters = 32", "filters = 32, pool_stride = 0"), "conv[0].pool_stride: must be positive"),
        (LENET + "initialization = 'zeros'", "initialization: must be one of truncated_normal, glorot_uniform"),
        (LENET.replace("filters = 64", "filters = 64, kernel = 15, padding = 'valid'"), "conv[1].kernel: 15 is larger"),
        ("dense = [", "Invalid"),
    ],
)
def test_a_wrong_config_is_refused_by_file_and_key(text, complaint):
    with pytest.raises(UserError) as raised:
        from_toml(text, "my.toml")
    assert str(raised.value).startswith("my.toml: ")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)
