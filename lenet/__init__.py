"""All that is the same for every framework: imports NumPy, never a framework."""

import os
import sys
from typing import TextIO


class UserError(Exception):
    """What a user must hear, in one line: what is wrong and what to do.

    The exit code is 2 for a mistake in what was asked, 1 for a run that failed, 128 + its number for one that a signal
    ended.
    """

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def say(line: str, stream: TextIO) -> bool:
    """Print a line at once; returns whether it could be written: a pipe may be closed, a terminal gone."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # where Python will flush what its buffer holds
        return False
    return True


def notice(text: str) -> None:
    """Say what the user should know, apart from the result."""
    say(f"main.py: notice: {text}", sys.stderr)
