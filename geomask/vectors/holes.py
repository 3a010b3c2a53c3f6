"""Small holes filled, around the polygons that lie in them. Pure; opens nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geomask.grid import Grid
from geomask.vectors.areas import areas_m2
from geomask.vectors.features import Features, merged
from geomask.vectors.outlines import Ints, gathered

Geometries = npt.NDArray[Any]


def fill_holes(features: Features, grid: Grid, smallest: float) -> Features:
    """Polygons without their holes of less than `smallest` square metres.

    A polygon that lies in such a hole stays as it is, and the hole is filled around it: polygons
    that did not overlap still do not. One of the same class becomes part of what encloses it.
    What else lies in the hole, clear ground or nodata, is filled.
    """
    parts, owner = shapely.get_parts(features.geometries, return_index=True)
    filled, holes, hole_of = _without_small_holes(parts, grid, smallest)
    parent = _enclosing(parts, holes, hole_of)
    same = (parent >= 0) & (features.codes[owner[parent]] == features.codes[owner])
    around = _first_that_stays(parent, same)

    whole = filled.copy()
    cut = np.flatnonzero((parent >= 0) & ~same)
    for part, inside in _groups(around[parent[cut]], cut):
        whole[part] = shapely.difference(filled[part], shapely.union_all(filled[inside]))

    joined = merged(features, np.stack((owner[same], owner[around[same]]), axis=1))
    pieces, piece_of = shapely.get_parts(whole[~same], return_index=True)
    group = joined.group[owner[~same][piece_of]]
    order = np.argsort(group, kind="stable")
    return replace(joined.features, geometries=gathered(pieces[order], group[order]))


def _without_small_holes(
    parts: Geometries, grid: Grid, smallest: float
) -> tuple[Geometries, Geometries, Ints]:
    """Polygons without holes of less than `smallest`; those holes, as polygons, and the part that
    each is of."""
    rings, part_of = shapely.get_rings(parts, return_index=True)
    inner = np.concatenate(([False], part_of[1:] == part_of[:-1]))
    small = np.zeros(len(rings), bool)
    as_polygons = shapely.polygons(rings[inner])
    areas = areas_m2(as_polygons, grid)
    assert areas is not None  # or the option was refused
    small[inner] = areas < smallest
    filled = shapely.polygons(rings[~small], indices=part_of[~small])
    return filled, as_polygons[small[inner]], part_of[small]


def _enclosing(parts: Geometries, holes: Geometries, hole_of: Ints) -> Ints:
    """int64 (n,): the part whose hole, the smallest of `holes`, each part lies in; -1 for none."""
    parent = np.full(len(parts), -1, np.int64)
    points = shapely.point_on_surface(parts)
    hole, inside = shapely.STRtree(points).query(holes, predicate="contains")
    largest_first = np.argsort(-shapely.area(holes)[hole], kind="stable")
    parent[inside[largest_first]] = hole_of[hole[largest_first]]  # the last assignment stays
    return parent


def _first_that_stays(parent: Ints, leaves: npt.NDArray[np.bool_]) -> Ints:
    """int64 (n,): of each part itself, or the nearest of its parents that does not leave."""
    place = np.arange(len(parent))
    while leaves[place].any():
        place = np.where(leaves[place], parent[place], place)
    return place


def _groups(keys: Ints, values: Ints) -> Iterator[tuple[int, Ints]]:
    """Each key once, with its values."""
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    yield from zip(found.tolist(), np.split(values[order], starts[1:]), strict=False)
