"""Outlines made simpler and rounder, edges that two polygons share staying one edge. Pure; opens
nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geomask.grid import Floats
from geomask.vectors.outlines import Ints, gathered

Geometries = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

PASSES = 2
"""How often corners are cut: each makes two of one."""

SHARE = 0.25
"""Of an edge, from each of its ends, that a corner is cut by (Chaikin, An algorithm for high-speed
curve generation, 1974)."""

REACH = 0.25
"""Pixels that a corner is cut by at most, and half of that in the second pass. Outlines of pixels
are at least 1 pixel apart but for where they touch, so what is cut off two of them never meets."""


def noded(geometries: Geometries) -> Geometries:
    """Outlines of pixels, with a vertex wherever a vertex of any of them lies on an edge.

    geometries: object (n,), Polygons and MultiPolygons with edges along rows and columns and
    vertices at whole pixels.
    """
    parts, part_of = shapely.get_parts(geometries, return_index=True)
    _, points, (ring_offsets, part_offsets) = shapely.to_ragged_array(parts)
    xy = np.rint(points).astype(np.int64)
    span = int(xy.max(initial=0)) + 2
    keys = np.stack((xy[:, 1] * span + xy[:, 0], xy[:, 0] * span + xy[:, 1]))  # along rows, columns
    vertices = np.unique(keys[0]), np.unique(keys[1])

    flat = xy[1:, 1] == xy[:-1, 1]
    between = np.zeros((len(xy) - 1, 2), np.int64)  # first of the vertices on an edge, how many
    for axis, on in enumerate((flat, ~flat)):
        ends = np.sort(np.stack((keys[axis, :-1][on], keys[axis, 1:][on])), axis=0)
        first = np.searchsorted(vertices[axis], ends[0], "right")
        between[on] = np.stack(
            (first, np.searchsorted(vertices[axis], ends[1], "left") - first), axis=1
        )
    between[ring_offsets[1:-1] - 1, 1] = 0  # from the end of a ring to the start of the next

    extra = np.concatenate(([0], between[:, 1]))
    place = np.arange(len(xy)) + np.cumsum(extra)
    result = np.empty((len(xy) + int(extra.sum()), 2), np.int64)
    result[place] = xy
    edge = np.repeat(np.arange(len(flat)), between[:, 1])
    turn = np.arange(len(edge)) - np.repeat(np.cumsum(between[:, 1]) - between[:, 1], between[:, 1])
    for axis, on in enumerate((flat[edge], ~flat[edge])):
        e, k = edge[on], turn[on]
        found = vertices[axis][between[e, 0] + k]
        back = keys[axis, e] > keys[axis, e + 1]
        at = np.where(back, place[e + 1] - 1 - k, place[e] + 1 + k)
        line, along = np.divmod(found, span)
        result[at, 1 - axis], result[at, axis] = line, along
    offsets = np.concatenate(([0], place[ring_offsets[1:] - 1] + 1))
    return _rebuilt(result.astype(np.float64), offsets, part_offsets, part_of)


def simplified(geometries: Geometries, tolerance: float) -> Geometries:
    """Outlines without the vertices that make triangles of less than tolerance**2 square pixels
    (Visvalingam and Whyatt, 1993): shared edges stay shared, and no polygon is lost.

    geometries: object (n,), that do not overlap and have the same vertices on shared edges.
    """
    result: Geometries = shapely.coverage_simplify(geometries, tolerance)
    return result


def smoothed(geometries: Geometries, reach: float = REACH) -> Geometries:
    """Outlines with their corners cut, `PASSES` times.

    geometries: as for `simplified`. reach: pixels that a corner is cut by at most. Vertices where
    three outlines meet, or two touch, stay where they are. So do all vertices of polygons that
    would overlap otherwise.
    """
    parts, part_of = shapely.get_parts(geometries, return_index=True)
    _, points, (ring_offsets, part_offsets) = shapely.to_ragged_array(parts)
    vertex = np.unique(points[:, 0] + 1j * points[:, 1], return_inverse=True)[1]
    fixed = _nodes(vertex, ring_offsets)[vertex]
    while True:
        cut, offsets = _cut(points, ring_offsets, fixed, reach)
        result = _rebuilt(cut, offsets, part_offsets, part_of)
        wrong = ~shapely.is_valid(result) | ~shapely.is_empty(
            shapely.coverage_invalid_edges(result)
        )
        if not wrong.any():
            return result
        sizes = np.diff(ring_offsets[part_offsets])
        in_wrong = np.repeat(wrong[part_of], sizes)
        stays = np.zeros(int(vertex.max()) + 1, bool)
        stays[vertex[in_wrong]] = True
        if fixed[stays[vertex]].all():  # nothing was cut of what is wrong
            return result
        fixed |= stays[vertex]


def _nodes(vertex: Ints, ring_offsets: Ints) -> Flags:
    """Which vertices have not exactly two edges, those that polygons share counted once."""
    edges = np.sort(np.stack((vertex[:-1], vertex[1:]), axis=1), axis=1)
    edges = np.delete(edges, ring_offsets[1:-1] - 1, axis=0)
    count = int(vertex.max()) + 1
    once = np.unique(edges[:, 0] * count + edges[:, 1])
    ends = np.concatenate(np.divmod(once, count))
    nodes: Flags = np.bincount(ends, minlength=count) != 2
    return nodes


def _cut(points: Floats, ring_offsets: Ints, fixed: Flags, reach: float) -> tuple[Floats, Ints]:
    """The points of rings with their corners cut, and where each ring ends.

    An end of an edge is moved along it by the same reckoning whichever polygon's the edge is, so
    shared edges stay the same to the bit.
    """
    last = ring_offsets[1:] - 1
    open_ring = np.ones(len(points), bool)
    open_ring[last] = False
    points, fixed = points[open_ring], fixed[open_ring]
    sizes = np.diff(ring_offsets) - 1
    for turn in range(PASSES):
        ends = np.cumsum(sizes)
        after, before = np.arange(1, len(points) + 1), np.arange(-1, len(points) - 1)
        after[ends - 1], before[ends - sizes] = ends - sizes, ends - 1
        count = np.where(fixed, 1, 2)
        place = np.cumsum(count) - count
        result = np.empty((int(count.sum()), 2))
        result[place] = np.where(
            fixed[:, None], points, _towards(points, points[before], reach / 2**turn)
        )
        corner = ~fixed
        result[place[corner] + 1] = _towards(points[corner], points[after[corner]], reach / 2**turn)
        sizes = np.add.reduceat(count, ends - sizes)
        points, fixed = result, np.repeat(fixed, count)
    ends = np.cumsum(sizes)
    closed = np.insert(points, ends, points[ends - sizes], axis=0)
    return closed, np.concatenate(([0], ends + np.arange(1, len(ends) + 1)))


def _towards(start: Floats, end: Floats, reach: float) -> Floats:
    """Points a share of the way, but no farther than `reach`. float64 (n, 2)."""
    step = end - start
    length = np.hypot(step[:, 0], step[:, 1])
    share = np.minimum(SHARE, reach / np.maximum(length, 1e-300))
    moved: Floats = start + share[:, None] * step
    return moved


def _rebuilt(points: Floats, ring_offsets: Ints, part_offsets: Ints, part_of: Ints) -> Geometries:
    """Polygons, and MultiPolygons where several parts are of one geometry."""
    parts = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (ring_offsets, part_offsets)
    )
    return gathered(parts, part_of)
