"""Predict: read ahead in threads, run the network here, write behind in a thread, all or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

import geomask
from geomask.checkpoint import Model, load_model
from geomask.classes import NODATA
from geomask.device import choose_device
from geomask.errors import OptionError
from geomask.inference import Inference, Loaded, Result, prepare
from geomask.mask import mask_layout, percent_layout
from geomask.output import check_distinct, check_output
from geomask.raster import GDAL_OPTIONS, RasterWriter
from geomask.scene import Scene, open_scene

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
    if readers < 1 or (batch is not None and batch < 1):
        raise OptionError("readers and batch are at least 1")
    with ExitStack() as stack:
        if not isinstance(scene, Scene):
            scene = stack.enter_context(open_scene(scene))
        if not isinstance(model, Model):
            model = load_model(model, choose_device(device))
        started = time.perf_counter()
        inference = prepare(
            scene, model, precision=precision, patch=patch, margin=margin, resolution=resolution
        )
        stack.enter_context(rasterio.Env(**GDAL_OPTIONS))
        writers = _Writers(stack, inference, outputs, compress)
        for result in _results(
            inference,
            batch=batch or (1 if model.device.type == "cpu" else 4),
            readers=readers,
            confidence=confidence is not None,
            probabilities=probabilities is not None,
        ):
            writers.write(result)
            if progress is not None:
                progress(Progress(int(writers.counts.sum()), scene.grid.width * scene.grid.height))
        writers.commit()
        return _summary(inference, outputs, writers.counts, time.perf_counter() - started, margin)


def check_outputs(outputs: Outputs, source: str, *, overwrite: bool) -> None:
    """Refuse outputs that cannot be written, before any work. Raises OutputError."""
    check_distinct(outputs.paths)
    for path in outputs.paths:
        check_output(path, overwrite=overwrite, inputs=[source])


def _results(
    inference: Inference, *, batch: int, readers: int, confidence: bool, probabilities: bool
) -> Iterator[Result]:
    """Results in the order of the plan, at least for patches that go through the network."""
    waiting: list[Loaded] = []
    what = {"confidence": confidence, "probabilities": probabilities}
    for loaded in _load_ahead(inference, readers=readers, ahead=readers + batch):
        if loaded.image is None:
            yield inference.skip(loaded, **what)
            continue
        if waiting and _shape(waiting[0]) != _shape(loaded):
            yield from inference.run(waiting, **what)
            waiting = []
        waiting.append(loaded)
        if len(waiting) == batch:
            yield from inference.run(waiting, **what)
            waiting = []
    if waiting:
        yield from inference.run(waiting, **what)


def _shape(loaded: Loaded) -> tuple[int, ...]:
    return () if loaded.image is None else loaded.image.shape


def _load_ahead(inference: Inference, *, readers: int, ahead: int) -> Iterator[Loaded]:
    """Patches in order, read by threads, at most `ahead` of them waiting.

    A thread's error is raised here, in its place; threads not yet started are then cancelled.
    """
    with ThreadPoolExecutor(readers, thread_name_prefix="geomask-read") as pool:
        pending: deque[Future[Loaded]] = deque()
        try:
            for patch in inference.plan:
                pending.append(pool.submit(inference.load, patch))
                if len(pending) > ahead:
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
        layouts = {
            outputs.mask: mask_layout(card.class_table, tags),
            outputs.confidence: percent_layout(("confidence",), tags),
            outputs.probabilities: percent_layout(card.class_table.names, tags),
        }
        self._rasters = [
            stack.enter_context(
                RasterWriter(
                    path,
                    inference.scene.grid,
                    layout,
                    block=inference.plan.block,
                    compress=compress,
                )
            )
            for path, layout in layouts.items()
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
        for raster in self._rasters:
            raster.finish()
        for raster in self._rasters:
            raster.commit()

    def _write(self, result: Result) -> None:
        parts = (result.codes, result.confidence, result.probabilities)
        present: Iterable[npt.NDArray[np.uint8]] = (part for part in parts if part is not None)
        for raster, values in zip(self._rasters, present, strict=True):
            raster.write(result.window, values)


def _tags(inference: Inference) -> dict[str, str]:
    """What every output says of its making. No times, paths or host names: the same run on
    another machine gives the same bytes."""
    card, scene = inference.model.card, inference.scene
    return {
        "TIFFTAG_SOFTWARE": f"geomask {geomask.__version__}",
        "GEOMASK_VERSION": geomask.__version__,
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
    margin: int | None,
) -> Prediction:
    card, scene, plan = inference.model.card, inference.scene, inference.plan
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
        patch=max(span.size for span in (*plan.rows, *plan.columns)),
        margin=card.margin if margin is None else margin,
        resolution=None if resolution is None else (resolution[0] * resolution[1]) ** 0.5,
        pixels=pixels | {"nodata": int(counts[NODATA])},
        seconds=seconds,
        peak_memory=peak_memory(),
    )


def peak_memory() -> int | None:
    """Bytes of memory this process has held at most, or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
