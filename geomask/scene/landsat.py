"""Landsat 8 and 9, collection 2, levels 1 and 2: band files, and what they mean by MTL.txt."""

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
from geomask.scene.sun import sine_of_elevation
from geomask.sensors import LANDSAT, Band

_MTL = re.compile(r".*_MTL\.txt", re.IGNORECASE)
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")

ROOT = "LANDSAT_METADATA_FILE"
"""The group around all others in collection 2; in collection 1 it was L1_METADATA_FILE."""

CONTENTS, IMAGE = "PRODUCT_CONTENTS", "IMAGE_ATTRIBUTES"

BRIGHTEST = 10.0
"""Reflectance, before division by the sun, that the largest DN may mean: it means 1.2 at level 1
and 1.6 at level 2."""

PLATFORMS = {"LANDSAT_8": "Landsat 8", "LANDSAT_9": "Landsat 9"}


@dataclass(frozen=True)
class Level:
    """What a level of processing means.

    group: where its rescaling stands; a level 2 file has that of the level 1 it was made from
    as well. bands: the last reflective band. sun: whether reflectance is still to be divided by
    the sine of the sun's elevation.
    """

    group: str
    bands: int
    sun: bool


TOA = Level("LEVEL1_RADIOMETRIC_RESCALING", 9, True)
SURFACE = Level("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", 7, False)

LEVELS = {"L1TP": TOA, "L1GT": TOA, "L1GS": TOA, "L2SP": SURFACE, "L2SR": SURFACE}
"""By PROCESSING_LEVEL. This and all keys: Landsat 8-9 data format control books, collection 2,
level 1 (USGS, LSDS-1822) and level 2 (USGS, LSDS-1328)."""


@dataclass(frozen=True)
class Mtl:
    """An MTL.txt, parsed. file: what to call it in messages. groups: values by key, by group."""

    file: str
    groups: Mapping[str, Mapping[str, str]]

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.file.replace("\\", "/").rpartition("/")[2]

    def known(self, group: str, key: str) -> str | None:
        """What it says under a key of a group, None where it says nothing."""
        value = self.groups.get(group, {}).get(key, "")
        return value if value and value.isprintable() else None

    def text(self, group: str, key: str) -> str:
        """The same; SceneError where it says nothing."""
        value = self.known(group, key)
        if value is None:
            raise SceneError(f"{self.file}: gives no {key} in {group}; download the product again")
        return value

    def number(self, group: str, key: str) -> float:
        """A finite number that calibration needs. Raises SceneError where there is none."""
        value = self.known(group, key)
        number = _finite(value)
        if number is None:
            found = "no" if value is None else f"{value!r} and no number as"
            raise self.unclear(f"gives {found} {key} in {group}")
        return number

    def unclear(self, found: str) -> SceneError:
        """The error that what was found leaves the meaning of digital numbers open."""
        return SceneError(
            f"{self.file}: {found}, so what its digital numbers mean is not certain; state it "
            "with --scale and --offset (reflectance = DN * scale + offset)"
        )


def open_landsat(delivery: Delivery, stated: Stated) -> Scene | None:
    """Open a Landsat product; None where the delivery is none.

    Raises SceneError where it is of another satellite, collection or level, has no band file, or
    does not say what its numbers mean.
    """
    found = delivery.product(_MTL)
    if found is None:
        return None
    product, file = found
    path = delivery.path
    stated.refuse_band_numbers(path)
    mtl = parse(product.label(file), product.read(file))
    satellite, processing = _check_known(mtl)
    files, missing = _files(mtl, LEVELS[processing], product)
    bands = choose_bands(
        path,
        [open_band(product.raster(files[band]), band.common, band.name) for band in files],
        stated.grid,
    )
    return assemble(
        path,
        f"{satellite} {processing}{' in a zip' if delivery.zipped else ''}",
        bands,
        _radiometry(mtl, LEVELS[processing], bands, stated),
        nodata_of_product(path, bands, stated, 0.0, "0, fill of Landsat collection 2"),
        grid=stated.grid,
        acquisition=_acquisition(mtl, satellite, processing),
        missing=missing,
        files=product.files((file, *files.values())),
    )


def parse(file: str, data: bytes) -> Mtl:
    """An MTL.txt: `KEY = VALUE` within `GROUP = NAME` and `END_GROUP = NAME`, as far as `END`.

    Raises SceneError where groups do not close as they open, so that no value is read as one of
    another group, where a key has two values, and for collection 1.
    """
    groups: dict[str, dict[str, str]] = {}
    names: list[str] = []
    for line in re.split(r"[\r\n]+", data.removeprefix(codecs.BOM_UTF8).decode("latin-1")):
        key, _, value = (part.strip().strip('"').strip() for part in line.partition("="))
        if key == "END":
            break
        if key == "GROUP":
            names.append(value)
            _check_root(file, names[0])
        elif key == "END_GROUP":
            if not names or names.pop() != value:
                raise _damaged(file, f"ends the group {value} where it is not open")
        elif names and value and groups.setdefault(names[-1], {}).setdefault(key, value) != value:
            raise _damaged(file, f"gives {key} of {names[-1]} two values")
    if names or not groups:
        raise _damaged(file, f"does not end its group {names[-1]}" if names else "has no group")
    return Mtl(file, groups)


def _check_root(file: str, name: str) -> None:
    if name == "L1_METADATA_FILE":
        raise _other(file, "Landsat collection 1", "collection 2")
    if name != ROOT:
        raise _damaged(file, f"opens with the group {name} and not with {ROOT}")


