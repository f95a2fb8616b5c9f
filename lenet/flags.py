"""What argparse lacks: one-line errors, bounds, and suggestions for typos."""

import argparse
import difflib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lenet.errors import UserError


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, like every error of the program."""

    def error(self, message: str) -> NoReturn:  # noqa: D102
        raise UserError(f"{message} (python main.py --help lists the flags)")


def with_underscores(words: Sequence[str]) -> list[str]:
    """Write the names of flags as they are defined: --log-dir is --log_dir."""
    return [re.sub(r"^--\w[^=]*", lambda flag: "--" + flag[0][2:].replace("-", "_"), word) for word in words]


def whole_number(minimum: int = 1, maximum: float = math.inf) -> Callable[[str], int]:
    """Return a flag's type: a whole number within bounds."""

    def convert(text: str) -> int:
        bounds = f"from {minimum}" + (f" to {maximum}" if maximum < math.inf else "")
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number {bounds}")
        return value

    return convert


def path(text: str) -> Path:
    """Return a flag's path, which must be text that can be written into a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not text; choose another name") from None
    return Path(text)


def choice(names: Sequence[str]) -> dict[str, Any]:
    """Return argparse's settings for a flag that takes one of `names`, with "did you mean" for a typo."""

    def convert(text: str) -> str:
        if text not in names:
            near = difflib.get_close_matches(text, names, 1)
            suggestion = f"; did you mean {near[0]}?" if near else ""
            raise argparse.ArgumentTypeError(f"there is no '{text}', only {', '.join(names)}{suggestion}")
        return text

    return {"type": convert, "metavar": "{" + ",".join(names) + "}"}
