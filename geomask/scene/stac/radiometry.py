"""What the numbers of a STAC item's bands mean: by the user, the item or its files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

from geomask.errors import GeomaskWarning, SceneError
from geomask.scene.nodata import Nodata, find_nodata
from geomask.scene.radiometry import Radiometry, find_radiometry, radiometry_of_user
from geomask.scene.stac.bands import ItemBand
from geomask.scene.stac.item import Item
from geomask.scene.stac.sentinel2 import Ruling, facts_of, rule
from geomask.scene.stated import Stated
from geomask.scene.stored import Stored
from geomask.sensors import INTEGER_SCALE, SENTINEL2, Sensor


def item_radiometry(
    item: Item,
    bands: Sequence[Stored],
    described: Sequence[ItemBand],
    stated: Stated,
    sensor: Sensor | None,
) -> Radiometry:
    """The radiometry of the bands that are read. described: each as the item has it.

    Raises SceneError where it is stated wrongly, for some bands only, or in two ways, and where
    nothing says whether Sentinel-2's offset is in the pixels. Warns of defaults.
    """
    by_user = radiometry_of_user(bands, stated)
    if by_user is not None:
        return by_user
    found, offset = _find(item.path, bands, described, stated)
    ruling = None
    if stated.offset is None and any(band.is_integer for band in bands):
        facts = facts_of(item)
        if sensor is SENTINEL2 or facts.removed is not None:
            ruling = rule(facts, offset)
    if ruling is not None and found is not None:
        pairs = {common: (scale, ruling.offset) for common, (scale, _) in found.pairs.items()}
        return Radiometry(pairs, f"{found.source}; {ruling.note}").overridden(stated)
    if ruling is not None and all(band.dtype.itemsize > 1 for band in bands):
        return _by_convention(item.path, bands, ruling, stated).overridden(stated)
    if found is None:
        return find_radiometry(item.path, bands, stated, sensor)
    return found.overridden(stated)


def item_nodata(
    path: str,
    bands: Sequence[Stored],
    described: Sequence[ItemBand],
    stated: Stated,
    sensor: Sensor | None,
) -> Nodata:
    """The nodata rule of the bands that are read: the item's values, the files' where it has
    none. Raises SceneError for one that is no number, and what `find_nodata` raises.
    """
    if stated.nodata is not None:
        return find_nodata(path, bands, stated, sensor)
    own = [told.number("nodata") for told in described]
    merged = [
        band if value is None else replace(band, nodata=value)
        for band, value in zip(bands, own, strict=True)
    ]
    found = find_nodata(path, merged, stated, sensor)
    if all(value is None for value in own) or all(v is None for v in found.values.values()):
        return found
    who = "the STAC item" if None not in own else "the STAC item or the files"
    values = sorted({value for value in found.values.values() if value is not None})
    sources = [f"{value:g}, stated by {who}" for value in values]
    sources += ["the file's own mask"] if found.use_mask else []
    return replace(found, source=" and ".join(sources))


def _find(
    path: str, bands: Sequence[Stored], described: Sequence[ItemBand], stated: Stated
) -> tuple[Radiometry | None, float | None]:
    """(what the item states, else what its files do; the offset of that), None for nothing."""
    pairs = [
        (_number(told, "scale", stated.scale), _number(told, "offset", stated.offset))
        for told in described
    ]
    # Scale 1 and offset 0 are what programs write that know of none.
    if all(
        (1.0 if scale is None else scale, offset or 0.0) == (1.0, 0.0) for scale, offset in pairs
    ):
        if all((band.scale, band.offset) == (1.0, 0.0) for band in bands):
            return None, None
        found = find_radiometry(path, bands, Stated(), None)
        return found, max((offset for _, offset in found.pairs.values()), key=abs)
    said = [
        _as_said(told, band, *pair, stated)
        for told, band, pair in zip(described, bands, pairs, strict=True)
    ]
    offsets = [offset for _, offset in pairs]
    found = find_radiometry(path, said, Stated(), None)
    if any(offsets) and None in offsets and stated.offset is None:
        raise SceneError(
            f"{path}: states an offset for some bands and none for others; state it with --offset"
        )
    offset = None if None in offsets else max((o for o in offsets if o is not None), key=abs)
    return replace(found, source="scale and offset stated by the STAC item"), offset


def _number(told: ItemBand, what: str, user: float | None) -> float | None:
    """What the item states, or the user where that is no number."""
    try:
        return told.number(what)
    except SceneError:
        if user is None:
            raise
        return user


def _as_said(
    told: ItemBand, band: Stored, scale: float | None, offset: float | None, stated: Stated
) -> Stored:
    """A band with the item's numbers in place of its file's. Raises SceneError where these two
    differ, or the item states an offset and no scale."""
    asset = f"{told.item}: asset {told.asset}"
    for name, own, files, user in (
        ("scale", scale, band.scale, stated.scale),
        ("offset", offset, band.offset, stated.offset),
    ):
        if user is not None or own is None or (band.scale, band.offset) == (1.0, 0.0):
            continue
        if not math.isclose(own, files, rel_tol=1e-6):
            raise SceneError(
                f"{asset}: the item states {name} {own:g}, and the file itself {files:g}; state "
                f"the right one with --{name}"
            )
    if scale is None and offset and band.is_integer and stated.scale is None:
        raise SceneError(
            f"{asset}: the item states offset {offset:g} and no scale; state it with --scale"
        )
    unsaid = 1.0 if stated.scale is None else stated.scale
    return replace(band, scale=unsaid if scale is None else scale, offset=offset or 0.0)


def _by_convention(
    path: str, bands: Sequence[Stored], ruling: Ruling, stated: Stated
) -> Radiometry:
    """Sentinel-2's own scale, where neither item nor files state one."""
    if not ruling.delivered and stated.scale is None:
        warnings.warn(
            f"{path}: states no scale; took reflectance = DN * {INTEGER_SCALE:g}, the convention "
            f"of {SENTINEL2.title} (state it with --scale)",
            GeomaskWarning,
            stacklevel=2,
        )
    pairs = {band.common: (INTEGER_SCALE, ruling.offset) for band in bands}
    what = "" if ruling.delivered else f"default: DN * {INTEGER_SCALE:g}; "
    return Radiometry(pairs, what + ruling.note)
