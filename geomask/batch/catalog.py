"""The masks of a batch as a static STAC collection: one item per scene."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomask.batch.options import POLYGONS
from geomask.batch.places import Places
from geomask.batch.record import Record
from geomask.classes import ClassTable
from geomask.errors import GeomaskWarning
from geomask.output import write_text, writing

if TYPE_CHECKING:
    from pystac import Item


def write_catalog(records: Sequence[Record], places: Places) -> Path | None:
    """Write stac/collection.json and an item for each record, of done scenes with a footprint.

    A scene whose time is not known cannot be an item (STAC demands one): it is left out, which
    is warned of where others are not. None where none is left. Addresses are relative, so the
    folder may be moved.
    Raises OutputError.
    """
    from geomask.catalogue import time_of

    timed = [(each, when) for each in records if (when := time_of(each.acquisition)) is not None]
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


def _item(record: Record, when: datetime, places: Places, root: Path) -> Item:
    from geomask.catalogue import MaskFacts, add_output, item_of

    below = root / record.name  # where the item's file will be
    roles = {role: output.path for output in record.outputs if (role := _role(output.path))}
    addresses = {
        role: os.path.relpath(places.root / path, below).replace(os.sep, "/")
        for role, path in roles.items()
    }
    # `write_catalog` is given no other.
    assert record.footprint is not None
    assert record.grid is not None
    facts = MaskFacts(
        name=record.name,
        grid=record.grid.to_grid(),
        footprint=record.footprint.to_geojson(),
        classes=ClassTable(record.classes),
        pixels=record.pixels,
        when=when,
        version=record.geomask,
        model=record.model.name,
        scene=record.scene,
    )
    item = item_of(facts, addresses.pop("mask"))
    for role, address in addresses.items():
        add_output(item, role, address)
    if "platform" in record.acquisition:
        item.properties["platform"] = record.acquisition["platform"]
    return item


def _role(path: str) -> str | None:
    """The key of an output among an item's assets; None for styles and a shapefile's parts."""
    folder, _, name = path.rpartition("/")
    stem, suffix = Path(name).stem, Path(name).suffix
    if folder == "polygons":
        return f"polygons:{stem}" if suffix in POLYGONS else None
    return {"": "mask", "confidence": "confidence"}[folder] if suffix == ".tif" else None


def _around(boxes: Sequence[Sequence[float]]) -> list[float]:
    west, south, east, north = zip(*boxes, strict=True)
    return [min(west), min(south), max(east), max(north)]


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON, unless the file says the same already: most items do, in a folder that grows."""
    text = json.dumps(content, indent=1)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        write_text(path, text)
