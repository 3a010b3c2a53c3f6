"""LISS-4 of Resourcesat-2 and 2A: three band files, and what they mean by BAND_META.txt."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from geomask.errors import SceneError
from geomask.scene.acquisition import Acquisition
from geomask.scene.assemble import assemble, choose_bands
from geomask.scene.delivery import Delivery
from geomask.scene.nodata import nodata_of_product
from geomask.scene.radiometry import Radiometry, check_delivered, radiometry_of_user
from geomask.scene.scene import Scene
from geomask.scene.stated import Stated
from geomask.scene.stored import Stored, open_band
from geomask.scene.sun import earth_sun_distance, sine_of_elevation
from geomask.sensors import LISS4

_META = re.compile(r"BAND_META\.txt", re.IGNORECASE)
_SENSOR = re.compile(r"(LISS[-_ ]?(4|IV)|L4).*", re.IGNORECASE)
"""How a file states LISS-4: L4FX, its full-swath mode, and the like."""

_DAY = re.compile(r"([0-9]{1,2})-([A-Z]{3})-([0-9]{4})", re.IGNORECASE)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_COMMON = {band.name: band.common for band in LISS4.bands}

BITS = 10
"""Bits of a digital number, so that radiance = DN * Lmax / 1024 (Lmin is not used): the report of
the point samples' authors, NRCC251168; NRSC."""

ESUN: Mapping[str, Mapping[str, float]] = {
    "IRS-R2": {"BAND2": 185.33, "BAND3": 157.766, "BAND4": 111.359},
    "IRS-R2A": {"BAND2": 185.347, "BAND3": 158.262, "BAND4": 110.81},
}
"""The sun's irradiance in each band at one astronomical unit, by SatID, mW cm-2 um-1: point
samples' authors, NRCC251168; NRSC. They do not state the unit; it is the product's usual one."""

PLATFORMS = {"IRS-R2": "Resourcesat-2", "IRS-R2A": "Resourcesat-2A"}

BRIGHTEST = (0.1, 5.0)
"""Reflectances under an overhead sun that Lmax may mean. It means about 0.9 in each band; ten times
as much or as little is a radiance in W m-2 sr-1 um-1, or another unit."""

_SUN = "SunElevationAtCenter"
_AZIMUTHS = ("SunAzimuthAtCenter", "SunAziumthAtCenter")
"""The second is how many products spell it."""


@dataclass(frozen=True)
class BandMeta:
    """A BAND_META.txt, parsed.

    file: what to call it in messages. values: by key in lower case, all the different values
    that its lines give, as they stand there.
    """

    file: str
    values: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.file.replace("\\", "/").rpartition("/")[2]

    def known(self, key: str) -> str | None:
        """What it says of the acquisition under a key; None where it says nothing, or two
        things."""
        values = self.values.get(key.lower(), ())
        return values[0] if len(values) == 1 and values[0].isprintable() else None

    def given(self, key: str) -> str | None:
        """The value of a key that decides; None where there is none. Raises SceneError where two
        lines contradict each other."""
        values = self.values.get(key.lower(), ())
        if len(values) > 1:
            raise self.unclear(f"gives {key} as {values[0]!r} and as {values[1]!r}")
        return values[0] if values else None

    def text(self, key: str) -> str:
        """The same, and SceneError where there is none."""
        value = self.given(key)
        if value is None:
            raise self.unclear(f"gives no {key}")
        return value

    def number(self, key: str) -> float:
        """The same as a finite number."""
        text = self.text(key)
        number = _finite(text)
        if number is None:
            raise self.unclear(f"gives {key} as {text!r}, which is no number")
        return number

    def unclear(self, found: str) -> SceneError:
        """The error that what was found leaves the meaning of digital numbers open."""
        return SceneError(
            f"{self.file}: {found}, so what its digital numbers mean is not certain; state it "
            "with --scale and --offset (reflectance = DN * scale + offset)"
        )


def open_liss4(delivery: Delivery, stated: Stated) -> Scene | None:
    """Open a LISS-4 product; None where the delivery is none.

    Raises SceneError where it is of another sensor, has no band file, or does not say what its
    numbers mean; BandError where two files are one band.
    """
    found = delivery.product(_META)
    if found is None:
        return None
    product, file = found
    path = delivery.path
    stated.refuse_band_numbers(path)
    meta = parse(product.label(file), product.read(file))
    _check_sensor(meta)
    files = {
        name: band
        for band in _COMMON
        for name in product.names
        if re.fullmatch(rf"{band}\.tiff?", name, re.IGNORECASE)
    }
    candidates = [
        open_band(product.raster(name), _COMMON[band], band) for name, band in files.items()
    ]
    if not candidates:
        raise SceneError(
            f"{meta.file}: none of {', '.join(f'{name}.tif' for name in _COMMON)} lies beside it; "
            "download the product again"
        )
    bands = choose_bands(path, candidates, stated.grid)
    there = {band.common for band in bands}
    return assemble(
        path,
        f"LISS-4 product{' in a zip' if delivery.zipped else ''}",
        bands,
        _radiometry(meta, bands, stated),
        nodata_of_product(path, bands, stated, 0.0, "0, fill of LISS-4 products"),
        grid=stated.grid,
        acquisition=_acquisition(meta),
        missing={
            common: f"{name}.tif does not lie beside {file}; download the product again"
            for name, common in _COMMON.items()
            if common not in there
        },
        files=product.files((file, *files)),
    )


