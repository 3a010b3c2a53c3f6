"""What is done to polygons once all of them are known, in its order. Pure; opens nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geomask.grid import Grid
from geomask.vectors.areas import pixel_in_metres
from geomask.vectors.coverage import REACH, noded, simplified, smoothed
from geomask.vectors.features import Features
from geomask.vectors.grow import grow
from geomask.vectors.holes import fill_holes
from geomask.vectors.options import PolygonOptions


def refine(
    features: Features, grid: Grid, options: PolygonOptions, priority: npt.NDArray[np.uint8]
) -> Features:
    """Polygons with small holes filled, grown, simpler and rounder, as far as `options` say.

    features: all that are written, outlines of pixels that do not overlap; nor does what comes
    out. priority: uint8 (k,), the codes of all classes, who gets what two reach first. Areas and
    perimeters are left out: they changed.
    """
    if not len(features):
        return features
    if options.fill_holes:
        features = fill_holes(features, grid, options.fill_holes)
    if options.buffer:
        features = grow(features, grid, options.buffer, priority)
    geometries = features.geometries
    if (options.simplify or options.smooth) and not options.buffer:
        geometries = noded(geometries)
    tolerance = options.simplify / _pixel_side(grid) if options.simplify else 0.0
    if tolerance:
        geometries = simplified(geometries, tolerance)
    if options.smooth:
        geometries = smoothed(geometries, max(REACH, tolerance / 2))
    return replace(
        features, geometries=shapely.orient_polygons(geometries), areas=None, perimeters=None
    )


def mend(geometries: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
    """The same polygons, those that are not valid made so, and how many they were."""
    wrong = np.flatnonzero(~shapely.is_valid(geometries))
    if not len(wrong):
        return geometries, 0
    geometries = geometries.copy()
    for place in wrong:
        parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(geometries[place])))
        polygons = parts[shapely.get_dimensions(parts) == 2]
        whole = polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons)
        geometries[place] = shapely.orient_polygons(whole)
    return geometries, len(wrong)


def _pixel_side(grid: Grid) -> float:
    """Metres of a square with the area of the pixel in the middle of a grid."""
    middle = np.array([grid.width / 2]), np.array([grid.height / 2])
    return float(abs(np.linalg.det(pixel_in_metres(grid, *middle)[0])) ** 0.5)
