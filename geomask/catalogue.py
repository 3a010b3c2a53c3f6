"""Masks and models as STAC items, for catalogues and the programs that read them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from pystac.extensions import mlm
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.eo import EOExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension
from rasterio.warp import transform_geom

from geomask.card import Card
from geomask.classes import NODATA, ClassTable
from geomask.errors import OptionError
from geomask.grid import Grid
from geomask.mask import ACQUISITION_TAG, MODEL_TAG, SCENE_TAG, MaskReader, open_mask
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

ALWAYS = ("1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""When a model that is for no time in particular may be used, as the best practices of the MLM
extension have it (https://github.com/stac-extensions/mlm, best-practices.md)."""

EDGE_POINTS = 21
"""Points along each side of a footprint: sides of a scene bend on the ellipsoid."""


def mask_item(
    mask: str | Path,
    *,
    polygons: Path | None = None,
    scene: str | None = None,
    when: datetime.datetime | None = None,
) -> pystac.Item:
    """A finished mask as a STAC 1.1 item; its assets are named by their paths.

    Extensions: projection, raster, classification, processing, and eo for the share of cloud and
    of snow among the measured pixels. The footprint is the grid's outline.
    mask: a GeoTIFF that geomask wrote. polygons: of the mask, an asset more. scene: what it is
    derived from, a path or URL. when: of acquisition, where the mask's tags do not say.
    Raises MaskError, and OptionError for a mask without CRS or whose time nobody says.
    """
    with open_mask(mask) as reader:
        tags = reader.dataset.tags()
        counts = _counts(reader)
        grid, classes = reader.grid, reader.classes
    if grid.crs is None:
        raise OptionError(f"{mask}: has no CRS, and a STAC item says where on Earth it lies")
    when = when or _acquired(tags)
    if when is None:
        raise OptionError(
            f"{mask}: nothing says when the scene was acquired, which a STAC item must; "
            "give --datetime"
        )
    outline = _footprint(grid)
    item = pystac.Item(
        id=Path(mask).stem,
        geometry=shapely.geometry.mapping(outline),
        bbox=list(outline.bounds),
        datetime=when,
        properties=_processing(tags),
    )
    item.stac_extensions.append(PROCESSING)
    _describe_projection(item, grid)
    _describe_cover(item, classes, counts)
    item.add_asset("mask", _mask_asset(Path(mask), item, classes))
    if polygons is not None:
        kind = POLYGON_TYPES.get(polygons.suffix.lower())
        item.add_asset(
            "polygons",
            pystac.Asset(str(polygons), title="Polygons by class", media_type=kind, roles=["data"]),
        )
    if scene is not None:
        item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, scene))
    return item


def model_item(card: Card, model: str | Path, parameters: int | None = None) -> pystac.Item:
    """A model file as a STAC item of the machine learning model extension (MLM).

    parameters: of the network, where somebody has counted.
    """
    tasks = [mlm.TaskType.SEMANTIC_SEGMENTATION]
    item = pystac.Item(
        id=card.name,
        geometry=None,
        bbox=None,
        datetime=None,
        properties={
            "start_datetime": ALWAYS[0],
            "end_datetime": ALWAYS[1],
            "description": card.description or card.name,
            "license": card.licence or "other",
        },
    )

    def shaped(channels: int) -> dict[str, Any]:
        return {
            "shape": [-1, channels, -1, -1],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": DataType.FLOAT32,
        }

    mlm.MLMExtension.ext(item, add_if_missing=True).apply(
        name=card.name,
        architecture=f"{card.network.architecture} {card.network.encoder or ''}".strip(),
        tasks=tasks,
        framework="pytorch",
        total_parameters=parameters,
        input=[
            mlm.ModelInput.create(
                name="reflectance, NaN where a band is absent",
                bands=[mlm.ModelBand.create(name) for name in card.bands],
                input=mlm.InputStructure.create(**shaped(len(card.bands))),
            )
        ],
        output=[
            mlm.ModelOutput.create(
                name="logits",
                tasks=tasks,
                result=mlm.ResultStructure.create(**shaped(len(card.classes))),
                classes=_classifications(card.class_table),
            )
        ],
    )
    asset = pystac.Asset(
        str(model),
        title="Weights and card",
        media_type="application/octet-stream; application=safetensors",
        roles=["mlm:model", "mlm:weights"],
    )
    item.add_asset("model", asset)
    mlm.AssetGeneralMLMExtension.ext(asset, add_if_missing=True).artifact_type = "safetensors"
    return item