def parse(file: str, data: bytes) -> BandMeta:
    """A BAND_META.txt; lines that give no value are left out. Raises SceneError for no text."""
    if b"\0" in data:
        raise SceneError(f"{file}: is not a text file; download the product again")
    values: dict[str, dict[str, None]] = {}  # in their order, each once
    # Latin-1 has a character for every byte, and all that is read of the file is ASCII.
    for line in re.split(r"[\r\n]+", data.removeprefix(codecs.BOM_UTF8).decode("latin-1")):
        key, _, value = (part.strip().strip('"').strip() for part in line.partition("="))
        if value not in ("", "-NA-"):
            values.setdefault(key.lower(), {})[value] = None
    return BandMeta(file, {key: tuple(its) for key, its in values.items()})


def _check_sensor(meta: BandMeta) -> None:
    """Refuse LISS-3 and AWiFS, whose products look the same and have a fourth band."""
    sensors = meta.values.get("sensor", ())
    others = [sensor for sensor in sensors if not _SENSOR.fullmatch(sensor)]
    if others:
        found = f"states the sensor {others[0]}"
    elif not sensors and "b5_lmax" in meta.values:
        found = "gives a B5_Lmax, as those of LISS-3 and AWiFS do"
    else:
        return
    raise SceneError(
        f"{meta.file}: {found}, and geomask reads this format of LISS-4 only; stack the bands in "
        "one raster and name them with --bands, --scale and --offset"
    )


def _radiometry(meta: BandMeta, bands: Sequence[Stored], stated: Stated) -> Radiometry:
    """reflectance = pi * L * d² / (ESUN * sin(sun elevation)), where L = DN * Lmax / 1024."""
    by_user = radiometry_of_user(bands, stated)
    if by_user is not None:
        return by_user
    _check_numbers(meta, bands)
    satellite = _satellite(meta)
    day = _day(meta)
    elevation = meta.number(_SUN)
    try:
        sine = sine_of_elevation(elevation)
    except ValueError as error:
        raise meta.unclear(f"gives {_SUN}, but {error}") from error
    distance = earth_sun_distance(day)
    pairs = {
        band.common: (_brightest(meta, satellite, band.source) * distance**2 / sine / 2**BITS, 0.0)
        for band in bands
    }
    source = (
        f"{meta.name}: Lmax by band, {_SUN} {elevation:g}, ESUN of {PLATFORMS[satellite]}, "
        f"Earth-Sun distance {distance:.4f} AU of {day} (Astronomical Almanac)"
    )
    return Radiometry(pairs, source).overridden(stated)


def _check_numbers(meta: BandMeta, bands: Sequence[Stored]) -> None:
    """Refuse band files that do not hold the digital numbers that were delivered."""
    bits = meta.given("BitsPerPixel")
    if bits is not None and _finite(bits) != BITS:
        raise meta.unclear(f"gives BitsPerPixel as {bits!r}, and LISS-4 data have {BITS}")
    check_delivered(bands, meta.name, f"{BITS}-bit digital numbers that NRSC delivers")


def _satellite(meta: BandMeta) -> str:
    satellite = meta.text("SatID")
    if satellite.upper() not in ESUN:
        raise meta.unclear(f"gives SatID as {satellite!r}, and geomask knows {', '.join(ESUN)}")
    return satellite.upper()


def _day(meta: BandMeta) -> date:
    text = meta.text("DateOfPass")
    day = _as_day(text)
    if day is None:
        raise meta.unclear(f"gives DateOfPass as {text!r}, which is no day such as 04-MAR-2023")
    return day


def _as_day(text: str | None) -> date | None:
    # Not strptime, whose month names are those of the user's language.
    match = _DAY.fullmatch(text or "")
    if match is None or match[2].upper() not in _MONTHS:
        return None
    try:
        return date(int(match[3]), _MONTHS.index(match[2].upper()) + 1, int(match[1]))
    except ValueError:
        return None


def _brightest(meta: BandMeta, satellite: str, band: str) -> float:
    """The reflectance that Lmax means under an overhead sun at one astronomical unit."""
    prefix = band.replace("BAND", "B")
    if meta.given(f"{prefix}_Lmin") is not None and meta.number(f"{prefix}_Lmin") != 0:
        raise meta.unclear(
            f"gives {prefix}_Lmin as {meta.number(f'{prefix}_Lmin'):g}, and geomask knows the "
            "formula for 0 only"
        )
    key = f"{prefix}_Lmax"
    lmax = meta.number(key)
    reflectance = math.pi * lmax / ESUN[satellite][band]
    low, high = BRIGHTEST
    if not low <= reflectance <= high:
        raise meta.unclear(
            f"gives {key} as {lmax:g}, which is no saturation radiance in mW cm-2 sr-1 um-1"
        )
    return reflectance


def _acquisition(meta: BandMeta) -> Acquisition:
    """What the file says of it; what cannot be read is left out, since no number rests on it."""
    satellite = meta.known("SatID")
    day = _as_day(meta.known("DateOfPass"))
    elevation = _finite(meta.known(_SUN))
    azimuths = [_finite(meta.known(key)) for key in _AZIMUTHS]
    return Acquisition(
        platform=satellite and PLATFORMS.get(satellite.upper(), satellite),
        product=meta.known("OTSProductID"),
        time=None if day is None else day.isoformat(),
        sun_elevation=elevation if elevation is not None and abs(elevation) <= 90 else None,
        sun_azimuth=next((angle for angle in azimuths if angle is not None), None),
    )


def _finite(text: str | None) -> float | None:
    """A finite number, None for anything else."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
