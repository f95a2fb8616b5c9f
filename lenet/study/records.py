"""results.csv and results.json: a row for each run of a study, with every setting and every figure."""

import contextlib
import csv
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lenet
from lenet.settings import to_text
from lenet.study.member import Member
from lenet.study.process import PROJECT
from lenet.system.files import replacing

NESTED = ("by_class", "versions")  # of result.json; a row has them by their keys

Pairs = Sequence[tuple[Member, dict[str, Any]]]  # a run and its result


def rows(pairs: Pairs) -> Iterator[dict[str, Any]]:
    """Yield what each run is and what it came to; the settings by the keys that --set takes."""
    for member, result in pairs:
        row = {"run": str(member.run.folder)} | {key: value for key, value in result.items() if key not in NESTED}
        for name, of_class in result.get("by_class", {}).items():
            row |= {f"{figure} of {name}": value for figure, value in of_class.items()}
        yield row | member.settings.values | {f"version of {key}": text for key, text in result["versions"].items()}


def write(folder: Path, pairs: Pairs) -> None:
    """Write both files."""
    columns = dict.fromkeys(key for row in rows(pairs) for key in row)
    with replacing(folder / "results.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: to_text(value) for key, value in row.items()} for row in rows(pairs))
    with replacing(folder / "results.json") as temporary, temporary.open("w", encoding="utf-8") as file:
        for i, row in enumerate(rows(pairs)):
            file.write(f"{',' if i else '['}\n{json.dumps(row)}")
        file.write("\n]\n")


def version() -> str:
    """Return the project's version and, in a clone, its commit."""
    if not (PROJECT / ".git").exists():  # installed, it may be in another project's repository
        return f"lenet {lenet.__version__}"
    git = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commit = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        return f"lenet {lenet.__version__}, commit {commit}"
    return f"lenet {lenet.__version__}"
