"""Polygons grown outward, and who has what two of them reach. Pure; opens nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geomask.grid import Floats, Grid
from geomask.vectors.areas import pixel_in_metres
from geomask.vectors.features import Features, merged, together
from geomask.vectors.outlines import Ints

Geometries = npt.NDArray[Any]

QUARTER = 4
"""Edges that a quarter of a circle is drawn with: the buffer is at least 0.98 of what it should be,
cos(pi / 16), in every direction."""


def grow(
    features: Features, grid: Grid, metres: float, priority: npt.NDArray[np.uint8]
) -> Features:
    """Polygons of whatever lies within so many metres; where two of them reach, of one class they
    become one, of two the ground belongs to the class that comes first in `priority`.

    priority: uint8 (k,), the codes of all classes. The metres are those at each polygon's middle.
    Polygons that others cover wholly are left out. Edges that two share have the same vertices.
    """
    grown = _buffered(features.geometries, grid, metres)
    of_classes = [
        _dissolved(features.where(features.codes == code), grown[features.codes == code])
        for code in priority
        if (features.codes == code).any()
    ]
    return _apart(together(of_classes)) if of_classes else features


def _buffered(geometries: Geometries, grid: Grid, metres: float) -> Geometries:
    """The polygons and all within so many metres of them, in pixels."""
    middle = shapely.centroid(geometries)
    pixel = pixel_in_metres(grid, shapely.get_x(middle), shapely.get_y(middle))
    there = shapely.buffer(_through(geometries, pixel), metres, quad_segs=QUARTER)
    return _through(there, np.linalg.inv(pixel).astype(np.float64))


def _through(geometries: Geometries, matrices: Floats) -> Geometries:
    """Each geometry's coordinates multiplied by its own matrix; float64 (n, 2, 2)."""
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    moved = np.einsum("nij,nj->ni", matrices[owner], points)
    result: Geometries = shapely.set_coordinates(geometries.copy(), moved)
    return result


def _dissolved(features: Features, grown: Geometries) -> Features:
    """Features of one class; those that overlap now are one."""
    parts = shapely.get_parts(shapely.union_all(grown))
    inside = shapely.point_on_surface(features.geometries)
    own, part = shapely.STRtree(parts).query(inside, predicate="intersects")
    part_of = np.empty(len(features), np.int64)
    part_of[own] = part
    order = np.argsort(part_of, kind="stable")
    same = part_of[order][1:] == part_of[order][:-1]
    joined = merged(features, np.stack((order[:-1][same], order[1:][same]), axis=1))
    geometries = np.empty(len(joined.features), object)
    geometries[joined.group] = parts[part_of]
    return replace(joined.features, geometries=geometries)


def _apart(features: Features) -> Features:
    """Where polygons overlap, the ground is the first one's.

    Those that meet are cut into faces along all of their edges together, and every face is given
    to one of them, so that none overlaps, nothing is lost and shared edges are the same edges.
    """
    tree = shapely.STRtree(features.geometries)
    one, other = tree.query(features.geometries, predicate="intersects")
    meets = np.unique(one[one != other])
    if not len(meets):
        return features
    lines = shapely.union_all(shapely.boundary(features.geometries[meets]))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    face_of = _first_around(faces, features.geometries[meets])
    faces, face_of = faces[face_of >= 0], meets[face_of[face_of >= 0]]
    order = np.argsort(face_of, kind="stable")
    owners, starts = np.unique(face_of[order], return_index=True)
    geometries = features.geometries.copy()
    geometries[meets] = None
    for owner, own in zip(owners, np.split(faces[order], starts[1:]), strict=True):
        geometries[owner] = own[0] if len(own) == 1 else shapely.coverage_union_all(own)
    features = replace(features, geometries=geometries)
    return features.where(geometries != None)  # noqa: E711 - of each


def _first_around(faces: Geometries, geometries: Geometries) -> Ints:
    """int64 (n,): the first of the geometries that a face lies in; -1 where it is in none."""
    points = shapely.point_on_surface(faces)
    face, around = shapely.STRtree(geometries).query(points, predicate="intersects")
    first = np.full(len(faces), len(geometries), np.int64)
    np.minimum.at(first, face, around)
    first[first == len(geometries)] = -1
    return first
