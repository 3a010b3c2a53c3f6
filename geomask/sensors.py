"""Instruments as data: their bands by common name, and what products call those bands.

Common names are STAC's (the EO extension, version 2). Wavelengths (nm) and ground sampling
distances (m) are from the Sentinel-2 MSI user guide (ESA), the Landsat 8 data users handbook
(USGS) and the Resourcesat-2 data users' handbook (NRSC).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from geomask.errors import OptionError

INTEGER_SCALE = 1e-4
"""Reflectance per DN of 16-bit and wider integers where nothing states it: the convention of
Sentinel-2 and of most analysis-ready data. Whoever applies it says so."""


@dataclass(frozen=True)
class Band:
    """One band of a sensor. name: the product's own; common: STAC's; wavelength nm; gsd m."""

    name: str
    common: str
    wavelength: int
    gsd: float


@dataclass(frozen=True)
class Sensor:
    """An instrument. scale: reflectance per DN where no file says otherwise, None if no such
    convention exists; nodata: the DN of pixels that were not measured, by convention."""

    name: str
    title: str
    bands: tuple[Band, ...]
    scale: float | None = None
    nodata: float | None = None


SENTINEL2 = Sensor(
    "sentinel2",
    "Sentinel-2 MSI",
    (
        Band("B01", "coastal", 443, 60),
        Band("B02", "blue", 490, 10),
        Band("B03", "green", 560, 10),
        Band("B04", "red", 665, 10),
        Band("B05", "rededge071", 705, 20),
        Band("B06", "rededge075", 740, 20),
        Band("B07", "rededge078", 783, 20),
        Band("B08", "nir", 842, 10),
        Band("B8A", "nir08", 865, 20),
        Band("B09", "nir09", 945, 60),
        Band("B10", "cirrus", 1375, 60),
        Band("B11", "swir16", 1610, 20),
        Band("B12", "swir22", 2190, 20),
    ),
    scale=INTEGER_SCALE,
    nodata=0,
)

LISS4 = Sensor(
    "liss4",
    "Resourcesat-2/2A LISS-4",
    (
        Band("BAND2", "green", 555, 5.8),
        Band("BAND3", "red", 650, 5.8),
        Band("BAND4", "nir", 815, 5.8),
    ),
    nodata=0,
)

LANDSAT = Sensor(
    "landsat",
    "Landsat 8/9 OLI",
    (
        Band("B1", "coastal", 443, 30),
        Band("B2", "blue", 482, 30),
        Band("B3", "green", 561, 30),
        Band("B4", "red", 655, 30),
        Band("B5", "nir", 865, 30),
        Band("B6", "swir16", 1609, 30),
        Band("B7", "swir22", 2201, 30),
        Band("B8", "pan", 590, 15),
        Band("B9", "cirrus", 1373, 30),
        Band("B10", "lwir11", 10895, 100),
        Band("B11", "lwir12", 12005, 100),
    ),
    nodata=0,
)

SENSORS = {sensor.name: sensor for sensor in (SENTINEL2, LISS4, LANDSAT)}

_WORDS = {
    "rededge1": "rededge071",
    "rededge2": "rededge075",
    "rededge3": "rededge078",
    "nir": "nir",
    "nearinfrared": "nir",
    "infrared": "nir",
    "nirnarrow": "nir08",
    "narrownir": "nir08",
    "nir2": "nir08",
    "swir1": "swir16",
    "swir2": "swir22",
}
"""Names people use that are neither a common name nor a product's own."""

COMMON_NAMES = frozenset(band.common for sensor in SENSORS.values() for band in sensor.bands)


def find_sensor(name: str) -> Sensor:
    """The sensor of that name; OptionError, naming those there are, for an unknown one."""
    if name not in SENSORS:
        raise OptionError(f"unknown sensor {name!r}; there are: {', '.join(SENSORS)}")
    return SENSORS[name]


def common_names(
    descriptions: Sequence[str | None], sensor: str | None = None
) -> tuple[str | None, ...]:
    """The common name of each described band, None where its description does not tell.

    A common name, or a word for one, means itself. A product's own name means what the given
    sensor calls by it or, without one, what every sensor that knows all the product names in
    `descriptions` agrees on: B2 is blue, B8A or B12 make B8 nir, but B8 beside B2, B3 and B4
    alone stays None, since it is nir on Sentinel-2 and panchromatic on Landsat. "Band 2" is what
    programs call a second band of anything, so it means something only with a sensor.
    """
    keys = [_key(text or "") for text in descriptions]
    candidates = [find_sensor(sensor)] if sensor else [SENTINEL2, LANDSAT]
    tables = [_product_names(item, numbered=sensor is not None) for item in candidates]
    known = {key for key in keys if any(key in table for table in tables)}
    tables = [table for table in tables if known <= table.keys()]
    return tuple(_common(key, tables) for key in keys)


def _common(key: str, tables: Sequence[dict[str, str]]) -> str | None:
    if key in COMMON_NAMES:
        return key
    if key in _WORDS:
        return _WORDS[key]
    meanings = {table[key] for table in tables if key in table}
    return meanings.pop() if len(meanings) == 1 else None


def _key(text: str) -> str:
    """A description without case, spaces and punctuation: "SR_B4" and "sr b4" are one name.

    Of a longer text, such as "B4 (red)" or "T31UFS_20190411_B04", the last word that is a
    band's name counts.
    """
    whole = re.sub(r"[^a-z0-9]", "", text.lower())
    if whole in COMMON_NAMES or whole in _WORDS or _is_product_name(whole):
        return whole
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
    names = [w for w in words if w in COMMON_NAMES or w in _WORDS or _is_product_name(w)]
    return names[-1] if names else whole


def _is_product_name(key: str) -> bool:
    return re.fullmatch(r"(srb|band|b)(\d{1,2}|8a)", key) is not None


def _product_names(sensor: Sensor, *, numbered: bool) -> dict[str, str]:
    """Every spelling of a sensor's own band names, to common names; numbered: also "Band 2"."""
    names = {}
    for band in sensor.bands:
        digits = band.name.lower().removeprefix("band").removeprefix("b")
        short = digits.lstrip("0")
        spellings = [f"b{digits}", f"b{short}"]
        if sensor is LANDSAT:
            spellings.append(f"srb{short}")  # Landsat Collection 2, level 2
        if numbered:
            spellings += [f"band{digits}", f"band{short}"]
        names.update(dict.fromkeys(spellings, band.common))
    return names
