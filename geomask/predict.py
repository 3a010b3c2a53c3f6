"""Predict: read ahead in threads, run the network here, write behind in a thread."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from geomask.checkpoint import Model, load_model
from geomask.classes import NODATA
from geomask.device import choose_device
from geomask.errors import OptionError, OutputError
from geomask.inference import Inference, Loaded, Result, prepare
from geomask.mask import mask_layout, percent_layout
from geomask.memory import peak_memory
from geomask.output import check_distinct, check_output
from geomask.raster import GDAL_OPTIONS, RasterWriter
from geomask.scene import Scene, open_scene
from geomask.version import __version__

WRITES_BEHIND = 4
"""Results that may wait for the disk before the network does."""


@dataclass(frozen=True)
class Outputs:
    """The rasters of one prediction: mask always, confidence and probabilities where asked for."""

    mask: Path
    confidence: Path | None = None
    probabilities: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that will be written."""
        return tuple(p for p in (self.mask, self.confidence, self.probabilities) if p is not None)


@dataclass(frozen=True)
class Progress:
    """How far a prediction is: pixels of the scene done, of all."""

    done: int
    total: int


@dataclass(frozen=True)
class Prediction:
    """What a prediction did.

    pixels: per class name and "nodata". seconds: from opening to the last rename, loading of
    libraries and model left out. peak_memory: bytes, of the whole process so far, None where the
    system does not tell. resolution: of inference, metres, None without a CRS. Paths are None
    for outputs that were not asked for.
    """

    scene: str
    mask: str
    confidence: str | None
    probabilities: str | None
    model: str
    model_sha256: str
    bands: tuple[str, ...]
    radiometry: str
    nodata: str
    device: str
    precision: str
    patch: int
    margin: int
    resolution: float | None
    pixels: dict[str, int]
    seconds: float
    peak_memory: int | None

    @property
    def percent(self) -> dict[str, float]:
        """Per class, percent of the measured pixels; 0 everywhere where there are none."""
        measured = {name: count for name, count in self.pixels.items() if name != "nodata"}
        total = max(1, sum(measured.values()))
        return {name: 100 * count / total for name, count in measured.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self) | {"percent": self.percent}


