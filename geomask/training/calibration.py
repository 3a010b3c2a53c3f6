"""What is corrected of a trained network's probabilities: a constant for classes whose share in
training was another one, and the temperature that makes them honest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import nn
from torch.nn import functional

from geomask.errors import RecipeError
from geomask.training.chips import IGNORE, Chip
from geomask.training.recipe import Recipe
from geomask.training.samples import WholeChips

Network = Callable[[torch.Tensor], torch.Tensor]
"""Reflectance float32 (1, bands, H, W) to logits (1, classes, H, W)."""

PIXELS = 20_000
"""Of each chip, at most: neighbours say the same thing."""

LOWEST, HIGHEST = 0.25, 4.0
"""Temperatures that are looked at; a network that needs more than these is wrong, not proud."""

CLOUD_FREE = 0.3
"""What a cloud-free chip counts for beside a labelled one, where shares of classes are looked at.

Labelled chips are of cloudy scenes: nearly half of the default model's are cloud. With them alone
most thin cloud is found, and more roofs, quarries and rims of shadows are called cloud. It was
chosen with an earlier model than the bundled one (docs/model.md)."""

LARGEST_SHIFT = 3.0
"""Of a logit, either way: odds of 20. What needs more is no matter of shares."""


def fit_shift(
    network: Network, recipe: Recipe, chips: Sequence[Chip], cloud_free: Sequence[Chip] = ()
) -> dict[str, float]:
    """What is to be added to the logits of the recipe's `trainer.shift`, to two digits, by class.

    The least negative log likelihood of the chips' labels: the correction of a network for other
    shares of its classes than it was trained with (Saerens et al. 2002, "Adjusting the outputs of
    a classifier to new a priori probabilities", Neural Computation 14), with shares unknown.
    chips: those trained on; where none is labelled, nothing is shifted. cloud_free: others without
    masks, known to have no cloud; each of their pixels counts `CLOUD_FREE`.
    """
    names = recipe.trainer.shift
    found = _labelled_logits(network, recipe, chips) if names else None
    if found is None:
        return {}
    free = _labelled_logits(network, recipe, cloud_free)
    parts = [(*found, 1.0)] if free is None else [(*found, 1.0), (*free, CLOUD_FREE)]
    count = sum(weight * len(labels) for _, labels, weight in parts)
    channels = [[entry.name for entry in recipe.classes].index(name) for name in names]

    def surprise(shift: Sequence[float]) -> float:
        total = 0.0
        for logits, labels, weight in parts:
            moved = logits.clone()
            moved[:, channels] += torch.tensor(shift, dtype=moved.dtype)
            total += weight * len(labels) * float(functional.cross_entropy(moved, labels))
        return total / count

    best = minimize(
        surprise,
        np.zeros(len(names)),
        method="Nelder-Mead",
        bounds=[(-LARGEST_SHIFT, LARGEST_SHIFT)] * len(names),
        options={"xatol": 1e-3, "fatol": 1e-7, "initial_simplex": _simplex(len(names))},
    )
    return {name: round(float(value), 2) for name, value in zip(names, best.x, strict=True)}


@torch.no_grad()
def shift_logits(body: nn.Module, recipe: Recipe, shift: Mapping[str, float]) -> None:
    """Add constants to a network's logits, in place: to the bias of its last convolution.

    Raises RecipeError for a network whose logits do not come from one.
    """
    if not shift:
        return
    classes, bands = recipe.classes, len(recipe.bands)
    heads = [
        module
        for module in body.modules()
        if isinstance(module, nn.Conv2d) and module.out_channels == len(classes)
    ]
    values = torch.tensor([shift.get(entry.name, 0.0) for entry in classes])
    body.eval()
    example = torch.zeros(1, bands, 64, 64)
    before = body(example)
    if heads and heads[-1].bias is not None:
        heads[-1].bias += values
    if not torch.allclose(body(example), before + values[:, None, None], atol=1e-3):
        raise RecipeError(
            f"trainer.shift: the logits of {recipe.network.architecture} do not come from a "
            "convolution with a bias; leave it out"
        )


def fit_temperature(network: Network, recipe: Recipe, chips: Sequence[Chip]) -> float:
    """What logits are to be divided by, to three digits; 1 where no pixel is labelled.

    The least negative log likelihood of the chips' labels (Guo et al. 2017, "On calibration of
    modern neural networks", ICML).
    """
    found = _labelled_logits(network, recipe, chips)
    if found is None:
        return 1.0
    logits, labels = found

    def surprise(power: float) -> float:
        return float(functional.cross_entropy(logits / 2**power, labels))

    limits = (float(np.log2(LOWEST)), float(np.log2(HIGHEST)))
    best = minimize_scalar(surprise, bounds=limits, method="bounded", options={"xatol": 1e-3})
    return round(float(2**best.x), 3)


@torch.no_grad()
def _labelled_logits(
    network: Network, recipe: Recipe, chips: Sequence[Chip]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Logits float32 (n, classes) and labels int64 (n,) of some labelled pixels of each chip; None
    where there is no such pixel."""
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
        return None
    return torch.cat(logits), torch.cat(labels)


def _simplex(count: int) -> npt.NDArray[np.float64]:
    """Where the search begins: nowhere, and a step of 1 along each axis."""
    return np.vstack([np.zeros(count), np.eye(count)])
