"""The local engine: scenes one after the other in this process, or in several of its children."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from geomask.batch.record import Record
from geomask.batch.task import LIVES, Task, Work
from geomask.errors import BatchError, GeomaskError
from geomask.memory import share_freed_memory
from geomask.signals import heed

PATIENCE = 30.0
"""Seconds that a worker has to clean up when it is told to end, before it is killed."""


def run_here(
    work: Work,
    tasks: Sequence[Task],
    device: str,
    cores: int,
    begun: Callable[[Task], object],
) -> Iterator[Record]:
    """Do the tasks in this process, in turn; its main thread is where the network is quickest."""
    worker = work.worker(device, cores)
    for task in tasks:
        begun(task)
        yield worker(task)


def run_children(
    work: Work,
    tasks: Sequence[Task],
    devices: Sequence[str],
    cores: int,
    begun: Callable[[Task], object],
) -> Iterator[Record]:
    """Do the tasks in as many child processes as there are `devices`, each with so many cores.

    A child that dies over a scene is replaced, and the scene begun again. Raises what a worker
    raises when it is made, and BatchError where one dies then.
    """
    data = pickle.dumps(work)
    waiting = deque(tasks)
    children: list[_Child] = []
    try:
        children = [_Child(data, device, cores) for device in devices[: len(tasks)]]
        while waiting or any(child.task for child in children):
            ready = wait([child.connection for child in children if child.expected])
            for index, child in enumerate(children):
                if child.connection not in ready:
                    continue
                try:
                    record = child.receive()
                except EOFError:
                    lost, reason = child.task, child.epitaph()
                    if lost is None:
                        raise BatchError(
                            f"a worker ended before its first scene: {reason}"
                        ) from None
                    if lost.attempt < LIVES:
                        waiting.appendleft(replace(lost, attempt=lost.attempt + 1))
                    else:
                        yield work.lost(lost, f"{lost.scene}: its worker ended, {reason}")
                    children[index] = child = _Child(data, child.device, cores)
                    continue
                if record is not None:
                    yield record
            for child in children:
                if child.idle and waiting:
                    task = waiting.popleft()
                    begun(task)
                    child.give(task)
    finally:
        _end(children)


@dataclass(frozen=True)
class _Failed:
    """A worker could not be made."""

    error: GeomaskError


class _Child:
    """A worker in a process of its own. task: what it is doing. ready: whether it was made."""

    def __init__(self, data: bytes, device: str, cores: int) -> None:
        context = get_context("spawn")
        self.device = device
        self.task: Task | None = None
        self.ready = False
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_serve, args=(theirs, data, device, cores), daemon=True
        )
        self.process.start()
        theirs.close()  # or its end would never be noticed

    @property
    def idle(self) -> bool:
        """Whether it may be given a task."""
        return self.ready and self.task is None

    @property
    def expected(self) -> bool:
        """Whether it will say something."""
        return not self.idle

    def give(self, task: Task) -> None:
        """Hand it a task. Where it has just died, `receive` will say so."""
        self.task = task
        with suppress(OSError):
            self.connection.send(task)

    def receive(self) -> Record | None:
        """What it says: a record, or None that it is ready. Raises EOFError where it is dead."""
        try:
            said = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        if isinstance(said, _Failed):
            raise said.error
        self.ready, self.task = True, None
        return said if isinstance(said, Record) else None

    def epitaph(self) -> str:
        """How it ended, in words."""
        self.connection.close()
        self.process.join(PATIENCE)
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return f"with exit code {code}"


def _end(children: Sequence[_Child]) -> None:
    """Have every child clean up and end."""
    for child in children:
        child.connection.close()
        child.process.terminate()
    for child in children:
        child.process.join(PATIENCE)
        if child.process.is_alive():
            child.process.kill()


def _serve(connection: Connection, data: bytes, device: str, cores: int) -> None:
    """The life of a child: a worker is made, then does task after task until the parent ends."""
    # Before torch and GDAL are loaded, which look once.
    os.environ["OMP_NUM_THREADS"] = os.environ["GDAL_NUM_THREADS"] = str(cores)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    heed(signal.SIGTERM)
    share_freed_memory()
    threading.Thread(target=_follow_parent, daemon=True).start()
    work: Work = pickle.loads(data)
    try:
        worker = work.worker(device, cores)
    except GeomaskError as error:
        connection.send(_Failed(error))
        return
    with suppress(EOFError, OSError):  # the parent is gone
        connection.send(None)
        while True:
            connection.send(worker(connection.recv()))


def _follow_parent() -> None:
    """End this process when its parent has: a killed one cannot say so."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