def predict_scene(
    scene: Scene | str | Path,
    mask: str | Path,
    *,
    model: Model | str | Path = "default",
    device: str = "auto",
    precision: str = "auto",
    patch: int | None = None,
    margin: int | None = None,
    batch: int | None = None,
    readers: int = 2,
    resolution: float | None = None,
    confidence: str | Path | None = None,
    probabilities: str | Path | None = None,
    compress: str = "deflate",
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Prediction:
    """Classify a scene into a mask on the scene's own grid.

    scene: an open Scene, or a path for `open_scene`. mask: the GeoTIFF to write: uint8 class
    codes of the model's card, 255 where a band in use was not measured. model: a Model, a name
    or a path; `device` (auto, cpu, cuda, cuda:N, mps) is for loading it. precision: auto, fp32,
    bf16. patch, margin: inference pixels; patch a multiple of the network's stride. batch:
    patches per forward pass. readers: threads that read ahead. resolution: of inference, metres.
    confidence: also write the chosen class's probability, uint8 percent, 255 nodata.
    probabilities: also write every class's, a band each. progress: called after every patch.

    Raises GeomaskError; then no output was touched. KeyboardInterrupt leaves nothing behind.
    """
    outputs = Outputs(
        Path(mask),
        None if confidence is None else Path(confidence),
        None if probabilities is None else Path(probabilities),
    )
    source = scene.path if isinstance(scene, Scene) else str(scene)
    check_outputs(outputs, source, overwrite=overwrite)
    if readers < 1:
        raise OptionError(f"readers {readers} is below 1; one thread must read")
    with ExitStack() as stack:
        if not isinstance(scene, Scene):
            scene = stack.enter_context(open_scene(scene))
        if not isinstance(model, Model):
            model = load_model(model, choose_device(device))
        started = time.perf_counter()
        inference = prepare(
            scene,
            model,
            precision=precision,
            patch=patch,
            margin=margin,
            batch=batch,
            resolution=resolution,
            with_percent=confidence is not None or probabilities is not None,
        )
        stack.enter_context(rasterio.Env(**GDAL_OPTIONS))
        writers = _Writers(stack, inference, outputs, compress)
        for result in _results(inference, readers):
            writers.write(result)
            if progress is not None:
                progress(Progress(int(writers.counts.sum()), scene.grid.width * scene.grid.height))
        writers.commit()
        return _summary(inference, outputs, writers.counts, time.perf_counter() - started)


def check_outputs(outputs: Outputs, source: str, *, overwrite: bool) -> None:
    """Refuse outputs that cannot be written, before any work. Raises OutputError."""
    check_distinct(outputs.paths)
    for path in outputs.paths:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise OutputError(f"{path}: is not named as what it will be; name it .tif")
        check_output(path, overwrite=overwrite, inputs=[source])


def _results(inference: Inference, readers: int) -> Iterator[Result]:
    """Results in the order of the plan; neighbours whose sizes agree share a forward pass."""
    waiting: list[Loaded] = []
    for loaded in _load_ahead(inference, readers):
        if waiting and (len(waiting) == inference.batch or waiting[0].size != loaded.size):
            yield from inference.classify(waiting)
            waiting = []
        waiting.append(loaded)
    if waiting:
        yield from inference.classify(waiting)


def _load_ahead(inference: Inference, readers: int) -> Iterator[Loaded]:
    """Patches in order, read by threads, of which only a few more than a batch may wait.

    A thread's error is raised here, in its place; threads not yet started are then cancelled.
    """
    with ThreadPoolExecutor(readers, thread_name_prefix="geomask-read") as pool:
        pending: deque[Future[Loaded]] = deque()
        try:
            for patch in inference.plan:
                pending.append(pool.submit(inference.load, patch))
                if len(pending) > readers + inference.batch:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Writers:
    """The output rasters, written behind by one thread; complete after `commit`, else gone."""

    def __init__(
        self, stack: ExitStack, inference: Inference, outputs: Outputs, compress: str
    ) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(256, dtype=np.int64)
        card, tags = inference.model.card, _tags(inference)
        wanted = (
            (outputs.mask, "codes", mask_layout(card.class_table, tags)),
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
            self._pending.popleft().result()

    def commit(self) -> None:
        """Complete every raster, and only when all are complete move them into place."""
        while self._pending:
            self._pending.popleft().result()
        for raster, _ in self._rasters:
            raster.finish()
        for raster, _ in self._rasters:
            raster.commit()

    def _write(self, result: Result) -> None:
        for raster, part in self._rasters:
            raster.write(result.window, part(result))


def _tags(inference: Inference) -> dict[str, str]:
    """What every output says of its making. No times, paths or host names: the same run on
    another machine gives the same bytes."""
    card, scene = inference.model.card, inference.scene
    return {
        "TIFFTAG_SOFTWARE": f"geomask {__version__}",
        "GEOMASK_VERSION": __version__,
        "GEOMASK_MODEL": card.name,
        "GEOMASK_MODEL_SHA256": inference.model.sha256,
        "GEOMASK_BANDS": json.dumps({b: scene.bands[b].source for b in inference.bands}),
        "GEOMASK_RADIOMETRY": scene.radiometry(inference.bands),
        "GEOMASK_NODATA": scene.provenance.nodata,
    }


def _summary(
    inference: Inference,
    outputs: Outputs,
    counts: npt.NDArray[np.int64],
    seconds: float,
) -> Prediction:
    card, scene = inference.model.card, inference.scene
    pixels = {item.name: int(counts[item.code]) for item in card.class_table}
    resolution = inference.resolution
    return Prediction(
        scene=scene.path,
        mask=str(outputs.mask),
        confidence=None if outputs.confidence is None else str(outputs.confidence),
        probabilities=None if outputs.probabilities is None else str(outputs.probabilities),
        model=card.name,
        model_sha256=inference.model.sha256,
        bands=inference.bands,
        radiometry=scene.radiometry(inference.bands),
        nodata=scene.provenance.nodata,
        device=str(inference.model.device),
        precision=str(inference.dtype).removeprefix("torch."),
        patch=inference.largest_patch,
        margin=inference.margin,
        resolution=None if resolution is None else (resolution[0] * resolution[1]) ** 0.5,
        pixels=pixels | {"nodata": int(counts[NODATA])},
        seconds=seconds,
        peak_memory=peak_memory(),
    )
