"""Areas and perimeters, in metres, of polygons that are given in pixels. Pure; opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from rasterio.crs import CRS

from geomask.grid import SCALE_TOLERANCE, Floats, Grid, areal_scale, map_scale, metres_per_unit


def has_metres(grid: Grid) -> bool:
    """Whether areas and lengths on a grid can be told in metres."""
    crs = grid.crs
    return crs is not None and bool(crs.is_geographic or metres_per_unit(crs) is not None)


def areas_m2(geometries: npt.NDArray[Any], grid: Grid) -> Floats | None:
    """float64 (n,): the area of each polygon in square metres; None where nothing says metres.

    geometries: object (n,), Polygons or MultiPolygons in pixel coordinates of `grid`; holes run
    the other way round than outer rings, as `components` makes them.

    In a projected CRS the area is planar, unless the areal scale somewhere on the grid departs
    from 1 by more than `SCALE_TOLERANCE` (Mercator): then each polygon's planar area is divided
    by the areal scale at its centroid. In a geographic CRS it is that on the CRS's ellipsoid,
    with edges straight in longitude and latitude, as the raster's pixels have them: a component's
    area is the sum of its pixels'. (Geodesics between the corners would bulge polewards: 6 km2
    along one degree at latitude 45.)
    """
    if grid.crs is None or not has_metres(grid):
        return None
    if grid.crs.is_geographic:
        return np.abs(_around(geometries, lambda x, y: _under_edges(x, y, grid)))
    metres = metres_per_unit(grid.crs)
    assert metres is not None  # or it had no metres
    planar: Floats = shapely.area(geometries) * (abs(grid.transform.determinant) * metres**2)
    if not len(planar) or not _is_stretched(grid):
        return planar
    middle = shapely.centroid(geometries)
    places = grid.to_map(shapely.get_x(middle), shapely.get_y(middle))
    return planar / areal_scale(map_scale(grid.crs, *places))


def perimeters_m(geometries: npt.NDArray[Any], grid: Grid) -> Floats | None:
    """float64 (n,): the length of each polygon's rings, holes included, in metres; None where
    nothing says metres. geometries: as in `areas_m2`.

    In a projected CRS it is planar, edge by edge divided by the projection's scale in the edge's
    direction where the areal scale departs from 1 by more than `SCALE_TOLERANCE`. In a geographic
    CRS edges are geodesics on its ellipsoid, which differ from lines of latitude by 1e-9 of their
    length over a pixel of 10 m.
    """
    if not has_metres(grid):
        return None
    return _around(geometries, lambda x, y: _lengths(*grid.to_map(x, y), grid))


def pixel_in_metres(grid: Grid, column: Floats, row: Floats) -> Floats:
    """float64 (n, 2, 2): metres on the ground (east, north) per pixel (column, row), at places.

    column, row: float64 (n,), pixel coordinates on a grid that has metres. On a map that is true to
    `SCALE_TOLERANCE` they are the map's metres.
    """
    t, crs = grid.transform, grid.crs
    assert crs is not None  # or it had no metres
    steps = np.tile(np.array([(t.a, t.b), (t.d, t.e)]), (len(column), 1, 1))
    if crs.is_geographic:
        _, y = grid.to_map(column, row)
        geod, unit = _ellipsoid(crs), crs.units_factor[1]  # radians per unit
        w2 = 1 - geod.es * np.sin(unit * y) ** 2
        east = geod.a / np.sqrt(w2) * np.cos(unit * y)  # Snyder's 4-20 and 4-18
        north = geod.a * (1 - geod.es) / w2**1.5
        local: Floats = unit * np.stack((east, north), axis=1)[:, :, None] * steps
        return local
    steps *= metres_per_unit(crs)
    if _is_stretched(grid):
        steps = np.linalg.solve(map_scale(crs, *grid.to_map(column, row)), steps)
    return steps


def _around(geometries: npt.NDArray[Any], of_edges: Callable[[Floats, Floats], Floats]) -> Floats:
    """float64 (n,): for each polygon the sum over the edges of its rings.

    of_edges: gives float64 (m - 1,) of the steps between m points, in pixel coordinates.
    """
    if not len(geometries):
        return np.zeros(0)
    parts, part_of = shapely.get_parts(geometries, return_index=True)
    _, pixels, (ring_offsets, part_offsets) = shapely.to_ragged_array(parts)
    edge = of_edges(pixels[:, 0], pixels[:, 1])
    edge[ring_offsets[1:-1] - 1] = 0  # from the end of a ring to the start of the next
    sizes = np.diff(ring_offsets[part_offsets])
    total = np.bincount(np.repeat(part_of, sizes)[:-1], edge, len(geometries))
    return total.astype(np.float64)


def _lengths(x: Floats, y: Floats, grid: Grid) -> Floats:
    """float64 (n - 1,): metres from each point on the map to the next."""
    assert grid.crs is not None  # asked by `perimeters_m`
    if grid.crs.is_geographic:
        degrees = np.degrees(grid.crs.units_factor[1])
        _, _, geodesic = _ellipsoid(grid.crs).inv(
            degrees * x[:-1], degrees * y[:-1], degrees * x[1:], degrees * y[1:]
        )
        return np.asarray(geodesic, dtype=np.float64)
    metres = metres_per_unit(grid.crs)
    assert metres is not None  # asked by `perimeters_m`
    steps: npt.NDArray[Any] = metres * np.stack((np.diff(x), np.diff(y)), axis=1)
    if _is_stretched(grid):
        middle = map_scale(grid.crs, (x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2)
        steps = np.linalg.solve(middle, steps[:, :, None])[:, :, 0]
    length: Floats = np.hypot(steps[:, 0], steps[:, 1])
    return length


@lru_cache(maxsize=8)
def _is_stretched(grid: Grid) -> bool:
    """Whether metres on the map are not those on the ground, at a corner or in the middle."""
    assert grid.crs is not None  # asked by those that measure
    across, down = np.array([(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)]).T
    places = grid.to_map(across * grid.width, down * grid.height)
    return bool(np.any(np.abs(areal_scale(map_scale(grid.crs, *places)) - 1) > SCALE_TOLERANCE))


def _ellipsoid(crs: CRS) -> pyproj.Geod:
    geod = pyproj.CRS.from_wkt(crs.to_wkt()).get_geod()
    assert geod is not None  # every geographic CRS has one
    return geod


def _under_edges(x: Floats, y: Floats, grid: Grid) -> Floats:
    """float64 (n - 1,): the signed area between each edge and a parallel of latitude.

    By Green's theorem around a ring: the integral of q(latitude) d(longitude). Simpson's rule is
    exact along parallels and meridians. Along the slanted edges of rotated grids its error is of
    the order of (the edge's angle) ** 5.
    """
    assert grid.crs is not None  # asked by `areas_m2`
    t, unit = grid.transform, grid.crs.units_factor[1]  # radians per unit
    step = unit * (t.a * np.diff(x) + t.b * np.diff(y))
    latitude = unit * (t.f + t.d * x + t.e * y)
    geod = _ellipsoid(grid.crs)
    middle = _zone((latitude[1:] + latitude[:-1]) / 2, geod.a, geod.es)
    q = _zone(latitude, geod.a, geod.es)
    here = q[0]  # the integral of a constant around a ring is 0; small values keep their digits
    edge: Floats = step * (q[1:] + 4 * middle + q[:-1] - 6 * here) / 6
    return edge


def _zone(latitude: Floats, a: float, e2: float) -> Floats:
    """Square metres per radian of longitude between the equator and a latitude in radians.

    Snyder, Map Projections: A Working Manual (USGS PP 1395, 1987), equation 3-12, times a^2 / 2.
    """
    sine = np.sin(np.clip(latitude, -np.pi / 2, np.pi / 2))
    e = np.sqrt(e2)
    rest = np.arctanh(e * sine) / e if e else sine
    zone: Floats = a**2 / 2 * (1 - e2) * (sine / (1 - e2 * sine**2) + rest)
    return zone
