"""Areas in square metres of polygons that are given in pixels. Pure; opens nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from geomask.grid import SCALE_TOLERANCE, Floats, Grid, areal_scale, map_scale, metres_per_unit


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
    if grid.crs is None:
        return None
    if grid.crs.is_geographic:
        return _on_ellipsoid(geometries, grid)
    metres = metres_per_unit(grid.crs)
    if metres is None:
        return None
    planar: Floats = shapely.area(geometries) * (abs(grid.transform.determinant) * metres**2)
    across, down = np.array([(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5)]).T
    places = grid.to_map(across * grid.width, down * grid.height)
    somewhere = areal_scale(map_scale(grid.crs, *places))
    if not len(planar) or np.all(np.abs(somewhere - 1) <= SCALE_TOLERANCE):
        return planar
    middle = shapely.centroid(geometries)
    places = grid.to_map(shapely.get_x(middle), shapely.get_y(middle))
    return planar / areal_scale(map_scale(grid.crs, *places))


def _on_ellipsoid(geometries: npt.NDArray[Any], grid: Grid) -> Floats:
    """By Green's theorem: the integral of q(latitude) d(longitude) around the rings.

    Simpson's rule is exact along parallels and meridians. Along the slanted edges of rotated
    grids its error is of the order of (the edge's angle) ** 5.
    """
    assert grid.crs is not None
    if not len(geometries):
        return np.zeros(0)
    parts, part_of = shapely.get_parts(geometries, return_index=True)
    _, pixels, (ring_offsets, part_offsets) = shapely.to_ragged_array(parts)
    t, unit = grid.transform, grid.crs.units_factor[1]  # radians per unit
    x, y = pixels[:, 0], pixels[:, 1]
    step = unit * (t.a * np.diff(x) + t.b * np.diff(y))
    latitude = unit * (t.f + t.d * x + t.e * y)
    geod = pyproj.CRS.from_wkt(grid.crs.to_wkt()).get_geod()
    assert geod is not None  # every geographic CRS has an ellipsoid
    middle = _zone((latitude[1:] + latitude[:-1]) / 2, geod.a, geod.es)
    q = _zone(latitude, geod.a, geod.es)
    here = q[0]  # the integral of a constant around a ring is 0; small values keep their digits
    edge = step * (q[1:] + 4 * middle + q[:-1] - 6 * here) / 6
    edge[ring_offsets[1:-1] - 1] = 0  # from the end of a ring to the start of the next
    sizes = np.diff(ring_offsets[part_offsets])
    return np.abs(np.bincount(np.repeat(part_of, sizes)[:-1], edge, len(geometries)))


def _zone(latitude: Floats, a: float, e2: float) -> Floats:
    """Square metres per radian of longitude between the equator and a latitude in radians.

    Snyder, Map Projections: A Working Manual (USGS PP 1395, 1987), equation 3-12, times a^2 / 2.
    """
    sine = np.sin(np.clip(latitude, -np.pi / 2, np.pi / 2))
    e = np.sqrt(e2)
    rest = np.arctanh(e * sine) / e if e else sine
    zone: Floats = a**2 / 2 * (1 - e2) * (sine / (1 - e2 * sine**2) + rest)
    return zone
