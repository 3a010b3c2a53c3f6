"""Which chips a run trains and validates on, and a note of it."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from geomask.errors import GeomaskWarning, RecipeError
from geomask.training.chips import Chip, read_labels, read_manifest
from geomask.training.recipe import Recipe
from geomask.training.samples import resized
from geomask.training.splits import Split, assign_splits, stated_split

DRAWS = 4
"""Clouds drawn over each clear chip to validate on, where there are no labelled chips."""


@dataclass(frozen=True)
class Gathered:
    """What a run trains and validates on.

    training, validation: labelled; without labelled chips, validation is of clouds drawn over the
    clear chips to validate on. clear_training, clear_validation: known to be cloud-free, without
    masks. splits: of every chip that was considered, (chip, split). skipped: labelled chips left
    out because nothing on them is labelled.
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
    get clouds drawn over them. One of the two may be empty.
    Raises RecipeError where there is nothing to train or to validate on.
    """
    labelled, skipped = _labelled(recipe, data)
    free = _cloud_free(clear)
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
        [chip for chip, split in clear_split if split == "train"],
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


def resolution_of(recipe: Recipe, chips: Gathered) -> tuple[float, float]:
    """Metres, (finest, coarsest): the recipe's, else what the chips trained on have as resized.

    Raises RecipeError where neither says it.
    """
    if recipe.card.resolution:
        return recipe.card.resolution
    sizes = []
    for chip in chips.training:
        if chip.gsd:
            seen = resized(chip.shape, recipe.data.resize)
            sizes.append(chip.gsd * max(chip.shape) / max(seen))
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
    codes = list(recipe.label_channels())
    useful = [chip for chip in chips if np.isin(read_labels(chip), codes).any()]
    skipped = len(chips) - len(useful)
    if skipped:
        what = f"{skipped} of {len(chips)} chips have no pixel that the recipe's [labels] name"
        if not useful:
            raise RecipeError(f"{folders[0]}: {what}; check the codes of the masks")
        warnings.warn(f"{what}; they are skipped", GeomaskWarning, stacklevel=3)
    return useful, skipped


def _cloud_free(folders: Sequence[str | Path]) -> list[Chip]:
    chips = [
        chip
        for folder in folders
        for chip in read_manifest(folder, labelled=False)
        if chip.fields.get("cloud_free") == "yes"
    ]
    if folders and not chips:
        raise RecipeError(
            f"{folders[0]}: no chip has cloud_free = yes in its manifest; only those are known "
            "to be safe to draw clouds over"
        )
    return chips


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
