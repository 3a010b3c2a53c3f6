"""Every step of a run at which Python may raise what a signal raises, and a signal at one of them.

Python heeds signals after a call, as a function begins, and at the end of a turn of a loop. Which
of these a random moment hits is as good as always the same few; here each can be hit.
"""

from __future__ import annotations

import dis
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

Step = tuple[str, str, int, int]
"""A file, a function's qualified name, a position in its code, and how often it was passed."""

PACKAGES = {"geomask", "threading", "concurrent", "queue", "contextlib", "weakref"}
"""Whose steps are meant: those of this project, and where locks are taken."""

TIMES = 3
"""A step in a loop is one as often as this."""

_HEEDING = {
    code
    for name, code in dis.opmap.items()
    if name == "RESUME" or name.startswith(("CALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD"))
    if not name.startswith("CALL_INTRINSIC") and not name.endswith("NO_INTERRUPT")
}


def list_steps(found: list[Step]) -> None:
    """Write down the steps of this thread from now on."""
    _follow(lambda step, frame: found.append(step))


def stop_at(wanted: Step, number: int, reached: Path) -> None:
    """Have a signal come to this thread at one step. reached: an empty file that says it came."""

    def reach(step: Step, frame: FrameType) -> None:
        if step == wanted:
            sys.settrace(None)
            frame.f_trace = None
            reached.touch()
            signal.raise_signal(number)

    _follow(reach)


def _follow(reach: Callable[[Step, FrameType], None]) -> None:
    before: dict[int, int] = {}  # the position that a frame comes from
    times: Counter[tuple[str, str, int]] = Counter()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            code, at = frame.f_code, frame.f_lasti
            came = before.get(id(frame))
            before[id(frame)] = at
            if came is None or code.co_code[came] in _HEEDING:
                place = (code.co_filename, code.co_qualname, at)
                times[place] += 1
                if times[place] <= TIMES:
                    reach((*place, times[place]), frame)
        return trace

    def begin(frame: FrameType, event: str, argument: Any) -> Any:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] not in PACKAGES:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        before.pop(id(frame), None)
        return trace

    sys._getframe().f_trace_opcodes = True  # or Python 3.12 tells of none
    sys.settrace(begin)
