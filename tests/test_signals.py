"""Signals wait while outputs come into place, and come after it."""

from __future__ import annotations

import signal
import threading

import pytest

from geomask.signals import undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_comes_after_the_block(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.signal(number, lambda *_: said.append("signal"))
    try:
        with undisturbed():
            with undisturbed():
                signal.raise_signal(number)
                said.append("inner")
            said.append("outer")
        assert said == ["inner", "outer", "signal"]
        signal.raise_signal(number)
        assert said[3:] == ["signal"]
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with undisturbed():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_changed() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with undisturbed():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
