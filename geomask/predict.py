"""Predict: a scene to a mask, complete or not at all, and what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import torch

from geomask.checkpoint import Model, load_model
from geomask.classes import NODATA
from geomask.device import choose_devices
from geomask.errors import OptionError
from geomask.inference import Inference, make_engines, prepare
from geomask.memory import give_back_freed_memory, peak_memory
from geomask.output import Staged, commit_all
from geomask.outputs import Outputs, check_outputs
from geomask.pipeline import Writers, counted, run
from geomask.raster import GDAL_OPTIONS
from geomask.scene import Scene, open_scene
from geomask.scene.plausibility import Histogram, check_possible, warn_of_doubt
from geomask.stages import Stages


@dataclass(frozen=True)
class Progress:
    """How far a prediction is: pixels of the scene done, of all."""

    done: int
    total: int


@dataclass(frozen=True)
class Prediction:
    """What a prediction did.

    kind: what the scene was recognised as. sources: what the bands are called there. pixels: per
    class name and "nodata". seconds: from opening to the last rename, loading of libraries and
    model left out; stages: of these, by what the main thread did: "reading" and "writing" are
    waiting for the threads that do it, "finishing" makes overviews and reads the outputs back.
    peak_memory: bytes, of the whole process so far, None where the system does not tell.
    resolution: of inference, metres, None without a CRS. Paths are None for outputs that were not
    asked for.
    """

    scene: str
    kind: str
    mask: str
    confidence: str | None
    probabilities: str | None
    model: str
    model_sha256: str
    bands: tuple[str, ...]
    sources: tuple[str, ...]
    radiometry: str
    nodata: str
    device: str
    precision: str
    patch: int
    margin: int
    resolution: float | None
    pixels: dict[str, int]
    seconds: float
    stages: dict[str, float]
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
    style: bool = True,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Prediction:
    """Classify a scene into a mask on the scene's own grid.

    scene: an open Scene, or a path for `open_scene`. mask: the GeoTIFF to write: uint8 class
    codes of the model's card, 255 where a band in use was not measured. model: a Model, a name
    or a path; `device` is for loading it, one or more of `choose_devices`. precision: auto, fp32,
    bf16. patch, margin: inference pixels; patch a multiple of the network's stride. batch:
    patches per forward pass. readers: threads that read ahead. resolution: of inference, metres.
    confidence: also write the chosen class's probability, uint8 percent, 255 nodata.
    probabilities: also write every class's, a band each. style: also write what QGIS and GDAL read
    beside the mask, `mask.qml` and class names in `mask.tif.aux.xml`. progress: called after
    every patch.

    Raises GeomaskError; then no output was touched. KeyboardInterrupt leaves nothing behind.
    """
    outputs = Outputs(
        Path(mask),
        None if confidence is None else Path(confidence),
        None if probabilities is None else Path(probabilities),
        style,
    )
    with ExitStack() as stack:
        if not isinstance(scene, Scene):
            scene = stack.enter_context(open_scene(scene))
        check_outputs(outputs, scene, overwrite=overwrite)
        devices: tuple[torch.device, ...] = ()
        if not isinstance(model, Model):
            devices = choose_devices(device)
            model = load_model(model, devices[0])
        inference = prepare(
            scene,
            model,
            engines=make_engines(
                model,
                precision,
                devices=devices,
                batch=batch,
                with_percent=outputs.need_percent,
            ),
            patch=patch,
            margin=margin,
            resolution=resolution,
        )
        finished = stack.enter_context(
            predicting(inference, outputs, readers=readers, compress=compress, progress=progress)
        )
        commit_all(finished.staged)
        return finished.prediction


@dataclass(frozen=True)
class Finished:
    """A prediction that is complete, beside its targets. staged: its rasters. mask, confidence:
    where these lie until `commit_all` moves them."""

    prediction: Prediction
    mask: Path
    confidence: Path | None
    staged: tuple[Staged, ...]


@contextmanager
def predicting(
    inference: Inference,
    outputs: Outputs,
    *,
    readers: int = 2,
    compress: str = "deflate",
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Finished]:
    """Run a prediction to its end; its outputs are gone on leaving unless they were committed.

    For what must come into place together with the mask; otherwise `predict_scene`, whose
    arguments these are. Raises SceneError, OutputError or OptionError. Warns at the end where
    the reflectance that was read makes the scene's radiometry doubtful.
    """
    if readers < 1:
        raise OptionError(f"readers {readers} is below 1; one thread must read")
    started = time.perf_counter()
    scene = inference.scene
    grid = scene.grid
    histogram = Histogram([scene.bands[band] for band in inference.bands])
    expected = counted(inference)
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**GDAL_OPTIONS))
        writers = Writers(stack, inference, outputs, compress)
        stages = Stages()
        results = stack.enter_context(closing(run(inference, readers, histogram, stages)))
        with _enough_memory():
            for result in results:
                check_possible(scene.path, histogram, expected)
                with stages.during("writing"):
                    writers.write(result)
                if progress is not None:
                    progress(Progress(int(writers.counts.sum()), grid.width * grid.height))
        check_possible(scene.path, histogram)
        give_back_freed_memory()
        with stages.during("finishing"):
            writers.finish()
        warn_of_doubt(scene.path, histogram)
        seconds = time.perf_counter() - started
        staged = writers.staged
        yield Finished(
            _summary(inference, outputs, writers.counts, seconds, stages),
            staged[outputs.mask].path,
            None if outputs.confidence is None else staged[outputs.confidence].path,
            tuple(staged.values()),
        )


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Running out of memory as an error with a way out. torch's CPU allocator has no type of its
    own for it."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not (
            isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
        ):
            raise
        raise OptionError(
            "there is not enough memory for patches of this size; use a smaller --patch or --batch"
        ) from error


def _summary(
    inference: Inference,
    outputs: Outputs,
    counts: npt.NDArray[np.int64],
    seconds: float,
    stages: Stages,
) -> Prediction:
    card, scene = inference.model.card, inference.scene
    pixels = {item.name: int(counts[item.code]) for item in card.class_table}
    resolution = inference.resolution
    return Prediction(
        scene=scene.path,
        kind=scene.kind,
        mask=str(outputs.mask),
        confidence=None if outputs.confidence is None else str(outputs.confidence),
        probabilities=None if outputs.probabilities is None else str(outputs.probabilities),
        model=card.name,
        model_sha256=inference.model.sha256,
        bands=inference.bands,
        sources=tuple(scene.bands[band].source for band in inference.bands),
        radiometry=scene.radiometry(inference.bands),
        nodata=scene.provenance.nodata,
        device=inference.device,
        precision=inference.precision,
        patch=inference.largest_patch,
        margin=inference.margin,
        resolution=None if resolution is None else (resolution[0] * resolution[1]) ** 0.5,
        pixels=pixels | {"nodata": int(counts[NODATA])},
        seconds=seconds,
        stages=dict(stages.seconds),
        peak_memory=peak_memory(),
    )
