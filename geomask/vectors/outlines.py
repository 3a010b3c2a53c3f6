"""From corners to polygons: the outlines of regions of pixels. Pure; opens nothing.

A region's outline turns only at vertices of the pixel grid, and whether and how it turns there
is a matter of the four pixels around the vertex. So corners are found locally, two rows at a
time, and polygons need no joining afterwards: corners of one region, whichever strips they were
found in, are linked into rings once.

A corner is one int64: `vertex << 3 | horizontal << 2 | vertical << 1 | leaves`, where

- vertex = y * (width + 1) + x, the index of the vertex at column x and row y;
- horizontal: 1 if the outline's horizontal edge goes to the right of the vertex, 0 to the left;
- vertical: 1 if its vertical edge goes below the vertex, 0 above;
- leaves: 1 if the outline, with the region on its right hand as seen on the screen, leaves
  the vertex along the horizontal edge, 0 if it arrives along it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

Ints: TypeAlias = npt.NDArray[np.int64]

# The pixels around a vertex, in this order: above left, below left, above right, below right.
# Left before right, so that of two corners at one vertex the one that ends a row comes first.
_ACROSS = [2, 3, 0, 1]
_BEYOND = [1, 0, 3, 2]
_OPPOSITE = [3, 2, 1, 0]
# Bits of a corner of the pixel in that place: alone at the vertex, or one of three.
_CONVEX = np.array([0b001, 0b010, 0b100, 0b111])
_REFLEX = np.array([0b110, 0b101, 0b011, 0b000])


@dataclass(frozen=True)
class Corners:
    """The corners between the rows of a raster.

    corners: int64 (n,), as above, ascending by vertex.
    codes: uint8 (n,), the class of the region each belongs to.
    labels: int64 (n,), the label of that region.
    touching: int64 (k, 2), pairs of labels of equal class whose pixels meet in a vertex only.
    """

    corners: Ints
    codes: npt.NDArray[np.uint8]
    labels: Ints
    touching: Ints


def find_corners(codes: npt.NDArray[np.uint8], labels: Ints, first_row: int) -> Corners:
    """The corners at the vertices between the rows of a raster.

    codes: uint8 (rows + 1, width + 2), 0 where nothing is traced, columns of 0 on both sides.
    labels: int64 of the same shape: the region of each pixel; neighbours along a row or column
        with equal codes are one region, whatever their labels.
    first_row: the raster's row that codes[1] is.
    """
    beside = codes[:, 1:] != codes[:, :-1]  # (rows + 1, width + 1)
    above = codes[1:] != codes[:-1]  # (rows, width + 2)
    turns = (beside[1:] | beside[:-1]) & (above[:, 1:] | above[:, :-1])  # (rows, width + 1)
    found = np.flatnonzero(turns)
    stride = codes.shape[1]
    corner = found + found // (stride - 1)  # flat index of the pixel above left
    around = corner[:, None] + np.array([0, stride, 1, stride + 1])  # (n, 4)

    code = codes.ravel()[around]
    same_across = code == code[:, _ACROSS]
    same_beyond = code == code[:, _BEYOND]
    same_opposite = code == code[:, _OPPOSITE]
    convex = ~same_across & ~same_beyond & (code > 0)
    reflex = same_across & same_beyond & ~same_opposite & (code > 0)
    is_corner = convex | reflex

    bits = np.where(convex, _CONVEX, _REFLEX)
    vertex = found + first_row * (stride - 1)
    label = labels.ravel()
    meets = (convex & same_opposite)[:, :2]
    touching = np.stack((label[around[:, :2][meets]], label[around[:, :1:-1][meets]]), axis=1)
    corners: Ints = (vertex[:, None] << 3 | bits)[is_corner]
    return Corners(corners, code[is_corner], label[around[is_corner]], touching)


def polygons(corners: Ints, regions: Ints, width: int) -> npt.NDArray[Any]:
    """object (n,): the valid shapely Polygon of each region, in pixel coordinates.

    corners: int64 (m,), all corners of all regions, in any order.
    regions: int64 (m,), the 4-connected region of each corner: 0 to n - 1, each with corners.
    width: columns of the raster.

    Every ring is simple and has no vertex on a straight line. Where two pixels of one region
    meet in a vertex, rings touch there: the rings run around the pixels that are not the
    region's, which the region, being connected, keeps apart, so no ring meets itself.
    """
    if not len(corners):
        return np.empty(0, object)
    order = np.lexsort((corners, regions))
    corners, regions = corners[order], regions[order]
    rank, n_rings_of, ring_sizes = _walk(_next_edge(corners, regions, width), regions[::2])

    leaves = corners[::2] & 1  # of the two ends of an edge, whether the left one is its start
    start = 2 * rank + 1 - leaves[rank]
    vertex = np.empty(2 * len(rank), np.int64)
    vertex[0::2], vertex[1::2] = corners[start] >> 3, corners[start ^ 1] >> 3

    # Close every ring with its first vertex.
    ends = 2 * np.cumsum(ring_sizes)
    vertex = np.insert(vertex, ends, vertex[ends - 2 * ring_sizes])
    y, x = np.divmod(vertex, width + 1)
    ring_offsets = np.concatenate(([0], ends + np.arange(1, len(ends) + 1)))
    region_offsets = np.concatenate(([0], np.cumsum(n_rings_of)))
    result: npt.NDArray[Any] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        np.stack((x, y), axis=1).astype(np.float64),
        (ring_offsets, region_offsets),
    )
    return result


def gathered(parts: npt.NDArray[Any], group_of: Ints) -> npt.NDArray[Any]:
    """object (n,): one geometry per component, its only part or a MultiPolygon of its parts.

    parts: object (m,), polygons. group_of: int64 (m,), ascending: the component of each.
    """
    single = np.bincount(group_of) == 1
    geometries = np.empty(len(single), object)
    geometries[single] = parts[single[group_of]]
    several = ~single[group_of]
    _, index = np.unique(group_of[several], return_inverse=True)
    geometries[~single] = shapely.multipolygons(parts[several], indices=index)
    return geometries


def _next_edge(corners: Ints, regions: Ints, width: int) -> Ints:
    """int64 (m / 2,): for each horizontal edge the one that follows it on the outline.

    corners, regions: sorted by region, then vertex, then left to right, so that corners 2i and
    2i + 1 are the ends of horizontal edge i.
    """
    vertex, vertical = corners >> 3, corners >> 1 & 1
    twin = np.flatnonzero((vertex[1:] == vertex[:-1]) & (regions[1:] == regions[:-1]))
    # Two corners of one region at a vertex came as one per pixel; turn around the other pixels.
    vertical[twin] ^= 1
    vertical[twin + 1] ^= 1

    down = np.argsort(regions * (width + 1) + vertex % (width + 1), kind="stable")
    place = np.empty_like(down)
    place[down] = np.arange(len(down))
    swap = twin[vertical[twin] == 1]  # the upper edge's end comes first going down
    place[swap], place[swap + 1] = place[swap + 1], place[swap]
    down[place] = np.arange(len(down))

    index = np.arange(0, len(corners), 2)
    arrives = index + (corners[::2] & 1)
    following: Ints = down[place[arrives] ^ 1] >> 1
    return following


def _walk(following: Ints, regions: Ints) -> tuple[Ints, Ints, Ints]:
    """The rings of a permutation of edges, the rings of a region one after another.

    following: int64 (m,), the edge after each. regions: int64 (m,), ascending.
    Returns the edges in the order of the rings; the number of rings of each region; the number
    of edges of each ring. A region's outer ring comes first.
    """
    m = len(following)
    each = np.arange(m)
    n_rings, ring = connected_components(_graph(following), connection="strong")
    first = np.empty(n_rings, np.int64)
    first[ring[::-1]] = each[::-1]  # the last assignment stays: a ring's lowest edge
    # A region's topmost edge is on its outer ring, so by lowest edge the outer ring is first.
    by_first = np.argsort(first)
    heads = first[by_first]
    sizes = np.bincount(ring, minlength=n_rings)[by_first]

    # Open each ring before its head and lead it on to the next ring's: one path through all.
    before = np.empty_like(following)
    before[following] = each
    chain = following.copy()
    chain[before[heads]] = np.roll(heads, -1)
    path = breadth_first_order(_graph(chain), heads[0], return_predecessors=False)
    return path.astype(np.int64), np.bincount(regions[heads]), sizes


def _graph(following: Ints) -> csr_array:
    m = len(following)
    return csr_array((np.ones(m), following.astype(np.int32), np.arange(m + 1, dtype=np.int32)))
