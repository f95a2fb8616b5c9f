"""Schedules and shifts: what each step is given, to the end of a run that has one, the same in every framework."""

import itertools

import jobs
import numpy as np
import pytest
import reference
from conftest import FRAMEWORKS, notices, run_folder, same_tensors
from test_parity import initial, largest_difference, same

from lenet.architecture import Architecture, Conv
from lenet.config import CONFIGS, Config, load, without_schedule
from lenet.data import load as read_data
from lenet.dataset import MNIST
from lenet.settings import Settings
from lenet.training import Training

CONFIG = """conv = [{ filters = 2 }]
dense = [5]
batch_size = 20
learning_rate = 0.01
warmup_steps = 4
decay_steps = 12
shift = 2
label_smoothing = 0.1
"""


@pytest.fixture
def config(tmp_path):
    """A config with a schedule of 12 steps, shifts and smoothed labels."""
    (tmp_path / "scheduled.toml").write_text(CONFIG)
    return tmp_path / "scheduled.toml"


def test_the_learning_rate_rises_and_falls_in_straight_lines():
    rates = Training(20, 0.4, warmup_steps=4, decay_steps=10).learning_rates(range(10))
    expected = [0.4 * 0.25, 0.4 * 0.5 * 0.9, 0.4 * 0.75 * 0.8, 0.4 * 0.7, 0.24, 0.2, 0.16, 0.12, 0.08, 0.04]
    assert rates == pytest.approx(expected, rel=1e-15)
    parts = [Training(20, 0.4, 4, 10).learning_rates(range(*ends)) for ends in ((0, 3), (3, 4), (4, 10))]
    assert np.concatenate(parts).tolist() == rates.tolist()
    assert Training(20, 0.4, warmup_steps=2).learning_rates(range(4)).tolist() == [0.2, 0.4, 0.4, 0.4]
    assert Training(20, 0.4, decay_steps=4).learning_rates(range(4)) == pytest.approx([0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("shape", [(28, 28, 1), (7, 10, 3)])
def test_each_image_is_moved_at_random_and_its_edge_repeated(shape):
    images = np.random.default_rng(2).integers(0, 256, (3, 40, *shape), np.uint8)
    training = Training(40, shift=2)
    moved = training.shifted(images, range(5, 8), seed=3)
    assert (moved.shape, moved.dtype) == (images.shape, np.uint8)
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    found = []
    for image, result in zip(images.reshape(-1, *shape), moved.reshape(-1, *shape), strict=True):
        # The pixels that a move by (down, right) takes; those outside are the nearest ones inside.
        candidates = {
            (down, right): image[(rows + down).clip(0, len(rows) - 1)][:, (columns + right).clip(0, len(columns) - 1)]
            for down, right in itertools.product(range(-2, 3), repeat=2)
        }
        (offset,) = (offset for offset, candidate in candidates.items() if (candidate == result).all())
        found.append(offset)
    assert {*found} == {*itertools.product(range(-2, 3), repeat=2)}
    assert found[:40] != found[40:80]
    # From the seed and the step alone, the same in every version.
    assert (training.shifted(images[1:2], range(6, 7), seed=3) == moved[1:2]).all()
    assert (training.shifted(images, range(5, 8), seed=4) != moved).any()
    assert found[:6] == OFFSETS
    assert Training(40).shifted(images, range(5, 8), seed=3) is images


OFFSETS = [(2, -1), (-2, 2), (-2, 0), (1, 1), (0, -2), (0, -1)]


def test_with_schedule_shifts_and_smoothing_every_framework_computes_what_numpy_does(workers):
    """float64: the cross-entropies, parameters and moments of 12 steps."""
    training = Training(20, 0.01, warmup_steps=4, decay_steps=12, shift=2)
    own = Config("x", Architecture((Conv(2),), (5,)), training)
    network, steps = Settings.of(own, MNIST).network, range(12)
    images, labels = read_data().hold_out(5_000)[0]
    indices = training.batches(steps, 0, len(images))
    batches = training.shifted(images[indices], steps, 0), labels[indices], training.learning_rates(steps)
    start = initial("float64", network)
    expected, *expected_arrays = reference.train(
        network, start.parameters, list(zip(*batches[:2], strict=True)), batches[2], label_smoothing=0.1
    )
    for framework, worker in workers.items():
        cross_entropies, state, _ = worker.do(
            jobs.train_on, framework, network, "float64", start, *batches, smoothing=0.1
        )
        assert same(cross_entropies, np.array(expected))
        for arrays, wanted in zip(state.arrays, expected_arrays, strict=True):
            assert largest_difference(arrays, wanted) <= 1e-12


def test_a_run_with_a_schedule_ends_where_it_ends_however_it_is_stopped(framework, config, small_data, tmp_path):
    def train(log_dir, *flags):
        where = ("--config", config, "--data", small_data, "--log_dir", tmp_path / log_dir)
        code, _, err = framework.run("--train", *where, *flags)
        return code, err

    assert train("whole") == (0, "")
    assert train("parts", "--train_num", 5) == (0, "")
    assert train("parts", "--load", "--train_num", 3) == (0, "")
    assert train("parts", "--load") == (0, "")
    whole, parts = (run_folder(tmp_path / name, framework.name) for name in ("whole", "parts"))
    assert same_tensors(whole, parts)
    code, err = train("parts", "--load", "--train_num", 1)
    assert (code, err.count("\n")) == (2, 1)
    assert " ends at step 12, and is at step 12; it is complete: leave --load out" in err
    code, err = train("more", "--train_num", 13)
    assert (code, "ends at step 12, and is at step 0; use --train_num 12 or less" in err) == (2, True)
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize("pair", [*itertools.combinations(FRAMEWORKS, 2)])
def test_it_goes_on_in_another_framework_in_float64(pair, workers, config, small_data, tmp_path):
    one, other = (workers[name] for name in pair)
    where = ("--config", config, "--data", small_data, "--log_dir", tmp_path, "--precision", "float64")
    assert one.run("--train", "--train_num", 6, *where)[0] == 0
    assert other.run("--train", "--load", run_folder(tmp_path, pair[0]), *where)[0] == 0
    assert one.run("--train", "--load", *where)[0] == 0
    states = [jobs.Run.at(run_folder(tmp_path, name)).checkpoint.state for name in pair]
    for arrays, wanted in zip(*(state.arrays for state in states), strict=True):
        assert largest_difference(arrays, wanted) <= 1e-12


def test_a_report_trains_it_to_its_end_beside_others(report, config, tmp_path):
    flags = ("--framework", "pytorch", "--seeds", 1)
    _, err = report(*flags, "--config", "lenet5", "--config", config, "--train_num", 8).communicate()
    name = next(path.name for path in tmp_path.glob("scheduled*/"))
    assert notices(err) == [
        f"lenet: notice: {name.partition(',')[0]} ignores --train_num: its schedule ends at step 12"
    ]
    steps = {
        path.parents[2].name: jobs.Run.at(path.parent).result["step"] for path in tmp_path.glob("*/*/*/result.json")
    }
    assert sorted(steps.values()) == [8, 12]
    assert steps[name] == 12
    assert "2 configs after 8 or 12 steps" in (tmp_path / "report/report.md").read_text()


def test_only_configs_without_a_schedule_are_in_a_report_by_default():
    scheduled = {name for name in CONFIGS if load(name).training.decay_steps}
    assert scheduled == {"fast", "accurate"}
    assert set(without_schedule()) == CONFIGS.keys() - scheduled


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ("warmup_steps = -1", "warmup_steps: must be 0 or more, not -1"),
        ("decay_steps = 4", "decay_steps: must be more than warmup_steps, 4, not 4"),
        ("shift = 28", "shift: must be less than the images' side, 28, not 28"),
        ("shift = 1.5", "shift: must be a whole number, not 1.5"),
        ("label_smoothing = 1.0", "label_smoothing: must be 0 or more, and less than 1, not 1.0"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(changed, complaint, config, small_data, tmp_path):
    key = changed.partition(" ")[0]
    lines = [changed if line.startswith(key) else line for line in CONFIG.splitlines()]
    config.write_text("\n".join(lines))
    flags = ["--describe", "--config", str(config), "--data", str(small_data), "--log_dir", str(tmp_path)]
    code, out, err = jobs.command_line(flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert complaint in err
