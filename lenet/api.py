"""The API of a run: Settings and a framework -> Backend -> Trainer -> Run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import backends
from lenet.backend import Backend
from lenet.data import load as read_data
from lenet.dataset import MNIST, Dataset
from lenet.errors import UserError, notice, require_at_least, require_one_of
from lenet.log import DETAILS
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import AnyPath, Run
from lenet.storage.selection import Selection
from lenet.system.machine import default_threads, lacks_bfloat16
from lenet.trainer import Trainer

Changes = Mapping[str, Any] | None
ImageSize = int | tuple[int, int] | None


def train(
    config: AnyPath | None = None,
    *,
    steps: int | None = None,
    framework: str | None = None,
    load: AnyPath | bool = False,
    log_dir: AnyPath = "logs",
    data: AnyPath | None = None,
    image_size: ImageSize = None,
    validation: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    changes: Changes = None,
    device: str = "auto",
    threads: int | None = None,
    save_every: int = 500,
    log: str = "all",
) -> Run:
    """Train a config, named or given by the path of its file, test it, and return its run.

    `steps` may be left out if the config has `decay_steps`: the run ends at that step. `load` is a run's folder or a
    checkpoint to continue. True is the run that the arguments name, or else the config's own run; without either,
    training starts at step 0. `changes` are new values by key of the config: {"learning_rate": 1e-3,
    "conv[1].kernel": 7}. `config`, `seed` and `precision` default to the checkpoint's, or to lenet, 0 and float32.
    `data` is a path that lenet.data.load reads, by default MNIST. Pictures are fitted to `image_size`, and `validation`
    images are held out. The default `framework` is the first that is installed; `device` is auto, cpu or gpu. `log` is
    what is logged for TensorBoard: none, scalars or all. Raises UserError.
    """
    require_at_least(0 if load else 1, steps=steps)
    require_at_least(1, threads=threads, save_every=save_every, validation=validation)
    require_one_of(DETAILS, log=log)
    framework = framework or backends.installed()[0]
    which = Selection(Path(log_dir), framework, load, config, changes, seed, precision, validation)
    dataset = read_data(data, image_size=image_size, like=which.known, log_dir=log_dir)
    source, start = which.start(dataset.info, training=True)
    run = Run.of(Path(log_dir), start.settings, framework)
    steps = start.steps_left(steps)
    if not steps and not start.state.step:
        raise UserError("at step 0 there is nothing to test; use --train_num 1 or more")
    made = trainer(start, framework, dataset, device, threads)
    with run.lock():
        run.make_ready(source, start)
        made.train(run, steps, save_every, log)
    return run


def test(
    config: AnyPath | None = None,
    *,
    framework: str | None = None,
    load: AnyPath | bool = True,
    log_dir: AnyPath = "logs",
    data: AnyPath | None = None,
    image_size: ImageSize = None,
    validation: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    changes: Changes = None,
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Test a run on the test images without changing it; the arguments are those of `train`.

    With the path of a run, `data` needs no training images. Returns what result.json has, with the test's speed, and
    the `checkpoint` that was tested. Raises UserError.
    """
    require_at_least(1, threads=threads)
    framework = framework or backends.installed()[0]
    which = Selection(Path(log_dir), framework, load, config, changes, seed, precision, validation)
    test_only = load is not True  # the run's name has digits of the training images, too
    dataset = read_data(data, image_size=image_size, like=which.known, log_dir=log_dir, test_only=test_only)
    source, start = which.start(dataset.info, training=False)
    result, _ = Trainer(backend(start.settings, framework, device, threads), framework, dataset, start).test()
    return result | {"checkpoint": str(source.path if source else "")}


def load(
    path: AnyPath | Literal[True] = True,
    *,
    config: AnyPath | None = None,
    framework: str | None = None,
    log_dir: AnyPath = "logs",
    data: AnyPath | None = None,
    image_size: ImageSize = None,
    validation: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    changes: Changes = None,
) -> Run:
    """Return the run at `path`, a folder or a checkpoint; without a path, the run that `train` makes of the arguments.

    UserError if it has no complete checkpoint, or if an argument differs from its settings.
    """
    framework = framework or ("" if path is not True else backends.installed()[0])
    which = Selection(Path(log_dir), framework, path, config, changes, seed, precision, validation)
    if path is not True and (data is not None or image_size is not None):
        raise UserError(f"{path}: the run already names its data; remove --data and --image_size")
    return which.run(MNIST if data is None else read_data(data, image_size=image_size, log_dir=log_dir).info)


def trainer(start: Checkpoint, framework: str, dataset: Dataset, device: str, threads: int | None) -> Trainer:
    """Return what goes on from a checkpoint; UserError if the data has too few images for its batches."""
    dataset.require(start.settings.training.batch_size, start.settings.validation)
    return Trainer(backend(start.settings, framework, device, threads), framework, dataset, start)


def backend(settings: Settings, framework: str | None, device: str, threads: int | None) -> Backend:
    """Import a framework, by default the first that is installed; returns its LeNet, still without a state."""
    require_at_least(1, threads=threads)
    LeNet = backends.load(framework or backends.installed()[0])  # noqa: N806 - it is a class
    smoothing = settings.training.label_smoothing
    made = LeNet(settings.network, settings.precision, device, threads or default_threads(), smoothing)
    if settings.precision == "bfloat16" and made.device == "cpu" and lacks_bfloat16():
        notice("this processor has no bfloat16 instructions, so bfloat16 will be slower than float32")
    return made
