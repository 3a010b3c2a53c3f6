"""A batch: scenes named, those that are done left out, the rest given to an engine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from geomask.batch.inputs import SceneInput
from geomask.batch.names import DEFAULT, name_tasks, take_shard
from geomask.batch.options import SceneOptions
from geomask.batch.places import Places
from geomask.batch.record import Record
from geomask.batch.task import Order, Task, usable_cores
from geomask.card import read_card
from geomask.errors import BatchError, OutputError
from geomask.folders import making
from geomask.model_files import find_model, hash_model, list_models
from geomask.output import write_text

GPU_WORKERS = 2
"""Processes per GPU of this machine: while one finishes a scene, the other one's network runs."""


@dataclass(frozen=True)
class EngineOptions:
    """Who does the scenes.

    name: "local", processes of this machine, or "ray". device: of `choose_devices`; "auto" with
    Ray is a GPU for each worker where the cluster has any. workers: None for one per device on a
    CPU, `GPU_WORKERS` per GPU, or with Ray as many as there is room for. cores: of the processor
    for each worker, None for an even share; 4 with Ray. address: of a Ray cluster, "local" to
    start one on this machine.
    """

    name: Literal["local", "ray"] = "local"
    device: str = "auto"
    workers: int | None = None
    cores: int | None = None
    address: str = "local"

    def __post_init__(self) -> None:
        for name, value in (("workers", self.workers), ("cores", self.cores)):
            if value is not None and value < 1:
                raise BatchError(f"{name} {value} is below 1")


@dataclass(frozen=True)
class Plan:
    """What a run would do. order: what holds for all. todo: what must be done. done: records of
    what need not be. tasks: of all shards."""

    order: Order
    todo: tuple[Task, ...]
    done: tuple[Record, ...]
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class BatchResult:
    """What a run did. done, failed: records of what it did; skipped: of what was done before."""

    folder: str
    done: tuple[Record, ...] = ()
    failed: tuple[Record, ...] = ()
    skipped: tuple[Record, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Counts, and what failed and why."""
        return {
            "folder": self.folder,
            "done": len(self.done),
            "skipped": len(self.skipped),
            "failed": [record.why_failed() for record in self.failed],
        }


@dataclass
class Progress:
    """Told of each scene as it begins and ends; does nothing unless given functions."""

    begun: Callable[[Task], object] = field(default=lambda task: None)
    ended: Callable[[Record], object] = field(default=lambda record: None)


def plan_batch(
    scenes: Sequence[SceneInput],
    folder: str | Path,
    options: SceneOptions,
    *,
    template: str = DEFAULT,
    shard: tuple[int, int] | None = None,
    retries: int = 2,
    overwrite: bool = False,
) -> Plan:
    """Name every scene, and say which must be done; touches nothing.

    The arguments are `run_batch`'s. Raises BatchError, OutputError or ModelError.
    """
    if not scenes:
        raise BatchError("there is no scene to do; name some")
    model = find_model(options.model)
    read_card(model)  # a damaged one is refused before a folder is made
    order = Order(
        root=Path(folder).absolute(),
        options=options,
        # A name is looked up on each machine, where the model may be at another path.
        model=options.model if options.model in dict(list_models()) else str(model.absolute()),
        model_sha256=hash_model(model),
        run=uuid.uuid4().hex,
        retries=retries,
        again=overwrite,
    )
    every = name_tasks(scenes, template)
    tasks = take_shard(every, shard)
    if not overwrite:
        _check_ours(every, order)
    done = {task: record for task in tasks if (record := order.done(task)) is not None}
    return Plan(
        order,
        tuple(task for task in tasks if task not in done),
        tuple(done.values()),
        every,
    )


def run_batch(
    scenes: Sequence[SceneInput],
    folder: str | Path,
    options: SceneOptions | None = None,
    *,
    engine: EngineOptions | None = None,
    template: str = DEFAULT,
    shard: tuple[int, int] | None = None,
    retries: int = 2,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BatchResult:
    """Mask many scenes into a folder; what is done already is not done again.

    scenes: of `find_scenes`. template: what masks are called. shard: (i, n), the i-th of n parts.
    retries: how often a scene is begun again after a fault of disk or network. overwrite: do all
    of them again.

    A scene that cannot be done is in the result with its reason, and the others go on; a run that
    is interrupted leaves what another one completes. A script that has several workers calls this
    under `if __name__ == "__main__"`, since each of them imports it. Raises BatchError, OutputError
    or ModelError before any work, and BatchError where no worker can be had.
    """
    plan = plan_batch(
        scenes,
        folder,
        options or SceneOptions(),
        template=template,
        shard=shard,
        retries=retries,
        overwrite=overwrite,
    )
    return execute(plan, engine or EngineOptions(), progress or Progress())


def execute(plan: Plan, engine: EngineOptions, progress: Progress) -> BatchResult:
    """Do what is planned."""
    places = plan.order.places
    with making(places.records):
        places.create(plan.order.options)
        _write_scenes(plan)
    done: list[Record] = []
    failed: list[Record] = []
    try:
        for record in _records(plan, engine, progress.begun):
            (done if record.done else failed).append(record)
            progress.ended(record)
    finally:
        places.sweep(plan.order.options)  # of workers that had no time to
    return BatchResult(str(places.root), tuple(done), tuple(failed), plan.done)


def _records(
    plan: Plan, engine: EngineOptions, begun: Callable[[Task], object]
) -> Iterator[Record]:
    if not plan.todo:
        return
    from geomask.batch.job import SceneWork

    if engine.name == "ray":
        from geomask.batch.ray import run_ray

        yield from run_ray(SceneWork(plan.order), plan.todo, engine, begun)
        return
    from geomask.batch.local import run_children, run_here
    from geomask.device import choose_devices

    devices = [str(device) for device in choose_devices(engine.device)]
    per_device = GPU_WORKERS if devices[0].startswith("cuda") else 1
    workers = min(engine.workers or per_device * len(devices), len(plan.todo))
    work = SceneWork(plan.order)
    if workers == 1:
        yield from run_here(work, plan.todo, devices[0], engine.cores or 0, begun)
        return
    cores = engine.cores or max(1, usable_cores() // workers)
    spread = [devices[index % len(devices)] for index in range(workers)]
    yield from run_children(work, plan.todo, spread, cores, begun)


def read_scenes(places: Places) -> dict[str, str]:
    """Every scene that was ever asked for in a folder, by name; empty where there is none."""
    try:
        found = json.loads(places.plan.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: scene for name, scene in pairs if isinstance(scene, str)}


def _write_scenes(plan: Plan) -> None:
    """Remember what was asked for: what is there under these names is then ours."""
    places = plan.order.places
    known = read_scenes(places)
    asked = known | {task.name: task.scene for task in plan.tasks}
    if asked == known:
        return
    write_text(places.plan, json.dumps(asked, indent=0, sort_keys=True))


def _check_ours(tasks: Sequence[Task], order: Order) -> None:
    """Refuse to replace files that no batch has put into the folder."""
    places = order.places
    known = read_scenes(places)
    of_all = [] if known else [places.table, places.footprints, places.stac]
    new = [task.name for task in tasks if task.name not in known]
    for paths in (of_all, *(places.targets(name, order.options) for name in new)):
        for path in paths:
            if path.exists():
                raise OutputError(
                    f"{path}: exists, and no batch made it; give another --out-dir, or --overwrite "
                    "to replace it"
                )
