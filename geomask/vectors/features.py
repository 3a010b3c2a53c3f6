"""Polygons and their fields, as columns. Pure; opens nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from geomask.grid import Floats
from geomask.vectors.outlines import Ints


@dataclass(frozen=True)
class Features:
    """Polygons and their fields, as columns.

    geometries: object (n,), in pixel coordinates, or on the map once they are to be written.
    codes: uint8 (n,), mask codes. n_pixels: int64 (n,). confidence, lowest: float64 (n,), mean
    and least percent, NaN where unknown. areas, perimeters: float64 (n,), square metres and
    metres; None where nothing says metres.
    """

    geometries: npt.NDArray[Any]
    codes: npt.NDArray[np.uint8]
    n_pixels: Ints
    confidence: Floats
    lowest: Floats
    areas: Floats | None = None
    perimeters: Floats | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def where(self, chosen: npt.NDArray[np.bool_] | Ints | slice) -> Features:
        """Those that are chosen: by a slice, by bool (n,), or by their numbers."""
        columns = (getattr(self, field.name) for field in fields(self))
        some: list[Any] = [None if column is None else column[chosen] for column in columns]
        return Features(*some)


@dataclass(frozen=True)
class Merged:
    """Features that became fewer, and the number in them of each that there was."""

    features: Features
    group: Ints


def together(batches: Sequence[Features]) -> Features:
    """All of them, one after another; at least one."""
    columns = ([getattr(batch, f.name) for batch in batches] for f in fields(Features))
    every: list[Any] = [None if some[0] is None else np.concatenate(some) for some in columns]
    return Features(*every)


def merged(features: Features, pairs: Ints) -> Merged:
    """Features of one class made one: `pairs`, int64 (k, 2), and what follows from them.

    Pixels are added up, the mean confidence weighed by them, the least one kept. Geometries are
    those of the first of each group: the caller says what becomes of them.
    """
    n = len(features)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, found = connected_components(graph, directed=False)
    group = found.astype(np.int64)
    _, first = np.unique(group, return_index=True)
    pixels = np.bincount(group, features.n_pixels, count)
    known = ~np.isnan(features.confidence)
    weight = np.bincount(group[known], features.n_pixels[known], count)
    total = (features.confidence * features.n_pixels)[known]
    confidence = np.full(count, np.nan)
    np.divide(np.bincount(group[known], total, count), weight, out=confidence, where=weight > 0)
    lowest = np.full(count, np.inf)
    np.minimum.at(lowest, group[known], features.lowest[known])
    return Merged(
        replace(
            features.where(first),
            n_pixels=np.rint(pixels).astype(np.int64),
            confidence=confidence,
            lowest=np.where(np.isinf(lowest), np.nan, lowest),
            areas=None,
            perimeters=None,
        ),
        group,
    )
