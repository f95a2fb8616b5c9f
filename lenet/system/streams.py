"""stdout and stderr, which may be closed or a pipe that is gone."""

import contextlib
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
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


def printable(text: str) -> str:
    """Return a text in one line, what a terminal would obey in it escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_line(line: str, stream: TextIO | None) -> bool:
    """Print a line at once; returns whether that worked: a pipe may be closed, a terminal gone."""
    if stream is None:  # a program without a console
        return False
    try:
        print(line, file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # so that Python's final flush does not fail again
        return False
    return True


def print_result(text: str, place: str) -> bool:
    """Print a result and its place on stdout, in one line or, where a terminal is too narrow, broken between words."""
    line, columns = f"{text} {place}", shutil.get_terminal_size().columns
    if sys.stdout and sys.stdout.isatty() and len(line) > columns:
        line = f"{textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)}\n{place}"
    return print_line(line.strip(), sys.stdout)


def command_line(*words: str | Path) -> str:
    """Return words as the system's shell reads them."""
    if os.name != "nt":
        return shlex.join(map(str, words))
    # PowerShell takes a comma for the end of a word.
    return " ".join(text if re.fullmatch(r"[\w.:\\/=~-]+", text) else f'"{text}"' for text in map(str, words))


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Keep what libraries in C write to file descriptor 2 from the user, such as TensorFlow's during its import."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
