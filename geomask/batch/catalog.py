"""The masks of a batch as a static STAC collection: one item per scene."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geomask.batch.places import Places
from geomask.batch.record import Record
from geomask.errors import GeomaskWarning, OutputError
from geomask.output import Staged

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
"""Media type of the masks (STAC best practices, "Common media types")."""

POLYGON_TYPES = {
    ".shp": "application/vnd.shp",
    ".gpkg": "application/geopackage+sqlite3",
    ".fgb": "application/vnd.flatgeobuf",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
}
"""Media types of polygons, by suffix."""


def write_catalog(records: Sequence[Record], places: Places) -> Path | None:
    """Write stac/collection.json and an item for each record, of done scenes with a footprint.

    A scene whose time is not known cannot be an item (STAC demands one): it is left out, which
    is warned of where others are not. None where none is left. Addresses are relative, so the
    folder may be moved.
    Raises OutputError.
    """
    timed = [(record, when) for record in records if (when := _time(record)) is not None]
    if 0 < len(timed) < len(records):
        warnings.warn(
            f"{places.root}: {len(records) - len(timed)} of {len(records)} scenes do not say when "
            "they were taken, and are left out of the STAC collection",
            GeomaskWarning,
            stacklevel=3,
        )
    if not timed:
        return None
    from pystac import CatalogType, Collection, Extent, SpatialExtent, TemporalExtent

    root = places.stac
    items = [_item(record, when, places, root) for record, when in timed]
    boxes = [item.bbox for item in items if item.bbox is not None]
    times = [when for _, when in timed]
    collection = Collection(
        id=places.root.name or "masks",
        description="Cloud, cloud shadow and snow masks by geomask",
        extent=Extent(SpatialExtent([_around(boxes)]), TemporalExtent([[min(times), max(times)]])),
    )
    collection.add_items(items)
    collection.normalize_hrefs(str(root))
    collection.catalog_type = CatalogType.SELF_CONTAINED
    for item in items:
        _write(Path(item.self_href), item.to_dict(include_self_link=False))
    path = root / "collection.json"
    _write(path, collection.to_dict(include_self_link=False))
    return path


def remove_items(records: Sequence[Record], places: Places) -> None:
    """Remove the items of scenes that are not done any more."""
    for record in records:
        with suppress(OSError):
            item = places.stac / record.name / f"{record.name}.json"
            item.unlink()
            item.parent.rmdir()


def _item(record: Record, when: datetime, places: Places, root: Path) -> Any:
    from pystac import Asset, Item, Link
    from pystac.extensions.classification import Classification, ClassificationExtension
    from pystac.extensions.projection import ProjectionExtension
    from shapely.geometry import shape

    assert record.footprint is not None
    item = Item(
        id=record.name,
        geometry=dict(record.footprint),
        bbox=list(shape(record.footprint).bounds),
        datetime=when,
        properties={
            "geomask:model": record.model["name"],
            "geomask:model_sha256": record.model["sha256"],
            "geomask:version": record.geomask,
            **{f"geomask:{name}_percent": share for name, share in record.percent.items()},
        },
    )
    if "platform" in record.acquisition:
        item.properties["platform"] = record.acquisition["platform"]
    grid = record.grid or {}
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.apply(
        epsg=grid["epsg"],
        wkt2=grid["crs"],
        shape=[grid["height"], grid["width"]],
        transform=list(grid["transform"]),
    )
    below = root / record.name  # where the item's file will be
    for output in record.outputs:
        key = _role(output.path)
        if key is None:
            continue
        place = os.path.relpath(places.root / output.path, below).replace(os.sep, "/")
        media = POLYGON_TYPES.get(Path(output.path).suffix, COG)
        item.add_asset(key, Asset(place, media_type=media, roles=["data"]))
    mask = ClassificationExtension.ext(item.assets["mask"], add_if_missing=True)
    mask.apply(
        classes=[
            Classification.create(
                value=each["code"],
                name=each["name"],
                description=each["name"],
                color_hint="".join(f"{part:02X}" for part in each["color"]),
            )
            for each in record.classes
        ]
    )
    source = record.scene if "://" in record.scene else Path(record.scene).as_uri()
    item.add_link(Link("derived_from", source))
    return item


def _role(path: str) -> str | None:
    """The key of an output among an item's assets; None for a shapefile's other parts."""
    folder, _, name = path.rpartition("/")
    if folder == "polygons":
        suffix = Path(name).suffix
        return f"polygons:{Path(name).stem}" if suffix in POLYGON_TYPES else None
    return {"": "mask", "confidence": "confidence"}[folder]


def _time(record: Record) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(record.acquisition.get("time")))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _around(boxes: Sequence[Sequence[float]]) -> list[float]:
    west, south, east, north = zip(*boxes, strict=True)
    return [min(west), min(south), max(east), max(north)]


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON, unless the file says the same already: most items do, in a folder that grows."""
    text = json.dumps(content, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        with Staged(path) as staged:
            staged.path.write_text(text, encoding="utf-8")
            staged.commit()
    except OSError as error:
        raise OutputError(f"{path}: could not be written: {error.strerror}") from error
