"""Errors and notices, one line each, and the exit codes."""

import functools
import re
import signal
import sys
from collections.abc import Callable, Iterable
from numbers import Integral

from lenet.system.interrupt import handling, stop
from lenet.system.streams import print_line, printable

NOTICE = "lenet: notice: "  # how a notice begins
MEMORY_FULL = "out of memory|allocate memory|failed to allocate|bad_alloc|ALLOC_FAILED|OOM when|resource_?exhausted"


class UserError(Exception):
    """An error to show the user in one line: what is wrong and what to do.

    The exit code is 2 for a mistake in what was asked, 1 for a run that failed, 128 + n after signal n.
    """

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class DivergedError(UserError):
    """The error of a run whose cross-entropy is no longer finite."""


class HeldError(UserError):
    """The error of a run that another process trains."""


def require_at_least(least: int, **values: int | None) -> None:
    """Raise UserError with the name of the first value that is less, or that is not a whole number."""
    for name, value in values.items():
        if not isinstance(value, Integral | None):
            raise UserError(f"{name}: must be a whole number, not {value!r}")
        if value is not None and value < least:
            raise UserError(f"{name}: must be {least} or more, not {value}")


def require_one_of(choices: Iterable[str], **values: str) -> None:
    """Raise UserError with the name of the first value that is none of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise UserError(f"{name}: must be one of {', '.join(choices)}, not {value}")


def notice(text: str) -> None:
    """Tell the user something that is not part of the result."""
    print_line(NOTICE + _printable(text), sys.stderr)


@functools.cache
def notice_once(text: str) -> None:
    """Tell it the first time in this process."""
    notice(text)


def is_memory_full(error: Exception) -> bool:
    """Return whether NumPy or a framework raised this because the memory is full."""
    return isinstance(error, MemoryError) or bool(re.search(MEMORY_FULL, str(error), re.IGNORECASE))


def exit_code(action: Callable[[], int], program: str = "lenet") -> int:
    """Return the exit code of an action; if it fails, print why in one line."""
    try:
        with handling(stop):  # without a handler SIGTERM does nothing to a container's first process
            return action()
    except UserError as error:
        message, code = str(error), error.exit_code
    except ModuleNotFoundError as error:  # the requirements are not installed in this Python
        advice = "use the Python in .venv, or install the requirements: pip install -r requirements/pytorch.txt"
        message, code = f"{error}; {advice}", 2
    except Exception as error:
        if not is_memory_full(error):
            raise
        message, code = "not enough memory; choose a smaller network or smaller images, or end other programs", 1
    except KeyboardInterrupt as interrupt:
        number = next((arg for arg in interrupt.args if isinstance(arg, signal.Signals)), signal.SIGINT)
        message = "; ".join([f"stopped by {number.name}", *getattr(interrupt, "__notes__", [])])
        code = 128 + number
    print_line(f"{program}: {_printable(message)}", sys.stderr)
    return code


def _printable(text: str) -> str:
    """Return a text with what a terminal would obey in it escaped; a traceback keeps its lines."""
    return "\n".join(map(printable, text.split("\n")))
