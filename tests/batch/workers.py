"""Work for engines that has nothing to do with scenes, so that they can be tested without torch."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from geomask.batch.record import DONE, FAILED, Failure, Record
from geomask.batch.task import Task
from geomask.errors import ModelError


@dataclass(frozen=True)
class Sleeping:
    """Sleeps over every task; tasks and workers of certain names end otherwise.

    "dies": kills its process every time; "dies once": only at its first attempt. folder: each
    task that was finished leaves a file with the worker's process number.
    """

    folder: Path
    seconds: float = 0.0
    refuse: str = ""

    def worker(self, device: str, cores: int) -> Callable[[Task], Record]:
        if self.refuse == "error":
            raise ModelError("no model here")
        if self.refuse == "death":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.do

    def do(self, task: Task) -> Record:
        time.sleep(self.seconds)
        if task.name == "dies" or (task.name == "dies once" and task.attempt == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        # Created anew: a second time would fail.
        with (self.folder / task.name).open("x") as file:
            file.write(str(os.getpid()))
        return Record(DONE, task.scene, task.name, attempts=task.attempt)

    def lost(self, task: Task, reason: str) -> Record:
        error = Failure("WorkerLost", reason)
        return Record(FAILED, task.scene, task.name, error=error, attempts=task.attempt)

    def parted(self) -> Sleeping:
        return self

    def trace(self, task: Task, record: Record) -> Record:
        return replace(record, polygons={"traced": 1}, worker={"pid": os.getpid()})


def tasks(*names: str) -> list[Task]:
    return [Task(f"/{name}.tif", name) for name in names]
