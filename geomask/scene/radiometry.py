"""What digital numbers mean: scale and offset, by user, file or named default.

Nothing is guessed in silence: what is assumed is warned of and named, and what cannot be
assumed is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geomask.errors import GeomaskWarning, SceneError
from geomask.scene.stated import Stated, is_factor, is_number
from geomask.scene.stored import Stored
from geomask.sensors import INTEGER_SCALE, OFFSET_SINCE, OFFSETS_FROM, SENTINEL2, Sensor

LARGE_STEP = 0.01
"""Reflectance per DN of an integer band above which the scale that a file states is doubted."""

_SENTINEL2_NAME = re.compile(
    r"(?<![A-Z0-9])(?:S2[A-D]|T\d\d[C-X][A-Z]{2})(?![A-Z0-9])", re.IGNORECASE
)
"""A Sentinel-2 name: S2A_MSIL1C_20230101T…, S2B_52SFA_20220126_…, T31UFS_20230101T…, and Earth
Engine's 20230101T105029_20230101T105030_T31UFS."""

_DAY = re.compile(r"(?<!\d)20\d{6}(?!\d)")
_BASELINE = re.compile(r"(?<![A-Z0-9])N(\d{4})(?![A-Z0-9])", re.IGNORECASE)
"""The processing baseline in a product's name: old scenes were processed again with new ones."""


@dataclass(frozen=True)
class Radiometry:
    """reflectance = DN * scale + offset: (scale, offset) by band, and where they come from."""

    pairs: Mapping[str, tuple[float, float]]
    source: str

    def of(self, path: str, band: Stored) -> tuple[float, float]:
        """Scale and offset of a scene's band. Raises SceneError where every DN would be the same
        reflectance, or none, in float32."""
        scale, offset = self.pairs[band.common]
        if not (is_factor(scale) and is_number(offset)):
            raise SceneError(
                f"{path}: scale {scale:g} and offset {offset:g} of {band.common} "
                f"({self.source}) make no reflectance; state them with --scale and --offset"
            )
        return scale, offset

    def overridden(self, stated: Stated) -> Radiometry:
        """The same with what the user states in its place."""
        if stated.scale is None and stated.offset is None:
            return self
        pairs = {
            common: (
                scale if stated.scale is None else stated.scale,
                offset if stated.offset is None else stated.offset,
            )
            for common, (scale, offset) in self.pairs.items()
        }
        if stated.radiometry:
            return Radiometry(pairs, "stated by the user")
        user, other = ("scale", "offset") if stated.offset is None else ("offset", "scale")
        return Radiometry(pairs, f"{user} stated by the user, {other}: {self.source}")


def radiometry_of_user(bands: Sequence[Stored], stated: Stated) -> Radiometry | None:
    """The user's scale and offset for all bands, where both are stated; else None."""
    if not stated.radiometry:
        return None
    return Radiometry({band.common: (1.0, 0.0) for band in bands}, "").overridden(stated)


def check_delivered(bands: Sequence[Stored], metadata: str, delivered: str) -> None:
    """Refuse files that do not hold the digital numbers that a product's metadata speak of.

    delivered: what those are, in words. Raises SceneError for 8-bit and float values, and for a
    scale or offset in the file itself.
    """
    for band in bands:
        if not band.is_integer or band.dtype.itemsize == 1:
            found = f"is {band.dtype}"
        elif (band.scale, band.offset) != (1.0, 0.0):
            found = f"states scale {band.scale:g} and offset {band.offset:g}"
        else:
            continue
        raise SceneError(
            f"{band.path}: {found}, unlike the {delivered}, so {metadata} may not hold for it; "
            "state what its numbers mean with --scale and --offset"
        )


def find_radiometry(
    path: str, bands: Sequence[Stored], stated: Stated, sensor: Sensor | None
) -> Radiometry:
    """What the numbers of a scene's bands mean. sensor: whose they are, if that is known.

    Raises SceneError where the values cannot be reflectance, only some bands say what they are,
    or nothing is said of a Sentinel-2 product whose offset decides. Warns of a default, and of a
    scale that is unlikely.
    """
    by_user = radiometry_of_user(bands, stated)
    if by_user is not None:
        return by_user
    told = [band for band in bands if (band.scale, band.offset) != (1.0, 0.0)]
    if told:
        found = _radiometry_of_files(path, bands, told, stated)
    elif stated.scale is not None or not bands:
        found = Radiometry(
            {band.common: (1.0, 0.0) for band in bands}, "default 0, the file states nothing"
        )
        _check_offset_known(path, bands, stated)
    else:
        found = _default(path, bands, stated, sensor)
    return found.overridden(stated)


