"""Scores of a network on whole chips, all bands shown and with bands held back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from geomask.metrics import ALARM, scores_of
from geomask.training.chips import CHIP_LABELS, IGNORE, Chip, read_labels
from geomask.training.crops import resized
from geomask.training.recipe import Recipe
from geomask.training.samples import WholeChips

Network = Callable[[torch.Tensor], torch.Tensor]
"""Reflectance (1, bands, H, W) of any size, NaN where absent, to logits (1, classes, H, W)."""


@dataclass
class Tally:
    """What a network makes of whole chips, added up.

    confusion: int64 (classes, classes), row truth, column prediction. wrong: share of each chip's
    labelled pixels that is given another class. thin, thin_right: pixels of thin cloud, and of
    these the ones that are given the class this label stands for.
    """

    confusion: torch.Tensor
    wrong: list[float] = field(default_factory=list)
    thin: int = 0
    thin_right: int = 0

    def add(self, truth: torch.Tensor, channel: torch.Tensor, codes: torch.Tensor | None) -> None:
        """One chip: int64 (height, width) each. truth: 255 ignored. codes: chip codes, if known."""
        counted = truth != IGNORE
        classes = len(self.confusion)
        pairs = truth[counted] * classes + channel[counted]
        self.confusion += torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        right = channel == truth
        self.wrong.append(1 - float(right[counted].float().mean()) if len(pairs) else 0.0)
        if codes is not None:
            thin = counted & (codes == CHIP_LABELS["thin_cloud"])
            self.thin += int(thin.sum())
            self.thin_right += int(right[thin].sum())


def band_set_scores(
    network: Network, recipe: Recipe, chips: Sequence[Chip], clear: Sequence[Chip] = ()
) -> dict[str, Any]:
    """`class_scores` by band set of the recipe, and over all bands as "all".

    A chip counts where it has every band of the set; all chips count for "all". Where there is
    thin cloud: thin_recall, the share of it that is given its class. With `clear` chips, which
    hold no cloud: cloud_free_flagged, the share of their pixels that is not given its own label;
    cloud_free_alarms, the share of these chips of which more than `ALARM` is.
    """
    names = [entry.name for entry in recipe.classes]
    sets = {"all": recipe.bands}
    sets |= {",".join(s.bands): s.bands for s in recipe.band_sets if s.bands != recipe.bands}
    report: dict[str, Any] = {}
    for key, bands in sets.items():
        chosen = [chip for chip in chips if key == "all" or set(bands) <= set(chip.bands)]
        tally = tally_of(network, recipe, chosen, bands)
        report[key] = {"chips": len(chosen), **class_scores(tally.confusion, names)}
        if tally.thin:
            report[key]["thin_recall"] = round(tally.thin_right / tally.thin, 4)
        if clear:
            free = tally_of(network, recipe, clear, bands)
            flagged = 1 - float(free.confusion.diag().sum()) / max(1, int(free.confusion.sum()))
            alarms = sum(share > ALARM for share in free.wrong) / len(clear)
            report[key]["cloud_free_flagged"] = round(flagged, 4)
            report[key]["cloud_free_alarms"] = round(alarms, 4)
    return report


@torch.no_grad()
def tally_of(
    network: Network, recipe: Recipe, chips: Sequence[Chip], bands: Sequence[str]
) -> Tally:
    """All of some whole chips. bands: those the network is shown; the others are absent."""
    hidden = torch.tensor([band not in bands for band in recipe.bands])[:, None, None]
    classes = len(recipe.classes)
    tally = Tally(torch.zeros(classes, classes, dtype=torch.int64))
    samples = WholeChips(recipe, chips)
    for number, chip in enumerate(chips):
        sample = samples[number]
        channel = network(sample["image"].masked_fill(hidden, torch.nan)[None]).argmax(dim=1)[0]
        codes = None
        if chip.mask is not None and chip.drawn is None:
            shape = resized(chip.shape, recipe.data.resize)
            codes = torch.from_numpy(read_labels(chip, None, shape))
        tally.add(sample["labels"], channel.cpu(), codes)
    return tally


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
