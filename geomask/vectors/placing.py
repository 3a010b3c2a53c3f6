"""Where a mask's pixels lie: their coordinates in its own CRS, or in another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError

from geomask.errors import OptionError
from geomask.grid import Floats, Grid

WGS84 = CRS.from_epsg(4326)
"""What GeoJSON's coordinates are in, always (RFC 7946)."""

TOLERANCE = 0.1
"""Pixels that an edge, straight on the mask's grid, may stray from where it belongs on another
map, before it is given another vertex."""

LONGEST = 4096
"""Pixels between vertices, at most, where edges are given more of them."""


class Placing:
    """Pixel coordinates of a grid to map coordinates in a CRS, its own unless given.

    Edges between pixels are straight on the grid and bend on another map; polygons are given more
    vertices there, so that none strays by more than `TOLERANCE` of a pixel.
    Raises OptionError for a grid without CRS, and for a pair of CRS that PROJ cannot join.
    """

    def __init__(self, grid: Grid, crs: CRS | None = None) -> None:
        self.grid = grid
        self.crs = grid.crs if crs is None else crs
        self._to_target: pyproj.Transformer | None = None
        self._segment: int | None = None
        if crs is None or crs == grid.crs:
            return
        if grid.crs is None:
            raise OptionError("the mask has no CRS, so its polygons cannot be brought to another")
        try:
            self._to_target = pyproj.Transformer.from_crs(
                pyproj.CRS.from_wkt(grid.crs.to_wkt()),
                pyproj.CRS.from_wkt(crs.to_wkt()),
                always_xy=True,
            )
        except pyproj.exceptions.ProjError as error:
            raise OptionError(
                f"polygons cannot be brought to {crs.to_string()}: {error}"
            ) from error
        self._segment = self._longest_segment()

    @property
    def bends(self) -> bool:
        """Whether polygons come to lie on another map than the grid's."""
        return self._to_target is not None

    def placed(self, geometries: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Polygons in pixels as polygons on the map.

        Raises OptionError as `to_map`, and where the map tears polygons apart at its ends.
        """
        result: npt.NDArray[Any] = shapely.transform(
            self.vertices(geometries),
            lambda pixels: np.stack(self.to_map(pixels[:, 0], pixels[:, 1]), axis=1),
        )
        if self.bends and self.crs is not None and self.crs.is_geographic and len(result):
            left, _, right, _ = shapely.bounds(result).T
            if np.degrees(self.crs.units_factor[1] * np.max(right - left)) > 180:
                raise OptionError(
                    f"polygons cross the 180th meridian, where {self.crs.to_string()} would tear "
                    "them apart; choose another --crs, or none and .gpkg"
                )
        return result

    def vertices(self, geometries: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same polygons, in pixels, with as many vertices as they need on the map."""
        if self._segment is None:
            return geometries
        dense: npt.NDArray[Any] = shapely.segmentize(geometries, self._segment)
        return dense

    def to_map(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map coordinates of pixel coordinates (columns, rows), float64 (n,) each.

        Raises OptionError where the target CRS has no coordinates for some.
        """
        mapped = self.grid.to_map(x, y)
        if self._to_target is None:
            return mapped
        there = self._to_target.transform(*mapped)
        if not all(np.isfinite(values).all() for values in there):
            assert self.crs is not None  # or there were no transformer
            raise OptionError(
                f"part of the mask lies where {self.crs.to_string()} is not defined; choose "
                "another --crs"
            )
        return there

    def _longest_segment(self) -> int:
        """The longest power of two of pixels, along edges and middles of the grid, that is still
        straight enough: its middle lies within `TOLERANCE` of where it belongs."""
        height, width = self.grid.shape
        starts = [(0.0, f * height, 1, 0) for f in (0, 0.5, 1)]
        starts += [(f * width, 0.0, 0, 1) for f in (0, 0.5, 1)]
        length = LONGEST
        while length > 1 and max(self._bend(*start, length) for start in starts) > TOLERANCE:
            length //= 2
        return length

    def _bend(self, x: float, y: float, across: int, down: int, length: int) -> float:
        """Pixels by which segments, from a place to the grid's end, are out of line halfway."""
        reach = self.grid.width if across else self.grid.height
        starts = np.arange(0, reach, length, dtype=np.float64)
        ends = np.minimum(starts + length, reach)
        first, last, middle = (
            np.stack(self.to_map(x + across * at, y + down * at))
            for at in (starts, ends, (starts + ends) / 2)
        )
        stray = np.hypot(*(middle - (first + last) / 2))
        pixel = np.hypot(*(last - first)) / (ends - starts)
        return float(np.max(stray / np.maximum(pixel, 1e-300)))


def read_crs(text: str) -> CRS:
    """A CRS by what people write: "EPSG:4326", WKT, PROJ. Raises OptionError."""
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise OptionError(f"crs {text!r} is none that PROJ knows; give one as EPSG:4326") from error
