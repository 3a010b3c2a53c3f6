"""Where a raster lies on the ground: CRS, transform, size, and its pixel size in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError

Floats: TypeAlias = npt.NDArray[np.float64]

METRES_PER_DEGREE = math.radians(1.0) * 6_371_008.8
"""Metres per degree of a great circle on a sphere of the Earth's mean radius (IUGG, R1)."""

SCALE_TOLERANCE = 0.01
"""How far a projection's areal scale may be from 1 before map metres stop counting as metres.
UTM within its zone, national and equal-area grids stay below; Mercator away from its standard
parallel does not: Web Mercator's is 4 at latitude 60."""


@dataclass(frozen=True)
class Grid:
    """The grid of a raster.

    crs: coordinate reference system, or None where the file states none.
    transform: affine, pixel (column, row) to CRS coordinates; rotation and shear are allowed.
    width, height: pixels, at least 1.
    """

    crs: CRS | None
    transform: Affine
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a grid has at least one pixel, not {self.width} x {self.height}")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), the order of arrays."""
        return self.height, self.width

    def to_map(self, column: Floats, row: Floats | float) -> tuple[Floats, Floats]:
        """(x, y) in the CRS of pixel coordinates; float64 of their shape."""
        t = self.transform
        return t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """(row step, column step) in metres, or None where there is no CRS to measure in,
        or it is neither geographic nor projected (local, engineering, geocentric).

        In a projected CRS the steps are those on the map, unless its areal scale at the grid's
        centre departs from 1 by more than `SCALE_TOLERANCE`: then they are those on the ground
        there. In a geographic CRS the steps are local metres at the grid's centre, on a sphere
        (`METRES_PER_DEGREE`; 0.4 % at most from the ellipsoid, plenty to choose a resolution by).
        """
        if self.crs is None:
            return None
        t = self.transform
        if self.crs.is_geographic:
            latitude = t.d * self.width / 2 + t.e * self.height / 2 + t.f
            unit = METRES_PER_DEGREE * math.degrees(self.crs.units_factor[1])
            east, north = unit * math.cos(math.radians(latitude)), unit
            return math.hypot(t.b * east, t.e * north), math.hypot(t.a * east, t.d * north)
        metres = metres_per_unit(self.crs)
        if metres is None:
            return None
        steps = metres * np.array([(t.b, t.a), (t.e, t.d)])  # row step, column step
        scale = map_scale(self.crs, *self.to_map(np.array([self.width / 2]), self.height / 2))
        if abs(areal_scale(scale)[0] - 1) > SCALE_TOLERANCE:
            steps = np.linalg.solve(scale[0], steps)
        row, column = np.hypot(*steps)
        return float(row), float(column)


def metres_per_unit(crs: CRS) -> float | None:
    """Metres in one unit of a projected CRS's map; None for any other kind of CRS."""
    try:
        return float(crs.linear_units_factor[1]) if crs.is_projected else None
    except CRSError:
        return None


def map_scale(crs: CRS, x: Floats, y: Floats) -> Floats:
    """float64 (n, 2, 2): map metres (x, y) per metre on the ground (east, north), at each point.

    x, y: float64 (n,), coordinates in a projected CRS. The ground is the CRS's ellipsoid, also
    for Web Mercator, whose formulas are a sphere's. NaN where the projection or its inverse is
    not defined, or PROJ does not know it. Formulas: Snyder, Map Projections: A Working Manual
    (USGS PP 1395, 1987), chapter 4.
    """
    import pyproj  # here, because most who import grids measure nothing

    try:
        known = pyproj.CRS.from_wkt(crs.to_wkt())
        project, geod = pyproj.Proj(known), known.get_geod()
    except (CRSError, pyproj.exceptions.ProjError):
        geod = None
    if geod is None:
        return np.full((len(x), 2, 2), np.nan)
    # Lists, since pyproj takes an array of one number for a number, and NumPy objects.
    longitude, latitude = map(np.array, project(x.tolist(), y.tolist(), inverse=True))
    limit = 89.99  # PROJ differentiates by steps of 1e-5 radians, which must not cross a pole
    latitude = np.where(np.isfinite(latitude), np.clip(latitude, -limit, limit), np.inf)
    f = project.get_factors(longitude, latitude)
    with np.errstate(invalid="ignore"):
        per_radian = geod.a * np.array([(f.dx_dlam, f.dx_dphi), (f.dy_dlam, f.dy_dphi)])
        phi = np.radians(latitude)
        w = np.sqrt(1 - geod.es * np.sin(phi) ** 2)
        east = geod.a / w * np.cos(phi)  # metres per radian, Snyder's 4-20 and 4-18
        north = geod.a * (1 - geod.es) / w**3
        scale: Floats = np.moveaxis(per_radian / np.array([east, north]), 2, 0)
    scale[~np.isfinite(scale).all(axis=(1, 2))] = np.nan
    return scale


def areal_scale(scale: Floats) -> Floats:
    """float64 (n,): map area over ground area, of what `map_scale` gives; 1 where that is NaN."""
    # Not numpy's det, which warns of NaN.
    areal = np.abs(scale[:, 0, 0] * scale[:, 1, 1] - scale[:, 0, 1] * scale[:, 1, 0])
    return np.where(areal > 0, areal, 1.0)
