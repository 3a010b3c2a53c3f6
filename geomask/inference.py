"""From a patch of a scene to class codes: what is decided before a run, and each step of it.

`prepare` chooses bands, resolution and patches, and refuses what cannot work. An `Inference`
then loads patches (in any thread) and classifies them (in the main thread, where torch's CPU
kernels and the allocator are quickest).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from rasterio.windows import Window
from scipy.ndimage import distance_transform_edt

from geomask.checkpoint import Model
from geomask.classes import NODATA
from geomask.device import choose_precision
from geomask.errors import OptionError
from geomask.mask import UNKNOWN_PERCENT
from geomask.memory import keep_freed_memory
from geomask.patch_reader import read_patch
from geomask.resample import Taps, taps
from geomask.scene import Scene
from geomask.suitability import choose_bands, inference_scale
from geomask.tiling import Patch, Plan, Span, plan_patches

DEFAULT_CORE = 1024
"""Inference pixels a side that a patch keeps unless told otherwise: two of the mask's blocks."""

MAX_PATCH_PIXELS = 100e6
"""Pixels of the scene that one patch may draw on: with six bands that is 2.4 GB, and a few
patches are in memory at once."""


@dataclass(frozen=True)
class Loaded:
    """A patch that was read.

    image: float32 (card bands, height, width), reflectance on the inference grid, NaN where a
    band is absent, the nearest measured pixel's where not measured; None where no pixel of the
    core was measured. valid: bool, the core's shape on the mask's grid, True where every band in
    use was measured.
    """

    patch: Patch
    image: npt.NDArray[np.float32] | None
    valid: npt.NDArray[np.bool_]

    @property
    def size(self) -> tuple[int, ...] | None:
        """The image's shape, or None where the network has nothing to do."""
        return None if self.image is None else self.image.shape


@dataclass(frozen=True)
class Result:
    """A core's classes, on the mask's grid.

    codes: uint8 (height, width), class codes, 255 where not valid. percent: uint8 (classes,
    height, width), probabilities in percent, 255 where not valid; None where not asked for.
    """

    window: Window
    codes: npt.NDArray[np.uint8]
    percent: npt.NDArray[np.uint8] | None

    @property
    def confidence(self) -> npt.NDArray[np.uint8] | None:
        """uint8 (height, width): percent of the class that was chosen."""
        return None if self.percent is None else self.percent.max(axis=0)


@dataclass(frozen=True)
class Inference:
    """One model on one scene, decided to the last patch.

    bands: common names that are read. plan: the patches. margin: inference pixels around a
    core. resolution: (rows, columns) of the inference grid in metres, or None without a CRS.
    dtype: the network's precision. batch: patches per forward pass, where their sizes agree.
    with_percent: whether probabilities are worked out.
    """

    scene: Scene
    model: Model
    bands: tuple[str, ...]
    plan: Plan
    margin: int
    resolution: tuple[float, float] | None
    dtype: torch.dtype
    batch: int
    with_percent: bool = False

    @property
    def largest_patch(self) -> int:
        """The longest side that the network reads at once, inference pixels."""
        return max(span.size for span in (*self.plan.rows, *self.plan.columns))

    def load(self, patch: Patch) -> Loaded:
        """Read a patch; safe in any thread. Raises SceneError for a damaged file."""
        image, valid = read_patch(self.scene, patch, self.bands)
        if not valid.any():
            return Loaded(patch, None, valid)
        image = _fill(image)
        names = self.model.card.bands
        if self.bands == names:
            return Loaded(patch, image, valid)
        full = np.full((len(names), *image.shape[1:]), np.nan, dtype=np.float32)
        full[[names.index(band) for band in self.bands]] = image
        return Loaded(patch, full, valid)

    def classify(self, loaded: Sequence[Loaded]) -> list[Result]:
        """Classify patches that agree in `size`; without a measured pixel the network rests."""
        images = [item.image for item in loaded if item.image is not None]
        if not images:
            return [self._nothing(item) for item in loaded]
        device = self.model.device
        batch = torch.from_numpy(np.stack(images)).to(device, memory_format=torch.channels_last)
        mixed = self.dtype != torch.float32
        with torch.inference_mode(), torch.autocast(device.type, self.dtype, enabled=mixed):
            logits = self.model.network(batch).float()
            return [self._finish(*pair) for pair in zip(loaded, logits, strict=True)]

    def _finish(self, item: Loaded, logits: torch.Tensor) -> Result:
        """Logits (classes, height, width) of a patch to its core's classes."""
        logits = _core(item.patch, logits)
        channel = logits.argmax(dim=0).to(torch.uint8).cpu().numpy()
        codes = self.model.card.class_table.codes[channel]
        codes[~item.valid] = NODATA
        percent = None
        if self.with_percent:
            shares = torch.softmax(logits / self.model.card.temperature, dim=0)
            percent = torch.round(shares * 100).to(torch.uint8).cpu().numpy()
            percent[:, ~item.valid] = UNKNOWN_PERCENT
        return Result(item.patch.write, codes, percent)

    def _nothing(self, item: Loaded) -> Result:
        shape = item.valid.shape
        classes = len(self.model.card.classes)
        return Result(
            item.patch.write,
            np.full(shape, NODATA, np.uint8),
            np.full((classes, *shape), UNKNOWN_PERCENT, np.uint8) if self.with_percent else None,
        )


