"""Config files, their names, and changes of their keys."""

import dataclasses
import itertools
import random

import pytest

from lenet import UserError, dataset
from lenet.config import CONFIGS, load, to_toml
from lenet.settings import MAXIMUM_NAME_BYTES, Settings

LENET = CONFIGS["lenet"].read_text()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_resolved_config_reads_back_as_the_same(name, tmp_path):
    config, path = load(name), tmp_path / "resolved.toml"
    path.write_text(to_toml(config.architecture, config.training))
    assert (load(path).architecture, load(path).training) == (config.architecture, config.training)


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
        (LENET + "\nactivation = 'elu'", "activation: must be one of relu, sigmoid, tanh, not 'elu'"),
        (LENET + "\nlearning_rate = 0", "learning_rate: must be positive"),
        (LENET + "\nlearning_rate = nan", "learning_rate: must be positive"),
        (LENET + "\nbatch_size = 1.5", "batch_size: must be a whole number"),
        ("conv = []\ndense = [10]", "conv: at least one"),
        ("conv = [1]\ndense = [10]", "conv[0]: must be a table, not 1"),
        (
            LENET.replace("filters = 32", "filters = 32, padding = 'full'"),
            "conv[0].padding: must be one of same, valid",
        ),
        (LENET.replace("filters = 32", "filters = 32, pool = 'min'"), "conv[0].pool: must be one of max, average"),
        (LENET.replace("filters = 32", "filters = 32, pool_stride = 0"), "conv[0].pool_stride: must be positive"),
        (LENET + "\ninitialization = 'zeros'", "initialization: must be one of truncated_normal, glorot_uniform"),
        ("dense = [", "Invalid"),
        (LENET.replace("0.9736", "true"), "reported_accuracy: must be a number, not True"),
        (LENET.replace("description =", "about ="), "about: unknown key"),
    ],
)
def test_a_wrong_config_is_refused_by_file_and_key(text, complaint, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LENET.replace("[1024]", "[1000000000]"), "parameters; at most 100,000,000 are allowed"),
        (LENET.replace("filters = 64", "filters = 64, kernel = 15, padding = 'valid'"), "conv[1].kernel: 15 is larger"),
        (LENET.replace("filters = 32", "filters = 32, kernel = 29"), "conv[0].kernel: must be at most 28, the size"),
    ],
)
def test_a_config_that_does_not_suit_the_data_is_refused_with_it(text, complaint, tmp_path):
    (tmp_path / "my.toml").write_text(text)
    config = load(tmp_path / "my.toml")
    with pytest.raises(UserError) as raised:
        Settings.of(config, dataset.MNIST)
    assert str(raised.value).startswith(f"config {config.name} on mnist: ")
    assert complaint in str(raised.value)
    large = dataclasses.replace(dataset.MNIST, image_shape=(64, 48, 1))
    if "parameters" not in complaint:
        assert Settings.of(config, large).network.conv_layers


def test_the_2017_reports_figures_are_in_the_configs():
    reported = {name: load(name).reported_accuracy for name in CONFIGS}
    assert reported == {
        "lenet": 0.9736,
        "add_conv": 0.9638,
        "change_conv_size": 0.9733,
        "change_conv_number": 0.968,
        "change_activation": 0.8693,
        "change_fc_size": 0.9584,
        "add_fc": 0.967,
        "lenet5": None,
        "fast": None,
        "accurate": None,
    }
    assert all(load(name).description.endswith(".") for name in CONFIGS)


def settings(changes, config="lenet", **fields):
    own = load(config)
    base = Settings(own.architecture, own.training, dataset.MNIST, "float32", 0, own)
    return base.changed(changes, **fields)


OTHER = dataset.DatasetInfo("fashion-mnist~1a2b3c", "00", "11")


@pytest.mark.parametrize(
    ("changes", "fields", "name"),
    [
        ({}, {}, "lenet"),
        ({"learning_rate": "1e-3"}, {}, "lenet,learning_rate=0.001"),
        ({"learning_rate": ".001"}, {}, "lenet,learning_rate=0.001"),
        ({"learning_rate": "1e-4"}, {"seed": 7}, "lenet"),
        ({"dense": "[256]"}, {}, "lenet,dense=[256]"),
        ({"dense": [256, 128], "activation": "tanh"}, {}, "lenet,dense=[256,128],activation=tanh"),
        ({"activation": '"tanh"'}, {}, "lenet,activation=tanh"),
        ({"conv[1].kernel": "7"}, {}, "lenet,conv[1].kernel=7"),
        ({"conv.1.kernel": 7, "conv.0.pool": "average"}, {}, "lenet,conv[0].pool=average,conv[1].kernel=7"),
        ({}, {"data": OTHER, "precision": "bfloat16"}, "lenet,data=fashion-mnist~1a2b3c,precision=bfloat16"),
    ],
)
def test_a_run_is_named_after_what_differs_from_its_config(changes, fields, name):
    assert settings(changes, **fields).variant == name


