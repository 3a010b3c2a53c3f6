"""From a patch of a scene to class codes: what is decided before a run, and each step of it.

`prepare` chooses bands, resolution and patches, and refuses what cannot work. An `Inference`
then loads patches, in any thread; its engines classify them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import distance_transform_edt

from geomask.checkpoint import Model
from geomask.device import choose_precision
from geomask.engine import Engine, Loaded
from geomask.errors import OptionError
from geomask.memory import keep_freed_memory
from geomask.patch_reader import patch_window, read_patch
from geomask.scene import Scene
from geomask.suitability import choose_bands, inference_scale
from geomask.tiling import Patch, Plan, plan_patches

DEFAULT_CORE = 1024
"""Inference pixels a side that a patch keeps unless told otherwise: two of the mask's blocks. Half
as many take a tenth more time, a quarter less memory, and leave twice the seams."""

BATCH = {"cpu": 1, "cuda": 4, "mps": 4}
"""Patches per forward pass by device, unless told otherwise. A CPU is no faster with more; a GPU
whose memory does not hold them goes on with fewer."""

LANES = 2
"""Patches that a CPU works on side by side, where it has that many cores. Each takes memory, the
bundled model's about 170 MB."""

MAX_PATCH_PIXELS = 100e6
"""Pixels of the scene that one patch may draw on: with six bands that is 2.4 GB, and a few
patches are in memory at once."""


@dataclass(frozen=True)
class Inference:
    """One model on one scene, decided to the last patch.

    bands: common names that are read. plan: the patches. margin: inference pixels around a
    core. resolution: (rows, columns) of the inference grid in metres, or None without a CRS.
    engines: the network on each device.
    """

    scene: Scene
    model: Model
    bands: tuple[str, ...]
    plan: Plan
    margin: int
    resolution: tuple[float, float] | None
    engines: tuple[Engine, ...]

    @property
    def batch(self) -> int:
        """Patches that are given to a device at once, where their sizes agree."""
        return min(engine.batch for engine in self.engines)

    @property
    def device(self) -> str:
        """Where it runs, in words."""
        return ", ".join(str(engine.device) for engine in self.engines)

    @property
    def precision(self) -> str:
        """Of the network: float32 or bfloat16."""
        return str(self.engines[0].dtype).removeprefix("torch.")

    @property
    def largest_patch(self) -> int:
        """The longest side that the network reads at once, inference pixels."""
        return max(span.size for span in (*self.plan.rows, *self.plan.columns))

    def expect_all(self) -> None:
        """Announce to the scene that every patch will be loaded once."""
        windows = [patch_window(self.scene.grid, patch) for patch in self.plan]
        self.scene.expect(windows, self.bands)

    def load(self, patch: Patch) -> Loaded:
        """Read a patch; safe in any thread. Raises SceneError for a damaged file."""
        image, valid = read_patch(self.scene, patch, self.bands)
        if not valid.any():
            return Loaded(patch, None, valid)
        image = _fill(image)
        names = self.model.card.bands
        if self.bands != names:
            full = np.full((len(names), *image.shape[1:]), np.nan, dtype=np.float32)
            full[[names.index(band) for band in self.bands]] = image
            image = full
        return Loaded(patch, image, valid)


def prepare(
    scene: Scene,
    model: Model,
    *,
    engines: tuple[Engine, ...] = (),
    patch: int | None = None,
    margin: int | None = None,
    resolution: float | None = None,
) -> Inference:
    """Decide how `model` runs on `scene`, or say in one sentence why it cannot.

    engines: of the model, `make_engines` with its defaults unless given; patches are spread over
    them. patch, margin: inference pixels; margin is the card's unless given. resolution: of
    inference, metres. Raises BandError or OptionError.
    """
    card = model.card
    bands = choose_bands(scene, card)
    scene = scene.for_bands(bands)
    margin = card.margin if margin is None else margin
    if margin < 0:
        raise OptionError(f"margin {margin} is below 0")
    scale, metres = inference_scale(scene.grid, card.resolution, resolution)
    if patch is None:
        # Where the scene's pixels are finer than inference's, a patch covers more of them.
        core = DEFAULT_CORE * min(1.0, max(0.25, *scale))
        patch = math.ceil((core + 2 * margin) / card.stride) * card.stride
    plan = plan_patches(
        *scene.grid.shape, patch=patch, margin=margin, stride=card.stride, scale=scale
    )
    _check_extent(plan)
    return Inference(scene, model, bands, plan, margin, metres, engines or make_engines(model))


def make_engines(
    model: Model,
    precision: str = "auto",
    *,
    devices: Sequence[torch.device] = (),
    batch: int | None = None,
    with_percent: bool = False,
) -> tuple[Engine, ...]:
    """The model on each of the devices, its own unless given.

    precision: auto, fp32 or bf16. batch: patches per forward pass, `BATCH` unless given.
    with_percent: whether probabilities are worked out. Raises OptionError.
    """
    devices = tuple(devices) or (model.device,)
    if batch is not None and batch < 1:
        raise OptionError(f"batch {batch} is below 1")
    if any(device.type == "cpu" for device in devices):
        keep_freed_memory()
    return tuple(
        Engine(
            model,
            choose_precision(precision, device),
            device=device,
            batch=batch or BATCH.get(device.type, 1),
            lanes=min(LANES, torch.get_num_threads()) if device.type == "cpu" else 1,
            with_percent=with_percent,
        )
        for device in devices
    )


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
    """Give pixels that were not measured, NaN in every band, the values of the nearest one that
    was. What they come out as is thrown away; but next to a flat grey the network would see an
    edge, and cloud."""
    missing = np.isnan(image[0])
    if not missing.any():
        return image
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: npt.NDArray[np.float32] = image[:, nearest[0], nearest[1]]
    return filled
