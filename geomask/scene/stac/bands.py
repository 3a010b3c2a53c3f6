"""Which assets of a STAC item are spectral bands, and what it says of their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from geomask.band_names import common_names
from geomask.errors import SceneError
from geomask.scene.stac.item import Item, short
from geomask.sensors import COMMON_NAMES, LANDSAT, LISS4, SENTINEL2, Sensor

_OTHER_ROLES = frozenset(
    (
        *("thumbnail", "overview", "visual", "metadata", "date", "temperature", "saturation"),
        *("data-mask", "cloud", "cloud-shadow", "shadow", "snow-ice", "water-mask", "land-water"),
        *("azimuth", "incidence-angle", "sun-azimuth", "sun-elevation", "terrain-shadow"),
        *("terrain-occlusion", "terrain-illumination"),
    )
)
"""Roles of assets that are not reflectance (STAC best practices, "List of Asset Roles")."""

_OTHER_KEYS = re.compile(
    r"(visual|true_?colou?r|tci|pvi|preview|thumbnail|overview|rendered_preview|tilejson)([-_].*)?",
    re.IGNORECASE,
)
"""Keys of pictures, whose bands are named red, green and blue too."""

_THERMAL = frozenset({"lwir", "lwir11", "lwir12"})
"""Common names of bands that measure temperature, whose scales make kelvin."""

_FORMATS = (
    re.compile(r"image/.*cloud-optimized.*", re.IGNORECASE),
    re.compile(r"image/(tiff?|geotiff|vnd\.stac\.geotiff)\b.*|.*\.tiff?", re.IGNORECASE),
    re.compile(r"image/(jp2|jpeg2000)\b.*|.*\.jp2", re.IGNORECASE),
)
"""Media types, and ends of addresses, of raster files; those that are preferred first."""

_PLATFORMS = (
    (SENTINEL2, re.compile(r"(sentinel|s)2[a-d]?")),
    (LANDSAT, re.compile(r"landsat[89]")),
    (LISS4, re.compile(r"liss(4|iv).*")),
)
"""What items call satellites and instruments, in lower case without punctuation."""

_NUMBERED = re.compile(r"(?<![a-z])(sr[ _]?)?b(and)?[ _-]?\d", re.IGNORECASE)
"""Band names that are numbers, and mean something with a sensor only."""


@dataclass(frozen=True)
class ItemBand:
    """A spectral band as the item describes it.

    item, asset: where. common: STAC common name. name: what the item calls it. index: the
    1-based band of the asset's file, None where the asset is that band alone. fields: what the
    item says of the band, and of the asset where that is about its bands.
    """

    item: str
    asset: str
    common: str
    name: str
    index: int | None
    fields: Mapping[str, Any]

    def number(self, what: str) -> float | None:
        """The band's scale, offset or nodata; None where the item does not say.

        Raises SceneError where that is no number. Nodata may be "nan", "inf" or "-inf".
        """
        # raster:scale is STAC 1.1's; nodata has no prefix in either.
        value = self.fields.get(f"raster:{what}", self.fields.get(what))
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                pass
        elif what == "nodata" and value in ("nan", "inf", "-inf"):
            return float(value)
        raise SceneError(
            f"{self.item}: asset {self.asset}: its {what} is {short(value)}, not a number; state "
            f"it with --{what}"
        )


def sensor_of(item: Item) -> Sensor | None:
    """Whose bands an item has, by what it says of satellite and instruments."""
    satellite = _words(item.text("platform"), item.text("constellation"))
    instruments = item.properties.get("instruments")
    words = satellite + _words(*(instruments if isinstance(instruments, list) else []))
    found = [s for s, name in _PLATFORMS for word in words if name.fullmatch(word)]
    if found:
        return found[0]
    by_esa = any(name.startswith("s2:") for name in item.properties)
    return SENTINEL2 if by_esa and not satellite else None


def find_bands(item: Item, sensor: Sensor | None) -> list[ItemBand]:
    """The spectral bands of an item, several of one band where it has several files for it, all
    of the same format: Cloud Optimized GeoTIFF before GeoTIFF before JPEG 2000.

    Raises SceneError for assets whose bands are not described as STAC does.
    """
    described = [
        (format_, asset, index, fields)
        for asset in item.assets
        if (format_ := _format(item, asset)) is not None
        for index, fields in _describe(item, asset)
    ]
    names = [_name(asset, index, fields) for _, asset, index, fields in described]
    commons = _commons(item, names, sensor)
    bands = []
    for (format_, asset, index, fields), name, by_name in zip(
        described, names, commons, strict=True
    ):
        stated = fields.get("eo:common_name", fields.get("common_name"))
        # Others, such as rededge, stand for several of a sensor's bands.
        common = stated if isinstance(stated, str) and stated in COMMON_NAMES else by_name
        if common is not None and common not in _THERMAL:
            band = ItemBand(item.path, asset, common, name or common, index, fields)
            bands.append((format_, band))
    best = {
        common: min(format_ for format_, band in bands if band.common == common)
        for common in {band.common for _, band in bands}
    }
    return [band for format_, band in bands if format_ == best[band.common]]


def _words(*texts: object) -> list[str]:
    """Texts in lower case without punctuation; anything else is left out."""
    words = [re.sub(r"[^a-z0-9]", "", text.lower()) for text in texts if isinstance(text, str)]
    return [word for word in words if word]


def _format(item: Item, asset: str) -> int | None:
    """The place of an asset's format in `_FORMATS`; None where it is no raster of a band."""
    content = item.assets[asset]
    roles, kind, href = content.get("roles"), content.get("type"), content.get("href")
    if _OTHER_KEYS.fullmatch(asset):
        return None
    if isinstance(roles, list) and any(
        isinstance(role, str) and role in _OTHER_ROLES for role in roles
    ):
        return None
    end = PurePosixPath(unquote(href.partition("?")[0])).name if isinstance(href, str) else ""
    for text in (kind, end):
        for place, pattern in enumerate(_FORMATS):
            if isinstance(text, str) and pattern.fullmatch(text):
                return place
    return None


