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
from torch.utils.data import Dataset

from geomask.classes import remap
from geomask.metrics import Counts
from geomask.training.chips import IGNORE, Chip, read_image, read_labels
from geomask.training.crops import (
    cloud_free_labels,
    clouds_over,
    labelled_crop,
    resized,
    resized_gsd,
    simulated_crop,
)
from geomask.training.recipe import Recipe

OVERSCAN = 1.25
"""Side of a crop over side of a patch: room to turn and shrink a crop before its corners run out.
"""

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
            gsd = resized_gsd(chip, data.resize)
            if gsd and rng.random() < data.overdraw_share:
                image, codes = clouds_over(image, codes, bands, gsd, rng)
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
