"""A folder, or a zip, of band files: one file for each band, named by it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from geomask.band_names import common_names, split_file_name
from geomask.errors import BandError
from geomask.scene.assemble import assemble, choose_bands
from geomask.scene.delivery import Delivery
from geomask.scene.nodata import find_nodata
from geomask.scene.radiometry import find_radiometry
from geomask.scene.scene import Scene
from geomask.scene.stated import Stated
from geomask.scene.stored import open_band
from geomask.sensors import LANDSAT, SENTINEL2, Sensor

_RASTER = re.compile(r"(R\d\dm/)?[^/]+\.(jp2|tiff?)", re.IGNORECASE)
"""Files that may be bands; R10m and the like are the folders of a SAFE's IMG_DATA."""

_SENTINEL2_FILE = re.compile(r"(?<![^_])(T\d\d[C-X][A-Z]{2}_\d{8}|S2[A-D]?(?![^_]))", re.IGNORECASE)
_LANDSAT_FILE = re.compile(r"LC0[89]_", re.IGNORECASE)


def open_folder(delivery: Delivery, stated: Stated) -> Scene:
    """Open a folder of band files; the last to be asked, so it says what was looked for.

    Raises BandError where no file, or files of several scenes, are named as bands, and what
    `find_radiometry` raises. Warns of what had to be assumed.
    """
    path = delivery.path
    stated.refuse_band_numbers(path)
    if delivery.zipped:
        delivery = delivery.within(_packed(delivery.names))
    names = [name for name in delivery.names if _RASTER.fullmatch(name)]
    sensor = stated.known_sensor or _sensor_of(names)
    bands = _named_bands(path, names, sensor)
    candidates = [
        open_band(delivery.raster(name), common, source) for name, (common, source) in bands.items()
    ]
    chosen = choose_bands(path, candidates, stated.grid)
    return assemble(
        path,
        f"{'zip' if delivery.zipped else 'folder'} of band files",
        chosen,
        find_radiometry(path, chosen, stated, sensor),
        find_nodata(path, chosen, stated, sensor),
        grid=stated.grid,
        files=delivery.files(tuple(bands)),
    )


def names_one_scene(names: Sequence[str]) -> bool:
    """Whether two files or more, relative to their folder, are named as bands of one scene, and
    none as another's."""
    rasters = [name for name in names if _RASTER.fullmatch(name)]
    try:
        return len(_named_bands("", rasters, _sensor_of(rasters))) > 1
    except BandError:
        return False


def _packed(names: Sequence[str]) -> str:
    """The folder that a zip's files were packed with, "" for none."""
    folders = [posixpath.dirname(name) for name in names]
    return posixpath.commonpath(folders) if folders else ""


def _named_bands(path: str, names: list[str], sensor: Sensor | None) -> dict[str, tuple[str, str]]:
    """(common name, its own name) of each file that is named as a band."""
    parts = [split_file_name(PurePosixPath(name).name) for name in names]
    commons = common_names([band for _, band in parts], None if sensor is None else sensor.name)
    found = {
        name: (rest, common, band)
        for name, (rest, band), common in zip(names, parts, commons, strict=True)
        if common is not None
    }
    if not found:
        others = ", ".join(PurePosixPath(name).name for name in names[:4])
        raise BandError(
            f"{path}: is no product that geomask knows (Sentinel-2 SAFE, LISS-4 with "
            "BAND_META.txt, Landsat with its MTL file), and no file in it is named as a band, "
            f"as in x_B04.jp2 or x_red.tif (there is {others or 'no raster'}); give a raster "
            "file, or --sensor where names mean something with one only"
        )
    scenes = sorted({rest for rest, _, _ in found.values()})
    if len(scenes) > 1:
        some = ", ".join(repr(rest) for rest in scenes[:4]) + (" …" if len(scenes) > 4 else "")
        raise BandError(
            f"{path}: holds bands of several scenes, named {some}; give a folder with one"
        )
    return {name: (common, band) for name, (_, common, band) in found.items()}


def _sensor_of(names: list[str]) -> Sensor | None:
    """Whose band files they are, where all their names say the same."""
    stems = [PurePosixPath(name).stem for name in names]
    for sensor, pattern in ((SENTINEL2, _SENTINEL2_FILE), (LANDSAT, _LANDSAT_FILE)):
        if stems and all(pattern.search(stem) for stem in stems):
            return sensor
    return None
