"""Bands as their files hold them, and choosing among those of several resolutions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rasterio

from geomask.drivers import PRODUCT_DRIVERS
from geomask.errors import BandError, OptionError, SceneError
from geomask.grid import Grid
from geomask.raster import grid_of, open_raster
from geomask.scene.blocks import mask_band

SAME_SIZE = 0.01
"""Relative difference below which two pixel sizes are the same one."""


@dataclass(frozen=True)
class Stored:
    """One band as its file holds it, before anything is decided about its numbers.

    common: STAC common name. source: the product's own name or band number. path, index: the
    raster file and the 1-based band in it. scale, offset: as the file states them, 1 and 0
    where it does not. nodata: as the file states it. masked: whether the file has a mask or an
    alpha band. note: what else is to be said where it is named.
    """

    common: str
    source: str
    path: str
    index: int
    grid: Grid
    dtype: np.dtype[Any]
    scale: float
    offset: float
    nodata: float | None
    masked: bool
    note: str = ""

    @property
    def is_integer(self) -> bool:
        """Whether values are digital numbers, so that a scale is to be expected."""
        return bool(np.issubdtype(self.dtype, np.integer))


def stored_band(
    dataset: rasterio.DatasetReader, path: str, common: str, source: str, index: int = 1
) -> Stored:
    """One band of an open raster. Raises SceneError for complex numbers."""
    dtype = dataset.dtypes[index - 1]
    if dtype.startswith("complex"):
        raise SceneError(
            f"{path}: band {index} is {dtype}; optical reflectance is real, "
            "so this is not a scene geomask can read"
        )
    return Stored(
        common,
        source,
        path,
        index,
        grid_of(dataset),
        np.dtype(dtype),
        dataset.scales[index - 1],
        dataset.offsets[index - 1],
        dataset.nodatavals[index - 1],
        mask_band(dataset) is not None,
    )


def open_band(path: str, common: str, source: str, index: int | None = None) -> Stored:
    """A band of a product, from a file of its own unless `index` says which of several.

    Raises SceneError where the file is no GeoTIFF or JPEG 2000, or has other bands.
    """
    with open_raster(path, drivers=PRODUCT_DRIVERS) as dataset:
        if index is None and dataset.count != 1:
            raise SceneError(
                f"{path}: has {dataset.count} bands, and is named as if it were {source} alone"
            )
        if index is not None and not 1 <= index <= dataset.count:
            raise SceneError(f"{path}: has {dataset.count} band(s), so no band {index}")
        return stored_band(dataset, path, common, source, index or 1)


def choose_resolution(
    path: str, candidates: Sequence[Stored], wanted: float | None
) -> dict[str, Stored]:
    """One file for each band: the finest, or what suits a grid of `wanted` metres best: its own
    resolution, else the next finer, else the finest there is.

    Raises OptionError where no file has the resolution that is wanted, BandError where two files
    claim one band at one resolution.
    """
    sized = [(band, _side(band.grid)) for band in candidates]
    if wanted is not None and not any(_same(size, wanted) for _, size in sized):
        there = ", ".join(f"{size:.4g}" for size in sorted({size for _, size in sized}))
        raise OptionError(
            f"{path}: has no spectral band at {wanted:g} m, only at {there} m; "
            "give one of these as --grid, or leave it out"
        )
    chosen: dict[str, tuple[Stored, float]] = {}
    for band, size in sorted(sized, key=lambda pair: _unfitness(pair[1], wanted)):
        if band.common not in chosen:
            chosen[band.common] = band, size
        elif _same(size, chosen[band.common][1]):
            raise BandError(
                f"{path}: {chosen[band.common][0].path} and {band.path} are both "
                f"{band.common}; give a folder with one file per band"
            )
    return {band.common: chosen[band.common][0] for band in candidates}


def fits(grid: Grid, wanted: float) -> bool:
    """Whether a grid's pixels are of that size, metres."""
    return _same(_side(grid), wanted)


def _side(grid: Grid) -> float:
    """The side of a pixel in metres (of an oblong one, of a square as large); where that is
    unknown, in the units of the transform."""
    size, t = grid.pixel_size, grid.transform
    area = abs(t.a * t.e - t.b * t.d) if size is None else size[0] * size[1]
    return float(area**0.5)


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME_SIZE * max(a, b)


def _unfitness(size: float, wanted: float | None) -> tuple[int, float]:
    """Sorts resolutions, best first."""
    if wanted is None or size > wanted * (1 + SAME_SIZE):
        return 1, size
    return 0, -size


def finest(bands: Iterable[Grid]) -> Grid:
    """The grid with the smallest pixels, the first of several alike."""
    return min(bands, key=lambda grid: round(_side(grid), 6))


def check_together(path: str, bands: Sequence[Stored]) -> None:
    """Refuse bands that cannot be brought to one grid: another CRS, or other axes.

    Raises SceneError, naming two files that differ.
    """
    first = bands[0]
    for band in bands[1:]:
        if band.grid == first.grid:
            continue
        if band.grid.crs != first.grid.crs:
            raise SceneError(
                f"{path}: {first.path} is in {_name(first.grid)} and {band.path} in "
                f"{_name(band.grid)}; bring all bands to one coordinate reference system "
                "(gdalwarp)"
            )
        for other in (first, band):
            t = other.grid.transform
            if t.b or t.d or t.a <= 0 or t.e >= 0:
                raise SceneError(
                    f"{other.path}: its grid is not north-up, and differs from those of other "
                    "bands; bring all bands to one grid (gdalwarp)"
                )
        if _apart(first.grid, band.grid):
            raise SceneError(
                f"{path}: {first.path} and {band.path} cover no ground in common, so they are of "
                "two scenes; give a folder with one"
            )


def _apart(a: Grid, b: Grid) -> bool:
    """Whether two north-up grids of one CRS have no ground in common."""
    s, t = a.transform, b.transform
    return (
        s.c >= t.c + t.a * b.width
        or t.c >= s.c + s.a * a.width
        or s.f <= t.f + t.e * b.height
        or t.f <= s.f + s.e * a.height
    )


def _name(grid: Grid) -> str:
    return grid.crs.to_string() if grid.crs else "no CRS"


def with_stand_in(bands: dict[str, Stored]) -> dict[str, Stored]:
    """The narrow near infrared (B8A) also as nir, where the broad one is absent."""
    if "nir" in bands or "nir08" not in bands:
        return bands
    note = " standing in for nir, which is absent"
    return bands | {"nir": replace(bands["nir08"], common="nir", note=note)}
