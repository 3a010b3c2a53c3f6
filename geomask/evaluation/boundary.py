"""How well class boundaries are placed, counted strip by strip; opens nothing.

The boundary F1 of Csurka et al. ("What is a good evaluation measure for semantic segmentation?",
BMVC 2013), with pixels matched by dilation as in Perazzi et al. ("A benchmark dataset and
evaluation methodology for video object segmentation", CVPR 2016). Csurka et al. average over
images; here the counts of all pixels are added up, as for every other score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geomask.classes import NODATA
from geomask.metrics import Codes, Counts, Floats, ratio

Bools: TypeAlias = npt.NDArray[np.bool_]

TOLERANCE = 2
"""Pixels that a boundary may be off and still count as found: hand-drawn edges of clouds are no
more certain than that."""


class BoundaryCounter:
    """Counts boundary pixels of an image that comes in strips, exactly as over the whole.

    A boundary pixel of a class has that class and, above, below, left or right of it, another
    one; the image's edge and pixels without a class make no boundary. It is matched where the
    other side has a boundary pixel of the same class within `tolerance` pixels (Euclidean). A
    predicted one does not count within that distance of a pixel without a label: the true
    boundary may lie there.
    """

    def __init__(self, codes: Sequence[int], tolerance: int = TOLERANCE) -> None:
        self._codes = tuple(codes)
        self._tolerance = tolerance
        # A pixel matches at most `tolerance` rows away, where a boundary needs its neighbour.
        self._halo = tolerance + 1
        self._counts: Counts = np.zeros((len(self._codes), 4), dtype=np.int64)
        self._rows: Codes | None = None
        self._counted = 0

    def add(self, truth: Codes, predicted: Codes) -> None:
        """The next rows. truth, predicted: uint8 (rows, width), class codes, 255 for none."""
        strip = np.stack([truth, predicted])
        rows = strip if self._rows is None else np.concatenate([self._rows, strip], axis=1)
        ready = rows.shape[1] - self._halo
        if ready > self._counted:
            self._count(rows, self._counted, ready)
            cut = max(0, ready - self._halo)
            rows, self._counted = rows[:, cut:].copy(), ready - cut
        self._rows = rows

    def finish(self) -> Counts:
        """int64 (classes, 4): true boundary pixels, how many of them are matched, predicted
        boundary pixels, how many of them are matched."""
        if self._rows is not None:
            self._count(self._rows, self._counted, self._rows.shape[1])
            self._rows = None
        return self._counts

    def _count(self, rows: Codes, start: int, stop: int) -> None:
        """Count rows start to stop of those at hand; the others are there to be looked at."""
        truth, predicted = rows
        trusted = ~_near(truth == NODATA, self._tolerance)
        for row, code in zip(self._counts, self._codes, strict=True):
            true, found = _boundary(truth, code), _boundary(predicted, code)
            counted = found & trusted
            for index, flags in enumerate(
                (
                    true,
                    true & _near(found, self._tolerance),
                    counted,
                    counted & _near(true, self._tolerance),
                )
            ):
                row[index] += np.count_nonzero(flags[start:stop])


def boundary_f1(counts: Counts) -> Floats:
    """float64 (...): the harmonic mean of recall and precision of boundary counts (..., 4).

    NaN where there is no true boundary; 0 where none of it is found.
    """
    true, recalled, found, right = (counts[..., index] for index in range(4))
    recall = ratio(recalled, true)
    precision = np.nan_to_num(ratio(right, found))
    f1 = np.nan_to_num(ratio(2 * recall * precision, np.nan_to_num(recall + precision)))
    return np.where(true > 0, f1, np.nan)


def _boundary(codes: Codes, code: int) -> Bools:
    """bool of `codes`' shape, True on the class's side of where it meets another class."""
    own: Bools = codes == code
    other = ~own & (codes != NODATA)
    beside = np.zeros_like(own)
    beside[1:] |= other[:-1]
    beside[:-1] |= other[1:]
    beside[:, 1:] |= other[:, :-1]
    beside[:, :-1] |= other[:, 1:]
    return own & beside


def _near(flags: Bools, distance: int) -> Bools:
    """bool of `flags`' shape, True within `distance` pixels (Euclidean) of a True one."""
    wide, reach = flags.copy(), 0
    near = flags.copy()
    for rows in range(distance, -1, -1):
        for step in range(reach + 1, math.isqrt(distance**2 - rows**2) + 1):
            wide[:, step:] |= flags[:, :-step]
            wide[:, :-step] |= flags[:, step:]
            reach = step
        if rows == 0:
            near |= wide
        else:
            near[rows:] |= wide[:-rows]
            near[:-rows] |= wide[rows:]
    return near
