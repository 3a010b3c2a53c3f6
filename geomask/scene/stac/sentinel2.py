"""Whether the offset of Sentinel-2's digital numbers is in the pixels of a STAC item.

Catalogues differ in this, and contradict themselves; then the user is asked.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from geomask.errors import GeomaskWarning, SceneError
from geomask.scene.stac.fetch import split_address
from geomask.scene.stac.item import Item
from geomask.sensors import (
    ESA_OFFSET,
    INTEGER_SCALE,
    LATEST_BASELINE,
    OFFSET_SINCE,
    OFFSETS_FROM,
    SENTINEL2,
)

_REMOVED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Properties of Earth Search, now and before 2023: whether it removed the offset from pixels."""

_BASELINE = ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline")
"""Properties that state Sentinel-2's processing baseline, in the order of preference."""

_OWN_LINKS = ("self", "root", "parent", "collection")
"""Relations of links to the catalogue that an item is from."""


@dataclass(frozen=True)
class Ruling:
    """What decides the offset of Sentinel-2's digital numbers where bands state none.

    note: why, in words. delivered: whether they are ESA's own, so that the scale is, too.
    """

    offset: float
    note: str
    delivered: bool = False


@dataclass(frozen=True)
class Facts:
    """What an item says about the offset of Sentinel-2's digital numbers.

    removed: whether its catalogue took the offset out of the pixels, None where it does not say;
    flag: the property that says so. baseline: the processing baseline, such as "05.09";
    stated_in: the property that has it. day: of acquisition, YYYYMMDD. planetary: whether the
    item is Planetary Computer's.
    """

    path: str
    removed: bool | None
    flag: str
    baseline: str | None
    stated_in: str
    day: str | None
    planetary: bool

    @property
    def has_offset(self) -> bool:
        """Whether ESA delivers an offset in its digital numbers, as far as is known."""
        if self.baseline is not None:
            return int(self.baseline[:2]) >= OFFSETS_FROM
        return self.day is None or self.day >= OFFSET_SINCE

    @property
    def described(self) -> str:
        """What the offset follows from, in words."""
        if self.baseline is not None:
            return f"processing baseline {self.baseline}"
        return "unknown processing baseline" + (f" of {self.day}" if self.day else " and date")


def baseline_of(item: Item) -> tuple[str, str] | None:
    """(processing baseline, the property that states it) of a Sentinel-2 item."""
    for name in _BASELINE:
        text = item.text(name)
        if text is not None and re.fullmatch(r"\d\d\.\d\d", text, re.ASCII):
            return text, name
    return None


def facts_of(item: Item) -> Facts:
    """What the item says. Raises SceneError where its flag is neither true nor false."""
    flag = next((name for name in _REMOVED if item.properties.get(name) is not None), "")
    removed = item.properties.get(flag) if flag else None
    if removed is not None and not isinstance(removed, bool):
        raise SceneError(
            f"{item.path}: its {flag} is neither true nor false; state the offset with --offset"
        )
    baseline, where = baseline_of(item) or (None, "")
    date = re.match(r"(20\d\d)-(\d\d)-(\d\d)", item.time or "", re.ASCII)
    day = "".join(date.groups()) if date else None
    return Facts(item.path, removed, flag, baseline, where, day, _is_planetary(item))


def rule(facts: Facts, offset: float | None) -> Ruling | None:
    """What the item says of the offset, where its bands state `offset`, None for nothing; None
    where what they state stands. Raises SceneError where it contradicts them, or nothing is
    certain."""
    if offset:
        _check_offset(facts, offset)
        return None
    if facts.removed:
        return Ruling(0.0, f"offset removed already, says {facts.flag}")
    if offset is None and facts.removed is None and facts.planetary:
        return _as_delivered(facts)
    if not facts.has_offset:
        return None
    if facts.removed is False:
        raise SceneError(
            f"{facts.path}: contradicts itself: {facts.flag} is false, so the pixels have the "
            f"offset that {facts.described} brings, and its bands state "
            f"{'none' if offset is None else 'offset 0'}; use --offset {ESA_OFFSET:g} where the "
            "flag is right, --offset 0 where the bands are"
        )
    if offset is None:
        raise _uncertain(facts)
    warnings.warn(
        f"{facts.path}: states offset 0 for {SENTINEL2.title} of {facts.described}, whose digital "
        "numbers have one as ESA delivers them; if nobody removed it, use --offset "
        f"{ESA_OFFSET:g}",
        GeomaskWarning,
        stacklevel=2,
    )
    return None


def _check_offset(facts: Facts, offset: float) -> None:
    """Refuse an offset of the bands that the item's properties contradict."""
    if facts.removed:
        raise SceneError(
            f"{facts.path}: contradicts itself: {facts.flag} is true, so the offset was removed "
            f"from the pixels, and its bands state offset {offset:g}; use --offset 0 where the "
            f"flag is right, --offset {offset:g} where the bands are"
        )
    if facts.baseline is not None and not facts.has_offset:
        raise SceneError(
            f"{facts.path}: contradicts itself: its bands state offset {offset:g}, and "
            f"{facts.described} has none (04.00 brought it); use --offset 0 where the baseline is "
            f"right, --offset {offset:g} where the bands are"
        )


def _as_delivered(facts: Facts) -> Ruling:
    """Planetary Computer's own habit: ESA's pixels, and no word on their radiometry."""
    if facts.baseline is None or int(facts.baseline[:2]) > LATEST_BASELINE:
        raise _uncertain(facts)
    note = (
        f"{facts.stated_in} {facts.baseline}, as ESA delivers (Planetary Computer does not "
        "harmonise)"
    )
    return Ruling(ESA_OFFSET if facts.has_offset else 0.0, note, delivered=True)


def _uncertain(facts: Facts) -> SceneError:
    return SceneError(
        f"{facts.path}: is {SENTINEL2.title} of {facts.described} and states no offset, which "
        f"digital numbers have from processing baseline {OFFSETS_FROM:02}.00 on unless somebody "
        f"removed it; state --scale {INTEGER_SCALE:g} --offset {ESA_OFFSET:g} as ESA delivers "
        "them, or --offset 0 where it was removed"
    )


def _is_planetary(item: Item) -> bool:
    """Whether an item is of Microsoft's Planetary Computer, by its own links or its assets."""
    links = item.content.get("links")
    for link in links if isinstance(links, list) else []:
        own = isinstance(link, dict) and link.get("rel") in _OWN_LINKS
        if own and _host(link.get("href")) == "planetarycomputer.microsoft.com":
            return True
    return any(
        _host(href := asset.get("href")).endswith(".blob.core.windows.net")
        and "sentinel2-l2" in str(href)
        for asset in item.assets.values()
    )


def _host(href: object) -> str:
    parts = split_address(href) if isinstance(href, str) else None
    return (parts.hostname if parts is not None else None) or ""
