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
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    _glibc("mallopt", mmap_max, 0)
    _glibc("mallopt", trim_threshold, -1)
    _glibc("mallopt", top_pad, 256 * 2**20)


def give_back_freed_memory() -> None:
    """Have glibc return to the system what is free, as after the last forward pass."""
    _glibc("malloc_trim", 0)


def share_freed_memory() -> None:
    """Ask glibc for one heap for all threads, before any other thread begins: with heaps of
    their own, what one has freed is of no use to another. Of consequence to a whole process, so
    for a command to call, not for a library."""
    arena_max = -8  # malloc.h
    _glibc("mallopt", arena_max, 1)


def _glibc(name: str, *arguments: int) -> None:
    """Call a function of glibc's, where there is one."""
    if not sys.platform.startswith("linux"):
        return
    try:
        function = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return
    function(*arguments)
