"""Ctrl-C, SIGTERM, and the SIGHUP of a closed terminal, as requests to stop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

second: signal.Handlers = signal.SIG_DFL  # what a second signal meets; a process without a user ignores it


@dataclass
class Interrupt:
    """The signal that came, if one did."""

    received: signal.Signals | None = None


@contextlib.contextmanager
def interrupt() -> Iterator[Interrupt]:
    """While it is entered, the first signal is only noted; a second one ends the process, by default."""
    noted = Interrupt()

    def note(number: int, _: FrameType | None) -> None:
        _handle(second)
        noted.received = signal.Signals(number)

    with handling(note):
        yield noted


def stop(number: int, _: FrameType | None) -> NoReturn:
    """Turn the first signal into KeyboardInterrupt(number), which no `except Exception` catches."""
    _handle(second)
    raise KeyboardInterrupt(signal.Signals(number))


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """While it is entered, the signals have this handler."""
    before = _handle(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _handle(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> dict[int, Any]:
    """Set the handler of each signal; returns the handlers before, by the signal's number."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in the main thread alone
        return {}
    # Windows has SIGBREAK in place of SIGHUP.
    signals = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")]
    # A shell has its background jobs ignore SIGINT, and nohup SIGHUP: that stays so.
    return {
        number: signal.signal(number, handler)
        for number in filter(None, signals)
        if signal.getsignal(number) != signal.SIG_IGN
    }
