"""Signals that end a run, and the places where they must wait: imports, locks that are just being
taken, and outputs on their way into place."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any, TypeVar

AGAIN = 0.05
"""Seconds after which a signal comes again that came where nothing can be raised."""

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that end a run; Windows lacks the last."""

CLEANING = 10.0
"""Seconds that a run has to clean up before another signal ends that, too."""

LOCKING = {"threading", "concurrent", "queue", "contextlib", "logging"}
"""Packages of Python's own that take locks, or enter contexts, step by step: an exception between
two steps would leave a lock taken for ever, or a context open."""

LOCKED = 5.0
"""Seconds that a signal waits for these at most: some libraries wait in them for their work."""

_CAME: list[tuple[int, float]] = []  # and when

_WAITING: dict[int, float] = {}  # since when, signals that were put off for a lock

T = TypeVar("T")


def heed(*numbers: int) -> None:
    """Have these signals end this process by `end_run`, wherever they come."""
    for number in numbers:
        signal.signal(number, end_run)
    sys.unraisablehook = show_unraisable


def end_run(number: int, frame: FrameType | None) -> None:
    """A handler: leave through every `finally`. Raises KeyboardInterrupt for SIGINT, otherwise
    SystemExit with 128 + number, the shell's convention. Where many are told to end by many, as on
    a cluster, one is enough: those of the next `CLEANING` seconds do nothing.

    While a module is imported the signal is put off: what some C++ modules do to Python as they are
    loaded ends the process with SIGABRT where an exception comes out of it (nanobind's do), and no
    module is to be left half made. So it is while a lock is taken, without which the threads that
    want it, and those who wait for them, would wait for ever.
    """
    now = time.monotonic()
    within = _within(frame)
    locking = bool(within & LOCKING) and now < _WAITING.setdefault(number, now) + LOCKED
    if locking or "importlib" in within:
        _send_again(number)
        return
    _WAITING.pop(number, None)
    if _CAME and now < _CAME[-1][1] + CLEANING:
        return
    _CAME.append((number, now))
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def end_if_told() -> None:
    """Raises SystemExit where a signal was to end this run: an error that is met after that is what
    some library has made of it."""
    if _CAME:
        sys.exit(128 + _CAME[0][0])


def show_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """A `sys.unraisablehook`: a signal that came where nothing can be raised comes again. Other
    errors there, such as of objects that were still being made when a signal came, are shown with
    --debug alone."""
    error = unraisable.exc_value
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        code = error.code if isinstance(error, SystemExit) else None
        number = code - 128 if isinstance(code, int) and code > 128 else signal.SIGINT
        _CAME.clear()
        _send_again(number)
    elif "--debug" in sys.argv:
        sys.__unraisablehook__(unraisable)


def _send_again(number: int) -> None:
    """Have a signal come again in a moment."""

    def send() -> None:
        time.sleep(AGAIN)
        if os.name == "nt":  # where to kill is to end at once
            _thread.interrupt_main(signal.Signals(number))
        else:
            os.kill(os.getpid(), number)

    # Not threading's, whose locks the main thread may hold at this moment.
    _thread.start_new_thread(send, ())


def _within(frame: FrameType | None) -> set[str]:
    """The packages that the innermost of our functions has called, and waits for."""
    found = set()
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package == "geomask" and frame.f_code.co_name != "<module>":
            break
        found.add(package)
        frame = frame.f_back
    return found


def result_of(future: Future[T]) -> T:
    """As `future.result()`, whose waiting is inside of a lock: here a signal is heeded at once."""
    done: SimpleQueue[Future[T]] = SimpleQueue()
    future.add_done_callback(done.put)
    done.get()
    return future.result()


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

    before = {number: signal.getsignal(number) for number in ENDING}
    handled = {n: h for n, h in before.items() if h not in (None, signal.SIG_IGN)}
    try:
        _handle(dict.fromkeys(handled, wait))
        yield
    finally:
        try:
            _handle(handled)
        except BaseException:  # of a signal that came while they were put back
            _handle(handled)
            raise
        for number in came[:1]:
            signal.raise_signal(number)


def _handle(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
