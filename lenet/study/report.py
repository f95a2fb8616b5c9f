"""The report of a study: report.md, and the same as one report.html with the pictures inside."""

import html
import itertools
import json
import os
import platform
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

from lenet.dataset import Dataset
from lenet.errors import UserError, notice
from lenet.files import lock, replacing, writing
from lenet.interrupt import handling, stop
from lenet.machine import processor
from lenet.run import Run
from lenet.settings import Settings
from lenet.study import figures, plan
from lenet.study.entry import Entry
from lenet.study.page import page
from lenet.study.plan import Member

PIXELS_PER_INCH = 96  # of the page


class Report(NamedTuple):
    """The page, None if no run came to its end, and the error of each run that failed."""

    page: Path | None
    errors: dict[Run, str]


def make(
    settings: Sequence[Settings],
    frameworks: Sequence[str],
    steps: int,
    log_dir: Path,
    data: Dataset,
    jobs: int,
    flags: dict[str, Any],
    command: Sequence[str],
) -> Report:
    """Train what the runs of these settings lack, and write the report; `flags` are those of each run's process.

    UserError, before anything is trained, if a folder has another run.
    """
    members = [
        Member(each, name, Run.of(log_dir, each, name)) for each, name in itertools.product(settings, frameworks)
    ]
    folder = log_dir / "report"
    with handling(stop), _lock(log_dir) as held:
        lacking = plan.missing(members, steps)
        _make_ready(folder, {"steps": steps, "runs": [str(member) for member in members]})
        errors = plan.train(lacking, len(members), jobs, {**flags, "log_dir": str(log_dir)}, held)
        done = [member for member in members if member not in errors]
        if done:
            with writing(folder):
                _write(folder, done, steps, data, shlex.join(command))
    for member, error in errors.items():
        notice(f"{member} failed: {error}")
    return Report(folder / "report.html" if done else None, {member.run: error for member, error in errors.items()})


def _lock(log_dir: Path) -> IO[str]:
    """The lock of all reports in a log folder; waits for the report that holds it."""
    path = log_dir / "report.lock"
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        try:
            return lock(path)
        except BlockingIOError:
            notice(f"waiting for an earlier report in {log_dir}")
            return lock(path, wait=True)
    except OSError as error:
        raise UserError(f"cannot write to the log folder: {error}; choose another with --log_dir") from None


def _make_ready(folder: Path, selection: dict[str, Any]) -> None:
    """Make the report's folder; move the report of another selection aside."""
    path = folder / "selection.json"
    with writing(folder):
        if folder.exists() and not (path.exists() and json.loads(path.read_text(encoding="utf-8")) == selection):
            names = (folder.with_name(f"{folder.name}.{i}") for i in itertools.count(1))
            aside = folder.rename(next(name for name in names if not name.exists()))
            notice(f"the report that was in {folder} is in {aside} now")
        folder.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(selection, indent=2), encoding="utf-8")


def _write(folder: Path, members: Sequence[Member], steps: int, data: Dataset, command: str) -> None:
    """Write the report of runs that came to their end."""
    entries = Entry.of(members)
    results = [result for entry in entries for result in entry.results]
    if any(result["step"] != steps for result in results):
        raise UserError("a run was trained further while the report was written; start it again", exit_code=1)
    reported = {entry.name: 100 * entry.reported for entry in entries if entry.reported is not None}
    for old in folder.glob("*.png"):
        old.unlink()

    def draw(name: str, size: tuple[float, float], figure: Callable[..., None], *arguments: Any) -> float:
        for theme, png in figures.render(size, figure, *arguments).items():
            (folder / f"{name}-{theme}.png").write_bytes(png)
        return PIXELS_PER_INCH * size[0]

    widths = {}
    accuracies = {entry.name: entry.accuracies for entry in entries}
    widths["overview"] = draw("overview", (6.2, 1.4 + 0.5 * len(entries)), figures.overview, accuracies, reported)
    for entry in entries:
        probabilities, labels = entry.members[0].run.predictions, data.test.labels
        drawings: dict[str, tuple[tuple[float, float], Any, tuple[Any, ...]]] = {
            "architecture": ((1.1 * entry.boxes, 2.5), figures.architecture, (entry.architecture,)),
            "accuracy": ((5.4, 3.5), figures.curves, (entry.curves, "accuracy")),
            "cross_entropy": ((5.4, 3.5), figures.curves, (entry.curves, "cross_entropy")),
            "kernels": ((3.6, 2.2), figures.kernels, (entry.kernels,)),
            "confusion": ((3.9, 3.9), figures.confusion, (labels, probabilities.argmax(axis=1))),
            "mistakes": ((4.4, 5.2), figures.mistakes, (*data.test, probabilities)),
        }
        for kind, (size, figure, arguments) in drawings.items():
            widths[f"{entry.name}-{kind}"] = draw(f"{entry.name}-{kind}", size, figure, *arguments)
    text = _template().render(
        entries=entries,
        mistakes={entry.name: min(25, _mistakes(entry, data.test.labels)) for entry in entries},
        frameworks=list(dict.fromkeys(member.framework for member in members)),
        steps=steps,
        seeds=len({member.settings.seed for member in members}),
        reported=reported,
        widths=widths,
        command=command,
        machine=f"{platform.system()} on {processor()}, {os.cpu_count()} processors",
        results=results,
        versions=sorted({f"{name} {number}" for result in results for name, number in result["versions"].items()}),
    )
    with replacing(folder / "report.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(page(text, folder), encoding="utf-8")


def _mistakes(entry: Entry, labels: np.ndarray) -> int:
    return int((entry.members[0].run.predictions.argmax(axis=1) != labels).sum())


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    # A bar would end a cell of a Markdown table.
    environment.filters["cell"] = lambda text: Markup(html.escape(text).replace("|", "&#124;"))  # noqa: S704
    return environment.get_template("report.md.j2")
