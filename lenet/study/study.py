"""A study: configs, frameworks, seeds and a grid of values -> Plan -> Workers -> the report."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import backends
from lenet import config as config_file
from lenet.api import ImageSize
from lenet.data import load as read_data
from lenet.dataset import MNIST, Dataset
from lenet.errors import notice, require_at_least, require_one_of
from lenet.log import DETAILS
from lenet.settings import Settings, to_text
from lenet.storage.run import AnyPath, Run
from lenet.study import KEEP, work
from lenet.study.plan import Plan
from lenet.study.presence import Presence
from lenet.study.work import Local, Workers
from lenet.system.files import lock, move_aside, replacing, writing
from lenet.system.interrupt import handling, stop
from lenet.system.machine import DEVICES, cores, default_threads, importing
from lenet.system.streams import command_line


class Report(NamedTuple):
    """What came of a study: the page, None if there is none; the error of each run that failed; the plan as text."""

    page: Path | None
    errors: dict[Run, str]
    plan: str


def report(
    config: AnyPath | Sequence[AnyPath] | None = None,
    *,
    steps: int | None = None,
    framework: str | Sequence[str] | None = None,
    seeds: int = 3,
    grid: Mapping[str, Sequence[Any]] | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    keep: str = "all",
    dry_run: bool = False,
    log_dir: AnyPath = "logs",
    data: AnyPath | None = None,
    image_size: ImageSize = None,
    validation: int | None = None,
    precision: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    save_every: int = 500,
    log: str = "all",
    command: Sequence[str] = ("lenet.report",),
) -> Report:
    """Train every config in every framework for the seeds from 0 on, and compare the runs in a report.

    By default: all of configs/ without a schedule, every framework that is installed, one run at once per two cores.
    `grid` has values by key, and every combination is trained: {"learning_rate": [1e-4, 1e-3], "dense": [[128], [64]]}.
    Each run is a process of its own; finished runs are not trained again. `cluster` is the address of a Dask scheduler
    whose workers train. With `keep` "results" no checkpoint of a run that it trains stays. A `dry_run` only plans.
    The report names its `command`. Raises UserError.
    """
    require_at_least(1, steps=steps, seeds=seeds, jobs=jobs, threads=threads, save_every=save_every)
    require_one_of(DETAILS, log=log)
    require_one_of(KEEP, keep=keep)
    require_one_of(DEVICES, device=device)
    dataset = read_data(data, image_size=image_size, log_dir=log_dir)
    configs = [config] if isinstance(config, str | Path) else [*(config or config_file.without_schedule())]
    frameworks = [framework] if isinstance(framework, str) else [*(framework or sorted(backends.installed()))]
    for name in frameworks:
        backends.require(name)
    given = {"precision": precision, "validation": validation}
    changes = config_file.grid(grid or {})
    loaded = [config_file.load(each) for each in configs]
    variants = [Settings.of(each, dataset.info, change, **given) for each in loaded for change in changes]
    for batch_size, held_out in {(each.training.batch_size, each.validation) for each in variants}:
        dataset.require(batch_size, held_out)
    settings = [dataclasses.replace(each, seed=seed) for seed in range(seeds) for each in variants]
    varied = tuple(key for key in changes[0] if len({to_text(change[key]) for change in changes}) > 1)
    more: dict[str, Any] = {"varied": varied, "keep": keep, "save_every": save_every}
    more |= {"test_images": len(dataset.test.labels)}
    plan = Plan.of(settings, frameworks, steps, Path(log_dir), **more)
    jobs = jobs or max(1, cores() // 2)
    if not cluster:
        threads = threads or min(default_threads(), max(1, cores() // jobs))
    there = Path.absolute if cluster else Path  # another machine works in another folder
    place = None if dataset.info == MNIST else str(there(Path(data or "").expanduser()))  # MNIST is included
    flags: dict[str, Any] = {"data": place, "image_size": image_size, "keras_engine": backends.keras_engine()[0]}
    flags |= {"log_dir": str(there(Path(log_dir))), "keep": keep}
    flags |= {"device": device, "threads": threads, "save_every": save_every, "log": log, "command": list(command)}
    packages = {"numpy"}.union(*map(backends.modules, frameworks))
    workers: Workers
    if cluster:
        from lenet.study.cluster import Cluster  # few have Dask

        workers = Cluster(cluster, Path(log_dir), packages, place)
    else:
        workers = Local(jobs)
    return train_and_report(plan, workers, dataset, flags, command, dry_run)


def train_and_report(
    plan: Plan,
    workers: Workers,
    data: Dataset,
    flags: dict[str, Any],
    command: Sequence[str],
    dry_run: bool = False,
) -> Report:
    """Train what the runs of a plan lack, and write the report; `flags` are those of each run's process.

    UserError, before anything is trained, if a folder has another run, or if the runs do not fit on the disk.
    """
    with importing("matplotlib"):  # which nothing else needs
        from lenet.study import report as page

    with handling(stop), contextlib.closing(workers):
        jobs = workers.count()
        text = plan.text(jobs)
        if dry_run:
            return Report(None, {}, text)
        plan.require_disk(jobs)
        with Presence(plan.log_dir) as presence:
            errors, held = work.train(plan.lacking, len(plan.members), workers, flags, presence.require_locks)
        for member, error in errors.items():
            notice(f"{member} failed: {error}")
        if held:
            others = f"other processes train {len(held)} of the runs, such as {held[0]}"
            notice(f"{others}; once they have ended, run the same command again if there is no report")
        done = [member for member in plan.members if member not in errors]
        path = None
        if done and not held:
            folder = plan.log_dir / "report"
            with writing(folder), _lock(plan.log_dir):
                _make_ready(folder, [f"{member}, {member.steps} steps" for member in plan.members])
                page.write(folder, done, data, plan.varied, workers.place, command_line(*command), [*errors])
            path = folder / "report.html"
    return Report(path, {member.run: error for member, error in errors.items()}, text)


def _lock(log_dir: Path) -> IO[str]:
    """The lock of a log folder's report; waits for the process that writes it."""
    path = log_dir / "report.lock"
    try:
        return lock(path)
    except BlockingIOError:
        notice(f"waiting for another process that writes the report in {log_dir}")
        return lock(path, wait=True)


def _make_ready(folder: Path, selection: list[str]) -> None:
    """Make the report's folder; move the report of another selection aside."""
    path = folder / "selection.json"
    if folder.exists() and _read_selection(path) != selection:
        notice(f"the old report in {folder} was renamed to {move_aside(folder)}")
    folder.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(selection, indent=2), encoding="utf-8")


def _read_selection(path: Path) -> Any:
    """The selection of the report in a folder; None if it has none, or a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