def _radiometry_of_files(
    path: str, bands: Sequence[Stored], told: Sequence[Stored], stated: Stated
) -> Radiometry:
    untold = [band.common for band in bands if band not in told and band.is_integer]
    if untold and stated.scale is None:
        raise SceneError(
            f"{path}: states a scale or offset for {', '.join(band.common for band in told)} and "
            f"none for {', '.join(untold)}; state them for all with --scale and --offset"
        )
    if stated.scale is None and any(_is_doubtful(band) for band in told):
        warnings.warn(
            f"{path}: states scales that make one step of a digital number more than "
            f"{LARGE_STEP:g} of reflectance; if that is wrong, use --scale and --offset",
            GeomaskWarning,
            stacklevel=2,
        )
    pairs = {band.common: (band.scale, band.offset) for band in bands}
    return Radiometry(pairs, "GDAL scale and offset of the file")


def _is_doubtful(band: Stored) -> bool:
    """Whether one step of a digital number would be a large one."""
    return band.is_integer and is_number(band.scale) and abs(band.scale) > LARGE_STEP


def _default(
    path: str, bands: Sequence[Stored], stated: Stated, sensor: Sensor | None
) -> Radiometry:
    """What is assumed of files that state no scale and no offset; always said aloud."""
    if not any(band.is_integer for band in bands):
        _warn_of_default(path, "its values are taken as reflectance", stated)
        pairs = {band.common: (1.0, 0.0) for band in bands}
        return Radiometry(pairs, "default: float values are reflectance")
    kinds = {band.is_integer: band for band in bands}
    if len(kinds) > 1:
        raise SceneError(
            f"{path}: states no scale, and {kinds[True].common} is {kinds[True].dtype} but "
            f"{kinds[False].common} {kinds[False].dtype}, which cannot mean the same; give bands "
            "of one kind, each with its scale and offset"
        )
    if any(band.dtype.itemsize == 1 for band in bands) or (sensor and sensor.scale is None):
        what, folder = "8-bit values", ""
        if sensor:
            what = f"{sensor.title} digital numbers"
            folder = "open the product's folder, its metadata included, or "
        raise SceneError(
            f"{path}: {what} do not say what reflectance they mean; {folder}state it with "
            "--scale and --offset (reflectance = DN * scale + offset), or band by band in the "
            "file (gdal_edit.py -scale)"
        )
    _check_offset_known(path, bands, stated)
    scale = (sensor and sensor.scale) or INTEGER_SCALE
    _warn_of_default(
        path,
        f"took reflectance = DN * {scale:g} (Sentinel-2 products of processing baseline 04.00 on, "
        "since 2022-01-25, need --scale 0.0001 --offset -0.1)",
        stated,
    )
    source = f"default: DN * {scale:g}, no offset; the file states nothing"
    return Radiometry({band.common: (scale, 0.0) for band in bands}, source)


def _check_offset_known(path: str, bands: Sequence[Stored], stated: Stated) -> None:
    """Refuse digital numbers of Sentinel-2 whose names date them to when an offset came in."""
    if stated.offset is not None or not any(band.is_integer for band in bands):
        return
    # Folders further up as well: "." has no name of its own, and a zip names what it packs inside.
    paths = [Path(name).absolute() for name in dict.fromkeys((path, *(b.path for b in bands)))]
    names = dict.fromkeys(part for one in paths for part in reversed(one.parts))
    recent = [name for name in names if _has_offset(name)]
    if recent:
        raise SceneError(
            f"{path}: {recent[0]} is named as {SENTINEL2.title} since 2022-01-25 (processing "
            "baseline 04.00), whose digital numbers have an offset unless somebody removed it, and "
            "nothing here says; state --scale 0.0001 --offset -0.1 as ESA delivers them, or "
            "--offset 0 where it was removed"
        )


def _has_offset(name: str) -> bool:
    """Whether a file or folder is named as Sentinel-2 of a baseline or a day with an offset."""
    if not _SENTINEL2_NAME.search(name):
        return False
    baseline, day = _BASELINE.search(name), _DAY.search(name)
    return bool(
        (baseline and int(baseline[1][:2]) >= OFFSETS_FROM) or (day and day[0] >= OFFSET_SINCE)
    )


def _warn_of_default(path: str, assumed: str, stated: Stated) -> None:
    also = "" if stated.offset is None else f", plus the offset {stated.offset:g} that you state"
    warnings.warn(
        f"{path}: states no scale or offset; {assumed}{also}", GeomaskWarning, stacklevel=2
    )
