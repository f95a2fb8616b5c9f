"""What the command line prints on stdout: results, lines and places. UserError, exit code 1, if it cannot."""

import sys
from pathlib import Path
from typing import Any

from lenet.errors import UserError
from lenet.system.streams import print_line, print_result


def print_run(result: dict[str, Any], place: Path | str) -> int:
    """Print what a run came to, as result.json has it, and where it is; return the exit code 0."""
    data = "" if result["data"] == "mnist" or f"data={result['data']}" in result["variant"] else f" on {result['data']}"
    speed = f" {result['images_per_second']:,.0f} images/s," if result["seconds"] else ""  # no step was made
    return print_place(
        place,
        f"{result['variant']} {result['framework']} seed {result['seed']} step {result['step']}{data}: test accuracy "
        f"{100 * result['test_accuracy']:.2f} %, cross-entropy {result['test_cross_entropy']:.4f},{speed}",
    )


def print_place(place: Path | str, text: str = "") -> int:
    """Print where something is, after a text; return the exit code 0."""
    if not print_result(text, str(place)):
        raise UserError("the result cannot be written to stdout; the saved files are intact", 1)
    return 0


def print_text(text: str) -> int:
    """Print lines; return the exit code 0."""
    if not print_line(text.rstrip(), sys.stdout):
        raise UserError("the lines cannot be written to stdout; the saved files are intact", 1)
    return 0
