"""Which chips train, which validate and which test: what their manifests say, else by group."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Literal

from geomask.errors import GeomaskWarning, RecipeError
from geomask.training.chips import Chip

Split = Literal["train", "val", "test"]

SPLITS: dict[str, Split] = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""Words in a manifest's column `split`, and what they mean."""

VALIDATION_SHARE, TEST_SHARE = 0.2, 0.1
"""Of the groups, where nothing says which they are."""


def assign_splits(
    chips: Iterable[Chip], groups: Sequence[str] = (), share: float = VALIDATION_SHARE
) -> dict[str, Split]:
    """The split of every chip, by id: what the manifest's column `split` says, else by group.

    A chip whose row says nothing goes with its group. Groups of which no row says anything: those
    in `groups` validate and the rest trains. Where there are none of `groups`, by the SHA-256 of
    their names: the first `share` of them (at least one) validates, the last `TEST_SHARE` (rounded)
    is for testing, so that the same chips always part in the same way; with a warning if `groups`
    was not empty.
    Raises RecipeError for another word in `split`, and for two chips of one id.
    """
    chips = list(chips)
    _check_ids(chips)
    stated = {chip.id: stated_split(chip) for chip in chips}
    by_group: dict[str, Split] = {}
    for chip in chips:
        split = stated[chip.id]
        if split and by_group.setdefault(chip.group, split) != split:
            warnings.warn(
                f"{chip.image.parent / 'manifest.csv'}: split_group {chip.group} is in "
                f"{by_group[chip.group]} and in {split}; scores on it will flatter",
                GeomaskWarning,
                stacklevel=2,
            )
    unsaid = sorted({chip.group for chip in chips} - set(by_group), key=_digest)
    by_group |= _split_groups(unsaid, set(groups) & set(unsaid), share)
    if groups and unsaid and not set(groups) & set(unsaid):
        chosen = [name for name in unsaid if by_group[name] == "val"]
        warnings.warn(
            "the chips have none of the recipe's data.validation_groups; validating on "
            f"{', '.join(sorted(chosen)) or 'what their manifest says'}",
            GeomaskWarning,
            stacklevel=2,
        )
    return {chip.id: stated[chip.id] or by_group[chip.group] for chip in chips}


def _split_groups(names: Sequence[str], chosen: set[str], share: float) -> dict[str, Split]:
    """`names` in the order of their digests; chosen: those to validate on, if any."""
    tested: set[str] = set()
    if not chosen and len(names) > 1:
        count = min(max(1, round(share * len(names))), len(names) - 1)
        chosen = set(names[:count])
        # Taken from the other end: another validation share leaves the same groups for testing.
        tested = set(names[max(count + 1, len(names) - round(TEST_SHARE * len(names))) :])
    return {
        name: "val" if name in chosen else "test" if name in tested else "train" for name in names
    }


def stated_split(chip: Chip) -> Split | None:
    """What the manifest's column `split` says of a chip, if anything. Raises RecipeError."""
    text = (chip.fields.get("split") or "").strip()
    if text and text not in SPLITS:
        raise RecipeError(
            f"{chip.image.parent / 'manifest.csv'}: split of {chip.id} is {text!r}, not one of "
            f"{', '.join(SPLITS)}"
        )
    return SPLITS.get(text)


def _check_ids(chips: Iterable[Chip]) -> None:
    seen: dict[str, Chip] = {}
    for chip in chips:
        if chip.id in seen:
            raise RecipeError(
                f"{chip.image}: its id is that of {seen[chip.id].image}; every chip needs its own"
            )
        seen[chip.id] = chip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
