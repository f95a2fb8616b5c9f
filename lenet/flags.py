"""What argparse lacks: one-line errors, bounds, suggestions for what is nearly right; and what the processor has."""

import argparse
import difflib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lenet import UserError


class Parser(argparse.ArgumentParser):
    """Says a mistake in one line, like every error of the program's."""

    def error(self, message: str) -> NoReturn:  # noqa: D102
        raise UserError(f"{message} (python main.py --help lists the flags)")


def number(kind: type, minimum: int | None = None, maximum: float = math.inf) -> Callable[[str], Any]:
    """A flag's type: a finite number up to `maximum`, at least `minimum`, or without one more than zero."""

    def convert(text: str) -> Any:
        wanted = "a whole number" if kind is int else "a number"
        bound = "above 0" if minimum is None else f"from {minimum} on"
        bound += f", at most {maximum}" if maximum < math.inf else ""
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (value > 0 if minimum is None else value >= minimum) or value > maximum or value == math.inf:
            raise argparse.ArgumentTypeError(f"'{text}' is not {wanted} {bound}")
        return value

    return convert


def path(text: str) -> Path:
    """A flag's type: a path that can be written into a text, such as a report's."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not text; choose another name") from None
    return Path(text)


def one_of(names: Sequence[str]) -> dict[str, Any]:
    """What makes a flag take one of `names`, and suggest one for what is nearly it."""

    def convert(text: str) -> str:
        if text not in names:
            near = difflib.get_close_matches(text, names, 1)
            suggestion = f"; did you mean {near[0]}?" if near else ""
            raise argparse.ArgumentTypeError(f"there is no '{text}', only {', '.join(names)}{suggestion}")
        return text

    return {"type": convert, "metavar": "{" + ",".join(names) + "}"}


def physical_cores() -> int:
    """The physical cores that the process may use: hyper-threads share the units that matrix products keep busy.

    Where the system does not say which processors share a core, each counts as one.
    """
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = [Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]
    return len({path.read_text() if path.exists() else path for path in siblings})


def lacks_bfloat16() -> bool:
    """Whether the processor is known to have no instructions for bfloat16, and so computes slowly in it.

    Linux tells what it has: avx512_bf16 or amx_bf16 (x86), bf16 (Arm); elsewhere nothing is known.
    """
    path = Path("/proc/cpuinfo")
    words = path.read_text().split() if path.exists() else ["bf16"]
    return not {"avx512_bf16", "amx_bf16", "bf16"} & set(words)
