"""The API: Settings and a framework -> Backend -> Trainer -> Run. The one module here that imports backends."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backends
from lenet import config as config_file
from lenet import dataset
from lenet.dataset import Dataset
from lenet.errors import UserError, importing, notice, require_at_least
from lenet.settings import Settings, difference, flat
from lenet.storage.checkpoint import MAXIMUM_STEP, Checkpoint
from lenet.storage.run import Run
from lenet.system.machine import cores, default_threads, lacks_bfloat16
from lenet.trainer import Trainer

if TYPE_CHECKING:
    from lenet.study.report import Report

AnyPath = str | Path
Changes = Mapping[str, Any] | None


def train(
    config: AnyPath | None = None,
    *,
    steps: int,
    framework: str | None = None,
    load: AnyPath | bool = False,
    log_dir: AnyPath = "logs",
    data_dir: AnyPath | None = None,
    seed: int | None = None,
    precision: str | None = None,
    changes: Changes = None,
    device: str = "auto",
    threads: int | None = None,
    save_every: int = 500,
) -> Run:
    """Train a config, named or given by the path of its file, test it, and return its run.

    `load` is a run's folder or a checkpoint to go on from; True is the run of this name, or else of the config's own
    name, if there is one. `changes` are new values by key of the config: {"learning_rate": 1e-3, "conv[1].kernel": 7}.
    Without `config`, `seed` and `precision` the checkpoint's hold, or lenet, 0 and float32. The default `framework` is
    the first of pytorch, tensorflow and keras that is installed. `device` is auto, cpu or gpu. Raises UserError.
    """
    require_at_least(0 if load else 1, steps=steps)
    require_at_least(1, threads=threads, save_every=save_every)
    framework = framework or backends.installed()[0]
    data = dataset.load(data_dir)
    source, start = _start(Path(log_dir), framework, data, load, config, changes, True, seed=seed, precision=precision)
    run = Run.of(Path(log_dir), start.settings, framework)
    advance(run, source, start, framework, data, steps, device, threads, save_every)
    return run


def test(
    config: AnyPath | None = None,
    *,
    framework: str | None = None,
    load: AnyPath | bool = True,
    log_dir: AnyPath = "logs",
    data_dir: AnyPath | None = None,
    seed: int | None = None,
    precision: str | None = None,
    changes: Changes = None,
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Test a run on the test images, and write nothing; the arguments are those of `train`.

    Returns what result.json has, with the test's speed, and the `checkpoint` that was tested. Raises UserError.
    """
    require_at_least(1, threads=threads)
    framework = framework or backends.installed()[0]
    data = dataset.load(data_dir)
    source, start = _start(Path(log_dir), framework, data, load, config, changes, False, seed=seed, precision=precision)
    result, _ = _trainer(framework, data, start, device, threads).test()
    return result | {"checkpoint": str(source.path if source else "")}


def load(path: AnyPath) -> Run:
    """Return the run in a folder, or of a checkpoint file; UserError if it has no whole checkpoint."""
    run = Run.at(Path(path))
    _ = run.checkpoint
    return run


