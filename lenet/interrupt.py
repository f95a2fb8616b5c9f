"""Ctrl-C, SIGTERM, and the SIGHUP of a terminal that is closed, as a wish to stop soon."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, Self


class Interrupt:
    """While it is entered, the first signal is only noted, in `received`; a second one ends the process."""

    received: signal.Signals | None = None

    def __enter__(self) -> Self:
        self.before = handle(self._note)
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        handle(signal.SIG_DFL)
        self.received = signal.Signals(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def stop(number: int, _: FrameType | None) -> NoReturn:
    """Handle the first signal by KeyboardInterrupt(number), past any `except Exception`; a second ends the process."""
    handle(signal.SIG_DFL)
    raise KeyboardInterrupt(number)


def handle(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> dict[int, Any]:
    """Set what handles each of the signals; returns what did before, by the signal's number."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # A shell has its background jobs ignore SIGINT, and nohup SIGHUP: that stays so.
    return {number: signal.signal(number, handler) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