def prepare(
    scene: Scene,
    model: Model,
    *,
    precision: str = "auto",
    patch: int | None = None,
    margin: int | None = None,
    batch: int | None = None,
    resolution: float | None = None,
    with_percent: bool = False,
) -> Inference:
    """Decide how `model` runs on `scene`, or say in one sentence why it cannot.

    precision: auto, fp32 or bf16. patch, margin: inference pixels; margin is the card's unless
    given. batch: 1 on a CPU, where more is no faster, unless given. resolution: of inference,
    metres. Raises BandError or OptionError.
    """
    card, device = model.card, model.device
    bands = choose_bands(scene, card)
    scene = scene.for_bands(bands)
    margin = card.margin if margin is None else margin
    batch = (1 if device.type == "cpu" else 4) if batch is None else batch
    if margin < 0 or batch < 1:
        raise OptionError(f"margin {margin} is below 0, or batch {batch} below 1")
    scale, metres = inference_scale(scene.grid, card.resolution, resolution)
    if patch is None:
        # Where the scene's pixels are finer than inference's, a patch covers more of them.
        core = DEFAULT_CORE * min(1.0, max(0.25, *scale))
        patch = math.ceil((core + 2 * margin) / card.stride) * card.stride
    plan = plan_patches(
        *scene.grid.shape, patch=patch, margin=margin, stride=card.stride, scale=scale
    )
    _check_extent(plan)
    dtype = choose_precision(precision, device)
    if device.type == "cpu":
        keep_freed_memory()
    return Inference(scene, model, bands, plan, margin, metres, dtype, batch, with_percent)


def _check_extent(plan: Plan) -> None:
    """Refuse patches that draw on more of the scene than memory should hold, several at a time."""
    rows, columns = (
        max(span.size for span in spans) / scale
        for spans, scale in zip((plan.rows, plan.columns), plan.scale, strict=True)
    )
    if rows * columns > MAX_PATCH_PIXELS:
        raise OptionError(
            f"a patch would draw on {rows:.0f} x {columns:.0f} pixels of the scene; use a smaller "
            "--patch or --margin, or an inference --resolution nearer to the scene's"
        )


def _fill(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give pixels that were not measured the values of the nearest one that was. What they come
    out as is thrown away; but next to a flat grey the network would see an edge, and cloud."""
    missing = np.isnan(image).any(axis=0)
    if not missing.any():
        return image
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: npt.NDArray[np.float32] = image[:, nearest[0], nearest[1]]
    return filled


def _core(patch: Patch, logits: torch.Tensor) -> torch.Tensor:
    """Logits on the inference grid to the core's own pixels, bilinearly where they differ."""
    for dim, span, scale in ((1, patch.rows, patch.scale[0]), (2, patch.columns, patch.scale[1])):
        if scale == 1.0:
            logits = logits.narrow(dim, span.write - span.read, span.length)
        else:
            logits = _bring_back(logits, dim, _core_taps(span, scale))
    return logits


def _core_taps(span: Span, scale: float) -> Taps:
    """Where a core's mask pixels come from, among the inference pixels of its own patch."""
    outputs = np.arange(span.write, span.write + span.length)
    return taps(outputs, scale, span.read + span.size).shifted(span.read)


def _bring_back(logits: torch.Tensor, dim: int, axis: Taps) -> torch.Tensor:
    shape = [1, 1, 1]
    shape[dim] = -1
    index = torch.from_numpy(axis.index).to(logits.device)
    weight = torch.from_numpy(axis.weight).to(logits.device)
    result = logits.index_select(dim, index[:, 0]) * weight[:, 0].reshape(shape)
    for k in range(1, index.shape[1]):
        result += logits.index_select(dim, index[:, k]) * weight[:, k].reshape(shape)
    return result
