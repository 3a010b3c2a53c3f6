"""What is said of a scene when it is over: its results, or why there are none."""

from __future__ import annotations

import os
import socket
import traceback
from typing import Any

from geomask.batch.known import KnownGrid, Outline
from geomask.batch.record import Failure, Record, write_record
from geomask.batch.task import Order, Task
from geomask.engine import Engine
from geomask.errors import GeomaskError, OutputError
from geomask.inference import Inference
from geomask.predict import Prediction


def saved(order: Order, task: Task, record: Record) -> Record:
    """The record, on the disk; where that fails, that it failed: then the scene is not done."""
    try:
        write_record(record, order.places)
    except OutputError as error:
        return record if not record.done else failed(order, task, error)
    return record


def failed(order: Order, task: Task, error: Exception) -> Record:
    """The record of a scene that an error ended; a traceback is in it where the error was none
    that geomask raises on purpose."""
    kind = type(error).__name__
    expected = isinstance(error, GeomaskError)
    trace = None if expected else "".join(traceback.format_exception(error))
    return order.failed(task, Failure(kind, str(error) or kind, trace))


def results(prediction: Prediction) -> dict[str, Any]:
    """What a record takes from a prediction."""
    return {
        "pixels": prediction.pixels,
        "percent": prediction.percent,
        "peak_memory": prediction.peak_memory,
    }


def known_of(inference: Inference) -> dict[str, Any]:
    """What the summaries need to know of a scene, so that they open no raster."""
    grid, card = inference.scene.grid, inference.model.card
    return {
        "footprint": Outline.of(grid),
        "grid": KnownGrid.of(grid),
        "classes": card.class_table.classes,
        "acquisition": inference.scene.acquisition.known(),
    }


def worker_of(engines: tuple[Engine, ...]) -> dict[str, Any]:
    """This process, as a record names it."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": ", ".join(str(engine.device) for engine in engines),
        "precision": str(engines[0].dtype).removeprefix("torch."),
    }
