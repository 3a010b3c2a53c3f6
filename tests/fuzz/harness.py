"""The property that holds for whatever a file says, and how often it is tried."""

from __future__ import annotations

import os
import resource
import signal
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomask.errors import GeomaskError, GeomaskWarning

EXAMPLES = int(os.environ.get("GEOMASK_FUZZ_EXAMPLES", "250"))
"""Of each target, in the slow tests; the short run has `SHORT`. By hand, thousands."""

SHORT = 80

SLOWEST = 20.0
"""Seconds of the processor; an input that takes more hangs. Most take milliseconds, and the first
model some seconds, for imports. Not of the clock: other programs may be busy."""

MEMORY = 400 * 2**20
"""Bytes by which one input, a hundred kilobytes at most, may make the process grow."""

LONGEST = 6000
"""Characters of a message: a path may have 4096."""


@dataclass(frozen=True)
class Target:
    """Something that geomask parses.

    contents: strategy for what it is given. parse: opens that and checks what comes out of it;
    raises GeomaskError where it is refused.
    """

    name: str
    contents: st.SearchStrategy[bytes]
    parse: Callable[[bytes], None]


def check_message(text: str) -> None:
    """One line that a terminal shows as it is."""
    assert text.strip(), "an error without a word"
    assert len(text) <= LONGEST, f"{len(text)} characters"
    wrong = {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    assert not wrong, f"{wrong} in {text[:300]!r}"


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raises AssertionError in what takes longer than `SLOWEST`."""

    def stop(number: int, frame: object) -> None:
        raise AssertionError(f"takes over {SLOWEST:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def parse_or_refuse(target: Target, content: bytes) -> None:
    """Raises AssertionError, or whatever escapes, where `target` does neither."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", GeomaskWarning)
        try:
            with _time_limit():
                target.parse(content)
        except GeomaskError as error:
            check_message(str(error))
    for warning in caught:
        check_message(str(warning.message))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"grew by {grown} bytes"


def fuzz(target: Target, examples: int) -> None:
    """Try a target on so many contents, the same ones each time unless a search is asked for."""

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        database=None,
        print_blob=True,
    )
    @given(content=target.contents)
    def holds(content: bytes) -> None:
        parse_or_refuse(target, content)

    holds()
