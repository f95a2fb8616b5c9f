"""All that is the same for every framework: imports NumPy, never a framework."""

import contextlib
import sys


class UserError(Exception):
    """What a user must hear, in one line: what is wrong and what to do.

    The exit code is 2 for a mistake in what was asked, 1 for a run that failed, 128 + its number for one that a signal
    ended.
    """

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def notice(text: str) -> None:
    """Say what the user should know, apart from the result."""
    with contextlib.suppress(OSError):  # whoever listened to a report's run may have been killed
        print(f"main.py: notice: {text}", file=sys.stderr, flush=True)
