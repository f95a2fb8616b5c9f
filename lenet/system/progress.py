"""The progress of a run: a bar in a terminal, elsewhere a line a minute on stderr."""

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from lenet.system.streams import print_line

LINE_SECONDS = 60
BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{remaining}, {rate_fmt}{postfix}]"  # fits 80 columns


class Progress:
    """Steps from `first` to `last`, and the accuracy on the last batch."""

    def __init__(self, first: int, last: int) -> None:
        self.bar = tqdm(total=last, initial=first, unit="step", disable=None, bar_format=BAR)
        self.step, self.last, self.accuracy = first, last, 0.0
        self.started = self.printed = time.monotonic()

    def update(self, steps: int, accuracy: float) -> None:
        """Show that `steps` more are made."""
        self.step, self.accuracy = self.step + steps, accuracy
        self.bar.set_postfix_str(f"batch accuracy {accuracy:.2f}", refresh=False)
        self.bar.update(steps)
        if time.monotonic() - self.printed >= LINE_SECONDS:
            self._print()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if not error and self.printed > self.started:
            self._print()
        self.bar.close()

    def _print(self) -> None:
        self.printed = time.monotonic()
        if self.bar.disable:
            minutes = (self.printed - self.started) / 60
            line = f"step {self.step} of {self.last}, batch accuracy {self.accuracy:.2f}, after {minutes:.0f} min"
            print_line(line, sys.stderr)
