"""A STAC item, local or remote, as a scene: its spectral assets, and what it says of them."""

from __future__ import annotations

import math
from typing import Any

from geomask.errors import BandError, SceneError, shown
from geomask.scene.acquisition import Acquisition
from geomask.scene.assemble import assemble, choose_bands
from geomask.scene.scene import Scene
from geomask.scene.stac.bands import ItemBand, find_bands, sensor_of
from geomask.scene.stac.fetch import split_address
from geomask.scene.stac.item import Item, read_item
from geomask.scene.stac.radiometry import item_nodata, item_radiometry
from geomask.scene.stac.sentinel2 import baseline_of
from geomask.scene.stated import Stated
from geomask.scene.stored import Stored, open_band
from geomask.sensors import SENTINEL2, Sensor


def open_stac(path: str, stated: Stated) -> Scene | None:
    """Open the STAC item at a path or an http(s) URL; None where there is something else.

    Raises SceneError where it is JSON but not one item, is damaged or cannot be fetched, an
    asset cannot be opened, or its radiometry is not certain; BandError where no asset is a
    spectral band; OptionError where `grid` is a resolution that it lacks. Warns of what had to
    be assumed.
    """
    item = read_item(path)
    if item is None:
        return None
    stated.refuse_band_numbers(path)
    sensor = stated.known_sensor or sensor_of(item)
    described = find_bands(item, sensor)
    if not described:
        raise _no_band(item)
    opened = [(_open(item, told), told) for told in described]
    bands = choose_bands(path, [band for band, _ in opened], stated.grid)
    told = _told(item, opened, bands)
    return assemble(
        path,
        "STAC item",
        bands,
        item_radiometry(item, bands, told, stated, sensor),
        item_nodata(path, bands, told, stated, sensor),
        grid=stated.grid,
        acquisition=_acquisition(item, sensor),
        files=item.local_files(),
    )


def _told(item: Item, opened: list[tuple[Stored, ItemBand]], bands: list[Stored]) -> list[ItemBand]:
    """What the item says of each band, also of one that stands in for another."""
    by_place: dict[tuple[str, int], ItemBand] = {}
    for band, told in opened:
        first = by_place.setdefault((band.path, band.index), told)
        if first.common != told.common:
            raise item.wrong(
                told.asset, f"is the same file as asset {first.asset}, and they are two bands"
            )
    return [by_place[band.path, band.index] for band in bands]


def _open(item: Item, told: ItemBand) -> Stored:
    """A band's file, opened. Raises SceneError, naming the asset, where it cannot be."""
    place = item.locate(told.asset)
    try:
        return open_band(place, told.common, told.name, told.index)
    except SceneError as error:
        # Without the query, which may hold a signature that opens the file to anybody.
        reason = str(error).replace(shown(place), place.partition("?")[0])
        # open_raster has a cause; what open_band finds wrong with a file that opened has none.
        advice = "" if error.__cause__ is None else _advice(place)
        raise item.wrong(told.asset, reason + advice) from error


def _advice(place: str) -> str:
    """What to do about an address that does not open."""
    parts = split_address(place)
    if parts is None:
        return ""
    if (parts.hostname or "").endswith(".blob.core.windows.net"):
        if "sig=" in parts.query:
            return "; its signature may have expired: sign the item again"
        return "; sign the item first (planetary_computer.sign, of the package planetary-computer)"
    if parts.scheme == "s3":
        return (
            "; s3:// takes AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from the environment, and "
            "AWS_S3_ENDPOINT where it is not Amazon's"
        )
    return ""


def _no_band(item: Item) -> BandError:
    keys = list(item.assets)
    some = ", ".join(keys[:8]) + (" …" if len(keys) > 8 else "")
    return BandError(
        f"{item.path}: no asset of it is described as a spectral band in GeoTIFF or JPEG 2000 "
        f"(there is {some or 'none'}); where bands have a sensor's own names, use --sensor"
    )


def _acquisition(item: Item, sensor: Sensor | None) -> Acquisition:
    """What the item says of the acquisition; what is of another type than STAC's is left out."""
    zenith = _number(item.properties.get("s2:mean_solar_zenith"))  # Planetary Computer
    azimuth = _number(item.properties.get("s2:mean_solar_azimuth"))
    elevation = _number(item.properties.get("view:sun_elevation"))
    if elevation is None and zenith is not None:
        elevation = 90.0 - zenith
    stated = _number(item.properties.get("view:sun_azimuth"))
    identifier = item.content.get("id")
    baseline = baseline_of(item) if sensor is SENTINEL2 else None
    return Acquisition(
        platform=item.text("platform"),
        baseline=None if baseline is None else baseline[0],
        product=identifier if isinstance(identifier, str) else None,
        time=item.time,
        sun_elevation=elevation,
        sun_azimuth=azimuth if stated is None else stated,
    )


def _number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON's whole numbers have no limit
        return None
