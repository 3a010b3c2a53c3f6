"""Which chips a run trains and validates on, and a note of it."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geomask.errors import GeomaskWarning, RecipeError
from geomask.training.chips import (
    CHIP_LABELS,
    Chip,
    cloud_free_chips,
    read_labels,
    read_manifest,
)
from geomask.training.crops import resized_gsd
from geomask.training.recipe import Recipe
from geomask.training.splits import Split, assign_splits, stated_split

CLOUDLESS_SHARE = 0.9
"""Of a labelled chip's pixels, clear or snow: the rest may be unknown."""

DRAWS = 4
"""Clouds drawn over each clear chip to validate on, where there are no labelled chips."""


@dataclass(frozen=True)
class Gathered:
    """What a run trains and validates on.

    training, validation: labelled; without labelled chips, validation is of clouds drawn over the
    clear chips to validate on. clear_training, clear_validation: known to be cloud-free; without
    masks, but for labelled chips of training that show no cloud. splits: of every chip that was
    considered, (chip, split). skipped: labelled chips left out because nothing on them is labelled.
    """

    training: list[Chip]
    validation: list[Chip]
    clear_training: list[Chip]
    clear_validation: list[Chip]
    splits: list[tuple[Chip, Split]]
    skipped: int = 0

    def groups(self, split: Split) -> list[str]:
        """The split_groups of that split, sorted."""
        return sorted({chip.group for chip, its in self.splits if its == split})

    def counts(self) -> dict[str, int]:
        """How many chips of each kind, for a card."""
        return {
            "training": len(self.training),
            "validation": len(self.validation),
            "clear_training": len(self.clear_training),
            "clear_validation": len(self.clear_validation),
            "testing": sum(split == "test" for _, split in self.splits),
            "skipped": self.skipped,
        }


def gather_chips(
    recipe: Recipe, data: Sequence[str | Path], clear: Sequence[str | Path]
) -> Gathered:
    """All chips, split by `assign_splits`; a clear chip trains only where its group does.

    data: labelled chip folders. clear: folders whose chips of manifest column `cloud_free` "yes"
    get clouds drawn over them, and then labelled chips that show none do as well. One of the two
    may be empty.
    Raises RecipeError where there is nothing to train or to validate on.
    """
    labelled, skipped = _labelled(recipe, data)
    free = [chip for folder in clear for chip in cloud_free_chips(folder)]
    if not labelled and not free:
        raise RecipeError("no chips to train on; give a chip folder (--data), or --clear")
    groups, share = recipe.data.validation_groups, recipe.data.validation_share
    splits = assign_splits(labelled or free, groups, share)
    by_group = _group_splits(labelled or free, splits)
    _check_split(list(splits.values()), by_group)
    chosen: dict[Split, list[Chip]] = {"train": [], "val": [], "test": []}
    for chip in labelled:
        chosen[splits[chip.id]].append(chip)
    # The groups that the recipe validates on stay out of training even where none is labelled.
    by_group |= {name: "val" for name in groups if name not in by_group}
    clear_split = [
        (chip, by_group.get(chip.group) or stated_split(chip) or "train")
        if labelled
        else (chip, splits[chip.id])
        for chip in free
    ]
    held = [chip for chip, split in clear_split if split == "val"]
    drawn = [replace(chip, drawn=number) for chip in held for number in range(DRAWS)]
    return Gathered(
        chosen["train"],
        chosen["val"] if labelled else drawn,
        [chip for chip, split in clear_split if split == "train"]
        + (_cloudless(recipe, chosen["train"]) if free else []),
        held,
        [(chip, splits[chip.id]) for chip in labelled] + clear_split,
        skipped,
    )