def _counts(reader: MaskReader) -> dict[str, int]:
    """Pixels by class."""
    counts = np.zeros(256, np.int64)
    for strip in reader.strips():
        counts += np.bincount(strip.ravel(), minlength=256)
    return {entry.name: int(counts[entry.code]) for entry in reader.classes}


def _acquired(tags: Mapping[str, str]) -> datetime.datetime | None:
    """By a mask's tags, in UTC."""
    try:
        text = json.loads(tags.get(ACQUISITION_TAG, "{}")).get("time")
        found = None if text is None else datetime.datetime.fromisoformat(text)
    except (ValueError, AttributeError, TypeError):
        return None
    if found is not None and found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return found


def _footprint(grid: Grid) -> shapely.Polygon:
    """The grid's outline in longitude and latitude, sides bent as they lie; counterclockwise."""
    height, width = grid.shape
    along = np.linspace(0, 1, EDGE_POINTS)[:-1]
    x = width * np.concatenate([along, np.ones_like(along), 1 - along, np.zeros_like(along)])
    y = height * np.concatenate([np.zeros_like(along), along, np.ones_like(along), 1 - along])
    ring = shapely.Polygon(np.column_stack(grid.to_map(x, y)))
    # Cut where it crosses the date line, as RFC 7946 wants it.
    there = transform_geom(
        grid.crs, "EPSG:4326", shapely.geometry.mapping(ring), antimeridian_cutting=True
    )
    outline: shapely.Polygon = shapely.orient_polygons(shapely.geometry.shape(there))
    return outline


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
    measured = sum(counts.values())
    if not measured:
        return
    cover = EOExtension.ext(item, add_if_missing=True)
    if "cloud" in classes.names:
        cover.cloud_cover = round(100 * counts["cloud"] / measured, 2)
    if "snow" in classes.names:
        cover.snow_cover = round(100 * counts["snow"] / measured, 2)


def _mask_asset(mask: Path, item: pystac.Item, classes: ClassTable) -> pystac.Asset:
    asset = pystac.Asset(
        str(mask), title="Class mask", media_type=pystac.MediaType.COG, roles=["data"]
    )
    asset.set_owner(item)
    RasterExtension.ext(asset, add_if_missing=True).bands = [
        RasterBand.create(nodata=NODATA, data_type=DataType.UINT8)
    ]
    ClassificationExtension.ext(asset, add_if_missing=True).classes = [
        *_classifications(classes),
        Classification.create(value=NODATA, name="nodata", nodata=True),
    ]
    return asset


def _classifications(classes: ClassTable) -> list[Classification]:
    return [
        Classification.create(
            value=entry.code, name=entry.name, color_hint=bytes(entry.color).hex().upper()
        )
        for entry in classes
    ]


def _processing(tags: Mapping[str, str]) -> dict[str, Any]:
    """What made the mask, and of what, by its tags."""
    lineage = f"{tags.get(SCENE_TAG, 'a scene')} classified by model {tags.get(MODEL_TAG, '?')}"
    radiometry = tags.get("GEOMASK_RADIOMETRY")
    return {
        "processing:lineage": f"{lineage}; {radiometry}" if radiometry else lineage,
        "processing:software": {"geomask": tags.get("GEOMASK_VERSION", __version__)},
    }
