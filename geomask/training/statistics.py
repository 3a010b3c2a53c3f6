"""Mean and spread of the chips trained on, for a recipe's [normalisation]."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from geomask.card import SMALLEST, Normalisation
from geomask.errors import RecipeError
from geomask.network import Normalise
from geomask.training.chips import Chip, read_image
from geomask.training.gather import gather_chips
from geomask.training.recipe import Recipe


@dataclass(frozen=True)
class Measuring:
    """How far it is: chips done, of all."""

    done: int
    total: int


@dataclass(frozen=True)
class BandStatistics:
    """Of reflectance clipped, quantised and bent as the recipe says, per band in its order.

    chips, groups: how many were measured, those of training alone.
    """

    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    chips: int
    groups: int

    def to_toml(self) -> str:
        """The two lines of a recipe's [normalisation]."""
        return "\n".join(
            f"{name} = [{', '.join(f'{value:.4g}' for value in values)}]"
            for name, values in (("mean", self.mean), ("std", self.std))
        )


def measure_bands(
    recipe: Recipe,
    data: Sequence[str | Path],
    clear: Sequence[str | Path] = (),
    *,
    progress: Callable[[Measuring], None] | None = None,
) -> BandStatistics:
    """Mean and standard deviation of chips as a network's input is before it is standardised.

    They are of the chips as they are on disk: not resized, and without clouds drawn over them.
    data, clear: as `train`'s; chips that validate are left out. Each split_group counts once,
    however many chips it has, and each of its measured pixels as much as any other. progress:
    called after every chip. Raises RecipeError where `train` would for want of chips, and where a
    band has no measured pixel or everywhere the same value.
    """
    gathered = gather_chips(recipe, data, clear)
    found = gathered.training + gathered.clear_training
    chips = list({chip.image: chip for chip in found}.values())
    bent = _bending(recipe.normalisation)
    sums: dict[str, torch.Tensor] = defaultdict(lambda: torch.zeros(3, len(recipe.bands)).double())
    for number, chip in enumerate(chips, 1):
        sums[chip.group] += _sums(recipe, chip, bent)
        if progress is not None:
            progress(Measuring(number, len(chips)))
    count, first, second = torch.stack(list(sums.values())).unbind(1)
    there = count > 0
    groups = there.sum(0)
    mean, square = (
        torch.where(there, values / count, 0.0).sum(0) / groups for values in (first, second)
    )
    std = (square - mean**2).clamp(min=0).sqrt()
    for band, its in zip(recipe.bands, std.tolist(), strict=True):
        if not its >= SMALLEST:  # nor NaN, of no group at all
            raise RecipeError(
                f"{band}: the chips to train on have no pixel of it, or only such of one value; "
                "leave it out of the recipe's bands"
            )
    return BandStatistics(
        recipe.bands, tuple(mean.tolist()), tuple(std.tolist()), len(chips), len(sums)
    )


def _bending(spec: Normalisation) -> Normalise:
    """All that comes before standardising."""
    return Normalise(
        spec.model_copy(update={"mean": (0.0,) * len(spec.mean), "std": (1.0,) * len(spec.std)})
    )


def _sums(recipe: Recipe, chip: Chip, bent: Normalise) -> torch.Tensor:
    """float64 (3, bands): how many pixels, and the sums of their values and of the squares."""
    image = torch.from_numpy(read_image(chip, recipe.bands))
    measured = image.isfinite()
    values = bent(image[None])[0].double() * measured
    return torch.stack([part.sum((1, 2)) for part in (measured.double(), values, values**2)])
