"""Threads that share the processor between them, each with torch's kernels on its part of it.

A kernel's own threads wait for the slowest of them, and one is slow whenever something else, such
as a reader, has its core. Patches side by side, each on fewer threads, wait for nobody: on two
cores, a scene takes a sixth less time in two lanes than in one (benchmarks/results.md).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

from geomask.signals import result_of


def open_lanes(count: int) -> ThreadPoolExecutor:
    """So many threads, among which torch's threads are divided; they end with the executor."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "geomask-lane", _keep_to, (max(1, before // count),))
    ready = Barrier(count)
    try:
        for started in [pool.submit(ready.wait) for _ in range(count)]:
            result_of(started)
    except BaseException:  # such as an interrupt
        ready.abort()  # or a lane would wait for one that never comes
        pool.shutdown()
        raise
    finally:
        # Each lane has set torch's number for itself, and for threads that are yet to come.
        torch.set_num_threads(before)
    return pool


def _keep_to(threads: int) -> None:
    torch.get_num_threads()  # a thread's first question makes it the number of all
    torch.set_num_threads(threads)
