"""What people call the classes they draw, to chip codes: by known names, numbers, or their word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from geomask.errors import OptionError
from geomask.training.chips import CHIP_LABELS, IGNORE

TARGETS = CHIP_LABELS | {"cloud": CHIP_LABELS["thick_cloud"], "ignore": IGNORE}
"""What a value can be mapped to. Cloud that nobody calls thin is thick."""

NAMES = TARGETS | {
    "background": CHIP_LABELS["clear"],
    "clouds": CHIP_LABELS["thick_cloud"],
    "thin_clouds": CHIP_LABELS["thin_cloud"],
    "thick_clouds": CHIP_LABELS["thick_cloud"],
    "cloud_shadow": CHIP_LABELS["shadow"],
    "shadows": CHIP_LABELS["shadow"],
    "cloud_shadows": CHIP_LABELS["shadow"],
    "nodata": IGNORE,
}
"""Values that say what they are. Not cirrus, haze or ice: people mean several things by them."""

NUMBERS = {str(code): code for code in CHIP_LABELS.values()}
"""Numbers that nothing explains are chip codes: a default that is said aloud."""


@dataclass(frozen=True)
class Meanings:
    """Chip code by value, a value being a name or a number as `key` spells it.

    numbers_assumed: numbers mean chip codes because nobody said otherwise.
    """

    codes: Mapping[str, int]
    numbers_assumed: bool

    def of(self, value: object) -> int | None:
        """The chip code of a value, `IGNORE` included; None for one that is not known."""
        return self.codes.get(key(value))


def meanings(mapping: Mapping[str, str] | None = None) -> Meanings:
    """What values mean: by `mapping`, value to label as in `TARGETS`, else by `NAMES`.

    A mapping that speaks of numbers speaks of all of them; 255 is not labelled unless it says so.
    Raises OptionError for a label that there is not.
    """
    stated = {}
    for value, target in (mapping or {}).items():
        if key(target) not in NAMES:
            raise OptionError(
                f"{value}={target}: {target!r} is no label; there are: {', '.join(TARGETS)}"
            )
        stated[key(value)] = NAMES[key(target)]
    assumed = not any(map(_is_number, stated))
    numbers = NUMBERS if assumed else {}
    return Meanings({**NAMES, **numbers, str(IGNORE): IGNORE, **stated}, assumed)


def key(value: object) -> str:
    """One spelling for all of "Thin Cloud", "thin-cloud" and "thin_cloud", and for 3 and 3.0; ""
    for none."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip().casefold()
    return text if _is_number(text) else re.sub(r"[\s_-]+", "_", text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text) is not None