def _other(file: str, found: str, known: str) -> SceneError:
    return SceneError(
        f"{file}: is of {found}, and geomask reads {known}; stack its bands in one raster, name "
        "them with --bands, and state what its numbers mean with --scale and --offset"
    )


def _damaged(file: str, found: str) -> SceneError:
    return SceneError(f"{file}: {found}, as no MTL file of Landsat does; download it again")


def _check_known(mtl: Mtl) -> tuple[str, str]:
    """(satellite, processing level); SceneError where one, or the collection, is not read."""
    collection = mtl.text(CONTENTS, "COLLECTION_NUMBER")
    satellite = mtl.text(IMAGE, "SPACECRAFT_ID")
    processing = mtl.text(CONTENTS, "PROCESSING_LEVEL")
    if collection not in ("02", "2"):
        raise _other(mtl.file, f"Landsat collection {collection}", "collection 2")
    if satellite not in PLATFORMS:
        known = f"{' and '.join(PLATFORMS.values())}, whose bands others number differently"
        raise _other(mtl.file, satellite, known)
    if processing not in LEVELS:
        raise _other(mtl.file, f"processing level {processing}", ", ".join(LEVELS))
    return PLATFORMS[satellite], processing


def _files(mtl: Mtl, level: Level, product: Delivery) -> tuple[dict[Band, str], dict[str, str]]:
    """The file of each reflective band; and of those without one, what to say.

    Raises SceneError where no file is there, one stands for two bands, or a name is a path.
    """
    files: dict[Band, str] = {}
    missing: dict[str, str] = {}
    for band in LANDSAT.bands[: level.bands]:
        key = f"FILE_NAME_BAND_{band.name.removeprefix('B')}"
        listed = mtl.known(CONTENTS, key)
        name = None if listed is None else _find(mtl, key, listed, product.names)
        if name in files.values():
            raise _damaged(mtl.file, f"lists {name} for two bands")
        if name is not None:
            files[band] = name
        else:
            found = f"gives no {key}" if listed is None else f"lists {listed}, which is not there"
            missing[band.common] = f"{mtl.name} {found}; download the product again"
    if not files:
        raise SceneError(
            f"{mtl.file}: none of the reflective bands that it lists is there; download the "
            "product again"
        )
    return files, missing


def _find(mtl: Mtl, key: str, listed: str, names: Sequence[str]) -> str | None:
    """The file beside the MTL file that it lists, in any letter case; None where it is absent."""
    if "/" in listed or "\\" in listed:
        raise _damaged(mtl.file, f"gives {key} as {listed!r}, which leads elsewhere")
    if listed in names:
        return listed
    return next((name for name in names if name.lower() == listed.lower()), None)


def _radiometry(mtl: Mtl, level: Level, bands: Sequence[Stored], stated: Stated) -> Radiometry:
    """reflectance = DN * MULT + ADD; at level 1 that divided by the sine of the sun's elevation
    in the middle of the scene (USGS, Landsat 8-9 data users handbook)."""
    by_user = radiometry_of_user(bands, stated)
    if by_user is not None:
        return by_user
    check_delivered(bands, mtl.name, "16-bit digital numbers that USGS delivers")
    sine, sun = 1.0, ""
    if level.sun:
        elevation = mtl.number(IMAGE, "SUN_ELEVATION")
        try:
            sine = sine_of_elevation(elevation)
        except ValueError as error:
            raise mtl.unclear(f"gives SUN_ELEVATION, but {error}") from error
        sun = f", divided by the sine of SUN_ELEVATION {elevation:g}"
    pairs = {}
    for band in bands:
        number = band.source.removeprefix("B")
        scale = mtl.number(level.group, f"REFLECTANCE_MULT_BAND_{number}")
        offset = mtl.number(level.group, f"REFLECTANCE_ADD_BAND_{number}")
        if scale <= 0 or not 0 < scale * 65535 + offset <= BRIGHTEST:
            raise mtl.unclear(f"gives MULT {scale:g} and ADD {offset:g} of band {number}")
        pairs[band.common] = scale / sine, offset / sine
    source = f"{mtl.name}: REFLECTANCE_MULT and REFLECTANCE_ADD by band of {level.group}{sun}"
    return Radiometry(pairs, source).overridden(stated)


def _acquisition(mtl: Mtl, satellite: str, processing: str) -> Acquisition:
    """What the file says of it; what cannot be read is left out, since no number rests on it."""
    elevation = _finite(mtl.known(IMAGE, "SUN_ELEVATION"))
    azimuth = _finite(mtl.known(IMAGE, "SUN_AZIMUTH"))
    return Acquisition(
        platform=satellite,
        level=processing,
        product=mtl.known(CONTENTS, "LANDSAT_PRODUCT_ID"),
        time=_moment(mtl),
        sun_elevation=elevation if elevation is not None and abs(elevation) <= 90 else None,
        # West of north is negative here.
        sun_azimuth=None if azimuth is None else azimuth % 360,
    )


def _moment(mtl: Mtl) -> str | None:
    time = mtl.known(IMAGE, "SCENE_CENTER_TIME") or ""
    try:
        day = str(date.fromisoformat(mtl.known(IMAGE, "DATE_ACQUIRED") or ""))
    except ValueError:
        return None
    return f"{day}T{time}" if _TIME.fullmatch(time) else day


def _finite(text: str | None) -> float | None:
    """A finite number, None for anything else."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
