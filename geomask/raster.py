"""Rasters on disk: how GDAL is set, and opening one with errors people can read."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geomask.drivers import PRODUCT_DRIVERS, VrtError, drivers_for, is_local, open_with
from geomask.errors import GeomaskError, SceneError
from geomask.grid import Grid

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""What rasterio raises when GDAL fails; the second escapes from some of its calls."""

GDAL_OPTIONS: Mapping[str, Any] = {
    # GDAL's own cache would grow to 5 % of the machine's memory over a scene, for blocks that
    # our readers never ask for twice.
    "GDAL_CACHEMAX": 64 * 2**20,
    # GDAL waits for a silent server for ever, and holds Python still meanwhile.
    "GDAL_HTTP_CONNECTTIMEOUT": 30,
    "GDAL_HTTP_LOW_SPEED_TIME": 60,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,
    "GDAL_HTTP_MAX_RETRY": 3,
    "GDAL_HTTP_RETRY_DELAY": 2,
    # A VRT may hold Python; GDAL runs none unless the environment says so.
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}
"""How GDAL is set while geomask reads and writes: `with rasterio.Env(**GDAL_OPTIONS)`."""


@contextmanager
def open_raster(
    path: str | Path, error: type[GeomaskError] = SceneError, drivers: Sequence[str] = ()
) -> Iterator[rasterio.DatasetReader]:
    """Open a raster to read; `error` where it is missing, or is no raster GDAL knows.

    drivers: GDAL's that may open it; those of `drivers_for` unless given. The caller says what the
    lack of a CRS means; rasterio's own warning about it is silenced.
    """
    with quiet(), rasterio.Env(**GDAL_OPTIONS):
        try:
            dataset = open_with(str(path), drivers or drivers_for(str(path)))
        except (*GDAL_ERRORS, ValueError) as problem:
            raise error(f"{path}: {_why(path, problem, drivers)}") from problem
    # Not `with dataset`: that ties GDAL's environment to this thread, and readers are closed by
    # another one than opened them.
    try:
        yield dataset
    finally:
        dataset.close()


_FILTERS = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Without rasterio's warning about a missing CRS; one thread at a time, since Python's
    warning filters belong to the whole process."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def grid_of(dataset: rasterio.DatasetReader) -> Grid:
    """The grid of an open raster; an empty CRS is none."""
    return Grid(dataset.crs or None, dataset.transform, dataset.width, dataset.height)


def _why(path: str | Path, problem: Exception, drivers: Sequence[str]) -> str:
    """One clause on why a raster did not open."""
    if isinstance(problem, VrtError):
        return str(problem)
    if is_local(str(path)):
        try:
            if Path(path).is_dir():
                return "is a folder, not a raster file"
            if not Path(path).exists():
                return "no such file"
        except OSError as error:  # a folder that may not be searched, a name that is too long
            return f"cannot be read: {error.strerror}"
    formats = " as GeoTIFF or JPEG 2000" if drivers == PRODUCT_DRIVERS else ""
    return f"is not a raster that GDAL can open{formats} ({root_cause(problem)})"


def root_cause(problem: BaseException) -> str:
    """What GDAL said first, where rasterio says only "see previous exception"."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    return " ".join(str(problem).split()).rstrip(".")
