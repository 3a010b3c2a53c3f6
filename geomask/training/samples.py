"""What the network is shown: random crops of labelled chips, clouds drawn over clear ones, and
whole chips to validate on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import torch
from rasterio.windows import Window
from torch.utils.data import Dataset

from geomask.classes import remap
from geomask.errors import RecipeError
from geomask.training.chips import CHIP_LABELS, IGNORE, Chip, read_image, read_labels
from geomask.training.recipe import Recipe

OVERSCAN = 1.25
"""Side of a crop over side of a patch: room to turn and shrink a crop before its corners run out.
"""

TRIES = 4
"""Windows drawn at most, until one has enough labelled pixels."""

LABELLED_SHARE = 0.2
"""Enough labelled pixels: this share of a crop."""

SNOW_NDSI, SNOW_GREEN, SNOW_NIR = 0.4, 0.2, 0.15
"""Snow where NDSI, green and nir reflectance lie above these (Hall et al. 1995's threshold on the
index, and brightness to leave out water); only good for chips without cloud."""


DRAWN_SEED = 7
"""Of the clouds that are drawn over clear chips to validate on: the same for every recipe, so that
scores can be compared."""


class Sample(TypedDict):
    """image: float32 (bands, height, width), reflectance, NaN where absent. labels: int64
    (height, width), output channels, 255 ignored. id: of the chip."""

    image: torch.Tensor
    labels: torch.Tensor
    id: str


class TrainingSamples(Dataset[Sample]):
    """Crops to train on, each a function of (seed, number) alone; its length is one epoch.

    Chips are drawn: groups in proportion to the square root of their pixels, since pixels of one
    place repeat each other, and chips within a group in proportion to their pixels. Where the
    recipe's steps_per_epoch is 0 they are shown one after the other instead, in an order that is
    another each time all have been shown. Without labelled chips every sample is simulated.
    """

    def __init__(self, recipe: Recipe, chips: Sequence[Chip], clear: Sequence[Chip] = ()) -> None:
        self.recipe = recipe
        self.chips, self.clear = list(chips), list(clear)
        self.weights = _chances(self.chips)
        self.clear_weights = _chances(self.clear)
        patch = recipe.data.patch
        self.side = math.ceil(patch * OVERSCAN) if recipe.augment.overscans else patch
        self.channels = recipe.label_channels()

    def __len__(self) -> int:
        table = self.recipe.data
        count = len(self.chips) + len(self.clear)
        return table.batch_size * (table.steps_per_epoch or math.ceil(count / table.batch_size))

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self.recipe.trainer.seed, number))
        chip = self._draw(rng) if self.recipe.data.steps_per_epoch else self._in_turn(number)
        data, bands = self.recipe.data, self.recipe.bands
        if chip.mask is None:
            image, codes = simulated_crop(chip, bands, self.side, data.simulated_gsd, rng)
        else:
            image, codes = labelled_crop(chip, bands, self.side, rng, data.resize)
        return _sample(chip, image, codes, self.channels)

    def _draw(self, rng: np.random.Generator) -> Chip:
        share = self.recipe.data.simulate_share if self.chips else 1.0
        if self.clear and rng.random() < share:
            return self.clear[int(rng.choice(len(self.clear), p=self.clear_weights))]
        return self.chips[int(rng.choice(len(self.chips), p=self.weights))]

    def _in_turn(self, number: int) -> Chip:
        chips = [*self.chips, *self.clear]
        turn, place = divmod(number, len(chips))
        order = np.random.default_rng((self.recipe.trainer.seed, turn, len(chips)))
        return chips[int(order.permutation(len(chips))[place])]


class WholeChips(Dataset[Sample]):
    """Whole chips, resized as the recipe says and otherwise as they are.

    Without a mask a chip is clear, or snow by `snow_labels`; with clouds to be drawn (`Chip.drawn`)
    it is a crop of one patch with these, the same each time.
    """

    def __init__(self, recipe: Recipe, chips: Sequence[Chip]) -> None:
        self.recipe = recipe
        self.chips = list(chips)

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, number: int) -> Sample:
        chip, data, bands = self.chips[number], self.recipe.data, self.recipe.bands
        if chip.drawn is not None:
            name = int.from_bytes(hashlib.sha256(chip.id.encode()).digest()[:8])
            rng = np.random.default_rng((DRAWN_SEED, chip.drawn, name))
            image, codes = simulated_crop(chip, bands, data.patch, data.simulated_gsd, rng)
        else:
            shape = resized(chip.shape, data.resize)
            image = read_image(chip, bands, shape=shape)
            codes = (
                snow_labels(chip, shape) if chip.mask is None else read_labels(chip, None, shape)
            )
        return _sample(chip, image, codes, self.recipe.label_channels())


def resized(shape: tuple[int, int], side: int | None) -> tuple[int, int]:
    """(height, width) of a chip whose longer side is to have at most `side` pixels, if any."""
    factor = 1.0 if side is None else min(1.0, side / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def labelled_crop(
    chip: Chip,
    bands: Sequence[str],
    side: int,
    rng: np.random.Generator,
    resize: int | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """A random crop: image float32 (bands, side, side), chip codes uint8 (side, side).

    Of the chip as `resized`. Where it is smaller than the crop the rest is NaN and 255. A window
    that is almost all ignored is drawn again, a few times.
    """
    shape = resized(chip.shape, resize)
    shrunk = None if shape == chip.shape else read_labels(chip, None, shape)
    height, width = (min(side, size) for size in shape)
    for _ in range(TRIES):
        row = int(rng.integers(shape[0] - height + 1))
        column = int(rng.integers(shape[1] - width + 1))
        window = Window(column, row, width, height)
        codes = read_labels(chip, window) if shrunk is None else shrunk[window.toslices()]
        if (codes <= max(CHIP_LABELS.values())).mean() >= LABELLED_SHARE:
            break
    if shrunk is None:
        image = read_image(chip, bands, window)
    else:
        image = read_image(chip, bands, shape=shape)[:, *window.toslices()]
    margins = _margins((height, width), side, rng)
    image = np.pad(image, [(0, 0), *margins], constant_values=np.nan)
    return image, np.pad(codes, margins, constant_values=IGNORE)


def simulated_crop(
    chip: Chip,
    bands: Sequence[str],
    side: int,
    gsd: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Clouds over a random crop of a clear chip: image (bands, side, side), chip codes.

    The ground is averaged to a pixel size drawn from `gsd` (metres, evenly in its logarithm), but
    never made finer than the chip's, and mirrored where the chip ends; clouds come after that.
    Raises RecipeError for a chip without a pixel size, or that lacks one of the bands.
    """
    from geomask.training.simulate import random_scene_clouds

    missing = set(bands) - set(chip.bands)
    if chip.gsd is None or missing:
        what = f"bands {', '.join(sorted(missing))}" if missing else "a pixel size (gsd_m)"
        raise RecipeError(f"{chip.image}: clouds cannot be drawn over it, since it lacks {what}")
    pixel_size = max(chip.gsd, math.exp(rng.uniform(math.log(gsd[0]), math.log(gsd[1]))))
    factor = pixel_size / chip.gsd
    spans = [min(size, round(side * factor)) for size in chip.shape]
    row, column = (
        int(rng.integers(size - span + 1)) for size, span in zip(chip.shape, spans, strict=True)
    )
    window = Window(column, row, spans[1], spans[0])
    shape = (min(side, max(1, round(spans[0] / factor))), min(side, round(spans[1] / factor)))
    names = list(dict.fromkeys([*bands, "green", "nir", "swir16"]))
    ground = read_image(chip, names, window, shape)
    ground = np.pad(ground, [(0, 0), *_margins(shape, side, rng)], mode="symmetric")
    snow = _snow(*(ground[names.index(name)] for name in ("green", "nir", "swir16")))
    return random_scene_clouds(
        ground[: len(bands)], bands, pixel_size=pixel_size, rng=rng, base_labels=snow
    )


