"""The scene job: one scene to its outputs and a record of them, as often as it is asked.

What it does is `geomask predict`'s own call, so the outputs are the same bytes. The model is
loaded once and kept.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from geomask.batch.faults import is_passing
from geomask.batch.outcome import failed, known_of, results, saved, worker_of
from geomask.batch.places import Places, with_companions
from geomask.batch.record import (
    BEGUN,
    DONE,
    Failure,
    Record,
    UsedModel,
    fingerprints,
    read_record,
    write_record,
    written,
)
from geomask.batch.task import Order, Task
from geomask.checkpoint import Model, load_model
from geomask.device import choose_device
from geomask.engine import Engine
from geomask.errors import GeomaskWarning, ModelError
from geomask.inference import make_engines
from geomask.outputs import Outputs
from geomask.signals import end_if_told
from geomask.together import Request, predict_and_trace, preparing
from geomask.vectors.vectorize import tracing

LONGEST_PAUSE = 60.0
"""Seconds between two attempts, at most."""


class SceneWorker:
    """Does the scenes of an order, on one device; a `task.Worker`.

    apart: leave the polygons to `trace`, in another process.
    Raises ModelError where this machine's model is not the one of the order.
    """

    def __init__(self, order: Order, device: str, *, apart: bool = False) -> None:
        self.order = order
        self.places = order.places
        self.apart = apart
        self.device = choose_device(device)
        self.model = load_model(order.model, self.device)
        if self.model.sha256 != order.model_sha256:
            raise ModelError(
                f"{order.model}: is another file here than where the batch was started; give a "
                "path that is the same on every machine"
            )
        options = order.options
        self.engines = make_engines(
            self.model,
            options.precision,
            batch=options.batch,
            with_percent=options.confidence,
        )

    def __call__(self, task: Task) -> Record:
        """Do a scene unless it is done: its record, which is on the disk where that is possible.

        An error of the scene is in the record; nothing else is touched by it.
        """
        earlier = self.order.done(task)
        if earlier is not None:
            return earlier
        started = time.time()
        attempt = task.attempt
        told: list[str] = []
        while True:
            try:
                record = self._do(task, told)
                break
            except Exception as error:
                end_if_told()
                if not is_passing(error) or attempt - task.attempt >= self.order.retries:
                    record = failed(self.order, task, error)
                    break
                pause = self.order.pause * 2 ** (attempt - task.attempt)
            # Not all at once: those who wait together broke the server together.
            time.sleep(min(pause, LONGEST_PAUSE) * random.uniform(0.5, 1.5))
            attempt += 1
        record = replace(
            record,
            attempts=attempt,
            warnings=tuple(dict.fromkeys(told)),
            started=started,
            finished=time.time(),
            worker=worker_of(self.engines),
            run=self.order.run,
        )
        if self.apart and record.done:
            return record
        return saved(self.order, task, record)

    def load(self) -> tuple[Model, tuple[Engine, ...]]:
        """What `preparing` asks for; it is here already."""
        return self.model, self.engines

    def _do(self, task: Task, told: list[str]) -> Record:
        """Outputs into their places, and what to say of them. told: receives the warnings."""
        earlier = read_record(self.places.record(task.name))
        if earlier is not None:
            # Or a run that is killed between two outputs would leave a record of the old ones.
            write_record(replace(earlier, status=BEGUN), self.places)
        began = time.perf_counter()
        request = self._request(task)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GeomaskWarning)
            try:
                with preparing(request, self.load) as inference:
                    inputs = fingerprints(inference.scene.files)
                    opened = time.perf_counter() - began
                    prediction, polygons = predict_and_trace(request, inference)
                    known = known_of(inference)
            finally:
                told += [str(w.message) for w in caught if issubclass(w.category, GeomaskWarning)]
        seconds = {"opening": opened, **prediction.stages}
        if polygons is not None:
            seconds["polygons"] = polygons.seconds
        outputs = _files([*request.outputs.paths, *([] if polygons is None else polygons.paths)])
        if earlier is not None:
            _remove_old(earlier, outputs, self.places)
        return Record(
            status=DONE,
            scene=task.scene,
            name=task.name,
            inputs=inputs,
            model=UsedModel(prediction.model, prediction.model_sha256),
            options=self.order.deciding(),
            outputs=written(outputs, self.places),
            polygons=None if polygons is None else polygons.counts,
            seconds={**seconds, "total": time.perf_counter() - began},
            **results(prediction),
            **known,
        )

    def _request(self, task: Task) -> Request:
        options, places = self.order.options, self.places
        polygons = None
        if options.polygons is not None and not self.apart:
            polygons = places.polygons(task.name, options.polygons)
        confidence = places.confidence(task.name) if options.confidence else None
        return Request(
            task.scene,
            Outputs(places.mask(task.name), confidence, style=options.drawn.style),
            polygons,
            stated=options.stated,
            plan=options.plan,
            running={"readers": options.readers, "compress": options.compress},
            drawn=options.drawn,
            overwrite=True,
        )


def trace(order: Order, task: Task, record: Record) -> Record:
    """The polygons of a mask that `SceneWorker` made with `apart`; the finished record."""
    places, options = order.places, order.options
    if options.polygons is None:
        return saved(order, task, record)
    out = places.polygons(task.name, options.polygons)
    try:
        with tracing(
            places.mask(task.name),
            out,
            options.drawn,
            confidence=places.confidence(task.name) if options.confidence else None,
            overwrite=True,
        ) as traced:
            traced.commit()
            summary = traced.summary
    except Exception as error:
        lost = replace(failed(order, task, error), outputs=record.outputs)
        return saved(order, task, lost)
    seconds = dict(record.seconds) | {"polygons": summary.seconds}
    seconds["total"] += summary.seconds
    return saved(
        order,
        task,
        replace(
            record,
            outputs=(*record.outputs, *written(_files(summary.paths), places)),
            polygons=summary.counts,
            seconds=seconds,
            finished=time.time(),
        ),
    )


@dataclass(frozen=True)
class SceneWork:
    """The scenes of an order as engines run them; a `task.Work`."""

    order: Order
    apart: bool = False

    def parted(self) -> SceneWork | None:
        """The same, with polygons left to `trace`; None where none are asked for."""
        return None if self.order.options.polygons is None else replace(self, apart=True)

    def worker(self, device: str, cores: int) -> SceneWorker:
        """A worker whose libraries keep to so many cores; 0 leaves them as they are."""
        if cores:
            import torch

            torch.set_num_threads(cores)
        return SceneWorker(self.order, device, apart=self.apart)

    def trace(self, task: Task, record: Record) -> Record:
        """What is left of a task where workers leave the polygons."""
        return trace(self.order, task, record)

    def lost(self, task: Task, reason: str) -> Record:
        """Quarantine a scene that no worker survived."""
        return saved(self.order, task, self.order.failed(task, Failure("WorkerLost", reason)))


def _files(paths: Iterable[Path]) -> list[Path]:
    return [file for path in paths for file in with_companions(path)]


def _remove_old(earlier: Record, outputs: list[Path], places: Places) -> None:
    """Outputs of an earlier record that would stay beside a newer mask and not belong to it."""
    for item in earlier.outputs:
        path = places.root / item.path
        # A folder in it may be a link to another place.
        if path not in outputs and path.parent.resolve().is_relative_to(places.root.resolve()):
            with suppress(OSError):
                path.unlink()
