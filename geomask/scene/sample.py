"""A decimated look at a whole scene, in seconds: for shares and histograms, never for masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Interleaving

from geomask.errors import SceneError
from geomask.grid import Grid
from geomask.raster import GDAL_ERRORS, GDAL_OPTIONS, open_raster, root_cause
from geomask.scene.blocks import DATASET_MASK, Raw, mask_band
from geomask.scene.plausibility import Histogram
from geomask.scene.regrid import Axis, lay
from geomask.scene.scene import Scene, SceneBand, calibrate, measured_pixels

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

SIZE = 512
"""Pixels a side, at most: a share comes out to a tenth of a percent, and a full Sentinel-2 band
is read in a fraction of a second."""


def sample(scene: Scene, bands: Sequence[str], size: int = SIZE) -> tuple[Floats, Bools]:
    """A scene at `size` pixels a side at most, each the nearest pixel of a file or its overviews.

    Returns reflectance, float32 (bands, height, width), unitless, NaN where not valid; and
    valid, bool (height, width), True where every one of `bands` was measured, by the rules of
    `Scene.read`. Where an overview mixes pixels with nodata beside them, so does the sample.
    Raises BandError for a band that is not there, SceneError for a file that is damaged, as far
    as a look at its overviews shows.
    """
    chosen = [scene.band(name) for name in bands]
    shape = _shape(scene.grid, size)
    reflectance = np.empty((len(chosen), *shape), dtype=np.float32)
    valid = np.ones(shape, dtype=bool)
    anything = np.zeros(shape, dtype=bool)
    for path in dict.fromkeys(band.path for band in chosen):
        own = [i for i, band in enumerate(chosen) if band.path == path]
        rows, columns = _looks(scene.grid, chosen[own[0]].grid, shape)
        inside = rows.inside[:, None] & columns.inside
        raw = _read(path, [chosen[i] for i in own], rows, columns, use_mask=scene.use_mask)
        valid &= inside if raw.masked is None else inside & ~raw.masked
        for values, i in zip(raw.values, own, strict=True):
            valid &= measured_pixels(values, chosen[i].nodata)
            anything |= (values != 0) | ~inside
            calibrate(values, chosen[i], reflectance[i])
    if scene.zero_is_nodata:
        valid &= anything
    reflectance[:, ~valid] = np.nan
    return reflectance, valid


@dataclass(frozen=True)
class Survey:
    """What a look at a scene tells.

    nodata: share of its pixels where some band was not measured. histogram: of the others.
    """

    nodata: float
    histogram: Histogram


def survey(scene: Scene, bands: Sequence[str]) -> Survey:
    """A sample of those bands, counted. Raises what `sample` raises."""
    reflectance, valid = sample(scene, bands)
    histogram = Histogram([scene.bands[name] for name in bands])
    # Overviews mix nodata into the pixels beside it, whose values nobody measured.
    histogram.add(reflectance[:, 1:-1, 1:-1][:, None, _all_around(valid)])
    return Survey(1 - float(valid.mean()), histogram)


@dataclass(frozen=True)
class _Look:
    """One axis of a sample, as taken from a file of which `count` pixels are read, evenly.

    index: intp (outputs,), which of those. inside: bool (outputs,), False beyond its ends.
    """

    count: int
    index: Indices
    inside: Bools


def _shape(grid: Grid, size: int) -> tuple[int, int]:
    """(height, width) of a sample of a grid."""
    step = max(1.0, max(grid.shape) / size)
    return max(1, round(grid.height / step)), max(1, round(grid.width / step))


def _all_around(valid: Bools) -> Bools:
    """bool, a pixel smaller on every side: True where a pixel and its eight neighbours are."""
    rows = valid[:-2] & valid[1:-1] & valid[2:]
    return rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]


def _looks(scene: Grid, band: Grid, shape: tuple[int, int]) -> tuple[_Look, _Look]:
    """(rows, columns) of a sample of that shape, as taken from a band's file."""
    same = Axis(1.0, 0.0, scene.height), Axis(1.0, 0.0, scene.width)
    axes = same if band == scene else lay(scene, band)
    rows, columns = (_look(*each) for each in zip(axes, scene.shape, shape, strict=True))
    return rows, columns


def _look(axis: Axis, length: int, outputs: int) -> _Look:
    """Pixel centres of a sample, `outputs` over a scene's `length`, in a band of the axis."""
    pitch = length / outputs * axis.step
    count = min(axis.length, max(1, round(axis.length / pitch)))
    position = (np.arange(outputs) + 0.5) * pitch + axis.start
    index = np.floor(position * (count / axis.length)).astype(np.intp)
    inside = (position >= 0) & (position < axis.length)
    return _Look(count, np.clip(index, 0, count - 1), inside)


def _read(
    path: str, bands: Sequence[SceneBand], rows: _Look, columns: _Look, *, use_mask: bool
) -> Raw:
    """Those bands of a file at the sample's pixels, as the file has them."""
    shape = (rows.count, columns.count)
    place = np.ix_(rows.index, columns.index)
    # GDAL's own threads decode JPEG 2000 and keep their errors to themselves: a file that is cut
    # short would read as zeros.
    with rasterio.Env(GDAL_NUM_THREADS=1), open_raster(path) as dataset:
        try:
            with rasterio.Env(GDAL_CACHEMAX=_cache(dataset)):
                values = [dataset.read(band.index, out_shape=shape)[place] for band in bands]
                masked = _masked(dataset, shape) if use_mask else None
        except GDAL_ERRORS as error:
            raise SceneError(
                f"{path}: cannot be read; the file is cut short or damaged, or one it draws on is "
                f"missing ({root_cause(error)})"
            ) from error
    return Raw(np.stack(values), None if masked is None else masked[place])


def _cache(dataset: rasterio.DatasetReader) -> int:
    """Bytes that GDAL needs to keep a row of blocks until the next one: a file without overviews is
    read line by line, and with less each block would be decoded again for each of its lines."""
    height, width = dataset.block_shapes[0]
    together = dataset.count if dataset.interleaving == Interleaving.pixel else 1
    across = math.ceil(dataset.width / width) * width
    row = across * height * together * np.dtype(dataset.dtypes[0]).itemsize
    return int(GDAL_OPTIONS["GDAL_CACHEMAX"] + row)


def _masked(dataset: rasterio.DatasetReader, shape: tuple[int, int]) -> Bools | None:
    """What the file's own mask or alpha band leaves out; None where it has neither."""
    band = mask_band(dataset)
    if band is None:
        return None
    if band == DATASET_MASK:
        mask: Bools = dataset.dataset_mask(out_shape=shape) == 0
    else:
        mask = dataset.read(band, out_shape=shape) == 0
    return mask
