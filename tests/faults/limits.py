"""Limits of the system for the length of a block: the disk full, no more files, another user."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
"""The number of the user who owns nothing."""


@contextmanager
def disk_full(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: a write beyond them fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def few_handles(more: int) -> Iterator[None]:
    """Only so many more files can be open, however many are already, under whichever numbers."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    numbers = iter(lambda: os.open(os.devnull, os.O_RDONLY), last + 1)
    taken = list(numbers)  # those between, such as below one that a shell has left us
    os.close(last + 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1 + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for handle in taken:
            os.close(handle)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root has all permissions; so the folder is given to nobody, who then does the block."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    for parent in folder.parents:
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o005)
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
