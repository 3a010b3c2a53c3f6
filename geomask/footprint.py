"""Where a scene lies, as GeoJSON in WGS 84."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_geom
from shapely.geometry import mapping
from shapely.geometry import shape as shape_of

from geomask.grid import Grid
from geomask.raster import GDAL_ERRORS

POINTS = 11
"""Along each side: the sides of a 110 km scene in UTM then stray by less than 20 m from where
they belong, a hundredth of what they would with corners alone."""

DECIMALS = 6
"""Of degrees: 0.1 m."""


def footprint(grid: Grid) -> dict[str, Any] | None:
    """A polygon around the grid, counterclockwise, cut where it crosses the antimeridian; None
    without a CRS, or where PROJ has no coordinates for it."""
    if grid.crs is None:
        return None
    steps = np.linspace(0, 1, POINTS)[:-1]
    around = [
        *((s, 0.0) for s in steps),
        *((1.0, s) for s in steps),
        *((1 - s, 1.0) for s in steps),
        *((0.0, 1 - s) for s in steps),
    ]
    x, y = grid.to_map(
        np.array([column * grid.width for column, _ in around]),
        np.array([row * grid.height for _, row in around]),
    )
    ring = list(zip(x.tolist(), y.tolist(), strict=True))
    shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    try:
        there: dict[str, Any] = transform_geom(grid.crs, CRS.from_epsg(4326), shape)
    except (*GDAL_ERRORS, CRSError):
        return None
    flat = np.array(_numbers(there["coordinates"]))
    if not np.isfinite(flat).all() or np.abs(flat).max() > 180:
        return None
    # Counterclockwise, as RFC 7946 has it.
    there = mapping(shapely.orient_polygons(shape_of(there)))
    return {"type": there["type"], "coordinates": _rounded(there["coordinates"])}


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for item in value for number in _numbers(item)]
    return [float(value)]


def _rounded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return round(float(value), DECIMALS)
