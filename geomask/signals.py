"""Signals that end a run, kept waiting while outputs come into place."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is not on Windows


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C and its like take effect after the block, which must be short: between two renames
    they would leave one output of this run beside another one of before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # where Python handles no signals
        return
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    handled = {n: h for n, h in before.items() if h not in (None, signal.SIG_IGN)}
    for number in handled:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)
