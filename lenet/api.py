"""The API: Settings and a framework -> Backend -> Trainer -> Run. It, use/export and use/formats import backends."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import backends
from lenet import config as config_file
from lenet.backend import Backend
from lenet.data import load as read_data
from lenet.dataset import MNIST, Dataset
from lenet.errors import UserError, notice, require_at_least, require_one_of
from lenet.log import DETAILS
from lenet.settings import Settings
from lenet.storage.checkpoint import Checkpoint
from lenet.storage.run import AnyPath, Run
from lenet.storage.selection import Selection
from lenet.system.machine import cores, default_threads, importing, lacks_bfloat16
from lenet.trainer import Trainer

if TYPE_CHECKING:
    from lenet.study.report import Report

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

    `steps` may be left out if the config has `decay_steps`: the run goes on to that step. `load` is a run's folder or
    a checkpoint to go on from; True is the run of this name, or else of the config's own name, if there is one.
    `changes` are new values by key of the config: {"learning_rate": 1e-3, "conv[1].kernel": 7}. Without `config`,
    `seed` and `precision` the checkpoint's hold, or lenet, 0 and float32. `data` is a path that lenet.data.load reads,
    by default MNIST; pictures are fitted to `image_size`, and `validation` images are held out. The default
    `framework` is the first that is installed; `device` is auto, cpu or gpu. `log` is how much TensorBoard gets: none,
    scalars or all. Raises UserError.
    """
    require_at_least(0 if load else 1, steps=steps)
    require_at_least(1, threads=threads, save_every=save_every, validation=validation)
    require_one_of(DETAILS, log=log)
    framework = framework or backends.installed()[0]
    which = Selection(Path(log_dir), framework, load, config, changes, seed, precision, validation)
    dataset = read_data(data, image_size=image_size, like=which.known, log_dir=log_dir)
    source, start = which.start(dataset.info, training=True)
    run = Run.of(Path(log_dir), start.settings, framework)
    advance(run, source, start, framework, dataset, steps, device, threads, save_every, log)
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
    """Test a run on the test images, which changes no run; the arguments are those of `train`.

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
    """Return the run in a folder, or of a checkpoint file, or else the run that `train` makes of the other arguments.

    UserError if it has no whole checkpoint, or one of another architecture.
    """
    framework = framework or ("" if path is not True else backends.installed()[0])
    which = Selection(Path(log_dir), framework, path, config, changes, seed, precision, validation)
    if path is not True and (data is not None or image_size is not None):
        raise UserError(f"{path}: a run knows its data; leave --data and --image_size out")
    return which.run(MNIST if data is None else read_data(data, image_size=image_size, log_dir=log_dir).info)


def report(
    config: AnyPath | Sequence[AnyPath] | None = None,
    *,
    steps: int | None = None,
    framework: str | Sequence[str] | None = None,
    seeds: int = 3,
    jobs: int | None = None,
    log_dir: AnyPath = "logs",
    data: AnyPath | None = None,
    image_size: ImageSize = None,
    validation: int | None = None,
    precision: str | None = None,
    changes: Changes = None,
    device: str = "auto",
    threads: int | None = None,
    save_every: int = 500,
    log: str = "all",
    command: Sequence[str] = ("lenet.report",),
) -> "Report":
    """Train every config in every framework for the seeds from 0 on, and compare the runs in a report.

    By default: all of configs/ without a schedule, every framework that is installed, one run at once for two cores.
    Each run is a process of its own; what is trained is not trained again. The report names its `command`. UserError.
    """
    with importing("matplotlib"):  # which nothing else needs
        from lenet.study import report as study

    require_at_least(1, steps=steps, seeds=seeds, jobs=jobs, threads=threads, save_every=save_every)
    require_one_of(DETAILS, log=log)
    dataset = read_data(data, image_size=image_size, log_dir=log_dir)
    configs = [config] if isinstance(config, str | Path) else [*(config or config_file.without_schedule())]
    frameworks = [framework] if isinstance(framework, str) else [*(framework or sorted(backends.installed()))]
    for name in frameworks:
        backends.require(name)
    given = {"precision": precision, "validation": validation}
    settings = [
        Settings.of(config_file.load(name), dataset.info, changes, seed=seed, **given)
        for seed in range(seeds)
        for name in configs
    ]
    for each in settings:
        dataset.require(each.training.batch_size, each.validation)
    jobs = jobs or max(1, cores() // 2)
    threads = threads or min(default_threads(), max(1, cores() // jobs))
    flags = {"data": data and str(data), "image_size": image_size}
    flags |= {"device": device, "threads": threads, "save_every": save_every, "log": log}
    return study.make(settings, frameworks, steps, Path(log_dir), dataset, jobs, flags, command)


def advance(
    run: Run,
    source: Run | None,
    start: Checkpoint,
    framework: str,
    dataset: Dataset,
    steps: int | None,
    device: str,
    threads: int | None,
    save_every: int,
    log: str,
) -> None:
    """Train a run `steps` further, or to its end, from the checkpoint `start` of the run `source`, or from step 0."""
    dataset.require(start.settings.training.batch_size, start.settings.validation)
    steps = start.steps_left(steps)
    trainer = Trainer(backend(start.settings, framework, device, threads), framework, dataset, start)
    with run.take(source, start.sha256):
        trainer.train(run, steps, save_every, log)


def backend(settings: Settings, framework: str | None, device: str, threads: int | None) -> Backend:
    """Import a framework, by default the first that is installed; returns its LeNet, still without a state."""
    require_at_least(1, threads=threads)
    LeNet = backends.load(framework or backends.installed()[0])  # noqa: N806 - it is a class
    smoothing = settings.training.label_smoothing
    made = LeNet(settings.network, settings.precision, device, threads or default_threads(), smoothing)
    if settings.precision == "bfloat16" and made.device == "cpu" and lacks_bfloat16():
        notice("this processor has no bfloat16 instructions, so bfloat16 will be slower than float32")
    return made
