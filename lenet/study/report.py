"""The report of a study: report.md, and the same as one report.html with the pictures inside."""

import datetime
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lenet.dataset import MNIST, Dataset
from lenet.errors import UserError, notice
from lenet.metrics import MISTAKES
from lenet.settings import to_text
from lenet.study import comparison, groups, pictures, prose, records
from lenet.study.chart import WINDOW
from lenet.study.entry import Entry
from lenet.study.member import Member
from lenet.study.page import page
from lenet.system.files import replacing
from lenet.trainer import TEST_BATCH
from lenet.use.formats import page as draw_page

BASELINE = "lenet"  # or the first config, where it is not in the report
SHOWN = 24  # configs with pictures; of more, the best BEST
BEST = 10
ROWS = 2000  # of a table; of more configs, the best


def write(
    folder: Path,
    members: Sequence[Member],
    data: Dataset,
    varied: Sequence[str],
    place: str,
    command: str,
    failed: Sequence[Member],
) -> None:
    """Write the report of runs that came to their end, and name those that failed.

    `varied` are the keys with several values. UserError if it cannot be written, or if a run is no longer as it was.
    """
    entries = Entry.of(members)
    results = [result for entry in entries for result in entry.results]
    if any(result["step"] != member.steps for entry in entries for member, result in entry.pairs):
        raise UserError("a run was trained further while the report was written; start it again", exit_code=1)
    baseline = next((entry for entry in entries if entry.name == BASELINE), entries[0])
    seeds = baseline.accuracies.keys()
    others = [entry for entry in entries if entry is not baseline and entry.accuracies.keys() & seeds]
    compared = comparison.against(baseline.accuracies, [entry.accuracies for entry in others])
    differences = dict(zip((entry.name for entry in others), compared, strict=True))
    ranked = sorted(entries, key=lambda entry: (-entry.validation_accuracy, entry.validation_cross_entropy))
    rows = ranked[:ROWS] if varied else entries
    shown = entries
    if len(entries) > SHOWN:
        shown = ranked[:BEST] if baseline in ranked[:BEST] else [baseline, *ranked[: BEST - 1]]
    dimensions = groups.dimensions(entries, varied)
    reported = {entry.name: 100 * entry.reported for entry in entries if entry.reported is not None}
    charts = {entry.name: entry.chart("accuracy") for entry in ranked if entry in shown and entry.has_curves}
    has_page = _write_page(folder / "draw.html", ranked[0])
    text = _template().render(
        data="MNIST" if data.info == MNIST else data.info.name,
        sha256=f"SHA-256 {data.info.training_sha256[:12]}, {data.info.test_sha256[:12]}",
        heading=draw_page.heading(data.info) if has_page else "",
        colour=data.info.image_shape[2] == 3,
        entries=entries,
        failed=failed,
        rows=rows,
        shown=shown,
        places={entry.name: i for i, entry in enumerate(shown, 1)},
        best=ranked[:BEST] if varied else [],
        dimensions=dimensions,
        baseline=baseline,
        differences=differences,
        conclusion=prose.conclusion(baseline, differences) if len(entries) <= SHOWN else "",
        prose={entry.name: prose.of_entry(entry, baseline, differences.get(entry.name)) for entry in shown},
        window=WINDOW,
        test_batch=TEST_BATCH,
        labels=data.test.labels,
        mistakes={
            entry.name: min(MISTAKES, (entry.probabilities.argmax(1) != data.test.labels).sum()) for entry in shown
        },
        frameworks=list(dict.fromkeys(member.framework for member in members)),
        steps=sorted({member.steps for member in members}),
        seeds=len({member.settings.seed for member in members}),
        reported=reported,
        compared=len(charts) > 1,
        widths=pictures.draw(folder, shown, data, reported, charts, dimensions),
        command=command,
        version=records.version(),
        date=datetime.date.today().isoformat(),
        place=place,
        results=results,
        engines=sorted({" on ".join(dict.fromkeys((result["framework"], result["engine"]))) for result in results}),
        differing=_differing(results),
        processors=sorted({result.get("processor", "a processor that is not known") for result in results}),
        versions=sorted({f"{name} {number}" for result in results for name, number in result["versions"].items()}),
    )
    records.write(folder, [pair for entry in entries for pair in entry.pairs])
    with replacing(folder / "report.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(page(text, folder), encoding="utf-8")


def _write_page(path: Path, entry: Entry) -> bool:
    """Write the page to draw in, if it can be; returns whether it is there."""
    if not (run := entry.members[0].run).exists:
        path.unlink(missing_ok=True)
        return False
    try:
        with replacing(path) as temporary:
            draw_page.write(temporary, entry.settings, run.checkpoint.state.parameters)
    except UserError as error:  # its parameters may be too large for float16
        notice(f"{path} is not written: {error}")
        return False
    return True


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
    environment.filters["value"] = lambda value: "" if value is None else to_text(value)
    return environment.get_template("report.md.j2")


def _plain(text: str) -> Markup:
    """Return a text as one line that is read as it is: no character of it is one of HTML's or Markdown's."""
    line = html.escape(" ".join(text.split())).replace("&#x27;", "'")
    markdown = r"[\\`*|\[\]]|(?<!\w)_|_(?!\w)"  # a _ in a word is none
    return Markup(re.sub(markdown, lambda match: f"&#{ord(match[0])};", line))  # noqa: S704 - it is escaped
