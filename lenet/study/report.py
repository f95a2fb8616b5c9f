"""The report of a study: report.md, and the same as one report.html with the pictures inside."""

import datetime
import html
import itertools
import json
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import jinja2
from markupsafe import Markup

from lenet.dataset import MNIST, Dataset
from lenet.errors import UserError, notice
from lenet.settings import Settings
from lenet.storage.run import Run
from lenet.study import comparison, pictures, plan, prose, records
from lenet.study.chart import WINDOW
from lenet.study.entry import Entry
from lenet.study.page import page
from lenet.study.plan import Member
from lenet.system.files import lock, move_aside, replacing, writing
from lenet.system.interrupt import handling, stop
from lenet.system.machine import processor
from lenet.system.streams import command_line
from lenet.use.formats import page as draw_page

BASELINE = "lenet"  # or the first config, where it is not in the report


class Report(NamedTuple):
    """The page, None if no run came to its end, and the error of each run that failed."""

    page: Path | None
    errors: dict[Run, str]


def make(
    settings: Sequence[Settings],
    frameworks: Sequence[str],
    steps: int | None,
    log_dir: Path,
    data: Dataset,
    jobs: int,
    flags: dict[str, Any],
    command: Sequence[str],
) -> Report:
    """Train what the runs of these settings lack, and write the report; `flags` are those of each run's process.

    UserError, before anything is trained, if a folder has another run.
    """
    pairs = dict.fromkeys(itertools.product(settings, frameworks))  # each once
    members = [Member.of(each, name, log_dir, steps) for each, name in pairs]
    folder = log_dir / "report"
    with handling(stop), _lock(log_dir) as held:
        lacking = plan.incomplete(members)
        _make_ready(folder, {"steps": steps, "runs": [str(member) for member in members]})
        errors = plan.train(lacking, len(members), jobs, {**flags, "log_dir": str(log_dir)}, held)
        done = [member for member in members if member not in errors]
        if done:
            with writing(folder):
                _write(folder, done, data, jobs, command_line(*command))
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
        if folder.exists() and _read_selection(path) != selection:
            notice(f"the report that was in {folder} is in {move_aside(folder)} now")
        folder.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(selection, indent=2), encoding="utf-8")


def _read_selection(path: Path) -> Any:
    """The selection of the report in a folder; None if it has none, or a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(folder: Path, members: Sequence[Member], data: Dataset, jobs: int, command: str) -> None:
    """Write the report of runs that came to their end."""
    entries = Entry.of(members)
    results = [result for entry in entries for result in entry.results]
    if any(member.run.result["step"] != member.steps for member in members):
        raise UserError("a run was trained further while the report was written; start it again", exit_code=1)
    best = max(entries, key=lambda entry: entry.validation_accuracy)
    baseline = next((entry for entry in entries if entry.name == BASELINE), entries[0])
    others = [entry for entry in entries if entry is not baseline]
    compared = comparison.against(baseline.accuracies, [entry.accuracies for entry in others])
    differences = dict(zip((entry.name for entry in others), compared, strict=True))
    with replacing(folder / "draw.html") as temporary:
        draw_page.write(temporary, best.settings, best.members[0].run.checkpoint.state.parameters)
    reported = {entry.name: 100 * entry.reported for entry in entries if entry.reported is not None}
    charts = {entry.name: entry.chart("accuracy") for entry in entries if entry.has_curves}
    text = _template().render(
        data="MNIST" if data.info == MNIST else data.info.name,
        sha256=f"SHA-256 {data.info.training_sha256[:12]}, {data.info.test_sha256[:12]}",
        heading=draw_page.heading(data.info),
        colour=data.info.image_shape[2] == 3,
        entries=entries,
        baseline=baseline,
        differences=differences,
        conclusion=prose.conclusion(baseline, differences),
        prose={entry.name: prose.of_entry(entry, baseline, differences.get(entry.name)) for entry in entries},
        window=WINDOW,
        labels=data.test.labels,
        mistakes={entry.name: min(25, (entry.probabilities.argmax(1) != data.test.labels).sum()) for entry in entries},
        frameworks=list(dict.fromkeys(member.framework for member in members)),
        steps=sorted({member.steps for member in members}),
        seeds=len({member.settings.seed for member in members}),
        reported=reported,
        compared=len(charts) > 1,
        widths=pictures.draw(folder, entries, data, reported, charts),
        command=command,
        version=records.version(),
        date=datetime.date.today().isoformat(),
        jobs=jobs,
        machine=f"{platform.system()} on {processor()}, {os.cpu_count()} processors",
        results=results,
        engines=sorted({" on ".join(dict.fromkeys((result["framework"], result["engine"]))) for result in results}),
        differing=_differing(results),
        versions=sorted({f"{name} {number}" for result in results for name, number in result["versions"].items()}),
    )
    records.write(folder, members)
    with replacing(folder / "report.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(page(text, folder), encoding="utf-8")


def _differing(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return which of a framework's engine, the device and the threads are not the same in all runs."""

    def values(*keys: str) -> int:
        return len({tuple(result[key] for key in keys) for result in results})

    engine = ["engine"] if values("framework", "engine") > values("framework") else []
    return engine + [key for key in ("device", "threads") if values(key) > 1]


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"plain": _plain, "listed": prose.listed, "p": prose.number}
    return environment.get_template("report.md.j2")


def _plain(text: str) -> Markup:
    """Return a text as one line that is read as it is: no character of it is one of HTML's or Markdown's."""
    line = html.escape(" ".join(text.split()))
    markdown = r"[\\`*|\[\]]|(?<!\w)_|_(?!\w)"  # a _ in a word is none
    return Markup(re.sub(markdown, lambda match: f"&#{ord(match[0])};", line))  # noqa: S704 - it is escaped
