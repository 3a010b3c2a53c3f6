"""Reading a patch: the scene's pixels on the inference grid, reflected beyond its edges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.grid import Grid
from geomask.resample import Taps, resample, taps
from geomask.scene import Scene
from geomask.tiling import Patch, Span, reflect

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


def read_patch(scene: Scene, patch: Patch, bands: Sequence[str]) -> tuple[Floats, Bools]:
    """A patch of a scene, ready for the network, and which pixels of its core were measured.

    Returns reflectance, float32 (bands, patch.read.height, patch.read.width), NaN where not
    measured; and valid, bool, of the core's shape on the mask's grid, True where every one of
    `bands` was measured. Safe in any thread. Raises SceneError for a file that is damaged.
    """
    rows, columns = _patch_taps(scene.grid, patch)
    window = _window(rows, columns, patch)
    image, valid = scene.read(window, bands)
    (top, bottom), (left, right) = window.toranges()
    core = valid[_core(patch.rows, top), _core(patch.columns, left)]
    if patch.scale == (1.0, 1.0):
        rows_read, columns_read = rows.index[:, 0] - top, columns.index[:, 0] - left
        if not (_is_all(rows_read, bottom - top) and _is_all(columns_read, right - left)):
            image = _picked(image.take(rows_read, axis=1), columns_read)
        return image, core
    return resample(image, rows.shifted(top), columns.shifted(left)), core


def patch_window(grid: Grid, patch: Patch) -> Window:
    """What `read_patch` reads of a scene on that grid."""
    return _window(*_patch_taps(grid, patch), patch)


def _window(rows: Taps, columns: Taps, patch: Patch) -> Window:
    # The core's own pixels are read as well: whether they are valid is asked of each.
    top, bottom = _reach(rows, patch.rows)
    left, right = _reach(columns, patch.columns)
    return Window(left, top, right - left, bottom - top)


def _patch_taps(grid: Grid, patch: Patch) -> tuple[Taps, Taps]:
    """Where a patch's rows and columns come from."""
    return (
        _axis_taps(patch.rows, patch.scale[0], grid.height),
        _axis_taps(patch.columns, patch.scale[1], grid.width),
    )


def _axis_taps(span: Span, scale: float, length: int) -> Taps:
    """Where a span's inference pixels come from, among the scene's `length` pixels of an axis."""
    outputs = reflect(span.read, span.size, max(1, math.ceil(length * scale)))
    if scale == 1.0:
        return Taps(outputs[:, None], np.ones((span.size, 1), np.float32))
    return taps(outputs, 1 / scale, length)


def _reach(axis: Taps, span: Span) -> tuple[int, int]:
    """The first scene pixel, and one past the last, that a span draws on or writes."""
    return min(axis.start, span.write), max(axis.stop, span.write + span.length)


def _core(span: Span, origin: int) -> slice:
    return slice(span.write - origin, span.write - origin + span.length)


def _picked(image: Floats, columns: Indices) -> Floats:
    """The same as `image[:, :, columns]`. Most of these follow one another, and what does is
    copied as one: element by element it takes ten times as long."""
    following = np.flatnonzero(np.diff(columns) == 1)
    if not following.size:
        return image[:, :, columns]
    first, last = following[0], following[-1] + 1
    if columns[last] - columns[first] != last - first:
        return image[:, :, columns]
    picked = np.empty((*image.shape[:2], columns.size), dtype=image.dtype)
    picked[:, :, :first] = image[:, :, columns[:first]]
    picked[:, :, first : last + 1] = image[:, :, columns[first] : columns[last] + 1]
    picked[:, :, last + 1 :] = image[:, :, columns[last + 1 :]]
    return picked


def _is_all(index: Indices, length: int) -> bool:
    """Whether indices are 0, 1 … length - 1, so that nothing needs to be picked out."""
    return index.size == length and bool((index == np.arange(length)).all())
