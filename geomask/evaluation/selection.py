"""Which chips are scored, and whether the model has seen them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from geomask.card import Card
from geomask.errors import GeomaskWarning, OptionError, RecipeError
from geomask.training.chips import Chip
from geomask.training.splits import assign_splits

HELD_OUT = "held-out"
"""The chips of groups that the model's card says were held back from its training."""

SPLITS = ("test", "val", "train", "all", HELD_OUT)
"""What may be scored: a split, as the manifest or else its groups' names decide (`assign_splits`,
the same for every model and every mask), all chips, or those held out."""

USUAL_COLUMNS = ("sensor", "surface", "biome", "source")
"""Columns of a manifest that scores are broken down by, where it has them, beside split_group."""


def chips_of_split(chips: Sequence[Chip], split: str, card: Card | None = None) -> list[Chip]:
    """The chips of one of `SPLITS`. card: of the model that is scored, for those held out.

    Raises OptionError where there are none, RecipeError for a manifest that contradicts itself.
    """
    if split not in SPLITS:
        raise OptionError(f"split {split!r} is none of {', '.join(SPLITS)}")
    if split == "all":
        return list(chips)
    if split == HELD_OUT:
        held = held_groups(card)
        if not held:
            raise OptionError(f"{HELD_OUT} needs a model whose card names its validation groups")
        chosen = [chip for chip in chips if chip.group in held]
        there = f"the model held back the groups {', '.join(sorted(held))}"
    else:
        splits = assign_splits(chips)
        chosen = [chip for chip in chips if splits[chip.id] == split]
        counts = Counter(splits.values())
        there = ", ".join(f"{count} are of {name}" for name, count in sorted(counts.items()))
    if not chosen:
        folders = ", ".join(sorted({str(chip.image.parent) for chip in chips}))
        raise OptionError(f"{folders}: no chip is of the split {split}, since {there}")
    return chosen


def held_groups(card: Card | None) -> set[str]:
    """Groups that a card says its model was validated or tested on, and not trained."""
    provenance: Any = {} if card is None else card.provenance
    named = [provenance.get("validation_groups"), provenance.get("test_groups")]
    # Cloud-free chips of these groups stay out of training too, and are in no other list.
    for table in ("recipe", "data"):
        provenance = provenance.get(table) if isinstance(provenance, dict) else None
    if isinstance(provenance, dict):
        named.append(provenance.get("validation_groups"))
    return {str(group) for groups in named if isinstance(groups, list | tuple) for group in groups}


def seen_groups(
    card: Card | None, there: Sequence[Chip], chips: Sequence[Chip], clear: Sequence[Chip] = ()
) -> tuple[str, ...]:
    """The groups of `chips` and `clear` that the model was trained on, with a warning if there are
    any.

    there: all labelled chips of the folders. Where a card does not name what its model was trained
    on but has held some of their groups back, it is all but these.
    """
    if card is None:
        return ()
    trained = card.training_groups
    scored = {chip.group for chip in (*chips, *clear)}
    if trained is None:
        held = held_groups(card)
        known = held & {chip.group for chip in there}
        trained = frozenset({chip.group for chip in chips} - held if known else ())
    seen = sorted(scored & trained)
    if not seen:
        return ()
    warnings.warn(
        f"model {card.name} was trained on {len(seen)} of the {len(scored)} groups that are "
        f"scored, so their scores flatter it; --split {HELD_OUT} leaves them out",
        GeomaskWarning,
        stacklevel=3,
    )
    return tuple(seen)


def check_ids(chips: Sequence[Chip]) -> None:
    """RecipeError where two chips have one id: masks and tables could not tell them apart."""
    twice = [name for name, count in Counter(chip.id for chip in chips).items() if count > 1]
    if twice:
        raise RecipeError(
            f"{len(twice)} ids are of more than one chip, within a folder or among several, as "
            f"{twice[0]}; give each chip its own"
        )


def columns_of(chips: Sequence[Chip], wanted: Sequence[str]) -> tuple[str, ...]:
    """Columns to break scores down by; OptionError for one that no manifest has."""
    there = {column for chip in chips for column in chip.fields}
    for column in wanted:
        if column not in there:
            raise OptionError(
                f"no manifest has a column {column!r}; there are: {', '.join(sorted(there))}"
            )
    usual = [column for column in USUAL_COLUMNS if column in there]
    return tuple(dict.fromkeys(["split_group", *usual, *wanted]))


def value_in(chip: Chip, column: str) -> str:
    """A chip's value in a column of the manifest, "none" where it is empty."""
    return chip.group if column == "split_group" else chip.fields.get(column) or "none"
