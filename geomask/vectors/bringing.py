"""Polygons of a file, wherever they lie, brought to a raster's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from affine import Affine
from rasterio.windows import Window

from geomask.errors import OptionError
from geomask.grid import Grid

Geometries = npt.NDArray[Any]
Box = tuple[float, float, float, float]
"""(left, bottom, right, top)."""

PAD = 0.05
"""Share of a window's sides by which its box is widened, so that no rounding clips it."""

PIECE = 32
"""Pixels between vertices, about and at most, of an edge that goes to another CRS, where it is no
straight line; of so many it bends by less than a thousandth of one."""


class Bringing:
    """From a file's CRS to the one of a raster's grid.

    path: what to call the file. wkt: its CRS, "" for none. what: what lies in it, for messages.
    Raises OptionError where one of the two has no CRS, or nothing leads from one to the other.
    """

    def __init__(self, path: str | Path, wkt: str, grid: Grid, what: str = "polygons") -> None:
        self.path = path
        self.grid = grid
        self._to_grid = _transformer(path, wkt, grid, what)

    def boxes(self, window: Window) -> list[Box]:
        """What holds a window, in the file's CRS: one box, or two where that ends in it."""
        left, top = float(window.col_off), float(window.row_off)
        right, bottom = left + window.width, top + window.height
        columns = np.array([left, right, left, right])
        x, y = self.grid.to_map(columns, np.array([top, top, bottom, bottom]))
        bounds = _padded((x.min(), y.min(), x.max(), y.max()))
        if self._to_grid is None:
            return [bounds]
        a, b, c, d = self._to_grid.transform_bounds(*bounds, densify_pts=21, direction="INVERSE")
        if not np.isfinite([a, b, c, d]).all():
            raise OptionError(
                f"{self.path}: its CRS cannot hold the scene; save it in the scene's, "
                f"{self.grid.crs.to_string() if self.grid.crs else 'none'}"
            )
        halves = [(a, b, c, d)] if a <= c else [(a, b, 180.0, d), (-180.0, b, c, d)]
        return [_padded(half) for half in halves]

    def brought(self, geometries: Geometries, window: Window) -> Geometries:
        """The parts of polygons near a window, in the grid's CRS; empty where there are none.

        Cut in the file's CRS: what is burned costs by its corners, and one polygon of clear ground
        may have those of all clouds of a scene.
        """
        boxes = self.boxes(window)
        area = shapely.union_all([shapely.box(*box) for box in boxes])
        near = geometries.copy()
        inside = shapely.is_valid(near)
        shapely.prepare(area)
        inside[inside] = shapely.covers(area, near[inside])
        outside = np.flatnonzero(~inside)
        cut = shapely.intersection(polygons_only(near[outside]), area)
        near[outside] = polygons_only(cut)
        if self._to_grid is None:
            return near
        side = min(max(right - left, top - bottom) for left, bottom, right, top in boxes)
        transform = self._to_grid.transform
        brought: Geometries = shapely.transform(
            shapely.segmentize(near, side * PIECE / max(window.width, window.height)),
            lambda points: np.column_stack(transform(points[:, 0], points[:, 1])),
        )
        return brought


def transform_of(grid: Grid, window: Window) -> Affine:
    """Of the pixels of a window of a grid."""
    t = grid.transform
    x, y = grid.to_map(np.array([float(window.col_off)]), float(window.row_off))
    return Affine(t.a, t.b, float(x[0]), t.d, t.e, float(y[0]))


def polygons_only(geometries: Geometries) -> Geometries:
    """The polygons of each geometry, valid; an empty one where it has none."""
    result = shapely.make_valid(geometries)
    mixed = ~np.isin(
        shapely.get_type_id(result),
        (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON),
    )
    for place in np.flatnonzero(mixed):
        parts = shapely.get_parts(shapely.get_parts(result[place]))
        polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        result[place] = shapely.MultiPolygon(list(polygons))
    return np.asarray(result, object)


def _padded(box: Box) -> Box:
    left, bottom, right, top = box
    x, y = PAD * (right - left), PAD * (top - bottom)
    return left - x, bottom - y, right + x, top + y


def _transformer(path: str | Path, wkt: str, grid: Grid, what: str) -> pyproj.Transformer | None:
    """From the file's CRS to the grid's; None where they are the same."""
    if not wkt and grid.crs is None:
        return None
    if not wkt or grid.crs is None:
        without, other = (what, "the scene has") if not wkt else ("scene", "they have")
        raise OptionError(
            f"{path}: the {without} has no CRS where {other} one, so nothing says how they lie on "
            "each other; state it (ogr2ogr -a_srs, gdal_edit.py -a_srs)"
        )
    try:
        own = pyproj.CRS.from_wkt(wkt)
        scene = pyproj.CRS.from_wkt(grid.crs.to_wkt())
        if own.equals(scene, ignore_axis_order=True):
            return None
        return pyproj.Transformer.from_crs(own, scene, always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise OptionError(f"{path}: nothing leads from its CRS to the scene's: {error}") from error
