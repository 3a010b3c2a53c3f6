"""Resampling along one axis between two regular grids of the same ground, as indices and weights.

The kernel is the triangle: bilinear interpolation towards a finer grid, and towards a coarser
one the same triangle widened to the coarser pixel, so that nothing is skipped (antialiasing, as
in Pillow and in torch's `interpolate(antialias=True)`). Positions are absolute, so a pixel comes
out the same whichever patch it is computed for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Taps:
    """Output pixel i of an axis is the sum over k of weight[i, k] * input[index[i, k]].

    index: intp (outputs, taps), input pixels; weight: float32 (outputs, taps), rows sum to 1.
    """

    index: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float32]

    @property
    def start(self) -> int:
        """First input pixel that is used."""
        return int(self.index.min())

    @property
    def stop(self) -> int:
        """One past the last input pixel that is used."""
        return int(self.index.max()) + 1

    def shifted(self, origin: int) -> Taps:
        """The same for an input array that begins at input pixel `origin`."""
        return Taps(self.index - origin, self.weight)


def taps(outputs: npt.NDArray[np.intp], step: float, length: int, *, start: float = 0.0) -> Taps:
    """Taps for the given output pixels (any order, repeats allowed).

    step: input pixels per output pixel. start: the input position of output pixel 0's edge.
    length: input pixels there are; taps that would fall outside are clamped to the ends.
    """
    support = max(1.0, step)
    centre = (outputs + 0.5) * step + (start - 0.5)
    first = np.floor(centre - support).astype(np.intp) + 1
    index = first[:, None] + np.arange(math.ceil(2 * support))
    weight = np.maximum(0.0, 1.0 - np.abs(index - centre[:, None]) / support)
    weight /= weight.sum(axis=1, keepdims=True)
    return Taps(np.clip(index, 0, length - 1), weight.astype(np.float32))


def resample(image: npt.NDArray[np.float32], rows: Taps, columns: Taps) -> npt.NDArray[np.float32]:
    """float32 (bands, height, width) to (bands, len(rows.index), len(columns.index)).

    NaN in the input is left out and the other weights grow in its place; only where a pixel has
    nothing but NaN to draw on, it is NaN.
    """
    present = np.isfinite(image)
    if present.all():
        return _along(_along(image, rows, 1), columns, 2)
    total = _along(_along(np.where(present, image, np.float32(0)), rows, 1), columns, 2)
    share = _along(_along(present.astype(np.float32), rows, 1), columns, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: npt.NDArray[np.float32] = np.where(share > 1e-3, total / share, np.nan)
    return result.astype(np.float32)


def _along(image: npt.NDArray[np.float32], axis_taps: Taps, axis: int) -> npt.NDArray[np.float32]:
    shape = [1] * image.ndim
    shape[axis] = -1
    index, weight = axis_taps.index, axis_taps.weight
    result = image.take(index[:, 0], axis=axis) * weight[:, 0].reshape(shape)
    for k in range(1, index.shape[1]):
        result += image.take(index[:, k], axis=axis) * weight[:, k].reshape(shape)
    return result