def report(
    config: AnyPath | Sequence[AnyPath] | None = None,
    *,
    steps: int,
    framework: str | Sequence[str] | None = None,
    seeds: int = 3,
    jobs: int | None = None,
    log_dir: AnyPath = "logs",
    data_dir: AnyPath | None = None,
    precision: str | None = None,
    changes: Changes = None,
    device: str = "auto",
    threads: int | None = None,
    save_every: int = 500,
    command: Sequence[str] = ("lenet.report",),
) -> "Report":
    """Train every config in every framework for the seeds from 0 on, and compare the runs in a report.

    By default: all of configs/, every framework that is installed, one run at once for two cores. Each run is a process
    of its own; what is trained is not trained again. The report names the `command` that made it. Raises UserError.
    """
    with importing("matplotlib"):  # which nothing else needs
        from lenet.study import report as study

    require_at_least(1, steps=steps, seeds=seeds, jobs=jobs, threads=threads, save_every=save_every)
    data = dataset.load(data_dir)
    configs = [config] if isinstance(config, str | Path) else [*(config or config_file.CONFIGS)]
    frameworks = [framework] if isinstance(framework, str) else [*(framework or sorted(backends.installed()))]
    for name in frameworks:
        backends.require(name)
    settings = [
        _changed(Settings.of(config_file.load(name), data.fingerprint), changes, seed=seed, precision=precision)
        for seed in range(seeds)
        for name in configs
    ]
    jobs = jobs or max(1, cores() // 2)
    threads = threads or min(default_threads(), max(1, cores() // jobs))
    flags = {"data_dir": data_dir and str(data_dir), "device": device, "threads": threads, "save_every": save_every}
    return study.make(settings, frameworks, steps, Path(log_dir), data, jobs, flags, command)


def advance(
    run: Run,
    source: Run | None,
    start: Checkpoint,
    framework: str,
    data: Dataset,
    steps: int,
    device: str,
    threads: int | None,
    save_every: int,
) -> None:
    """Train a run `steps` further, from the checkpoint `start` of the run `source`, or from step 0."""
    if start.settings.training.batch_size > (count := len(data.train.images)):
        raise UserError(f"batch size {start.settings.training.batch_size}: there are {count} training images")
    if start.state.step + steps > MAXIMUM_STEP:
        raise UserError(f"{steps} steps from step {start.state.step}: a run has at most {MAXIMUM_STEP}")
    trainer = _trainer(framework, data, start, device, threads)
    with run.take(source, start.sha256):
        trainer.train(run, steps, save_every)


def _changed(settings: Settings, changes: Changes, **given: Any) -> Settings:
    """The settings with new values by key of the config, and with each other value that is not None."""
    architecture, training = config_file.change(settings.architecture, settings.training, changes or {})
    given = {key: value for key, value in given.items() if value is not None}
    try:
        return dataclasses.replace(settings, architecture=architecture, training=training, **given)
    except ValueError as error:
        raise UserError(str(error)) from None


def _start(
    log_dir: Path,
    framework: str,
    data: Dataset,
    load: AnyPath | bool,
    config: AnyPath | None,
    changes: Changes,
    training: bool,
    **given: Any,
) -> tuple[Run | None, Checkpoint]:
    """The run to go on from, None for step 0, and the checkpoint with the settings from now on."""
    wanted = _changed(Settings.of(config_file.load(config or "lenet"), data.fingerprint), changes, **given)
    if load is False:
        return None, Checkpoint.initial(wanted)
    source = Run.at(Path(load)) if load is not True else Run.own(log_dir, wanted, framework)
    if load is True and training and not source.exists:
        notice(f"there is no run to go on from in {source.folder}; it begins at step 0")
        return None, Checkpoint.initial(wanted)
    found = source.checkpoint
    settings = _changed(found.settings, changes, **given)
    expected = wanted if config or load is True else settings
    if other := difference(flat(found.settings.architecture), flat(expected.architecture)):
        raise UserError(f"{source.path}: its architecture is another: {other}; give --config its own config")
    known, here = found.settings.data, data.fingerprint
    part = "training_sha256" if training or not known.test_sha256 else "test_sha256"
    if getattr(known, part) != getattr(here, part):
        notice(f"{source.path} was trained on other data: {known.name}, not {here.name}")
    settings = dataclasses.replace(settings, data=here) if training else settings
    return source, dataclasses.replace(found, settings=settings)


def _trainer(framework: str, data: Dataset, start: Checkpoint, device: str, threads: int | None) -> Trainer:
    """The framework, imported and ready."""
    settings = start.settings
    LeNet = backends.load(framework)  # noqa: N806 - it is a class
    backend = LeNet(settings.architecture, settings.precision, device, threads or default_threads())
    if settings.precision == "bfloat16" and backend.device == "cpu" and lacks_bfloat16():
        notice("this processor has no bfloat16 instructions, so bfloat16 will be slower than float32")
    return Trainer(backend, framework, data, start)
