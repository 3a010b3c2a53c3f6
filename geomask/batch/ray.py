"""The Ray engine: a worker per GPU, or per some cores, on whatever machines a cluster has.

Addresses of scenes travel, never pixels, so every machine must see the scenes, the model and the
output folder under the same paths. Which scene is whose is decided here and not by Ray: a worker
has one scene at a time, and when it dies another one is begun for it.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from geomask.batch.record import Record
from geomask.batch.task import LIVES, Task, Work, usable_cores
from geomask.errors import BatchError, GeomaskError

if TYPE_CHECKING:
    from geomask.batch.run import EngineOptions

CORES = 4
"""Of the processor for each worker, where the cluster's machines have them: beyond that a network
on a CPU gains little, and another scene more."""

TRACING_BEHIND = 2
"""Masks per worker that may wait for their polygons before no further scene is begun."""


@dataclass(frozen=True)
class Crew:
    """What to ask of the cluster. workers: how many. cores, gpus: for each. apart: whether
    polygons are made by tasks of their own, so that no GPU waits for them."""

    workers: int
    cores: int
    gpus: int
    apart: bool

    @property
    def device(self) -> str:
        """Of a worker; Ray shows it its own GPU alone."""
        return "cuda" if self.gpus else "cpu"


def run_ray(
    work: Work,
    tasks: Sequence[Task],
    engine: EngineOptions,
    begun: Callable[[Task], object],
    *,
    apart: bool | None = None,
) -> Iterator[Record]:
    """Do the tasks on a Ray cluster, or on one that is started on this machine.

    A worker that dies is replaced and its scene begun again, `LIVES` times in all. apart: see
    `Crew`; where there are GPUs and spare cores, unless given.
    Raises BatchError where there is no Ray, no cluster or no room in it, and what a worker raises
    when it is made.
    """
    with _cluster(engine) as ray:
        crew = _crew(ray, engine, len(tasks))
        parted = work.parted() if (crew.apart if apart is None else apart) else None
        run = _Run(ray, parted or work, crew, parted is not None)
        try:
            yield from run.records(tasks, begun)
        finally:
            run.end()


@contextmanager
def _cluster(engine: EngineOptions) -> Iterator[Any]:
    """Ray, connected; disconnected on leaving unless the caller was connected before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report home
    # Ray's workers are nice by default, and get next to nothing beside anything else that runs.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise BatchError(
            "--engine ray needs Ray; install it with: pip install 'geomask[ray]'"
        ) from error
    if ray.is_initialized():
        yield ray
        return
    here: dict[str, Any] = {}
    if engine.address == "local":
        asked = (engine.workers or 1) * (engine.cores or 1)
        here = {"num_cpus": max(asked, usable_cores()), "include_dashboard": False}
    try:
        ray.init(address=engine.address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BatchError(
            f"no Ray cluster answers at {engine.address} ({_line(error)}); check --address, or "
            "give local to start one here"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _crew(ray: Any, engine: EngineOptions, tasks: int) -> Crew:
    """Who is needed, by what the cluster has; one that grows by itself may be asked for more."""
    total = ray.cluster_resources()
    cpus, gpus = int(total.get("CPU", 0)), int(total.get("GPU", 0))
    largest = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes()), default=0)
    on_gpus = engine.device != "cpu" and (gpus > 0 or engine.device != "auto")
    cores = engine.cores
    if cores is None:
        share = cpus // (engine.workers or 1) if engine.workers else CORES
        cores = max(1, min(CORES, largest, share))
    room = gpus if on_gpus else cpus // cores
    workers = engine.workers or room
    if workers < 1:
        has = f"{gpus} GPUs" if on_gpus else f"{cpus} cores, {largest} on one machine at most"
        raise BatchError(
            f"the Ray cluster has {has}, and so no room for a worker; use --device cpu, --cores, "
            "or --workers if it grows when asked"
        )
    workers = min(workers, tasks)
    return Crew(workers, cores, int(on_gpus), apart=on_gpus and cpus - workers * cores >= 1)