def test_a_long_name_ends_in_a_hash_and_no_two_settings_share_one():
    keys = {f"conv[{i}].{key}": value for i in (0, 1) for key, value in (("kernel", 7), ("pool", "average"))}
    keys |= {"conv": "[{ filters = 3 }]", "dense": "[1, 2, 3]", "activation": "tanh", "batch_size": 7}
    names = set()
    for chosen in itertools.chain.from_iterable(itertools.combinations(keys, n) for n in range(len(keys) + 1)):
        if "conv" in chosen and any(key.startswith("conv[") for key in chosen):
            continue
        one = settings({key: keys[key] for key in chosen}, data=OTHER).variant
        assert len(one.encode()) <= MAXIMUM_NAME_BYTES
        assert one not in names
        names.add(one)
    assert any(len(name.encode()) == MAXIMUM_NAME_BYTES and name[-7] == "~" for name in names)


def test_no_two_random_settings_share_a_name():
    generator, names = random.Random(5), {}
    values = {
        **{
            f"conv[{i}].{key}": some
            for i in (0, 1)
            for key, some in (("filters", [3, 31]), ("pool", ["max", "average"]))
        },
        **{"dense": [[], [1, 2], [12], [1024]], "activation": ["relu", "tanh"], "batch_size": [1, 10, 100]},
        **{"learning_rate": [1e-4, 1e-3, 1.0, 10], "initialization": ["glorot_uniform", "truncated_normal"]},
    }
    data = [dataset.MNIST, OTHER, dataset.DatasetInfo("lenet~1a2b3c", "00", "22")]
    for _ in range(300):
        changes = {key: generator.choice(some) for key, some in values.items() if generator.random() < 0.4}
        fields = {"data": generator.choice(data), "precision": generator.choice(["float32", "float64"])}
        one = settings(changes, generator.choice(["lenet", "lenet5", "change_activation"]), **fields)
        assert names.setdefault(one.variant, one) == one
    assert len(names) > 200


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lerning_rate": 1}, "lerning_rate: unknown key; the known ones are conv, dense, activation"),
        ({"conv[1].kernal": 3}, "conv[1].kernal: unknown key; the known ones are filters, kernel"),
        ({"conv[2].kernel": 3}, "conv[2].kernel: the config has no such key"),
        ({"conv.x.kernel": 3}, "conv.x.kernel: the config has no such key"),
        ({"dense.kernel": 3}, "dense.kernel: the config has no such key"),
        ({"": 3}, ": unknown key"),
        ({"learning_rate": "fast"}, "learning_rate: must be a number, not 'fast'"),
        ({"learning_rate": "nan"}, "learning_rate: must be positive and finite, not nan"),
        ({"batch_size": 1.5}, "batch_size: must be a whole number, not 1.5"),
        ({"activation": "elu"}, "activation: must be one of relu, sigmoid, tanh, not 'elu'"),
        ({"conv[0].kernel": 99}, "conv[0].kernel: must be at most 28"),
    ],
)
def test_a_wrong_change_is_refused_by_key(changes, complaint):
    with pytest.raises(UserError) as raised:
        settings(changes)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_config_by_path_is_named_after_its_file_and_its_values(tmp_path):
    path = tmp_path / "my config.toml"
    path.write_text("conv = [{ filters = 3 }]\ndense = [7]")
    name = load(path).name
    assert name.startswith("my_config~")
    path.write_text('description = "The same."\nconv = [{ filters = 3, kernel = 5 }]  # too\ndense = [7]')
    assert load(str(path)).name == name
    path.write_text("conv = [{ filters = 3 }]\ndense = [8]")
    assert load(path).name != name
    assert load(CONFIGS["lenet"]).name == "lenet"
    assert load(str(CONFIGS["lenet"])) == load("lenet")


def test_a_config_that_is_no_text_or_not_there_is_named(tmp_path):
    (tmp_path / "latin.toml").write_bytes("# é".encode("latin-1"))
    with pytest.raises(UserError, match=f"{tmp_path / 'latin.toml'}: cannot be read"):
        load(tmp_path / "latin.toml")
    with pytest.raises(UserError, match=f"there is no file {tmp_path / 'addconv.toml'}; did you mean add_conv\\?"):
        load(tmp_path / "addconv.toml")
    with pytest.raises(UserError, match=r"there is no config 'lenett'.*did you mean lenet\?"):
        load("lenett")
