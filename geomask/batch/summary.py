"""All of a batch's records as a table, as footprints on the map, and as a STAC collection."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geomask.batch.catalog import remove_items, write_catalog
from geomask.batch.places import Places
from geomask.batch.record import Record
from geomask.batch.status import batch_status
from geomask.output import Staged, write_text, writing

COLUMNS = (
    "name",
    "status",
    "scene",
    "mask",
    "acquired",
    "platform",
    "model",
    "model_sha256",
    "seconds",
    "attempts",
    "warnings",
    "reason",
)
"""Of the table, before the classes' percentages."""


def write_summary(folder: str | Path) -> list[Path]:
    """Write summary.csv, footprints.parquet (GeoParquet, WGS 84) and stac/ into a batch's folder.

    From records alone: no raster is opened. Footprints are of done scenes with a CRS; the
    collection of those whose time is known, too. What would be empty is not written.
    Raises BatchError or OutputError; each file is complete or as it was before.
    """
    found = batch_status(folder)
    places = Places(Path(found.folder))
    written = [_write_table(found.records, places)]
    placed = [record for record in found.done if record.footprint is not None]
    if placed:
        written.append(_write_footprints(placed, places))
    remove_items(found.failed, places)
    catalog = write_catalog(placed, places)
    return [*written, *([] if catalog is None else [catalog])]


def _row(record: Record, classes: Sequence[str]) -> dict[str, Any]:
    mask = record.outputs[0].path if record.done else ""
    percent = {f"{name}_percent": record.percent.get(name) for name in classes}
    total = sum(record.pixels.values())
    return {
        "name": record.name,
        "status": record.status,
        "scene": record.scene,
        "mask": mask,
        "acquired": record.acquisition.get("time"),
        "platform": record.acquisition.get("platform"),
        "model": record.model.name,
        "model_sha256": record.model.sha256,
        "seconds": record.seconds.get("total"),
        "attempts": record.attempts,
        "warnings": "; ".join(record.warnings),
        "reason": record.reason,
        **percent,
        "nodata_percent": 100 * record.pixels.get("nodata", 0) / total if total else None,
    }


def _classes(records: Sequence[Record]) -> list[str]:
    """Every class of any record, in the order in which they are met."""
    return list(dict.fromkeys(name for record in records for name in record.percent))


def _write_table(records: Sequence[Record], places: Places) -> Path:
    """Percentages are of measured pixels; nodata's is of all."""
    classes = _classes(records)
    fields = [*COLUMNS, *(f"{name}_percent" for name in classes), "nodata_percent"]
    text = io.StringIO()
    table = csv.DictWriter(text, fields, lineterminator="\n")
    table.writeheader()
    table.writerows(_row(record, classes) for record in records)
    write_text(places.table, text.getvalue())
    return places.table


def _write_footprints(records: Sequence[Record], places: Places) -> Path:
    import geopandas
    from shapely.geometry import shape

    classes = _classes(records)
    rows = [_row(record, classes) for record in records]
    outlines = [shape(record.footprint.to_geojson()) for record in records if record.footprint]
    frame = geopandas.GeoDataFrame(rows, geometry=outlines, crs="EPSG:4326")
    path = places.footprints
    with Staged(path) as staged:
        with writing(path):
            frame.to_parquet(staged.path)
        staged.commit()
    return path
