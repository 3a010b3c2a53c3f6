"""Signals that end a run, and the places where they must wait: imports, and outputs on their way
into place."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.05
"""Seconds after which a signal comes again that came where nothing can be raised."""

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is not on Windows

_CAME: list[int] = []


def end_run(number: int, frame: FrameType | None) -> None:
    """A handler: leave through every `finally`. Raises KeyboardInterrupt for SIGINT, otherwise
    SystemExit with 128 + number, the shell's convention.

    While a module is imported the signal is put off: what some C++ modules do to Python as they are
    loaded ends the process with SIGABRT where an exception comes out of it (nanobind's do), and no
    module is to be left half made.
    """
    if _importing(frame):
        send_again(number)
        return
    _CAME.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def ended_by() -> int | None:
    """The signal that `end_run` has ended this run for, None for none so far."""
    return _CAME[0] if _CAME else None


def send_again(number: int) -> None:
    """Have a signal come again in a moment."""

    def send() -> None:
        time.sleep(AGAIN)
        os.kill(os.getpid(), number)

    # Not threading's, whose locks the main thread may hold at this moment.
    _thread.start_new_thread(send, ())


def _importing(frame: FrameType | None) -> bool:
    """Whether the innermost of our functions waits for an import."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == "importlib._bootstrap":
            return True
        if name.partition(".")[0] == "geomask" and frame.f_code.co_name != "<module>":
            return False
        frame = frame.f_back
    return False


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
