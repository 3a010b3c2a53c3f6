"""Masks as STAC items, for catalogues and the programs that read them."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.eo import EOExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension

from geomask.classes import NODATA, ClassTable
from geomask.errors import OptionError
from geomask.footprint import footprint
from geomask.grid import Grid
from geomask.mask import ACQUISITION_TAG, MODEL_TAG, RADIOMETRY_TAG, MaskReader, open_mask
from geomask.output import Staged, check_output, writing
from geomask.version import __version__

PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
"""The processing extension, which pystac has no class for."""

POLYGON_TYPES = {
    ".shp": "application/vnd.shp",
    ".gpkg": pystac.MediaType.GEOPACKAGE,
    ".fgb": pystac.MediaType.FLATGEOBUF,
    ".geojson": pystac.MediaType.GEOJSON,
    ".parquet": pystac.MediaType.PARQUET,
}
"""Media types of the files that polygons are written to, by suffix."""


@dataclass(frozen=True)
class MaskFacts:
    """What an item says of a mask.

    footprint: GeoJSON, WGS 84. pixels: by class name; others are not looked at. when: of
    acquisition. version: of the geomask that made it. model: its name. scene: the path or URL that
    the mask is derived from, None where nobody says. radiometry: a sentence, as in a mask's tags.
    """

    name: str
    grid: Grid
    footprint: Mapping[str, Any]
    classes: ClassTable
    pixels: Mapping[str, int]
    when: datetime.datetime
    version: str
    model: str
    scene: str | None = None
    radiometry: str | None = None


def item_of(facts: MaskFacts, mask: str) -> pystac.Item:
    """A mask as a STAC 1.1 item.

    Extensions: projection, raster, classification, processing, and eo for the share of cloud and
    of snow among the measured pixels. mask: where it is, the address of the asset "mask".
    """
    made = f"classified by model {facts.model}"
    item = pystac.Item(
        id=facts.name,
        geometry=dict(facts.footprint),
        bbox=list(shapely.geometry.shape(facts.footprint).bounds),
        datetime=facts.when,
        properties={
            "processing:lineage": f"{made}; {facts.radiometry}" if facts.radiometry else made,
            "processing:software": {"geomask": facts.version},
        },
    )
    item.stac_extensions.append(PROCESSING)
    _describe_projection(item, facts.grid)
    _describe_cover(item, facts.classes, facts.pixels)
    item.add_asset("mask", _mask_asset(mask, item, facts.classes))
    if facts.scene is not None:
        source = facts.scene if "://" in facts.scene else Path(facts.scene).absolute().as_uri()
        item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, source))
    return item


def add_output(item: pystac.Item, key: str, address: str) -> None:
    """Polygons, or a raster beside the mask, as an asset."""
    kind = POLYGON_TYPES.get(Path(address).suffix.lower(), pystac.MediaType.COG)
    item.add_asset(key, pystac.Asset(address, media_type=kind, roles=["data"]))


def mask_item(
    mask: str | Path,
    *,
    polygons: Sequence[Path] = (),
    scene: str | None = None,
    when: datetime.datetime | None = None,
    pixels: Mapping[str, int] | None = None,
) -> pystac.Item:
    """A finished mask as an item (`item_of`); its assets are named by their paths.

    mask: a GeoTIFF that geomask wrote, and one not yet in its place goes by that. polygons: of the
    mask, an asset each. scene: what it is derived from, a path or URL. when: of acquisition, where
    the mask's tags do not say. pixels: by class name, where they were counted already.
    Raises MaskError, and OptionError for a mask without CRS or whose time nobody says.
    """
    with open_mask(mask) as reader:
        tags, path = reader.dataset.tags(), reader.path
        pixels = _counts(reader) if pixels is None else pixels
        grid, classes = reader.grid, reader.classes
    when = check_item(grid, when or _acquired(tags), path)
    outline = footprint(grid)
    assert outline is not None  # `check_item`
    facts = MaskFacts(
        name=path.stem,
        grid=grid,
        footprint=outline,
        classes=classes,
        pixels=pixels,
        when=when,
        version=tags.get("GEOMASK_VERSION", __version__),
        model=tags.get(MODEL_TAG, "unknown"),
        scene=scene,
        radiometry=tags.get(RADIOMETRY_TAG),
    )
    item = item_of(facts, str(path))
    for number, file in enumerate(polygons):
        add_output(item, "polygons" if len(polygons) == 1 else f"polygons-{number + 1}", str(file))
    return item


def check_item(grid: Grid, when: datetime.datetime | None, path: str | Path) -> datetime.datetime:
    """The time of an item, or OptionError for a mask that cannot be one. path: to call it by."""
    if footprint(grid) is None:
        raise OptionError(
            f"{path}: has no CRS that leads to longitude and latitude, and a STAC item says where "
            "on Earth it lies"
        )
    if when is None:
        raise OptionError(
            f"{path}: nothing says when the scene was acquired, which a STAC item must; "
            "give --datetime, as in --datetime 2024-05-06T10:11:12Z"
        )
    return when


def check_item_output(
    out: Path, grid: Grid, when: datetime.datetime | None, *, overwrite: bool
) -> None:
    """Refuse, before any work, an item that could not be written. Raises OptionError, OutputError.

    when: of acquisition, as far as it is known.
    """
    if out.suffix.lower() not in (".json", ".geojson"):
        raise OptionError(f"{out}: a STAC item is JSON; name it .json")
    check_output(out, overwrite=overwrite)
    check_item(grid, when, out)


@contextmanager
def cataloguing(
    mask: Path,
    out: Path,
    *,
    polygons: Sequence[Path] = (),
    scene: str | None = None,
    when: datetime.datetime | None = None,
    pixels: Mapping[str, int] | None = None,
) -> Iterator[Staged]:
    """A mask's item in a file, complete beside its target until it is committed; addresses are
    relative to it. The mask, and its polygons, may not be in place yet. As `mask_item` otherwise;
    raises OutputError as well.
    """
    item = mask_item(mask, polygons=polygons, scene=scene, when=when, pixels=pixels)
    for asset in item.assets.values():
        place = os.path.relpath(Path(asset.href).absolute(), out.absolute().parent)
        asset.href = "./" + place.replace(os.sep, "/") if not place.startswith("..") else place
    with Staged(out) as staged:
        with writing(out):
            staged.path.write_text(json.dumps(item.to_dict(), indent=1) + "\n", "utf-8")
        yield staged


def _counts(reader: MaskReader) -> dict[str, int]:
    """Pixels by class."""
    counts = np.zeros(256, np.int64)
    for strip in reader.strips():
        counts += np.bincount(strip.ravel(), minlength=256)
    return {entry.name: int(counts[entry.code]) for entry in reader.classes}


def _acquired(tags: Mapping[str, str]) -> datetime.datetime | None:
    """By a mask's tags."""
    try:
        return time_of(json.loads(tags.get(ACQUISITION_TAG, "{}")))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None