def write_splits(path: Path, splits: Iterable[tuple[Chip, Split]]) -> None:
    """A table of which chip was used for what: image, id, split_group, split."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "id", "split_group", "split"))
        writer.writerows((chip.image, chip.id, chip.group, split) for chip, split in splits)


def check_splits(path: Path, splits: Iterable[tuple[Chip, Split]]) -> None:
    """Refuse to go on with other chips than those that `write_splits` noted. Raises RecipeError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            before = {(row["id"], row["split_group"], row["split"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error):
        return
    now = {(chip.id, chip.group, split) for chip, split in splits}
    if before != now:
        other = min(before ^ now)
        raise RecipeError(
            f"{path}: the run that is to be resumed had other chips, or split them otherwise, as "
            f"{other[0]}; give the same --data and --clear, or another run folder"
        )


def resolution_of(recipe: Recipe, chips: Gathered) -> tuple[float, float]:
    """Metres, (finest, coarsest): the recipe's, else what the chips trained on have as resized.

    Raises RecipeError where neither says it.
    """
    if recipe.card.resolution:
        return recipe.card.resolution
    seen = (resized_gsd(chip, recipe.data.resize) for chip in chips.training)
    sizes = [size for size in seen if size]
    for chip in chips.clear_training:
        sizes += [max(chip.gsd or 0.0, limit) for limit in recipe.data.simulated_gsd]
    if not sizes:
        raise RecipeError(
            "no chip says how large its pixels are (a projected grid, or gsd_m in its manifest); "
            "give --set card.resolution=[10,10], metres"
        )
    return round(min(sizes), 3), round(max(sizes), 3)


def _labelled(recipe: Recipe, folders: Sequence[str | Path]) -> tuple[list[Chip], int]:
    """The labelled chips that say something, and how many do not."""
    chips = [chip for folder in folders for chip in read_manifest(folder)]
    for chip in chips:
        if not set(recipe.bands) & set(chip.bands):
            raise RecipeError(
                f"{chip.image}: has none of the recipe's bands ({', '.join(recipe.bands)}), "
                f"only {', '.join(filter(None, chip.bands))}"
            )
    _warn_of_bands(recipe, chips)
    codes = list(recipe.label_channels())
    useful = [chip for chip in chips if np.isin(read_labels(chip), codes).any()]
    skipped = len(chips) - len(useful)
    if skipped:
        what = f"{skipped} of {len(chips)} chips have no pixel that the recipe's [labels] name"
        if not useful:
            raise RecipeError(f"{folders[0]}: {what}; check the codes of the masks")
        warnings.warn(f"{what}; they are skipped", GeomaskWarning, stacklevel=3)
    return useful, skipped


def _warn_of_bands(recipe: Recipe, chips: Sequence[Chip]) -> None:
    """Warn of chips that lack bands which a scene must have for the model to run on it."""
    sets = [set(choice.bands) for choice in recipe.band_sets] or [set(recipe.bands)]
    lacking = [chip for chip in chips if not any(bands <= set(chip.bands) for bands in sets)]
    missing = [name for name in recipe.bands if any(name not in chip.bands for chip in lacking)]
    if lacking:
        warnings.warn(
            f"{len(lacking)} of {len(chips)} chips lack bands of the recipe ({', '.join(missing)});"
            " the network is shown them as absent, but predict asks a scene for them",
            GeomaskWarning,
            stacklevel=4,
        )


def _cloudless(recipe: Recipe, chips: Sequence[Chip]) -> list[Chip]:
    """Labelled chips over which clouds can be drawn: nearly all of them clear or snow, and no
    cloud or shadow at all."""
    ground = [CHIP_LABELS["clear"], CHIP_LABELS["snow"]]
    found = []
    for chip in chips:
        labels = read_labels(chip)
        bare = np.isin(labels, ground)
        drawn = ~bare & np.isin(labels, list(CHIP_LABELS.values()))
        if chip.gsd and set(recipe.bands) <= set(chip.bands) and not drawn.any():
            found += [chip] if bare.mean() >= CLOUDLESS_SHARE else []
    return found


def _group_splits(chips: Sequence[Chip], splits: Mapping[str, Split]) -> dict[str, Split]:
    """The split of each group; one that is in several is no group to train on."""
    found: dict[str, Split] = {}
    for chip in chips:
        if found.get(chip.group, "train") == "train":
            found[chip.group] = splits[chip.id]
    return found


def _check_split(splits: Sequence[Split], groups: dict[str, Split]) -> None:
    if "train" in splits and "val" in splits:
        return
    if len(groups) == 1:
        raise RecipeError(
            f"chips have one split_group ({next(iter(groups))}); training needs at least two, "
            "one to validate on"
        )
    if "train" not in splits:
        raise RecipeError(
            "no chip is left to train on; see data.validation_groups, and the manifest's split"
        )
    raise RecipeError("no chip is left to validate on; see the manifest's column split")
