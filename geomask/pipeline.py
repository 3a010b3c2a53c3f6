"""The threads of a prediction: readers ahead of the network, a writer behind it.

Errors of a thread are raised where its work is waited for, in the main thread; leaving early
cancels what has not begun and waits for what has.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import cycle
from operator import attrgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geomask.engine import Engine, Launch, Loaded, Result
from geomask.inference import Inference
from geomask.mask import (
    ACQUISITION_TAG,
    MODEL_TAG,
    RADIOMETRY_TAG,
    SCENE_TAG,
    mask_layout,
    percent_layout,
)
from geomask.output import Staged
from geomask.outputs import Outputs
from geomask.raster_writer import RasterWriter
from geomask.scene.plausibility import PIXELS, Histogram
from geomask.signals import result_of
from geomask.stages import Stages
from geomask.version import __version__

WRITES_BEHIND = 4
"""Results that may wait for the disk before the network does."""


def run(
    inference: Inference,
    readers: int,
    histogram: Histogram | None = None,
    stages: Stages | None = None,
) -> Generator[Result, None, None]:
    """Results in the order of the plan; neighbours whose sizes agree share a forward pass.

    Batches go to the devices in turn, and a device has some launched before one is waited for.
    histogram: of `inference.bands`, to count some of the pixels that are read. stages: told of
    "reading", waiting for patches, and "network".
    """
    stages = stages or Stages()
    launched: deque[tuple[Engine, Launch]] = deque()
    engines = cycle(inference.engines)
    with ExitStack() as stack:
        if len(inference.plan) > 1:
            for engine in inference.engines:
                stack.enter_context(engine.side_by_side())
        most = sum(engine.ahead for engine in inference.engines)
        batches = stack.enter_context(closing(_batches(inference, readers, histogram)))
        while True:
            with stages.during("reading"):
                batch = next(batches, None)
            if batch is None:
                break
            engine = next(engines)
            with stages.during("network"):
                launched.append((engine, engine.launch(batch)))
            while len(launched) > most:
                yield from _collected(launched, stages)
        while launched:
            yield from _collected(launched, stages)


def _collected(launched: deque[tuple[Engine, Launch]], stages: Stages) -> list[Result]:
    engine, work = launched.popleft()
    with stages.during("network"):
        return engine.collect(work)


def _batches(
    inference: Inference, readers: int, histogram: Histogram | None
) -> Generator[list[Loaded], None, None]:
    """Neighbours whose sizes agree, no more than a batch."""
    waiting: list[Loaded] = []
    with closing(_load_ahead(inference, readers)) as patches:
        for loaded in patches:
            if histogram is not None:
                _count(histogram, inference, loaded)
            if waiting and (len(waiting) >= inference.batch or waiting[0].size != loaded.size):
                yield waiting
                waiting = []
            waiting.append(loaded)
    if waiting:
        yield waiting


def _count(histogram: Histogram, inference: Inference, loaded: Loaded) -> None:
    """Count measured pixels of a patch's core, every so many: about `PIXELS` of a scene's."""
    if loaded.image is None:
        return
    step = _step(inference)
    names, patch = inference.model.card.bands, loaded.patch
    channels = [names.index(band) for band in inference.bands]
    rows, columns = (
        np.floor((np.arange(0, span.length, step) + span.write + 0.5) * scale) - span.read
        for span, scale in zip((patch.rows, patch.columns), patch.scale, strict=True)
    )
    part = loaded.image[np.ix_(channels, rows.astype(np.intp), columns.astype(np.intp))]
    part[:, ~loaded.valid[::step, ::step]] = np.nan
    histogram.add(part)


def counted(inference: Inference) -> int:
    """How many pixels of a scene `run` counts in a histogram, were all of them measured."""
    step = _step(inference)
    return sum(
        math.ceil(patch.rows.length / step) * math.ceil(patch.columns.length / step)
        for patch in inference.plan
    )


def _step(inference: Inference) -> int:
    return math.ceil(math.sqrt(math.prod(inference.scene.grid.shape) / PIXELS))


def _load_ahead(inference: Inference, readers: int) -> Generator[Loaded, None, None]:
    """Patches in order, read by threads, of which only a few more than a batch may wait.

    A thread's error is raised here, in its place; threads not yet started are then cancelled.
    """
    inference.expect_all()
    with ThreadPoolExecutor(readers, thread_name_prefix="geomask-read") as pool:
        pending: deque[Future[Loaded]] = deque()
        try:
            for patch in inference.plan:
                pending.append(pool.submit(inference.load, patch))
                if len(pending) >= readers + inference.batch:
                    yield result_of(pending.popleft())
            while pending:
                yield result_of(pending.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Writers:
    """The output rasters, written behind by one thread; gone unless committed."""

    def __init__(
        self, stack: ExitStack, inference: Inference, outputs: Outputs, compress: str
    ) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(256, dtype=np.int64)
        card, tags = inference.model.card, _tags(inference)
        wanted = (
            (outputs.mask, "codes", mask_layout(card.class_table, tags, style=outputs.style)),
            (outputs.confidence, "confidence", percent_layout(("confidence",), tags)),
            (outputs.probabilities, "percent", percent_layout(card.class_table.names, tags)),
        )
        grid, block = inference.scene.grid, inference.plan.block
        self._rasters = [
            (
                stack.enter_context(
                    RasterWriter(path, grid, layout, block=block, compress=compress)
                ),
                attrgetter(part),
            )
            for path, part, layout in wanted
            if path is not None
        ]
        self._pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="geomask-write"))
        self._pending: deque[Future[None]] = deque()

    def write(self, result: Result) -> None:
        """Hand a result to the writing thread; an error of an earlier one is raised here."""
        self.counts += np.bincount(result.codes.ravel(), minlength=256)
        self._pending.append(self._pool.submit(self._write, result))
        while len(self._pending) > WRITES_BEHIND:
            result_of(self._pending.popleft())

    def finish(self) -> None:
        """Complete every raster beside its target."""
        while self._pending:
            result_of(self._pending.popleft())
        for raster, _ in self._rasters:
            raster.finish()

    @property
    def staged(self) -> dict[Path, Staged]:
        """By target, the finished rasters beside theirs."""
        return {raster.target: raster.staged for raster, _ in self._rasters}

    def _write(self, result: Result) -> None:
        for raster, part in self._rasters:
            raster.write(result.window, part(result))


def _tags(inference: Inference) -> dict[str, str]:
    """What every output says of its making. No times of its own, no folders, no host names: the
    same run on another machine gives the same bytes."""
    card, scene = inference.model.card, inference.scene
    known = scene.acquisition.known()
    return {
        **({ACQUISITION_TAG: json.dumps(known)} if known else {}),
        "TIFFTAG_SOFTWARE": f"geomask {__version__}",
        "GEOMASK_VERSION": __version__,
        SCENE_TAG: Path(scene.path).name,
        MODEL_TAG: card.name,
        "GEOMASK_MODEL_SHA256": inference.model.sha256,
        "GEOMASK_BANDS": json.dumps({b: scene.bands[b].source for b in inference.bands}),
        RADIOMETRY_TAG: scene.radiometry(inference.bands),
        "GEOMASK_NODATA": scene.provenance.nodata,
    }
