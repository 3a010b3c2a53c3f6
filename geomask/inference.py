"""From a patch of a scene to class codes: what is decided before a run, and each step of it.

`prepare` chooses bands, resolution and patches, and refuses what cannot work. An `Inference`
then loads patches (any thread), runs the network on them (the main thread) and cuts out cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from rasterio.windows import Window

from geomask.checkpoint import Model
from geomask.classes import NODATA
from geomask.device import choose_precision, keep_freed_memory
from geomask.errors import BandError, OptionError
from geomask.grid import Grid
from geomask.mask import UNKNOWN_PERCENT
from geomask.resample import Taps, resample, taps
from geomask.scene import Scene
from geomask.tiling import Patch, Plan, Span, plan_patches, reflect

DEFAULT_CORE = 1024
"""Inference pixels a side that a patch keeps, unless told otherwise: two of the mask's blocks,
and about a second of a laptop's time."""

RESOLUTION_SLACK = 1.1
"""A scene may lie so much outside the card's resolutions before it is resampled for inference:
10.9 m is as good as 10 m, and resampling is not free."""


@dataclass(frozen=True)
class Loaded:
    """A patch that was read.

    image: float32 (card bands, height, width), reflectance on the inference grid, NaN where
    absent or not measured; None where no pixel of the core was measured. valid: bool, the
    core's shape on the mask's grid, True where every band in use was measured.
    """

    patch: Patch
    image: npt.NDArray[np.float32] | None
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Result:
    """A core's classes, on the mask's grid.

    codes: uint8 (height, width), class codes, 255 where not valid. confidence: uint8 percent,
    255 where not valid, or None. probabilities: uint8 percent (classes, height, width), or None.
    """

    window: Window
    codes: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None
    probabilities: npt.NDArray[np.uint8] | None


