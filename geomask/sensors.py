"""Instruments as data: their bands by common name.

Common names are STAC's (the EO extension, version 2). Wavelengths (nm) and ground sampling
distances (m) are from the Sentinel-2 MSI user guide (ESA), the Landsat 8 data users handbook
(USGS) and the Resourcesat-2 data users' handbook (NRSC).
"""

from __future__ import annotations

from dataclasses import dataclass

from geomask.errors import OptionError

INTEGER_SCALE = 1e-4
"""Reflectance per DN of 16-bit and wider integers where nothing states it: the convention of
Sentinel-2 and of most analysis-ready data. Whoever applies it says so."""

OFFSET_SINCE = "20220125"
"""The day (YYYYMMDD) from which Sentinel-2 products carry a radiometric offset: processing
baseline 04.00 (ESA, Sentinel-2 Products Specification Document, issue 14.9)."""

OFFSETS_FROM = 4
"""The major processing baseline from which they do."""

LATEST_BASELINE = 5
"""The newest major processing baseline of Sentinel-2 whose metadata this was written for."""

ESA_OFFSET = -0.1
"""That offset as ESA delivers it, of reflectance, in every band (BOA_ADD_OFFSET and
RADIO_ADD_OFFSET are -1000)."""


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

COMMON_NAMES = frozenset(band.common for sensor in SENSORS.values() for band in sensor.bands)


def find_sensor(name: str) -> Sensor:
    """The sensor of that name; OptionError, naming those there are, for an unknown one."""
    if name not in SENSORS:
        raise OptionError(f"unknown sensor {name!r}; there are: {', '.join(SENSORS)}")
    return SENSORS[name]
