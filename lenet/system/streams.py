"""stdout and stderr, which may be closed or a pipe that is gone."""

import os
import shutil
import sys
import textwrap
from typing import TextIO


def prepare_streams() -> None:
    """Make stdout and stderr such that any text can be printed, also if they are closed.

    A closed one gives its descriptor to the next file that is opened, which would then receive what is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
        stream.reconfigure(errors="backslashreplace")  # for names that the terminal's encoding does not have
        setattr(sys, name, stream)


def print_line(line: str, stream: TextIO | None) -> bool:
    """Print a line at once, broken between words in a terminal.

    Returns whether that worked: a pipe may be closed, a terminal gone.
    """
    if stream is None:  # a program without a console
        return False
    if stream.isatty():
        columns = shutil.get_terminal_size().columns
        line = textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False)
    try:
        print(line, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # so that Python's final flush does not fail again
        return False
    return True
