"""results.csv and results.json: a row for each run of a study, with every setting and every figure."""

import contextlib
import csv
import io
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lenet
from lenet.settings import to_text
from lenet.study.plan import Member
from lenet.system.files import replacing

NESTED = ("settings", "by_class", "versions")  # of result.json; a row has the settings by their keys


def rows(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Return what each run is and what it came to; the settings by the keys that --set takes."""
    found = []
    for member in members:
        result = member.run.result
        figures = {key: value for key, value in result.items() if key not in NESTED}
        versions = {f"version of {name}": number for name, number in result["versions"].items()}
        found.append({"run": str(member.run.folder)} | figures | member.settings.values | versions)
    return found


def write(folder: Path, members: Sequence[Member]) -> None:
    """Write both files."""
    found = rows(members)
    columns = dict.fromkeys(key for row in found for key in row)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: to_text(value) for key, value in row.items()} for row in found)
    for name, content in (("results.csv", text.getvalue()), ("results.json", json.dumps(found, indent=1))):
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")


def version() -> str:
    """Return the project's version and, in a clone, its commit."""
    git = ["git", "-C", str(Path(__file__).parents[2]), "describe", "--always", "--dirty", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commit = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        return f"lenet {lenet.__version__}, commit {commit}"
    return f"lenet {lenet.__version__}"
