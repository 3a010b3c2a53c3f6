"""Connected components of a class raster, streamed strip by strip. Pure; opens nothing.

    components(strips, codes) == the components of the whole raster, for any strips of it

A component is handed on as soon as no pixel of it lies on the last row seen, so memory follows
the width and the components that are still open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from geomask.classes import NODATA
from geomask.vectors.outlines import Corners, Ints, find_corners, gathered, polygons

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Strip:
    """Some rows of a raster, over its whole width.

    codes: uint8 (rows, width), the class of each pixel.
    confidence: uint8 (rows, width), percent, 255 where unknown; or None.
    """

    codes: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or self.codes.size == 0 or self.codes.dtype != np.uint8:
            raise ValueError(f"a strip is uint8 (rows, width), not {_described(self.codes)}")
        other = self.confidence
        if other is not None and (other.shape != self.codes.shape or other.dtype != np.uint8):
            raise ValueError(f"confidence is {_described(other)}; codes {_described(self.codes)}")


@dataclass(frozen=True)
class Component:
    """One connected component.

    code: its class. geometry: a valid shapely Polygon, or MultiPolygon of its 4-connected
    parts, in pixel coordinates (x = column, y = row, at the pixels' corners, so integers), with
    no vertex on a straight line. n_pixels: its pixels. confidence, lowest: mean and least percent
    over the pixels where it is known, None where it is for none.
    """

    code: int
    geometry: shapely.Polygon | shapely.MultiPolygon
    n_pixels: int
    confidence: float | None
    lowest: float | None


@dataclass(frozen=True)
class Batch:
    """The components that became complete together, as columns; for bulk work.

    codes: uint8 (n,). geometries: object (n,), as in `Component`. n_pixels: int64 (n,).
    confidence, lowest: float64 (n,), mean and least percent, NaN where unknown.
    """

    codes: npt.NDArray[np.uint8]
    geometries: npt.NDArray[Any]
    n_pixels: Ints
    confidence: npt.NDArray[np.float64]
    lowest: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.codes)


def components(
    strips: Iterable[Strip], codes: Collection[int], connectivity: Literal[4, 8] = 4
) -> Iterator[Component]:
    """The connected components of the classes in `codes`, each as soon as it is complete.

    strips: a raster from top to bottom, in strips of any heights and one width.
    codes: at most 255 of 0 to 255; other pixels are background.
    connectivity: 4 joins pixels along edges, 8 along vertices too.
    Raises ValueError for strips of different widths, and for other codes or connectivities.
    """
    for batch in batches(strips, codes, connectivity):
        percents = np.stack((batch.confidence, batch.lowest), axis=1).tolist()
        rows = zip(batch.codes, batch.geometries, batch.n_pixels, percents, strict=True)
        for code, geometry, n_pixels, percent in rows:
            mean, lowest = (None if np.isnan(value) else value for value in percent)
            yield Component(int(code), geometry, int(n_pixels), mean, lowest)


def batches(
    strips: Iterable[Strip], codes: Collection[int], connectivity: Literal[4, 8] = 4
) -> Iterator[Batch]:
    """As `components`, but all that a strip completes at once; no batch is empty."""
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity is 4 or 8, not {connectivity}")
    wanted = sorted(set(codes))
    if len(wanted) > 255 or not all(0 <= code <= 255 for code in wanted):
        raise ValueError(f"codes are at most 255 of 0 to 255, not {wanted}")
    front: _Front | None = None
    for strip in strips:
        front = front or _Front(strip.codes.shape[1], wanted, connectivity)
        if len(batch := front.advance(strip)):
            yield batch
    if front is not None and len(batch := front.finish()):
        yield batch


class _Front:
    """The last row seen, and what belongs to the components on it, which may go on below."""

    def __init__(self, width: int, codes: list[int], connectivity: int) -> None:
        self.width = width
        self.diagonal = connectivity == 8
        self.codes = np.array([0, *codes], np.uint8)
        self.rank_of = np.zeros(256, np.uint8)  # place in self.codes; 0 is background
        self.rank_of[codes] = np.arange(1, len(codes) + 1)
        self.n_rows = 0
        self.n_labels = 0
        # Of the last row, with a background pixel on both sides: class, label counted over all
        # strips, and component.
        self.ranks = np.zeros(width + 2, np.uint8)
        self.labels = np.zeros(width + 2, np.int64)
        self.component = np.zeros(width + 2, np.int64)
        # Of the open components: class, least confidence, sum of these, and of how many pixels.
        self.rank = np.zeros(0, np.uint8)
        self.least = np.zeros(0)
        self.total = np.zeros(0)
        self.known = np.zeros(0)
        self.corners = _Pool(1 + self.diagonal)  # corner, and with diagonal neighbours its label
        self.joins = _Pool(2)  # two labels that are one 4-connected part

    def advance(self, strip: Strip) -> Batch:
        """What this strip completes."""
        if strip.codes.shape[1] != self.width:
            raise ValueError(f"a strip of {strip.codes.shape[1]} columns follows {self.width}")
        return self._advance(self.rank_of[strip.codes], strip.confidence)

    def finish(self) -> Batch:
        """What is complete because the raster ends: a row of background closes everything."""
        return self._advance(np.zeros((1, self.width), np.uint8), None)

    def _advance(
        self, rows: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8] | None
    ) -> Batch:
        # The last row is labelled again with the rows below it, which joins them.
        ranks = np.zeros((len(rows) + 1, self.width + 2), np.uint8)
        ranks[0], ranks[1:, 1:-1] = self.ranks, rows
        labels, n = label(ranks, background=0, return_num=True, connectivity=1)  # type: ignore[no-untyped-call]
        found = find_corners(ranks, labels, self.n_rows)
        of_label, of_open = self._connect(labels[0], n, found.touching)
        size = int(max(of_label.max(), of_open.max(initial=0))) + 1

        rank = np.zeros(size, np.uint8)
        rank[of_label[found.labels]] = found.codes
        rank[of_open] = self.rank
        total, known = np.zeros((2, size))
        least = np.full(size, np.inf)
        np.minimum.at(least, of_open, self.least)
        np.add.at(total, of_open, self.total)
        np.add.at(known, of_open, self.known)
        if confidence is not None:
            in_label = _confidences(labels[1:, 1:-1], confidence, n + 1)
            np.add.at(total, of_label, in_label[0])
            np.add.at(known, of_label, in_label[1])
            np.minimum.at(least, of_label, in_label[2])

        self.corners.renumber(of_open)
        self.joins.renumber(of_open)
        self._collect(found, labels[0], of_label)
        goes_on = np.zeros(size, bool)
        goes_on[of_label[labels[-1, ranks[-1] > 0]]] = True
        done = ~goes_on
        done[0] = False  # the background
        batch = self._complete(done, rank, total, known, least)

        place = np.cumsum(goes_on) - 1
        self.corners.renumber(place)
        self.joins.renumber(place)
        self.rank, self.least = rank[goes_on], least[goes_on]
        self.total, self.known = total[goes_on], known[goes_on]
        self.ranks = ranks[-1].copy()
        self.labels = labels[-1] + self.n_labels
        self.component = place[of_label[labels[-1]]]
        self.n_rows += len(rows)
        self.n_labels += n
        return batch

    def _connect(self, top: Ints, n: int, touching: Ints) -> tuple[Ints, Ints]:
        """The component of each label 0 to n, and of each component that was open.

        top: the labels of the last row. touching: as in `Corners`.
        """
        on = self.ranks > 0
        edges = np.stack((top, n + 1 + self.component), axis=1)[on]
        if self.diagonal:
            edges = np.concatenate((edges, touching))
        component = _connected(edges, n + 1 + len(self.rank))
        return component[: n + 1], component[n + 1 :]

    def _collect(self, found: Corners, top: Ints, of_label: Ints) -> None:
        """Keep the corners found, and with diagonal neighbours what parts they belong to."""
        owner = of_label[found.labels]
        if not self.diagonal:
            self.corners.add(owner, found.corners[:, None])
            return
        self.corners.add(owner, np.stack((found.corners, found.labels + self.n_labels), axis=1))
        on = self.ranks > 0
        joins = np.unique(np.stack((top, self.labels), axis=1)[on], axis=0)
        self.joins.add(of_label[joins[:, 0]], joins + np.array((self.n_labels, 0)))

    def _complete(
        self,
        done: Flags,
        rank: npt.NDArray[np.uint8],
        total: Floats,
        known: Floats,
        least: Floats,
    ) -> Batch:
        """The components that are done; rank, total, known, least: of every component."""
        owner, rows = self.corners.take(done)
        _, joins = self.joins.take(done)
        group = (np.cumsum(done) - 1)[owner]
        region, group_of = group, np.arange(np.count_nonzero(done))
        if self.diagonal:
            region, group_of = _parts(rows[:, 1], joins, group)
        geometries = polygons(rows[:, 0], region, self.width)
        n_pixels = np.bincount(group_of, shapely.area(geometries))
        if self.diagonal:
            geometries = gathered(geometries, group_of)
        mean = np.full(len(geometries), np.nan)
        np.divide(total[done], known[done], out=mean, where=known[done] > 0)
        return Batch(
            self.codes[rank[done]],
            geometries,
            np.rint(n_pixels).astype(np.int64),
            mean,
            np.where(known[done] > 0, least[done], np.nan),
        )


class _Pool:
    """Rows that belong to components, kept in the pieces they came in."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.pieces: list[tuple[npt.NDArray[np.int32], Ints]] = []

    def add(self, owner: Ints, rows: Ints) -> None:
        """owner: int64 (n,), the component of each row. rows: int64 (n, columns)."""
        self.pieces.append((owner.astype(np.int32), rows))

    def renumber(self, component: Ints) -> None:
        """Replace each owner i by component[i]."""
        new = component.astype(np.int32)
        self.pieces = [(new[owner], rows) for owner, rows in self.pieces]

    def take(self, done: Flags) -> tuple[npt.NDArray[np.int32], Ints]:
        """Remove the rows of the components that are done: their owners, and the rows."""
        taken, left = [], []
        for owner, rows in self.pieces:
            out = done[owner]
            taken.append((owner[out], rows[out]))
            if not out.all():
                left.append((owner[~out], rows[~out]) if out.any() else (owner, rows))
        self.pieces = left
        owners = [np.zeros(0, np.int32), *(owner for owner, _ in taken)]
        tables = [np.zeros((0, self.columns), np.int64), *(rows for _, rows in taken)]
        return np.concatenate(owners), np.concatenate(tables)


def _connected(edges: Ints, n: int) -> Ints:
    """int64 (n,): the component of each of n nodes; of node 0 it is 0. edges: (k, 2)."""
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    component: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return component


def _confidences(
    labels: Ints, confidence: npt.NDArray[np.uint8], size: int
) -> tuple[Floats, Floats, Floats]:
    """Of each label the sum of the known confidences, the number of these, and the least."""
    known = (labels > 0) & (confidence != NODATA)
    where, values = labels[known], confidence[known].astype(np.float64)
    least = np.full(size, np.inf)
    np.minimum.at(least, where, values)
    total = np.bincount(where, values, size).astype(np.float64)
    return total, np.bincount(where, None, size).astype(np.float64), least


def _parts(nodes: Ints, joins: Ints, group: Ints) -> tuple[Ints, Ints]:
    """The 4-connected part of each corner, and the component of each part, ascending.

    nodes, group: int64 (n,), the label and the component of each corner. joins: (k, 2).
    """
    names, place = np.unique(np.concatenate((nodes, joins.ravel())), return_inverse=True)
    of_name = _connected(place[len(nodes) :].reshape(-1, 2), len(names))
    part = of_name[place[: len(nodes)]]
    group_of = np.zeros(of_name.max(initial=-1) + 1, np.int64)
    group_of[part] = group
    order = np.argsort(group_of, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return number[part], group_of[order]


def _described(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
