"""Which of GDAL's drivers may open a raster, and what a VRT may name.

A raster may come from a stranger, and some of GDAL's formats are no pictures but instructions:
which server to ask, which other file to open, which code to run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from rasterio._path import _parse_path
from rasterio.env import ensure_env_with_credentials
from rasterio.errors import RasterioError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

REACHING = frozenset(
    (
        *("WMS", "WMTS", "WCS", "HTTP", "OGCAPI", "DAAS", "EEDA", "EEDAI", "PLMOSAIC", "NGW"),
        *("STACIT", "STACTA", "GTI", "TILEDB", "KMLSUPEROVERLAY", "MRF"),
    )
)
"""Drivers that never open a scene: a file of a few lines makes them ask a server of its choice,
open files that it lists, or write a cache (GDAL's pages on its raster drivers)."""

PRODUCT_DRIVERS = ("GTiff", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JPEG2000")
"""What a product's band files may be, whatever they are called. Not VRT: one from a stranger names
files of its own."""

VRT = "VRT"

MAX_VRT = 32 * 2**20
"""Bytes of the longest VRT that is read: a mosaic of ten thousand files has about ten million."""

MAX_DEPTH = 8
"""VRTs within VRTs."""

_HEAD = 1024
"""Bytes by which GDAL recognises a file (GDALOpenInfo)."""

_SOURCES = ("SourceFilename", "SourceDataset")
"""Elements of a VRT that name another raster (GDAL, data/gdalvrt.xsd)."""

_CODE = ("PixelFunctionCode", "PixelFunctionLanguage")
"""Elements of a VRT that hold code, or say in which language."""


class VrtError(ValueError):
    """A VRT that is not opened, and why, in one clause."""


@cache
def _registered() -> tuple[str, ...]:
    with rasterio.Env() as env:
        return tuple(sorted(set(env.drivers()) - REACHING))


def drivers_for(path: str) -> tuple[str, ...]:
    """The drivers that may open it: those that read what lies in the file; of a local file, also
    by GDAL's `vrt://`, VRT as well, once it is known what it names. Raises VrtError for a VRT that
    is not to be opened."""
    named = path.removeprefix("vrt://").partition("?")[0] if path.startswith("vrt://") else path
    if not is_local(named):
        return tuple(name for name in _registered() if name != VRT)
    check_vrt(named)
    return _registered()


# As rasterio.open is decorated, which takes one driver only.
@ensure_env_with_credentials  # type: ignore[untyped-decorator]
def open_with(path: str, drivers: Sequence[str]) -> rasterio.DatasetReader:
    """An open raster; no other driver looks at it. Raises RasterioError or CPLE_BaseError."""
    return rasterio.DatasetReader(_parse_path(path), driver=list(drivers), sharing=False)


def is_local(path: str) -> bool:
    """Whether it is a file's path, and no address, GDAL's own file system, or XML."""
    return "://" not in path and not path.startswith(("/vsi", "<"))


def check_vrt(path: str) -> None:
    """Where a local file is a VRT, look through what it names before GDAL opens any of it.

    Files and addresses are left to it: that is what a VRT is for. Raises VrtError for code, for
    sources that are XML or a service, and for a VRT that is elsewhere.
    """
    _levels(path, 0, {})


def _levels(path: str, depth: int, known: dict[str, int]) -> int:
    """How many levels of VRTs a file is, itself included; as `check_vrt`.

    known: of files by where they are, however they are called: each is looked through once.
    """
    place = os.path.realpath(path)
    if place not in known:
        known[place] = _look_through(path, depth, known)
    if depth + known[place] > MAX_DEPTH + 1:
        raise VrtError("is a VRT that is nested too deep")
    return known[place]


def _look_through(path: str, depth: int, known: dict[str, int]) -> int:
    data = _read_vrt(path)
    if data is None:
        return 0
    if depth > MAX_DEPTH or len(data) > MAX_VRT:
        raise VrtError("is a VRT that is too large or nested too deep")
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (DefusedXmlException, ElementTree.ParseError, ValueError, LookupError) as error:
        raise VrtError(f"is a VRT that declares entities or is damaged ({error})") from error
    if any(next(root.iterfind(f".//{tag}"), None) is not None for tag in _CODE):
        raise VrtError("is a VRT with code in it, which is never run")
    sources = dict.fromkeys(_sources(root, Path(path).parent))
    return 1 + max((_check_source(source, depth, known) for source in sources), default=0)


def _read_vrt(path: str) -> bytes | None:
    """The bytes of a file that GDAL would take for a VRT; None for any other."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
            return head + file.read(MAX_VRT) if b"<VRTDataset" in head else None
    except (OSError, ValueError):
        return None  # GDAL says why


def _sources(root: Element, folder: Path) -> Iterator[str]:
    for tag in _SOURCES:
        for element in root.iterfind(f".//{tag}"):
            name = (element.text or "").strip()
            # SourceDataset's attribute, and SourceFilename's, is of the same name.
            relative = element.get("relativeToVRT", element.get("relativetoVRT")) == "1"
            yield str(folder / name) if relative and is_local(name) else name


def _check_source(source: str, depth: int, known: dict[str, int]) -> int:
    """How many levels of VRTs it is."""
    if source.startswith("<"):
        raise VrtError("is a VRT with XML in the place of a source, which is not opened")
    if not is_local(source):
        if source.partition("?")[0].lower().endswith((".vrt", ".xml")):
            raise VrtError(f"is a VRT that names {source}, which may name anything; not opened")
        return 0
    if not Path(source).exists():
        kind = source.partition(":")[0].upper()
        if kind in REACHING or kind == VRT:
            raise VrtError(f"is a VRT that names {source}, a service; not opened")
        return 0
    levels = _levels(source, depth + 1, known)
    try:
        open_with(source, _registered()).close()
    except RasterioError as error:
        raise VrtError(f"is a VRT that names {source}, which is no raster ({error})") from error
    return levels
