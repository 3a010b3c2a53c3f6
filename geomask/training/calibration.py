"""How far a network's probabilities are to be trusted: the temperature that makes them honest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

from geomask.training.chips import IGNORE, Chip
from geomask.training.recipe import Recipe
from geomask.training.samples import WholeChips

PIXELS = 20_000
"""Of each chip, at most: neighbours say the same thing."""

LOWEST, HIGHEST = 0.25, 4.0
"""Temperatures that are looked at; a network that needs more than these is wrong, not proud."""


@torch.no_grad()
def fit_temperature(
    network: Callable[[torch.Tensor], torch.Tensor], recipe: Recipe, chips: Sequence[Chip]
) -> float:
    """What logits are to be divided by, to three digits; 1 where no pixel is labelled.

    The least negative log likelihood of the chips' labels (Guo et al. 2017, "On calibration of
    modern neural networks", ICML). network: reflectance float32 (1, bands, H, W) to logits (1,
    classes, H, W).
    """
    logits, labels = [], []
    samples = WholeChips(recipe, chips)
    for number in range(len(samples)):
        sample = samples[number]
        known = torch.nonzero(sample["labels"].flatten() != IGNORE)[:, 0]
        step = max(1, len(known) // PIXELS)
        found = network(sample["image"][None])[0].flatten(1)[:, known[::step]]
        logits.append(found.float().T.cpu())
        labels.append(sample["labels"].flatten()[known[::step]])
    if not sum(len(part) for part in labels):
        return 1.0
    every, truth = torch.cat(logits), torch.cat(labels)

    def surprise(power: float) -> float:
        return float(functional.cross_entropy(every / 2**power, truth))

    limits = (float(np.log2(LOWEST)), float(np.log2(HIGHEST)))
    best = minimize_scalar(surprise, bounds=limits, method="bounded", options={"xatol": 1e-3})
    return round(float(2**best.x), 3)
