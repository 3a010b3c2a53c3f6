"""Any raster that GDAL opens as one file (GeoTIFF, COG, VRT, JPEG 2000 …) as a scene."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio

from geomask.errors import BandError, GeomaskWarning, OptionError, SceneError
from geomask.grid import Grid
from geomask.raster import grid_of, open_raster
from geomask.scene.scene import Provenance, Scene, SceneBand
from geomask.sensors import INTEGER_SCALE, common_names, find_sensor


@dataclass(frozen=True)
class Stated:
    """What the user states of a scene, where the file does not or is wrong.

    bands: common (or product) name to 1-based band number. sensor: whose band names these are.
    scale, offset: reflectance = DN * scale + offset, for all bands. nodata: the DN of pixels
    that were not measured, or "none" where every pixel was.
    """

    bands: Mapping[str, int] | None = None
    sensor: str | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | str | None = None

    def __post_init__(self) -> None:
        if self.sensor is not None:
            find_sensor(self.sensor)
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if value is not None and not math.isfinite(value):
                raise OptionError(f"{name} {value} is not a finite number")
        if self.scale == 0:
            raise OptionError("scale 0 would make every pixel the same reflectance")
        if isinstance(self.nodata, str) and self.nodata != "none":
            raise OptionError(f'nodata {self.nodata!r} is neither a number nor "none"')


def open_geotiff(path: str, stated: Stated) -> Scene:
    """Open a raster file as a scene.

    Raises SceneError where it cannot be opened or its values cannot be reflectance, BandError
    where bands are named twice or out of range. Warns of what had to be assumed.
    """
    with open_raster(path) as dataset:
        grid = grid_of(dataset)
        named = _named_bands(path, dataset, stated)
        _check_dtypes(path, dataset, list(named.values()))
        nodata, zero, nodata_source = _nodata(path, dataset, named, stated)
        scales, radiometry_source = _radiometry(path, dataset, named, stated)
        bands = [
            SceneBand(
                common=common,
                source=dataset.descriptions[index - 1] or f"band {index}",
                path=path,
                index=index,
                scale=scales[common][0],
                offset=scales[common][1],
                nodata=nodata[common],
            )
            for common, index in named.items()
        ]
        unnamed = [
            f"band {index} {text!r}" if text else f"band {index}"
            for index, text in enumerate(dataset.descriptions, 1)
            if index not in named.values()
        ]
        kind = f"{dataset.driver} raster"
    _warn_about_grid(path, grid)
    return Scene(
        path,
        kind,
        grid,
        bands,
        Provenance(radiometry_source, nodata_source),
        unnamed=unnamed,
        zero_is_nodata=zero,
    )


def _named_bands(path: str, dataset: rasterio.DatasetReader, stated: Stated) -> dict[str, int]:
    """Common name to band number: as the user says, else as the descriptions say."""
    if stated.bands:
        commons = common_names(list(stated.bands), stated.sensor)
        pairs = list(zip(commons, stated.bands.values(), stated.bands, strict=True))
        for common, index, text in pairs:
            if common is None:
                raise BandError(f"{text!r} names no band; use names such as blue, nir or swir16")
            if not 1 <= index <= dataset.count:
                raise BandError(f"{path}: has bands 1 to {dataset.count}, so no {text}={index}")
    else:
        commons = common_names(dataset.descriptions, stated.sensor)
        pairs = [(c, i, str(i)) for i, c in enumerate(commons, 1) if c is not None]
    twice = [str(name) for name, count in Counter(c for c, _, _ in pairs).items() if count > 1]
    if twice:
        raise BandError(
            f"{path}: more than one band is called {', '.join(twice)}; "
            "say which to use with --bands, for example --bands red=1,nir=4"
        )
    return {str(common): index for common, index, _ in pairs}


def _check_dtypes(path: str, dataset: rasterio.DatasetReader, indexes: Sequence[int]) -> None:
    for index in indexes:
        dtype = dataset.dtypes[index - 1]
        if dtype.startswith("complex"):
            raise SceneError(
                f"{path}: band {index} is {dtype}; optical reflectance is real, "
                "so this is not a scene geomask can read"
            )


def _nodata(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> tuple[dict[str, float | None], bool, str]:
    """Nodata per band, whether "0 in every band" counts as nodata, and where that comes from."""
    if stated.nodata == "none":
        return dict.fromkeys(named), False, "none, stated by the user"
    if stated.nodata is not None:
        value = float(stated.nodata)
        return dict.fromkeys(named, value), False, f"{value:g}, stated by the user"
    values = {common: dataset.nodatavals[index - 1] for common, index in named.items()}
    if any(value is not None for value in values.values()):
        text = ", ".join(sorted({f"{value:g}" for value in values.values() if value is not None}))
        return values, False, f"{text}, stated by the file"
    if dataset.mask_flag_enums and any(
        flag.name in ("per_dataset", "alpha") for flag in dataset.mask_flag_enums[0]
    ):
        return values, False, "the file's own mask"
    sensor = find_sensor(stated.sensor) if stated.sensor else None
    if sensor is not None and sensor.nodata is not None:
        convention = f"{sensor.nodata:g}, convention of {sensor.title}"
        return dict.fromkeys(named, sensor.nodata), False, convention
    if all(np.issubdtype(dataset.dtypes[index - 1], np.integer) for index in named.values()):
        warnings.warn(
            f"{path}: states no nodata value; pixels that are 0 in every band are taken as "
            "nodata (state it with --nodata VALUE, or --nodata none)",
            GeomaskWarning,
            stacklevel=2,
        )
        return values, True, "0 in every band (default; the file states none)"
    return values, False, "NaN and infinity"


def _radiometry(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> tuple[dict[str, tuple[float, float]], str]:
    """(scale, offset) per band, and where they come from."""
    in_file = {
        common: (dataset.scales[index - 1], dataset.offsets[index - 1])
        for common, index in named.items()
    }
    said_by_file = any(pair != (1.0, 0.0) for pair in in_file.values())
    source = "GDAL scale and offset of the file"
    if not said_by_file and stated.scale is None and named:
        in_file, source = _default_radiometry(path, dataset, named, stated)
    if stated.scale is None and stated.offset is None:
        return in_file, source
    pairs = {
        common: (
            scale if stated.scale is None else stated.scale,
            stated.offset if stated.offset is not None else 0.0 if stated.scale else offset,
        )
        for common, (scale, offset) in in_file.items()
    }
    if stated.scale is not None:
        return pairs, "stated by the user"
    return pairs, f"offset stated by the user, scale: {source}"


def _default_radiometry(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> tuple[dict[str, tuple[float, float]], str]:
    """What is assumed of a file that states no scale and no offset; always said aloud."""
    dtypes = {np.dtype(dataset.dtypes[index - 1]) for index in named.values()}
    sensor = find_sensor(stated.sensor) if stated.sensor else None
    if all(np.issubdtype(dtype, np.floating) for dtype in dtypes):
        scale, source = 1.0, "default: float values are reflectance; the file states nothing"
    elif any(dtype.itemsize == 1 for dtype in dtypes) or (sensor and sensor.scale is None):
        what = f"{sensor.title} digital numbers" if sensor else "8-bit values"
        raise SceneError(
            f"{path}: {what} do not say what reflectance they mean; state it with "
            "--scale and --offset (reflectance = DN * scale + offset)"
        )
    else:
        scale = (sensor and sensor.scale) or INTEGER_SCALE
        source = f"default: DN * {scale:g}, no offset; the file states nothing"
    if stated.offset is None:
        warnings.warn(
            f"{path}: states no scale or offset; took reflectance = DN * {scale:g} (Sentinel-2 "
            "products of processing baseline 04.00 on, since 2022-01-25, need --scale 0.0001 "
            "--offset -0.1)",
            GeomaskWarning,
            stacklevel=2,
        )
    return dict.fromkeys(named, (scale, 0.0)), source


def _warn_about_grid(path: str, grid: Grid) -> None:
    if grid.crs is None:
        warnings.warn(
            f"{path}: has no coordinate reference system; taken at its native pixels, "
            "whatever their size on the ground",
            GeomaskWarning,
            stacklevel=3,
        )
