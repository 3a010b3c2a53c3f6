"""Where a raster lies on the ground: CRS, transform, size, and its pixel size in metres."""

from __future__ import annotations

import math
from dataclasses import dataclass

from affine import Affine
from rasterio.crs import CRS

METRES_PER_DEGREE = math.radians(1.0) * 6_371_008.8
"""Metres per degree of a great circle on a sphere of the Earth's mean radius (IUGG, R1)."""


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

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """(row step, column step) in metres, or None where there is no CRS to measure in.

        In a geographic CRS the steps are local metres at the grid's centre, on a sphere
        (`METRES_PER_DEGREE`; 0.4 % at most from the ellipsoid, plenty to choose a resolution by).
        """
        if self.crs is None:
            return None
        t = self.transform
        if self.crs.is_geographic:
            latitude = t.d * self.width / 2 + t.e * self.height / 2 + t.f
            unit = METRES_PER_DEGREE * math.degrees(self.crs.units_factor[1])
            east, north = unit * math.cos(math.radians(latitude)), unit
        else:
            east = north = self.crs.linear_units_factor[1]
        return math.hypot(t.b * east, t.e * north), math.hypot(t.a * east, t.d * north)
