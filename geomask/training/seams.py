"""How much of a mask the patches decide: the seams that a model's margin leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from geomask.inference import DEFAULT_CORE
from geomask.training.chips import Chip
from geomask.training.recipe import Recipe
from geomask.training.samples import WholeChips

CORE = 128
"""Pixels a side that a patch keeps here, where chips are small."""

SURROUNDINGS = 256
"""Pixels that a whole chip is mirrored by: from there a network sees no difference."""

CHIPS = 12
"""At most, evenly from all."""


@torch.no_grad()
def seam_fraction(
    network: Callable[[torch.Tensor], torch.Tensor],
    recipe: Recipe,
    chips: Sequence[Chip],
    stride: int,
) -> float | None:
    """Share of pixels whose class is another one in patches than in the whole; None without chips.

    Patches keep `CORE` pixels a side and see the margin of the recipe's card around them; what is
    found is divided by how much fewer seams patches of `DEFAULT_CORE` have. (An upper bound: what
    reaches farther than half of `CORE` is counted from two sides.)
    network: reflectance float32 (1, bands, H, W), H and W multiples of `stride`, to logits (1,
    classes, H, W). stride: a power of two.
    """
    chosen = chips[:: max(1, len(chips) // CHIPS)][:CHIPS]
    samples = WholeChips(recipe, chosen)
    side = max(CORE, stride)
    margin = -(-recipe.card.margin // stride) * stride
    around = max(SURROUNDINGS, margin)
    differing = pixels = 0
    for number in range(len(samples)):
        image = samples[number]["image"].numpy()
        shape = image.shape[1:]
        sides = [(around, around + -size % side) for size in shape]
        wide = torch.from_numpy(np.pad(image, [(0, 0), *sides], mode="reflect"))[None]
        whole = network(wide).argmax(dim=1)[0]
        for row in range(around, around + shape[0], side):
            for column in range(around, around + shape[1], side):
                seen = [slice(at - margin, at + side + margin) for at in (row, column)]
                patch = network(wide[:, :, *seen]).argmax(dim=1)[0]
                kept = slice(margin, margin + side)
                core = whole[row : row + side, column : column + side]
                differing += int((patch[kept, kept] != core).sum())
                pixels += side * side
    return differing / pixels * side / max(side, DEFAULT_CORE) if pixels else None
