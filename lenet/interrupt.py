"""Ctrl-C and SIGTERM as a wish to stop soon."""

import signal
from types import FrameType
from typing import Self


class Interrupt:
    """While it is entered, the first SIGINT or SIGTERM is only noted, in `received`; a second one ends the process."""

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        # A shell has its background jobs ignore SIGINT: that stays so.
        wanted = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
        self.before = {number: signal.signal(number, self._note) for number in wanted}
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for each in self.before:
            signal.signal(each, signal.SIG_DFL)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
