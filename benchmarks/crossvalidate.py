"""Masks of every chip by a network that never saw its place, to be scored as any other masks.

    python -m benchmarks.crossvalidate --data chips/ --clear clear-chips/ --out folds/
        [--folds 4] [--set trainer.max_epochs=10 ...] [--without swir16 swir22]
    geomask evaluate --masks folds/masks --data chips/ --clear clear-chips/ --split all

The default recipe is trained once for each fold, with the fold's groups left out (models that are
there already are used, a training that was interrupted is gone on with), and classifies these as
`geomask predict` would. `keep = "last"` in the recipe: no chip chooses the epoch it is scored by.
--without: hide these bands; masks then go to masks_without_swir16_swir22.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from benchmarks.held_out import classify
from geomask import load_model
from geomask.evaluation.subject import ModelSubject
from geomask.training.chips import CHIP_LABELS, Chip, cloud_free_chips, read_labels, read_manifest
from geomask.training.recipe import load_recipe
from geomask.training.train import train


def assign_folds(counts: Mapping[str, npt.NDArray[np.int64]], folds: int) -> dict[str, int]:
    """A fold for each group so that every fold has some of each label, as far as groups allow.

    counts: by group, int64 (labels,), pixels. Labels that the fewest groups have come first, and of
    each the groups with most of it, to the fold that has least of it (after Sechidis et al. 2011,
    "On the stratification of multi-label data", which does this with samples).
    """
    held = np.zeros((folds, len(next(iter(counts.values())))))
    groups = np.zeros(folds)
    assigned: dict[str, int] = {}
    rarity = (np.array(list(counts.values())) > 0).sum(axis=0)
    for label in np.argsort(rarity, kind="stable"):
        having = [name for name, its in counts.items() if its[label] and name not in assigned]
        for name in sorted(having, key=lambda name: (-counts[name][label], name)):
            fold = min(range(folds), key=lambda fold: (held[fold, label], groups[fold]))
            assigned[name] = fold
            held[fold] += counts[name]
            groups[fold] += 1
    return assigned


def count_labels(chips: Sequence[Chip], clear: Sequence[Chip]) -> dict[str, npt.NDArray[np.int64]]:
    """By group, pixels of each chip label, and of cloud-free chips."""
    codes = list(CHIP_LABELS.values())
    counts: dict[str, npt.NDArray[np.int64]] = {}
    for chip in (*chips, *clear):
        its = np.zeros(len(codes) + 1, np.int64)
        if chip.mask is None:
            its[-1] = chip.shape[0] * chip.shape[1]
        else:
            its[:-1] = np.bincount(read_labels(chip).ravel(), minlength=256)[codes]
        counts[chip.group] = counts.get(chip.group, 0) + its
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clear", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--only", type=int, nargs="+", help="train these folds and stop")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--without", nargs="+", default=[], metavar="BAND")
    given = parser.parse_args()
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    chips, clear = read_manifest(given.data), cloud_free_chips(given.clear)
    folds = assign_folds(count_labels(chips, clear), given.folds)
    masks = given.out / "_".join(["masks", *(["without", *given.without] if given.without else [])])
    masks.mkdir(parents=True, exist_ok=True)
    for fold in given.only or range(given.folds):
        held = sorted(name for name, its in folds.items() if its == fold)
        model = given.out / f"fold{fold}.safetensors"
        if not model.exists():
            print(f"fold {fold}: without {', '.join(held)}", flush=True)
            left_out = f"data.validation_groups={json.dumps(held)}"
            recipe = load_recipe("default", [*given.overrides, left_out, "trainer.pictures=0"])
            train(recipe, [given.data], model, clear=[given.clear], resume=True, progress=False)
        subject = ModelSubject(load_model(model))
        for chip in (*chips, *clear):
            if folds[chip.group] == fold:
                classify(subject, chip, given.without, masks)


if __name__ == "__main__":
    main()
