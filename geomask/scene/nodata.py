"""Which pixels were not measured: by the user, the files, or a named convention."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geomask.errors import GeomaskWarning, OptionError, SceneError
from geomask.scene.stated import Stated
from geomask.scene.stored import Stored
from geomask.sensors import Sensor


@dataclass(frozen=True)
class Nodata:
    """Which pixels were not measured.

    values: the DN that says so, by band, None for none. zero: whether 0 in every band that is
    read says so too. use_mask: whether the files' own masks do. source: where this comes from.
    """

    values: dict[str, float | None]
    zero: bool
    use_mask: bool
    source: str


def find_nodata(
    path: str, bands: Sequence[Stored], stated: Stated, sensor: Sensor | None
) -> Nodata:
    """The nodata rule of a scene's bands. sensor: whose convention holds where files are silent.

    Bands that state nothing follow those that do. Raises OptionError for a value of the user's
    that no band's data type can hold, SceneError where bands disagree and one is silent. Warns
    of a value of the file's that is impossible, and of a default.
    """
    return nodata_of_user(path, bands, stated) or _nodata_of_files(path, bands, sensor)


def nodata_of_user(path: str, bands: Sequence[Stored], stated: Stated) -> Nodata | None:
    """The user's own rule, or None where there is none. Raises OptionError as above."""
    if stated.nodata is None:
        return None
    if isinstance(stated.nodata, str):
        nothing: dict[str, float | None] = {band.common: None for band in bands}
        return Nodata(nothing, False, False, "none, stated by the user")
    value = float(stated.nodata)
    values = {band.common: _as_stored(value, band.dtype) for band in bands}
    if any(number is None for number in values.values()):
        names = ", ".join(sorted({str(band.dtype) for band in bands}))
        raise OptionError(f"{path}: no pixel can be {value:g}, since its bands are {names}")
    return Nodata(values, False, False, f"{value:g}, stated by the user")


def nodata_of_product(
    path: str, bands: Sequence[Stored], stated: Stated, value: float, source: str
) -> Nodata:
    """The user's rule, else `value` in every band, where `source` says a product states it."""
    values: dict[str, float | None] = {band.common: value for band in bands}
    return nodata_of_user(path, bands, stated) or Nodata(values, False, False, source)


def _nodata_of_files(path: str, bands: Sequence[Stored], sensor: Sensor | None) -> Nodata:
    values = {
        band.common: None if band.nodata is None else _as_stored(band.nodata, band.dtype)
        for band in bands
    }
    masked = any(band.masked for band in bands)
    stated = {value for value in values.values() if value is not None}
    if stated or masked:
        silent = _silent(bands, values)
        values |= dict.fromkeys(silent, _value_for(path, silent, stated, sensor))
        sources = [f"{v:g}, stated by the file" for v in stated]
        sources += ["the file's own mask"] if masked else []
        also = f", for {', '.join(silent)} too" if silent else ""
        return Nodata(values, False, masked, " and ".join(sorted(sources)) + also)
    impossible = {band.nodata for band in bands if band.nodata is not None}
    if impossible:
        text = ", ".join(f"{value:g}" for value in sorted(impossible))
        warnings.warn(
            f"{path}: states nodata {text}, which its data type cannot hold; it is ignored",
            GeomaskWarning,
            stacklevel=2,
        )
    if sensor is not None and sensor.nodata is not None:
        convention = f"{sensor.nodata:g}, convention of {sensor.title}"
        return Nodata(dict.fromkeys(values, sensor.nodata), False, False, convention)
    if not bands:
        return Nodata(values, False, False, "not known until bands are named")
    if all(band.is_integer for band in bands):
        warnings.warn(
            f"{path}: states no nodata value; pixels that are 0 in every band are taken as "
            "nodata (state it with --nodata VALUE, or --nodata none)",
            GeomaskWarning,
            stacklevel=2,
        )
        return Nodata(values, True, False, "0 in every band (default; the file states none)")
    return Nodata(values, False, False, "NaN and infinity")


def _silent(bands: Sequence[Stored], values: Mapping[str, float | None]) -> list[str]:
    """Integer bands that say nothing of nodata, beside others that do."""
    return [
        band.common
        for band in bands
        if band.is_integer and values[band.common] is None and not band.masked
    ]


def _value_for(
    path: str, silent: Sequence[str], stated: set[float], sensor: Sensor | None
) -> float | None:
    """The nodata value of bands that state none. Raises SceneError where that is not certain."""
    if not silent:
        return None
    if sensor is not None and sensor.nodata is not None:
        return sensor.nodata
    if len(stated) == 1:
        return next(iter(stated))
    raise SceneError(
        f"{path}: states no nodata for {', '.join(silent)}, and for other bands "
        f"{', '.join(f'{value:g}' for value in sorted(stated)) or 'by a mask'}; state it with "
        "--nodata VALUE, or --nodata none"
    )


def _as_stored(value: float, dtype: np.dtype[Any]) -> float | None:
    """The number that a band of that type holds for `value`, or None where it holds none."""
    if np.issubdtype(dtype, np.floating):
        with np.errstate(over="ignore"):
            stored = float(np.asarray(value).astype(dtype))
        return stored if math.isfinite(stored) or not math.isfinite(value) else None
    limits = np.iinfo(dtype)
    whole = math.isfinite(value) and value == int(value)
    return value if whole and limits.min <= value <= limits.max else None
