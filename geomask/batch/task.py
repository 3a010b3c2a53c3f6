"""What a worker is handed: one scene at a time, and once, what holds for all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from geomask.batch.options import SceneOptions
from geomask.batch.places import Places
from geomask.batch.record import FAILED, Failure, Record, UsedModel, read_record, still_holds


@dataclass(frozen=True)
class Task:
    """One scene. scene: what `open_scene` takes, absolute where local. name: of its outputs.
    attempt: from 1 on, counting workers that died over it."""

    scene: str
    name: str
    attempt: int = 1


LIVES = 3
"""Workers that may die over one scene before it is quarantined: the first ones may have been
killed for something else, such as another process's hunger for memory, or a machine taken back."""


def usable_cores() -> int:
    """Cores of the processor that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Work(Protocol):
    """What engines run: they know nothing of scenes. Must survive pickling."""

    def worker(self, device: str, cores: int) -> Worker:
        """What does tasks in this process, on a device, with so many of its cores."""

    def parted(self) -> Work | None:
        """The same, but workers leave the last part of each task to `trace`; None where no task
        has such a part."""

    def trace(self, task: Task, record: Record) -> Record:
        """The last part of a task, in any process, by the record of what a worker did."""

    def lost(self, task: Task, reason: str) -> Record:
        """The record of a task that no worker survived."""


class Worker(Protocol):
    """Does one task after another; raises nothing but what should end the whole run."""

    def __call__(self, task: Task) -> Record: ...


@dataclass(frozen=True)
class Order:
    """What holds for every scene of a run.

    root: the output folder. model: the file's path; model_sha256: its hash. retries: how often a
    scene is begun again after a fault of disk or network, `pause` seconds later, then twice that.
    again: do scenes that are done, too. run: identifies the run.
    """

    root: Path
    options: SceneOptions
    model: str
    model_sha256: str
    run: str
    retries: int = 2
    pause: float = 2.0
    again: bool = False

    @property
    def places(self) -> Places:
        """Where everything is."""
        return Places(self.root)

    def deciding(self) -> Mapping[str, Any]:
        """The options that records are compared by."""
        return self.options.deciding()

    def done(self, task: Task) -> Record | None:
        """The record of a task that need not be done (again); None where it must."""
        record = read_record(self.places.record(task.name))
        if record is None or (self.again and record.run != self.run):
            return None
        holds = still_holds(
            record,
            self.places,
            scene=task.scene,
            model_sha256=self.model_sha256,
            options=self.deciding(),
        )
        return record if holds else None

    def failed(self, task: Task, error: Failure) -> Record:
        """The record of a scene that could not be done."""
        now = time.time()
        earlier = read_record(self.places.record(task.name))
        return Record(
            status=FAILED,
            scene=task.scene,
            name=task.name,
            model=UsedModel(self.options.model, self.model_sha256),
            options=self.deciding(),
            outputs=() if earlier is None else earlier.outputs,
            attempts=task.attempt,
            error=error,
            run=self.run,
            started=now,
            finished=now,
        )
