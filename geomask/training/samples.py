"""What the network is shown: random crops of labelled chips, clouds drawn over clear ones, and
whole chips to validate on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from rasterio.windows import Window
from torch.utils.data import Dataset

from geomask.classes import remap
from geomask.errors import RecipeError
from geomask.metrics import Counts
from geomask.training.chips import CHIP_LABELS, IGNORE, Chip, read_image, read_labels
from geomask.training.clouds import random_sun, spectral_noise
from geomask.training.ground import GROUND_BANDS, random_ground, snow_labels
from geomask.training.recipe import Recipe
from geomask.training.simulate import random_scene_clouds

OVERSCAN = 1.25
"""Side of a crop over side of a patch: room to turn and shrink a crop before its corners run out.
"""

TRIES = 4
"""Windows drawn at most, until one has enough labelled pixels."""

LABELLED_SHARE = 0.2
"""Enough labelled pixels: this share of a crop."""

MIXED = 0.5
"""Share of simulated crops whose ground is that of two chips."""

DRAWN_SEED = 7
"""Of the clouds that are drawn over clear chips to validate on: the same for every recipe, so that
scores can be compared."""


class Sample(TypedDict):
    """image: float32 (bands, height, width), reflectance, NaN where absent. labels: int64
    (height, width), output channels, 255 ignored. id: of the chip."""

    image: torch.Tensor
    labels: torch.Tensor
    id: str


class _Choice(NamedTuple):
    """What a sample is of: a chip, whether clouds are drawn over it, and the chip code that its
    window must have, if any."""

    chip: Chip
    covered: bool
    label: int | None = None


class TrainingSamples(Dataset[Sample]):
    """Crops to train on, each a function of (seed, number) alone; its length is one epoch.

    Drawn is first a label, each as often as any other that the chips have, so that what is rare is
    seen as well; then a chip: groups in proportion to the square root of their pixels of that
    label, since pixels of one place repeat each other, and chips within a group in proportion to
    these; then a window that has the label. Clear chips are drawn by their size in the same way.
    Where the recipe's steps_per_epoch is 0, chips are shown one after the other instead, in an
    order that is another each time all have been shown. Without labelled chips every sample is
    simulated.
    """

    def __init__(self, recipe: Recipe, chips: Sequence[Chip], clear: Sequence[Chip] = ()) -> None:
        """chips: labelled. clear: cloud-free, with or without labels, to draw clouds over."""
        self.recipe = recipe
        self.chips, self.clear = list(chips), list(clear)
        self.channels = recipe.label_channels()
        self.drawing = recipe.data.steps_per_epoch > 0
        self.chances = _chances_by_label(self.chips, self.channels) if self.drawing else {}
        self.clear_chances = _chances(self.clear, [math.prod(chip.shape) for chip in self.clear])
        patch = recipe.data.patch
        self.side = math.ceil(patch * OVERSCAN) if recipe.augment.overscans else patch

    def __len__(self) -> int:
        table = self.recipe.data
        count = len(self.chips) + len(self.clear)
        return table.batch_size * (table.steps_per_epoch or math.ceil(count / table.batch_size))

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng((self.recipe.trainer.seed, number))
        chip, covered, label = self._draw(rng) if self.drawing else self._in_turn(number)
        data, bands = self.recipe.data, self.recipe.bands
        if covered:
            other = self._another(chip, rng) if self.drawing else None
            image, codes = simulated_crop(chip, bands, self.side, data.simulated_gsd, rng, other)
        else:
            image, codes = labelled_crop(chip, bands, self.side, rng, data.resize, label)
        return _sample(chip, image, codes, self.channels)

    def _draw(self, rng: np.random.Generator) -> _Choice:
        share = self.recipe.data.simulate_share if self.chips else 1.0
        if self.clear and rng.random() < share:
            chip = self.clear[int(rng.choice(len(self.clear), p=self.clear_chances))]
            return _Choice(chip, covered=True)
        label = int(rng.choice(list(self.chances)))
        chip = self.chips[int(rng.choice(len(self.chips), p=self.chances[label]))]
        return _Choice(chip, covered=False, label=label)

    def _another(self, chip: Chip, rng: np.random.Generator) -> Chip | None:
        """In `MIXED` of cases a clear chip with the same bands, to lie beside this one."""
        if rng.random() >= MIXED:
            return None
        other = self.clear[int(rng.choice(len(self.clear), p=self.clear_chances))]
        return other if other is not chip and set(chip.bands) <= set(other.bands) else None

    def _in_turn(self, number: int) -> _Choice:
        count = len(self.chips) + len(self.clear)
        turn, place = divmod(number, count)
        order = np.random.default_rng((self.recipe.trainer.seed, turn, count))
        index = int(order.permutation(count)[place])
        chips = [*self.chips, *self.clear]
        return _Choice(chips[index], covered=index >= len(self.chips))


class WholeChips(Dataset[Sample]):
    """Whole chips, resized as the recipe says and otherwise as they are.

    Without a mask a chip is clear, or snow by `ground.snow_labels`; with clouds to be drawn
    (`Chip.drawn`) it is a crop of one patch with these, the same each time.
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
                cloud_free_labels(chip, shape)
                if chip.mask is None
                else read_labels(chip, None, shape)
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
    label: int | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """A random crop: image float32 (bands, side, side), chip codes uint8 (side, side).

    Of the chip as `resized`. Where it is smaller than the crop it is mirrored, as scenes are at
    their edges when a model is run, and the codes are 255. label: a chip code that the window
    must have, where the chip has it; without one, a window that is almost all ignored is drawn
    again, a few times.
    """
    shape = resized(chip.shape, resize)
    labels = read_labels(chip, None, shape)
    height, width = (min(side, size) for size in shape)
    anchors = np.argwhere(labels == label) if label is not None else ()
    for _ in range(TRIES):
        low, high = (0, 0), (shape[0] - height, shape[1] - width)
        if len(anchors):
            anchor = anchors[int(rng.integers(len(anchors)))]
            low = tuple(np.maximum(low, anchor - (height - 1, width - 1)))
            high = tuple(np.minimum(high, anchor))
        row, column = (int(rng.integers(a, b + 1)) for a, b in zip(low, high, strict=True))
        window = Window(column, row, width, height)
        codes = labels[window.toslices()]
        if len(anchors) or (codes <= max(CHIP_LABELS.values())).mean() >= LABELLED_SHARE:
            break
    if shape == chip.shape:
        image = read_image(chip, bands, window)
    else:
        image = read_image(chip, bands, shape=shape)[:, *window.toslices()]
    margins = _margins((height, width), side, rng)
    image = np.pad(image, [(0, 0), *margins], mode="reflect")
    return image, np.pad(codes, margins, constant_values=IGNORE)