def time_of(acquisition: Mapping[str, Any]) -> datetime.datetime | None:
    """When a scene was taken, by `Acquisition.known()`; UTC where it does not say otherwise."""
    try:
        found = datetime.datetime.fromisoformat(str(acquisition.get("time")))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def _describe_projection(item: pystac.Item, grid: Grid) -> None:
    assert grid.crs is not None  # refused before
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    code = grid.crs.to_epsg()
    projection.apply(
        code=None if code is None else f"EPSG:{code}",
        wkt2=grid.crs.to_wkt(version="WKT2_2019") if code is None else None,
        shape=list(grid.shape),
        transform=list(grid.transform)[:6],
    )


def _describe_cover(item: pystac.Item, classes: ClassTable, counts: Mapping[str, int]) -> None:
    """Percent of the measured pixels, and how many of all were measured."""
    measured = sum(counts[name] for name in classes.names)
    if not measured:
        return
    cover = EOExtension.ext(item, add_if_missing=True)
    if "cloud" in classes.names:
        cover.cloud_cover = round(100 * counts["cloud"] / measured, 2)
    if "snow" in classes.names:
        cover.snow_cover = round(100 * counts["snow"] / measured, 2)


def _mask_asset(mask: str, item: pystac.Item, classes: ClassTable) -> pystac.Asset:
    asset = pystac.Asset(mask, title="Class mask", media_type=pystac.MediaType.COG, roles=["data"])
    asset.set_owner(item)
    RasterExtension.ext(asset, add_if_missing=True).bands = [
        RasterBand.create(nodata=NODATA, data_type=DataType.UINT8)
    ]
    ClassificationExtension.ext(asset, add_if_missing=True).classes = [
        *classifications(classes),
        Classification.create(value=NODATA, name="nodata", nodata=True),
    ]
    return asset


def classifications(classes: ClassTable) -> list[Classification]:
    """Value, name and colour of every class."""
    return [
        Classification.create(
            value=entry.code, name=entry.name, color_hint=bytes(entry.color).hex().upper()
        )
        for entry in classes
    ]
