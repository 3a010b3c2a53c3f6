"""What a file's digital numbers mean: scale, offset and nodata, by user, file or named default.

Nothing is guessed in silence: what is assumed is warned of and named, and what cannot be
assumed is refused.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio

from geomask.errors import GeomaskWarning, OptionError, SceneError
from geomask.scene.blocks import mask_band
from geomask.sensors import INTEGER_SCALE, Sensor, find_sensor

LARGE_STEP = 0.01
"""Reflectance per DN of an integer band above which the scale that a file states is doubted."""


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

    @property
    def known_sensor(self) -> Sensor | None:
        """The sensor's record, where the user named one."""
        return None if self.sensor is None else find_sensor(self.sensor)


@dataclass(frozen=True)
class Nodata:
    """Which pixels were not measured.

    values: the DN that says so, by band, None for none. zero: whether 0 in every band that is
    read says so too. use_mask: whether the file's own mask does. source: where this comes from.
    """

    values: dict[str, float | None]
    zero: bool
    use_mask: bool
    source: str


def find_nodata(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> Nodata:
    """The nodata rule of a file's named bands (common name to band number).

    Raises OptionError for a value of the user's that no band's data type can hold. Warns of one
    of the file's, and of a default.
    """
    nothing: dict[str, float | None] = dict.fromkeys(named)
    if stated.nodata == "none":
        return Nodata(nothing, False, False, "none, stated by the user")
    dtypes = {common: np.dtype(dataset.dtypes[index - 1]) for common, index in named.items()}
    if stated.nodata is not None:
        value = float(stated.nodata)
        values = {common: _as_stored(value, dtype) for common, dtype in dtypes.items()}
        if any(stored is None for stored in values.values()):
            names = ", ".join(sorted({str(dtype) for dtype in dtypes.values()}))
            raise OptionError(f"{path}: no pixel can be {value:g}, since its bands are {names}")
        return Nodata(values, False, False, f"{value:g}, stated by the user")
    return _nodata_of_file(path, dataset, named, dtypes, stated.known_sensor)


def _nodata_of_file(
    path: str,
    dataset: rasterio.DatasetReader,
    named: Mapping[str, int],
    dtypes: Mapping[str, np.dtype[Any]],
    sensor: Sensor | None,
) -> Nodata:
    in_file = {common: dataset.nodatavals[index - 1] for common, index in named.items()}
    values = {
        common: None if value is None else _as_stored(value, dtypes[common])
        for common, value in in_file.items()
    }
    masked = mask_band(dataset) is not None
    sources = [f"{v:g}, stated by the file" for v in {*values.values()} if v is not None]
    sources += ["the file's own mask"] if masked else []
    if sources:
        return Nodata(values, False, masked, " and ".join(sorted(sources)))
    impossible = {value for value in in_file.values() if value is not None}
    if impossible:
        text = ", ".join(f"{value:g}" for value in sorted(impossible))
        warnings.warn(
            f"{path}: states nodata {text}, which its data type cannot hold; it is ignored",
            GeomaskWarning,
            stacklevel=2,
        )
    if sensor is not None and sensor.nodata is not None:
        convention = f"{sensor.nodata:g}, convention of {sensor.title}"
        return Nodata(dict.fromkeys(named, sensor.nodata), False, False, convention)
    if all(np.issubdtype(dtype, np.integer) for dtype in dtypes.values()):
        warnings.warn(
            f"{path}: states no nodata value; pixels that are 0 in every band are taken as "
            "nodata (state it with --nodata VALUE, or --nodata none)",
            GeomaskWarning,
            stacklevel=2,
        )
        return Nodata(values, True, False, "0 in every band (default; the file states none)")
    return Nodata(values, False, False, "NaN and infinity")


def _as_stored(value: float, dtype: np.dtype[Any]) -> float | None:
    """The number that a band of that type holds for `value`, or None where it holds none."""
    if np.issubdtype(dtype, np.floating):
        with np.errstate(over="ignore"):
            stored = float(np.asarray(value).astype(dtype))
        return stored if math.isfinite(stored) or not math.isfinite(value) else None
    limits = np.iinfo(dtype)
    whole = math.isfinite(value) and value == int(value)
    return value if whole and limits.min <= value <= limits.max else None


def find_radiometry(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> tuple[dict[str, tuple[float, float]], str]:
    """(scale, offset) by band, reflectance = DN * scale + offset, and where they come from.

    Raises SceneError where the values cannot be reflectance, or only some bands say what they
    are. Warns of a default, and of a scale that is unlikely.
    """
    pairs, source = _radiometry_of_file(path, dataset, named, stated)
    if stated.scale is None and stated.offset is None:
        return pairs, source
    applied = {
        common: (
            scale if stated.scale is None else stated.scale,
            offset if stated.offset is None else stated.offset,
        )
        for common, (scale, offset) in pairs.items()
    }
    if stated.scale is not None and stated.offset is not None:
        return applied, "stated by the user"
    user, other = ("scale", "offset") if stated.scale is not None else ("offset", "scale")
    return applied, f"{user} stated by the user, {other}: {source}"


def _radiometry_of_file(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> tuple[dict[str, tuple[float, float]], str]:
    pairs = {
        common: (dataset.scales[index - 1], dataset.offsets[index - 1])
        for common, index in named.items()
    }
    integer = {
        common: np.issubdtype(np.dtype(dataset.dtypes[index - 1]), np.integer)
        for common, index in named.items()
    }
    told = [common for common, pair in pairs.items() if pair != (1.0, 0.0)]
    if not told:
        if stated.scale is not None or not named:
            return pairs, "default 0, the file states nothing"
        return _default_radiometry(path, dataset, named, stated)
    for common, (scale, offset) in pairs.items():
        if not (math.isfinite(scale) and math.isfinite(offset)) or scale == 0:
            raise SceneError(
                f"{path}: states scale {scale:g} and offset {offset:g} for {common}, which make "
                "no reflectance; state them with --scale and --offset"
            )
    untold = [common for common in named if common not in told and integer[common]]
    if untold and stated.scale is None:
        raise SceneError(
            f"{path}: states a scale or offset for {', '.join(told)} and none for "
            f"{', '.join(untold)}; state them for all with --scale and --offset"
        )
    if any(integer[common] and abs(pairs[common][0]) > LARGE_STEP for common in told):
        warnings.warn(
            f"{path}: states scales that make one step of a digital number more than "
            f"{LARGE_STEP:g} of reflectance; if that is wrong, use --scale and --offset",
            GeomaskWarning,
            stacklevel=2,
        )
    return pairs, "GDAL scale and offset of the file"


def _default_radiometry(
    path: str, dataset: rasterio.DatasetReader, named: Mapping[str, int], stated: Stated
) -> tuple[dict[str, tuple[float, float]], str]:
    """What is assumed of a file that states no scale and no offset; always said aloud."""
    dtypes = {np.dtype(dataset.dtypes[index - 1]) for index in named.values()}
    sensor = stated.known_sensor
    if all(np.issubdtype(dtype, np.floating) for dtype in dtypes):
        _warn_of_default(path, "its values are taken as reflectance", stated)
        return dict.fromkeys(named, (1.0, 0.0)), "default: float values are reflectance"
    if any(dtype.itemsize == 1 for dtype in dtypes) or (sensor and sensor.scale is None):
        what = f"{sensor.title} digital numbers" if sensor else "8-bit values"
        raise SceneError(
            f"{path}: {what} do not say what reflectance they mean; state it with "
            "--scale and --offset (reflectance = DN * scale + offset)"
        )
    scale = (sensor and sensor.scale) or INTEGER_SCALE
    _warn_of_default(
        path,
        f"took reflectance = DN * {scale:g} (Sentinel-2 products of processing baseline 04.00 on, "
        "since 2022-01-25, need --scale 0.0001 --offset -0.1)",
        stated,
    )
    source = f"default: DN * {scale:g}, no offset; the file states nothing"
    return dict.fromkeys(named, (scale, 0.0)), source


def _warn_of_default(path: str, assumed: str, stated: Stated) -> None:
    if stated.offset is None:
        warnings.warn(f"{path}: states no scale or offset; {assumed}", GeomaskWarning, stacklevel=2)