def snow_labels(chip: Chip, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """uint8 (height, width): snow (4) or clear (0) for a chip that is known to be cloud-free."""
    return _snow(*read_image(chip, ("green", "nir", "swir16"), shape=shape))


def _snow(
    green: npt.NDArray[np.float32],
    nir: npt.NDArray[np.float32],
    swir16: npt.NDArray[np.float32],
) -> npt.NDArray[np.uint8]:
    ndsi = (green - swir16) / np.maximum(green + swir16, 1e-6)
    snow = (ndsi > SNOW_NDSI) & (green > SNOW_GREEN) & (nir > SNOW_NIR)
    return np.where(snow, CHIP_LABELS["snow"], CHIP_LABELS["clear"]).astype(np.uint8)


def _chances(chips: Sequence[Chip]) -> npt.NDArray[np.float64]:
    """float64 (chips,), sum 1: how often each chip is drawn."""
    pixels = np.array([chip.shape[0] * chip.shape[1] for chip in chips], dtype=np.float64)
    groups: dict[str, float] = {}
    for chip, count in zip(chips, pixels, strict=True):
        groups[chip.group] = groups.get(chip.group, 0.0) + count
    weights = pixels / np.sqrt([groups[chip.group] for chip in chips])
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def _margins(shape: tuple[int, int], side: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(before, after) per axis that bring `shape` to a square of `side`, split at random."""
    before = [int(rng.integers(side - size + 1)) for size in shape]
    return [(first, side - size - first) for first, size in zip(before, shape, strict=True)]


def _sample(
    chip: Chip,
    image: npt.NDArray[np.float32],
    codes: npt.NDArray[np.uint8],
    channels: Mapping[int, int],
) -> Sample:
    labels = remap(codes, channels, fill=IGNORE)
    # Nobody can tell what a pixel is that no band has measured.
    labels[np.isnan(image).all(axis=0)] = IGNORE
    return Sample(image=torch.from_numpy(image), labels=torch.from_numpy(labels).long(), id=chip.id)
