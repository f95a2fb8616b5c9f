"""All held-out images at every save: their curve, and best.safetensors."""

import pytest

from lenet.storage.run import Run

# The images and labels are random: nothing that is learned holds for others, and the cross-entropy goes up and down.
WAVERS = ("--config", "lenet5", "--learning_rate", 0.003, "--save_every", 5)


def test_best_is_the_save_of_the_lowest_cross_entropy(train, framework, small_data):
    _, _, whole = train(25, *WAVERS, log_dir="whole")
    curve = Run.at(whole).curves["validation"]["cross_entropy"]
    assert curve.steps.tolist() == [5, 10, 15, 20, 25]
    lowest = int(curve.steps[curve.values.argmin()])
    assert lowest < 25
    best = Run.at(whole / "best.safetensors").checkpoint
    assert best.state.step == lowest
    assert (best.best.step, best.best.cross_entropy) == (lowest, pytest.approx(curve.values.min()))
    assert Run.at(whole).checkpoint.best == best.best
    code, out, err = framework.run("--test", "--load", whole / "best.safetensors", "--data_dir", small_data)
    assert (code, err) == (0, "")
    assert f" step {lowest}: " in out
    assert out.endswith(f"{whole / 'best.safetensors'}\n")

    train(15, *WAVERS, log_dir="parts")
    _, _, parts = train(10, "--load", *WAVERS, log_dir="parts")
    assert (parts / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()


@pytest.mark.one_framework
def test_a_run_from_elsewhere_takes_the_best_along_unless_other_images_are_held_out(train):
    _, _, source = train(25, *WAVERS, log_dir="source")
    known = Run.at(source).checkpoint.best
    _, _, same = train(5, "--load", source, "--learning_rate", 0.01, log_dir="same")
    assert Run.at(same).checkpoint.best == known
    assert (same / "best.safetensors").read_bytes() == (source / "best.safetensors").read_bytes()
    _, _, other = train(5, "--load", source, "--validation", 30, log_dir="other")
    assert Run.at(other).checkpoint.best.step == 30
    assert Run.at(other / "best.safetensors").checkpoint.state.step == 30
