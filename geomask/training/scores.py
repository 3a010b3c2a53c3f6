"""Scores of a network on whole chips, all bands shown and with bands held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from geomask.metrics import scores_of
from geomask.training.chips import IGNORE, Chip
from geomask.training.recipe import Recipe
from geomask.training.samples import WholeChips

Network = Callable[[torch.Tensor], torch.Tensor]
"""Reflectance (1, bands, H, W) of any size, NaN where absent, to logits (1, classes, H, W)."""


def band_set_scores(
    network: Network, recipe: Recipe, chips: Sequence[Chip], clear: Sequence[Chip] = ()
) -> dict[str, Any]:
    """`class_scores` by band set of the recipe, and over all bands as "all".

    A chip counts where it has every band of the set; all chips count for "all". With `clear`
    chips, which hold no cloud: cloud_free_flagged, the share of their pixels that is not given
    its own label.
    """
    names = [entry.name for entry in recipe.classes]
    sets = {"all": recipe.bands}
    sets |= {",".join(s.bands): s.bands for s in recipe.band_sets if s.bands != recipe.bands}
    report: dict[str, Any] = {}
    for key, bands in sets.items():
        chosen = [chip for chip in chips if key == "all" or set(bands) <= set(chip.bands)]
        scores = class_scores(confusion_of(network, recipe, chosen, bands), names)
        report[key] = {"chips": len(chosen), **scores}
        if clear:
            counts = confusion_of(network, recipe, clear, bands)
            flagged = 1 - float(counts.diag().sum()) / max(float(counts.sum()), 1.0)
            report[key]["cloud_free_flagged"] = round(flagged, 4)
    return report


@torch.no_grad()
def confusion_of(
    network: Network, recipe: Recipe, chips: Sequence[Chip], bands: Sequence[str]
) -> torch.Tensor:
    """int64 (classes, classes), row truth, column prediction, over whole chips, on the CPU.

    bands: those the network is shown; the others are absent.
    """
    hidden = torch.tensor([band not in bands for band in recipe.bands])[:, None, None]
    count = len(recipe.classes)
    total = torch.zeros(count * count, dtype=torch.int64)
    samples = WholeChips(recipe, chips)
    for number in range(len(samples)):
        sample = samples[number]
        found = network(sample["image"].masked_fill(hidden, torch.nan)[None]).argmax(dim=1)[0]
        counted = sample["labels"] != IGNORE
        pairs = sample["labels"][counted] * count + found.cpu()[counted]
        total += torch.bincount(pairs, minlength=count * count)
    return total.reshape(count, count)


def class_scores(confusion: torch.Tensor, names: Sequence[str]) -> dict[str, Any]:
    """Scores of a confusion matrix: int (classes, classes), row truth, column prediction.

    iou, f1, pixels (of truth): by class name; classes that do not occur in the truth have no iou
    and no f1. macro_iou, macro_f1: means of these; 0 where there are none.
    """
    pairs = confusion.long().cpu().numpy()
    counts = np.pad(pairs, ((0, 0), (0, 1)))  # a network never predicts nothing
    scores = scores_of(counts)
    report: dict[str, Any] = {
        score: {
            name: round(float(value), 4)
            for name, value in zip(names, getattr(scores, score), strict=True)
            if not np.isnan(value)
        }
        for score in ("iou", "f1")
    }
    report["pixels"] = dict(zip(names, counts.sum(axis=1).tolist(), strict=True))
    for score in ("iou", "f1"):
        report[f"macro_{score}"] = round(float(np.nan_to_num(scores.macro(score))), 4)
    return report