class _Run:
    """One run: who is doing what."""

    def __init__(self, ray: Any, work: Work, crew: Crew, apart: bool) -> None:
        self.ray, self.work, self.crew, self.apart = ray, work, crew, apart
        self.data = pickle.dumps(work)
        self.hired: set[Any] = set()
        self.waiting: deque[Task] = deque()
        self.idle: deque[Any] = deque()
        self.starting: dict[Any, Any] = {}  # what will say that a worker is ready, to the worker
        self.doing: dict[Any, tuple[Any, Task]] = {}
        self.tracing: dict[Any, Task] = {}
        self.stillborn = 0

    def records(self, tasks: Sequence[Task], begun: Callable[[Task], object]) -> Iterator[Record]:
        """The records, as they come."""
        self.waiting.extend(tasks)
        for _ in range(self.crew.workers):
            self._hire()
        while self.waiting or self.doing or self.tracing:
            self._hand_out(begun)
            expected = [*self.starting, *self.doing, *self.tracing]
            (said, *_), _ = self.ray.wait(expected, num_returns=1)
            record = self._hear(said)
            if record is not None:
                yield record

    def end(self) -> None:
        """Let every worker go."""
        for worker in self.hired:
            self.ray.kill(worker)

    def _hire(self) -> None:
        options = {"num_cpus": self.crew.cores, "num_gpus": self.crew.gpus, "max_restarts": 0}
        remote = self.ray.remote(_Actor).options(**options)
        worker = remote.remote(self.data, self.crew.device, self.crew.cores)
        self.hired.add(worker)
        self.starting[worker.ready.remote()] = worker

    def _hand_out(self, begun: Callable[[Task], object]) -> None:
        """Scenes to those who have none, unless too many masks wait for their polygons."""
        while self.waiting and self.idle and len(self.tracing) < TRACING_BEHIND * self.crew.workers:
            worker, task = self.idle.popleft(), self.waiting.popleft()
            begun(task)
            self.doing[worker.do.remote(task)] = (worker, task)

    def _hear(self, said: Any) -> Record | None:
        if said in self.starting:
            self._started(said, self.starting.pop(said))
            return None
        if said in self.tracing:
            return self._result(said, self.tracing.pop(said))
        worker, task = self.doing.pop(said)
        record = self._result(said, task, worker)
        if worker in self.hired:
            self.idle.append(worker)
        if record is None or not (self.apart and record.done and record.polygons is None):
            return record
        trace = self.ray.remote(_trace).options(num_cpus=1, max_retries=0)
        self.tracing[trace.remote(self.data, task, record)] = task
        return None

    def _started(self, said: Any, worker: Any) -> None:
        from ray.exceptions import RayError

        try:
            refused = self.ray.get(said)
        except RayError as error:
            self.stillborn += 1
            if self.stillborn >= LIVES:
                raise BatchError(
                    f"a Ray worker ended before its first scene: {_line(error)}"
                ) from None
            self._replace(worker)
            return
        if refused is not None:
            raise refused
        self.stillborn = 0
        self.idle.append(worker)

    def _result(self, said: Any, task: Task, worker: Any = None) -> Record | None:
        """What came of a task; None where it is begun again, since a process died over it."""
        from ray.exceptions import RayError, RayTaskError

        try:
            record: Record = self.ray.get(said)
            return record
        except RayTaskError as error:  # an error of ours, in a process that goes on
            return self.work.lost(task, f"{task.scene}: {_line(error)}")
        except RayError as error:
            if worker is not None:
                self._replace(worker)
            if task.attempt >= LIVES:
                return self.work.lost(task, f"{task.scene}: its worker ended, {_line(error)}")
            self.waiting.appendleft(replace(task, attempt=task.attempt + 1))
            return None

    def _replace(self, worker: Any) -> None:
        self.hired.discard(worker)
        self.ray.kill(worker)  # it may only have been out of reach
        self._hire()


class _Actor:
    """A worker in a process of the cluster."""

    def __init__(self, data: bytes, device: str, cores: int) -> None:
        # Before torch and GDAL are loaded, which look once.
        os.environ["OMP_NUM_THREADS"] = os.environ["GDAL_NUM_THREADS"] = str(cores)
        self.refused: GeomaskError | None = None
        work: Work = pickle.loads(data)
        try:
            self.worker = work.worker(device, cores)
        except GeomaskError as error:
            self.refused = error

    def ready(self) -> GeomaskError | None:
        """Why it cannot work, None where it can."""
        return self.refused

    def do(self, task: Task) -> Record:
        """One scene."""
        return self.worker(task)


def _trace(data: bytes, task: Task, record: Record) -> Record:
    """The polygons of a mask, in a process without a GPU."""
    os.environ["OMP_NUM_THREADS"] = os.environ["GDAL_NUM_THREADS"] = "1"
    work: Work = pickle.loads(data)
    return work.trace(task, record)


def _line(error: BaseException) -> str:
    """The last line of what Ray says: the first ones are a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300].rstrip(".")