@dataclass(frozen=True)
class Inference:
    """One model on one scene, decided to the last patch.

    bands: common names that are read. plan: the patches. dtype: the network's precision.
    resolution: (rows, columns) of the inference grid in metres, or None without a CRS.
    """

    scene: Scene
    model: Model
    bands: tuple[str, ...]
    plan: Plan
    dtype: torch.dtype
    resolution: tuple[float, float] | None

    def load(self, patch: Patch) -> Loaded:
        """Read a patch; safe in any thread. Raises SceneError for a damaged file."""
        if patch.scale == (1.0, 1.0):
            image, inside = self._read_native(patch)
        else:
            image, inside = self._read_resampled(patch)
        if not inside.any():
            return Loaded(patch, None, inside)
        full = np.full((len(self.model.card.bands), *image.shape[1:]), np.nan, dtype=np.float32)
        for values, band in zip(image, self.bands, strict=True):
            full[self.model.card.bands.index(band)] = values
        return Loaded(patch, full, inside)

    def run(
        self, loaded: Sequence[Loaded], *, confidence: bool, probabilities: bool
    ) -> list[Result]:
        """Classify patches of one size, each with a measured pixel, as one batch."""
        images = np.stack([item.image for item in loaded if item.image is not None])
        device = self.model.device
        batch = torch.from_numpy(images).to(device, memory_format=torch.channels_last)
        mixed = self.dtype != torch.float32
        with torch.inference_mode(), torch.autocast(device.type, self.dtype, enabled=mixed):
            logits = self.model.network(batch).float()
        return [
            self._finish(item, scores, confidence=confidence, probabilities=probabilities)
            for item, scores in zip(loaded, logits, strict=True)
        ]

    def skip(self, loaded: Loaded, *, confidence: bool, probabilities: bool) -> Result:
        """The result of a patch without a measured pixel: nodata, and the network not run."""
        shape = loaded.valid.shape
        classes = len(self.model.card.classes)
        return Result(
            loaded.patch.write,
            np.full(shape, NODATA, np.uint8),
            np.full(shape, UNKNOWN_PERCENT, np.uint8) if confidence else None,
            np.full((classes, *shape), UNKNOWN_PERCENT, np.uint8) if probabilities else None,
        )

    def _finish(
        self, item: Loaded, logits: torch.Tensor, *, confidence: bool, probabilities: bool
    ) -> Result:
        """Logits (classes, height, width) of a patch to its core's classes."""
        logits = _core(item.patch, logits)
        codes = self.model.card.class_table.codes[logits.argmax(dim=0).cpu().numpy()]
        codes[~item.valid] = NODATA
        if not (confidence or probabilities):
            return Result(item.patch.write, codes, None, None)
        shares = torch.softmax(logits / self.model.card.temperature, dim=0)
        percent = torch.round(shares * 100).to(torch.uint8).cpu().numpy()
        percent[:, ~item.valid] = UNKNOWN_PERCENT
        return Result(
            item.patch.write,
            codes,
            percent.max(axis=0) if confidence else None,
            percent if probabilities else None,
        )

    def _read_native(
        self, patch: Patch
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """The patch at the scene's own pixels, reflected beyond its edges; and the core's valid."""
        height, width = self.scene.grid.shape
        rows = reflect(patch.rows.read, patch.rows.size, height)
        columns = reflect(patch.columns.read, patch.columns.size, width)
        image, valid, top, left = self._read(rows, columns)
        inside = _cut(valid, patch, top, left)
        if _is_run(rows) and _is_run(columns):
            return image, inside
        return image[:, (rows - top)[:, None], (columns - left)[None]], inside

    def _read_resampled(
        self, patch: Patch
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """The patch on the inference grid; and the core's valid, on the scene's own pixels."""
        height, width = self.scene.grid.shape
        rows = _inference_taps(patch.rows, patch.scale[0], height)
        columns = _inference_taps(patch.columns, patch.scale[1], width)
        # The core's own pixels are read as well: whether they are valid is asked of each.
        image, valid, top, left = self._read(
            np.append(rows.index, [patch.rows.write, patch.rows.write + patch.rows.length - 1]),
            np.append(
                columns.index,
                [patch.columns.write, patch.columns.write + patch.columns.length - 1],
            ),
        )
        inside = _cut(valid, patch, top, left)
        if not inside.any():
            return image[:, :0, :0], inside
        return resample(image, rows.shifted(top), columns.shifted(left)), inside

    def _read(
        self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], int, int]:
        """The smallest window that holds those rows and columns, and where it begins."""
        top, left = int(rows.min()), int(columns.min())
        size = int(columns.max()) + 1 - left, int(rows.max()) + 1 - top
        image, valid = self.scene.read(Window(left, top, *size), self.bands)
        return image, valid, top, left


def prepare(
    scene: Scene,
    model: Model,
    *,
    precision: str = "auto",
    patch: int | None = None,
    margin: int | None = None,
    resolution: float | None = None,
) -> Inference:
    """Decide how `model` runs on `scene`, or say in one sentence why it cannot.

    precision: auto, fp32 or bf16. patch, margin: inference pixels, the device's and the card's
    unless given. resolution: of inference, metres.
    Raises BandError or OptionError.
    """
    card = model.card
    bands = _choose_bands(scene, model)
    scale, size = _inference_scale(scene.grid, card.resolution, resolution)
    margin = card.margin if margin is None else margin
    if margin < 0:
        raise OptionError(f"margin {margin} is below 0")
    if patch is None:
        # Where the scene's pixels are finer than inference's, a patch covers more of them.
        core = DEFAULT_CORE * min(1.0, max(0.25, *scale))
        patch = math.ceil((core + 2 * margin) / card.stride) * card.stride
    plan = plan_patches(
        *scene.grid.shape, patch=patch, margin=margin, stride=card.stride, scale=scale
    )
    if model.device.type == "cpu":
        keep_freed_memory()
    return Inference(scene, model, bands, plan, choose_precision(precision, model.device), size)


def _choose_bands(scene: Scene, model: Model) -> tuple[str, ...]:
    """The best band set of the model that the scene has."""
    bands = model.card.choose_bands(scene.band_names)
    if bands is not None:
        return bands
    sets = model.card.band_sets or (model.card.bands,)
    needed = " or ".join(", ".join(bands) for bands in sets)
    raise BandError(
        f"{scene.path}: model {model.card.name!r} needs the bands {needed}; there is "
        f"{scene.describe_bands()}; name bands by number, for example --bands "
        + ",".join(f"{name}={number}" for number, name in enumerate(sets[-1], 1))
    )


def _inference_scale(
    grid: Grid, trained: tuple[float, float], wanted: float | None
) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """Inference pixels per scene pixel, and the inference grid's pixel size in metres."""
    pixel = grid.pixel_size
    if wanted is not None and not (math.isfinite(wanted) and wanted > 0):
        raise OptionError(f"resolution {wanted} is not a pixel size in metres")
    if pixel is None:
        if wanted is not None:
            raise OptionError(
                "the scene has no coordinate reference system, so its pixels have no size in "
                "metres; leave --resolution out"
            )
        return (1.0, 1.0), None
    finest, coarsest = trained
    if wanted is None:
        if all(finest / RESOLUTION_SLACK <= p <= coarsest * RESOLUTION_SLACK for p in pixel):
            return (1.0, 1.0), pixel
        wanted = min(max(math.sqrt(pixel[0] * pixel[1]), finest), coarsest)
    scale = pixel[0] / wanted, pixel[1] / wanted
    if not all(1 / 64 <= s <= 64 for s in scale):
        raise OptionError(
            f"the scene's pixels are {pixel[0]:.3g} x {pixel[1]:.3g} m; inference at "
            f"{wanted:g} m is more than 64 times away from that"
        )
    return scale, (wanted, wanted)


def _inference_taps(span: Span, scale: float, length: int) -> Taps:
    """Taps from the scene's `length` pixels to the inference pixels that a span reads."""
    outputs = reflect(span.read, span.size, max(1, math.ceil(length * scale)))
    return taps(outputs, 1 / scale, length)


def _core(patch: Patch, logits: torch.Tensor) -> torch.Tensor:
    """Logits on the inference grid to the core's own pixels, bilinearly where they differ."""
    for dim, span, scale in ((1, patch.rows, patch.scale[0]), (2, patch.columns, patch.scale[1])):
        if scale == 1.0:
            logits = logits.narrow(dim, span.write - span.read, span.length)
        else:
            outputs = np.arange(span.write, span.write + span.length)
            logits = _bring_back(logits, dim, _local_taps(outputs, span, scale))
    return logits


def _local_taps(outputs: npt.NDArray[np.intp], span: Span, scale: float) -> Taps:
    """Taps from a span's inference pixels, its own first being 0, to mask pixels."""
    shifted = taps(outputs, scale, span.read + span.size).shifted(span.read)
    return Taps(np.clip(shifted.index, 0, span.size - 1), shifted.weight)


def _bring_back(logits: torch.Tensor, dim: int, axis_taps: Taps) -> torch.Tensor:
    shape = [1, 1, 1]
    shape[dim] = -1
    index = torch.from_numpy(axis_taps.index).to(logits.device)
    weight = torch.from_numpy(axis_taps.weight).to(logits.device)
    result = logits.index_select(dim, index[:, 0]) * weight[:, 0].reshape(shape)
    for k in range(1, index.shape[1]):
        result += logits.index_select(dim, index[:, k]) * weight[:, k].reshape(shape)
    return result


def _cut(
    valid: npt.NDArray[np.bool_], patch: Patch, top: int, left: int
) -> npt.NDArray[np.bool_]:
    """The core's part of `valid`, an array that begins at scene pixel (top, left)."""
    rows, columns = patch.rows, patch.columns
    return valid[
        rows.write - top : rows.write - top + rows.length,
        columns.write - left : columns.write - left + columns.length,
    ]


def _is_run(index: npt.NDArray[np.intp]) -> bool:
    """Whether indices are consecutive, so that the window that was read is the patch itself."""
    return bool(index[-1] - index[0] == index.size - 1 and (np.diff(index) == 1).all())
