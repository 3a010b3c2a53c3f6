"""Bringing a band of one resolution to a scene's grid, window by window, by exact transforms.

Not through a file's overviews: those of Sentinel-2's JPEG 2000 are slightly shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.grid import Grid
from geomask.resample import Taps, resample, taps

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

SNAP = 1e-6
"""Fraction of a pixel that counts as rounding of a transform's floats."""


@dataclass(frozen=True)
class Axis:
    """How one axis of a band lies under a scene's.

    Scene pixel i covers band pixels [i * step + start, (i + 1) * step + start), of which there
    are [0, length).
    """

    step: float
    start: float
    length: int

    def taps(self, first: int, count: int) -> Taps:
        """Where the values of scene pixels [first, first + count) come from."""
        return taps(np.arange(first, first + count), self.step, self.length, start=self.start)

    def touched(self, first: int, count: int) -> tuple[Indices, Indices]:
        """The first and the last band pixel that each of those scene pixels overlaps."""
        edges = np.arange(first, first + count + 1) * self.step + self.start
        low = np.floor(edges[:-1] + SNAP).astype(np.intp)
        high = np.ceil(edges[1:] - SNAP).astype(np.intp) - 1
        return low, np.maximum(low, high)


@dataclass(frozen=True)
class Placement:
    """A window of a scene's grid, as seen from a band on another grid of the same CRS.

    window: what must be read of the band.
    """

    window: Window
    rows: Axis
    columns: Axis
    target: Window

    def values(self, image: Floats) -> Floats:
        """float32 (bands, window height, window width) to the target's size; NaN left out."""
        rows = self.rows.taps(self.target.row_off, self.target.height)
        columns = self.columns.taps(self.target.col_off, self.target.width)
        return resample(
            image, rows.shifted(self.window.row_off), columns.shifted(self.window.col_off)
        )

    def everywhere(self, flags: Bools) -> Bools:
        """bool (window height, window width) to the target's size: True where it is True in all
        of the band's pixels that a scene's pixel overlaps, False beyond the band's ends."""
        window, target = self.window, self.target
        along = _all_along(flags, self.rows, target.row_off, target.height, window.row_off)
        return _all_along(along.T, self.columns, target.col_off, target.width, window.col_off).T

    def anywhere(self, flags: Bools) -> Bools:
        """The same, True where it is True in any of them or beyond the band's ends."""
        return ~self.everywhere(~flags)


def place(target: Window, scene: Grid, band: Grid) -> Placement:
    """How a window of the scene's grid is read from a band's; both north-up, of one CRS."""
    rows, columns = lay(scene, band)
    top, bottom = _reach(rows, target.row_off, target.height)
    left, right = _reach(columns, target.col_off, target.width)
    return Placement(Window(left, top, right - left, bottom - top), rows, columns, target)


def lay(scene: Grid, band: Grid) -> tuple[Axis, Axis]:
    """(rows, columns): how a band's grid lies under the scene's."""
    s, b = scene.transform, band.transform
    return (
        Axis(s.e / b.e, _snapped((s.f - b.f) / b.e), band.height),
        Axis(s.a / b.a, _snapped((s.c - b.c) / b.a), band.width),
    )


def _snapped(position: float) -> float:
    whole = round(position)
    return whole if abs(position - whole) < SNAP else position


def _reach(axis: Axis, first: int, count: int) -> tuple[int, int]:
    """The first band pixel, and one past the last, that a window draws on."""
    weights = axis.taps(first, count)
    low, high = axis.touched(first, count)
    ends = np.clip([low[0], high[-1]], 0, axis.length - 1)
    return min(weights.start, int(ends[0])), max(weights.stop, int(ends[1]) + 1)


def _all_along(flags: Bools, axis: Axis, first: int, count: int, origin: int) -> Bools:
    """Along the first axis: True where all the pixels that each output touches are True."""
    low, high = axis.touched(first, count)
    inside = (low >= 0) & (high < axis.length)
    start, stop = np.clip(np.stack([low, high]), 0, axis.length - 1) - origin
    result: Bools = flags[start]
    for k in range(1, int((stop - start).max()) + 1):
        result &= flags[np.minimum(start + k, stop)]
    result[~inside] = False
    return result
