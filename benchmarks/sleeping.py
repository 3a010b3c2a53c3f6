"""Scenes that are sleep, to measure what engines cost; a module, since workers import it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from geomask.batch.record import DONE, FAILED, Record
from geomask.batch.task import Task


@dataclass(frozen=True)
class Sleeping:
    """Work that sleeps; a `geomask.batch.task.Work`."""

    seconds: float

    def worker(self, device: str, cores: int) -> Callable[[Task], Record]:
        """Any process will do."""
        return self.do

    def do(self, task: Task) -> Record:
        """Sleep, and say when."""
        started = time.time()
        time.sleep(self.seconds)
        return Record(
            DONE,
            task.scene,
            task.name,
            worker={"pid": os.getpid()},
            started=started,
            finished=time.time(),
        )

    def parted(self) -> None:
        """It is one piece."""

    def trace(self, task: Task, record: Record) -> Record:
        """Never called."""
        return record

    def lost(self, task: Task, reason: str) -> Record:
        """None should be."""
        return Record(FAILED, task.scene, task.name, error={"message": reason})
