"""The process's memory: how much it took, and how the C library gives it back."""

from __future__ import annotations

import ctypes
import sys
from functools import cache


def peak_memory() -> int | None:
    """Bytes of memory this process has held at most, or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@cache
def keep_freed_memory() -> None:
    """Ask glibc to keep large freed blocks for the next forward pass, once per process.

    By default it maps and unmaps them each time, and the page faults slow a CPU forward pass of
    a large patch down. Where the C library is another one: nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)
    mallopt(top_pad, 256 * 2**20)