def simulated_crop(
    chip: Chip,
    bands: Sequence[str],
    side: int,
    gsd: tuple[float, float],
    rng: np.random.Generator,
    other: Chip | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Clouds over a random crop of a clear chip: image (bands, side, side), chip codes.

    The ground is averaged to a pixel size drawn from `gsd` (metres, evenly in its logarithm), but
    never made finer than the chip's, and mirrored where the chip ends; clouds come after that.
    other: a second chip, whose ground takes the place of the first's in parts, so that networks
    do not learn the few places there are by heart.
    Raises RecipeError for a chip without a pixel size, or that lacks one of the bands.
    """
    pixel_size = _pixel_size(chip, bands, gsd, rng)
    names = list(dict.fromkeys([*bands, *GROUND_BANDS]))
    ground, labels = _clear_crop(chip, names, side, pixel_size, rng)
    if other is not None and other.gsd is not None and other.gsd <= pixel_size:
        beside = _clear_crop(other, names, side, pixel_size, rng)
        there = spectral_noise((side, side), side / 4, 3.5, rng) > rng.normal(0.0, 0.7)
        ground, labels = np.where(there, beside[0], ground), np.where(there, beside[1], labels)
    sun = random_sun(rng)
    if set(GROUND_BANDS) <= set(chip.bands):
        ground, labels = random_ground(
            ground, names, labels, pixel_size=pixel_size, sun=sun, rng=rng
        )
    return random_scene_clouds(
        ground[: len(bands)], bands, pixel_size=pixel_size, sun=sun, rng=rng, base_labels=labels
    )


def _pixel_size(
    chip: Chip, bands: Sequence[str], gsd: tuple[float, float], rng: np.random.Generator
) -> float:
    """Of a simulated crop; RecipeError where clouds cannot be drawn over the chip."""
    missing = set(bands) - set(chip.bands)
    if chip.gsd is None or missing:
        what = f"bands {', '.join(sorted(missing))}" if missing else "a pixel size (gsd_m)"
        raise RecipeError(f"{chip.image}: clouds cannot be drawn over it, since it lacks {what}")
    return max(chip.gsd, math.exp(rng.uniform(math.log(gsd[0]), math.log(gsd[1]))))


def _clear_crop(
    chip: Chip, names: Sequence[str], side: int, pixel_size: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """A random crop of a clear chip at a pixel size: image (bands, side, side), chip codes."""
    assert chip.gsd is not None  # `_pixel_size`
    factor = pixel_size / chip.gsd
    spans = [min(size, round(side * factor)) for size in chip.shape]
    row, column = (
        int(rng.integers(size - span + 1)) for size, span in zip(chip.shape, spans, strict=True)
    )
    window = Window(column, row, spans[1], spans[0])
    shape = (min(side, max(1, round(spans[0] / factor))), min(side, round(spans[1] / factor)))
    margins = _margins(shape, side, rng)
    ground = np.pad(read_image(chip, names, window, shape), [(0, 0), *margins], mode="symmetric")
    if chip.mask is None:
        labels = snow_labels(*(ground[names.index(name)] for name in ("green", "nir", "swir16")))
    else:
        labels = np.pad(read_labels(chip, window, shape), margins, mode="symmetric")
    return ground, labels


def cloud_free_labels(chip: Chip, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """uint8 (height, width): snow (4) or clear (0) for a chip that is known to be cloud-free."""
    return snow_labels(*read_image(chip, ("green", "nir", "swir16"), shape=shape))


def _chances_by_label(
    chips: Sequence[Chip], labels: Iterable[int]
) -> dict[int, npt.NDArray[np.float64]]:
    """`_chances` of the chips by chip code, of those codes that any chip has."""
    counts = np.array([np.bincount(read_labels(chip).ravel(), minlength=256) for chip in chips])
    return {
        label: _chances(chips, counts[:, label])
        for label in labels
        if len(chips) and counts[:, label].any()
    }


def _chances(chips: Sequence[Chip], pixels: Sequence[int] | Counts) -> npt.NDArray[np.float64]:
    """float64 (chips,), sum 1: how often each chip is drawn. pixels: that count, of each."""
    groups: dict[str, float] = {}
    for chip, count in zip(chips, pixels, strict=True):
        groups[chip.group] = groups.get(chip.group, 0.0) + float(count)
    sizes = np.maximum([groups[chip.group] for chip in chips], 1.0)
    weights = np.asarray(pixels, dtype=np.float64) / np.sqrt(sizes)
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
