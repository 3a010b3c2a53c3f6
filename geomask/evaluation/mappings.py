"""What the codes of other masks, and the labels of chips, are called among the classes scored."""

from __future__ import annotations

from collections.abc import Mapping

from geomask.card import Card
from geomask.classes import DEFAULT_CLASSES, NODATA, ClassTable
from geomask.errors import OptionError
from geomask.training.chips import CHIP_LABELS

NOTHING = "nodata"
"""Name for a mask code that is no answer; 255 is none unless it is said to be."""

MASK_PRESETS: Mapping[str, Mapping[int, str]] = {
    "scl": {
        0: NOTHING,
        1: NOTHING,
        2: "clear",
        3: "shadow",
        4: "clear",
        5: "clear",
        6: "clear",
        7: "clear",
        8: "cloud",
        9: "cloud",
        10: "cloud",
        11: "snow",
    },
    "fmask": {0: "clear", 1: "clear", 2: "shadow", 3: "snow", 4: "cloud", NODATA: NOTHING},
}
"""Codes of masks that many have, to classes.

scl: Sentinel-2's scene classification by Sen2Cor (Level-2A Algorithm Theoretical Basis Document,
ESA): 0 no data, 1 saturated or defective, 2 dark area or terrain shadow, 3 cloud shadow,
4 vegetation, 5 not vegetated, 6 water, 7 unclassified, 8 and 9 cloud of medium and high
probability, 10 thin cirrus, 11 snow. Read as CloudSEN12 reads it (Aybar et al. 2022, Scientific
Data 9), which leaves out 1 and 7; 7 is clear here since the product's users keep it. fmask: Fmask
4's README (Qiu et al. 2019, Remote Sensing of Environment 231): 0 clear land, 1 clear water,
2 cloud shadow, 3 snow, 4 cloud, 255 no observation; other versions have other codes."""

_COUNTERPARTS = {"thick_cloud": "cloud", "thin_cloud": "cloud"}
"""The class of a chip label that most tables have no class of its own for."""


def parse_codes(text: str) -> dict[int, str]:
    """The class names of mask codes: a preset's name, or "0=clear,1=cloud".

    Raises OptionError for anything else.
    """
    if text in MASK_PRESETS:
        return dict(MASK_PRESETS[text])
    codes: dict[int, str] = {}
    for code, name in _pairs(text, "0=clear,1=cloud, or " + " or ".join(MASK_PRESETS)):
        if not code.isdecimal() or int(code) > NODATA:
            raise OptionError(f"{code!r} in {text!r} is no code of a mask, which is 0 to {NODATA}")
        if int(code) in codes:
            raise OptionError(f"{text!r} says twice what {code} means")
        codes[int(code)] = name
    return codes


def parse_labels(text: str) -> dict[str, str]:
    """The class names of chip labels, as "shadow=clear,snow=clear". Raises OptionError."""
    labels = dict(_pairs(text, "shadow=clear,snow=clear"))
    unknown = [label for label in labels if label not in CHIP_LABELS]
    if unknown:
        raise OptionError(
            f"chips have no label {', '.join(unknown)}; there are: {', '.join(CHIP_LABELS)}"
        )
    return labels


def classes_of_codes(codes: Mapping[int, str]) -> ClassTable:
    """Those of the default classes that mask codes stand for.

    Raises OptionError for a name that is none of them, and where no code is a class.
    """
    table = ClassTable(DEFAULT_CLASSES.select(set(codes.values()) - {NOTHING}))
    if not len(table):
        raise OptionError("the codes of the masks stand for no class at all; see --map")
    return table


def classes_of_labels(
    table: ClassTable, card: Card | None = None, stated: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """What each chip label is called in `table`; None: pixels of that label are not scored.

    By its own name, or as cloud where it is a kind of cloud; else as the recipe says that `card`
    keeps of its model's training. stated: the user's word, over both. A label that has no class by
    any of these is not guessed at. Raises OptionError for a stated class that is not there.
    """
    named = _recipe_labels(card, table)
    result: dict[str, str | None] = {}
    for label in CHIP_LABELS:
        if stated is not None and label in stated:
            result[label] = table[stated[label]].name
        elif named is not None:
            result[label] = named.get(label)
        else:
            names = (label, _COUNTERPARTS.get(label))
            result[label] = next((name for name in names if name in table.names), None)
    if not any(result.values()):
        raise OptionError(
            f"no label of the chips is one of the classes {', '.join(table.names)}; say which are "
            f"with --labels, as in --labels clear={table.names[0]}"
        )
    return result


def _recipe_labels(card: Card | None, table: ClassTable) -> dict[str, str] | None:
    """The labels of the recipe that a card keeps; None where it keeps none that fits."""
    recipe = card.provenance.get("recipe") if card is not None else None
    labels = recipe.get("labels") if isinstance(recipe, dict) else None
    if not isinstance(labels, dict) or not set(labels.values()) <= set(table.names):
        return None
    return {str(label): str(name) for label, name in labels.items()}


def _pairs(text: str, example: str) -> list[tuple[str, str]]:
    pairs = []
    for part in text.split(","):
        left, equals, right = (piece.strip() for piece in part.partition("="))
        if not equals or not left or not right:
            raise OptionError(f"{part!r} in {text!r} is not as in {example}")
        pairs.append((left, right))
    return pairs