def _describe(item: Item, asset: str) -> list[tuple[int | None, dict[str, Any]]]:
    """(index, fields) of each band of an asset, in the order of its file."""
    content = item.assets[asset]
    lists = []
    for name in ("bands", "eo:bands", "raster:bands"):  # STAC 1.1's, then 1.0's two
        bands = content.get(name)
        if bands is None:
            continue
        if not isinstance(bands, list) or not all(isinstance(band, dict) for band in bands):
            raise item.wrong(asset, f"its {name} are {short(bands)}, not a list of objects")
        lists += [bands] if bands else []
    if len({len(bands) for bands in lists}) > 1:
        counts = " and ".join(str(len(bands)) for bands in lists)
        raise item.wrong(asset, f"its lists of bands have {counts} entries; they should agree")
    whole: dict[str, Any] = {
        name: content[name]
        for name in ("eo:common_name", "raster:scale", "raster:offset", "nodata")
        if name in content
    }
    if not lists:
        return [(None, whole)]
    single = len(lists[0]) == 1
    return [
        (None if single else index, {k: v for part in (whole, *parts) for k, v in part.items()})
        for index, parts in enumerate(zip(*lists, strict=True), 1)
    ]


def _name(asset: str, index: int | None, fields: Mapping[str, Any]) -> str | None:
    """What an item calls a band; its asset's key where that is one band without a name."""
    name = fields.get("name")
    # b1, b2 … is how rio-stac counts the bands of any file.
    if isinstance(name, str) and name and name != f"b{index or 1}":
        return name
    return asset if index is None else None


def _commons(item: Item, names: list[str | None], sensor: Sensor | None) -> tuple[str | None, ...]:
    """Common names of bands by their names."""
    if sensor is None and _words(item.text("platform"), item.text("constellation")):
        # Of a satellite that is known not to be one of ours, B4 may be anything.
        names = [None if name is None or _NUMBERED.search(name) else name for name in names]
    return common_names(names, None if sensor is None else sensor.name)
