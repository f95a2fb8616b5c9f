"""Errors and notices, one line each, and the exit codes."""

import os
import signal
import sys
from collections.abc import Callable
from typing import TextIO

NOTICE = "lenet: notice: "  # how a notice begins


class UserError(Exception):
    """An error to show the user in one line: what is wrong and what to do.

    The exit code is 2 for a mistake in what was asked, 1 for a run that failed, 128 + n after signal n.
    """

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def print_line(line: str, stream: TextIO) -> bool:
    """Print a line at once; returns whether that worked: a pipe may be closed, a terminal gone."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # so that Python's final flush does not fail again
        return False
    return True


def notice(text: str) -> None:
    """Tell the user something that is not part of the result."""
    print_line(NOTICE + text, sys.stderr)


def exit_code(action: Callable[[], int], program: str = "lenet") -> int:
    """Return the exit code of an action; if it fails, print why in one line."""
    try:
        return action()
    except UserError as error:
        message, code = str(error), error.exit_code
    except ModuleNotFoundError as error:  # the requirements are not installed in this Python
        message, code = f"{error}; use .venv/bin/python, or pip install -r requirements.txt", 2
    except KeyboardInterrupt as interrupt:
        number = signal.Signals(*(interrupt.args or [signal.SIGINT]))
        message, code = f"stopped by {number.name}", 128 + number
    print_line(f"{program}: {message}", sys.stderr)
    return code
