"""Any raster that GDAL opens as one file (GeoTIFF, COG, VRT, JPEG 2000 …) as a scene."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import rasterio

from geomask.band_names import common_names
from geomask.errors import BandError, GeomaskWarning, OptionError, SceneError
from geomask.grid import Grid
from geomask.raster import grid_of, open_raster
from geomask.scene.assemble import scene_bands, warn_of_no_crs
from geomask.scene.nodata import find_nodata
from geomask.scene.radiometry import find_radiometry
from geomask.scene.scene import Provenance, Scene
from geomask.scene.stated import Stated
from geomask.scene.stored import fits, stored_band


def open_geotiff(path: str, stated: Stated) -> Scene:
    """Open a raster file as a scene.

    Raises SceneError where it cannot be opened or its values cannot be reflectance, BandError
    where bands are named twice or out of range. Warns of what had to be assumed.
    """
    with open_raster(path) as dataset:
        named = _named_bands(path, dataset, stated)
        _warn_of_other_names(path, dataset, named, stated)
        bands = [
            stored_band(
                dataset, path, common, dataset.descriptions[index - 1] or f"band {index}", index
            )
            for common, index in named.items()
        ]
        grid = grid_of(dataset)
        kind = f"{dataset.driver} raster"
        unnamed = [
            f"band {index} {text!r}" if text else f"band {index}"
            for index, text in enumerate(dataset.descriptions, 1)
            if index not in named.values()
        ]
        files = _files(dataset)
        by_points = bool(dataset.gcps[0]) or dataset.rpcs is not None
    sensor = stated.known_sensor
    nodata = find_nodata(path, bands, stated, sensor)
    radiometry = find_radiometry(path, bands, stated, sensor)
    _check_grid(path, grid, stated, by_points=by_points)
    return Scene(
        path,
        kind,
        scene_bands(path, bands, radiometry, nodata),
        Provenance(radiometry.source, nodata.source),
        grid=grid,
        unnamed=unnamed,
        files=files,
        zero_is_nodata=nodata.zero,
        use_mask=nodata.use_mask,
    )


def _named_bands(path: str, dataset: rasterio.DatasetReader, stated: Stated) -> dict[str, int]:
    """Common name to band number: as the user says, else as the descriptions say."""
    if stated.bands:
        commons = common_names(list(stated.bands), stated.sensor)
        pairs = list(zip(commons, stated.bands.values(), stated.bands, strict=True))
        for common, index, text in pairs:
            if common is None:
                raise BandError(
                    f"{text!r} names no band, or not the same one on every sensor; use names such "
                    "as blue, nir or swir16, or give --sensor"
                )
            if not 1 <= index <= dataset.count:
                raise BandError(f"{path}: has bands 1 to {dataset.count}, so no {text}={index}")
    else:
        commons = common_names(dataset.descriptions, stated.sensor)
        pairs = [(c, i, str(i)) for i, c in enumerate(commons, 1) if c is not None]
    numbers = [index for _, index, _ in pairs]
    if len(set(numbers)) < len(numbers):
        raise BandError(f"{path}: one band cannot be two; --bands gives a number twice")
    twice = [str(name) for name, count in Counter(c for c, _, _ in pairs).items() if count > 1]
    if twice:
        raise BandError(
            f"{path}: more than one band is called {', '.join(twice)}; "
            "say which to use with --bands, for example --bands red=1,nir=4"
        )
    return {str(common): index for common, index, _ in pairs}


def _warn_of_other_names(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> None:
    """Where the user calls a band otherwise than its description does."""
    own = common_names(dataset.descriptions, stated.sensor)
    other = [
        f"band {index} calls itself {own[index - 1]} and is taken as {common}"
        for common, index in named.items()
        if own[index - 1] not in (None, common)
    ]
    if other:
        text = f"{path}: {', '.join(other)}, as --bands says"
        warnings.warn(text, GeomaskWarning, stacklevel=2)


def _files(dataset: rasterio.DatasetReader) -> tuple[str, ...]:
    """Every local file the raster draws on: itself, its sidecars, and the sources of a VRT, of
    VRTs in it too."""
    found: list[str] = []
    waiting = list(dataset.files)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        if Path(name).suffix.lower() == ".vrt" and name not in (dataset.name,):
            with suppress(SceneError), open_raster(name) as inner:
                waiting.extend(inner.files)
    return tuple(found)


def _check_grid(path: str, grid: Grid, stated: Stated, *, by_points: bool) -> None:
    if stated.grid is not None and not fits(grid, stated.grid):
        raise OptionError(
            f"{path}: has one grid, and its pixels are not {stated.grid:g} m; --grid chooses among "
            "the resolutions of a product (--resolution is that of inference)"
        )
    points = ", only control points, which the mask will not carry (gdalwarp makes a grid)"
    warn_of_no_crs(path, grid, points if by_points else "")
