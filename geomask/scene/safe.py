"""Sentinel-2 SAFE, level 1C and 2A: the band files of its granule, their numbers by its XML."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace

from geomask.errors import BandError, GeomaskWarning, OptionError, SceneError
from geomask.scene.acquisition import Acquisition
from geomask.scene.assemble import assemble, choose_bands
from geomask.scene.delivery import Delivery
from geomask.scene.nodata import Nodata, nodata_of_product, nodata_of_user
from geomask.scene.radiometry import Radiometry, check_delivered, radiometry_of_user
from geomask.scene.safe_metadata import SafeMetadata, mean_sun, parse
from geomask.scene.scene import Scene
from geomask.scene.stated import Stated
from geomask.scene.stored import Stored, open_band
from geomask.sensors import SENTINEL2

_PRODUCT = re.compile(r"MTD_MSIL(1C|2A)\.xml|S2[A-D]_(OPER|USER)_MTD_SAFL(1C|2A)_.*\.xml")
_GRANULE = re.compile(r"MTD_TL\.xml|S2[A-D]_(OPER|USER)_MTD_L(1C|2A)_TL_.*\.xml")

_BAND = re.compile(r"(?:.*[/_])?(B\d\d|B8A)(?:_(\d\d)m)?(?:\.jp2)?")
"""A band's file. Level 2A has a band at several resolutions, and says which in the name."""

_COMMON = {band.name: band.common for band in SENTINEL2.bands}
_GSD = {band.name: band.gsd for band in SENTINEL2.bands}

Image = tuple[str, float]
"""(band name, pixel size in metres): what a band file is called as."""


def open_safe(delivery: Delivery, stated: Stated) -> Scene | None:
    """Open a SAFE product; None where the delivery is none.

    Raises SceneError where it is incomplete, has several granules, or does not state its
    radiometry; OptionError where `grid` is a resolution that it lacks. Warns of files that it
    lists and that are not there.
    """
    found = delivery.product(_PRODUCT)
    if found is None:
        return None
    product, file = found
    path = delivery.path
    stated.refuse_band_numbers(path)
    metadata = SafeMetadata(product.label(file), parse(product.label(file), product.read(file)))
    granule = _granule(path, product)
    images = _images(path, granule)
    listed = {image for name in metadata.image_files if (image := _image(f"IMG_DATA/{name}"))}
    absent = sorted(listed - set(images))
    _check_grid(path, file, sorted(images), absent, stated.grid)
    bands = choose_bands(path, [_open(granule, *pair) for pair in images.items()], stated.grid)
    _warn_of_absent(path, file, absent, bands)
    return assemble(
        path,
        f"Sentinel-2 {metadata.level} SAFE{' in a zip' if delivery.zipped else ''}",
        bands,
        _radiometry(metadata, bands, stated),
        _nodata(path, file, metadata, bands, stated),
        grid=stated.grid,
        acquisition=_with_sun(metadata.acquisition, granule),
        missing=_missing(file, absent, {band.common for band in bands}),
        files=product.files(product.names),
    )


def _granule(path: str, product: Delivery) -> Delivery:
    """The one granule of the product."""
    names = {name.split("/")[1] for name in product.names if re.match(r"GRANULE/[^/]+/", name)}
    if len(names) > 1:
        raise SceneError(
            f"{path}: has {len(names)} granules ({', '.join(sorted(names))}), and a mask is of "
            "one; give one granule's IMG_DATA folder with --scale and --offset"
        )
    if not names:
        raise SceneError(f"{product.label('GRANULE')}: is not there; download the product again")
    return product.within(f"GRANULE/{names.pop()}")


def _images(path: str, granule: Delivery) -> dict[Image, str]:
    """Names of the granule's band files. Raises SceneError for none, BandError for two of one."""
    images: dict[Image, str] = {}
    for name in granule.names:
        image = _image(name)
        if image is None:
            continue
        if image in images:
            raise BandError(
                f"{path}: {images[image]} and {name} are both {image[0]} at {image[1]:g} m; "
                "remove the one that is not the product's"
            )
        images[image] = name
    if not images:
        raise SceneError(
            f"{granule.label('IMG_DATA')}: holds no band of the product; download it again"
        )
    return images


def _image(name: str) -> Image | None:
    """Which band a file is, and at what pixel size; None for AOT, SCL, TCI and the like."""
    match = _BAND.fullmatch(name) if "IMG_DATA/" in name else None
    if match is None or match[1] not in _GSD:
        return None
    return match[1], float(match[2] or _GSD[match[1]])


def _open(granule: Delivery, image: Image, name: str) -> Stored:
    return open_band(granule.raster(name), _COMMON[image[0]], image[0])


def _check_grid(
    path: str, file: str, there: Sequence[Image], absent: Sequence[Image], grid: float | None
) -> None:
    """Refuse a grid whose own band files are listed and not there."""
    lacking = [band for band, size in absent if size == grid]
    if lacking and all(size != grid for _, size in there):
        sizes = sorted({size for _, size in there})
        raise OptionError(
            f"{path}: none of its {grid:g} m bands is there, though {file} lists "
            f"{', '.join(lacking)}; download the product again, or use --grid "
            f"{' or '.join(f'{size:g}' for size in sizes)}, which is there"
        )


def _missing(file: str, absent: Sequence[Image], there: set[str]) -> dict[str, str]:
    """Bands that are there at no resolution, and what to do about each."""
    return {
        _COMMON[band]: f"{file} lists {band}, but its file is not there; download the product "
        "again, or give its IMG_DATA folder with --scale and --offset to do without it"
        for band, _ in absent
        if _COMMON[band] not in there
    }


def _warn_of_absent(path: str, file: str, absent: Sequence[Image], bands: Sequence[Stored]) -> None:
    if absent:
        stand_ins = "".join(f"; {band.source} is{band.note}" for band in bands if band.note)
        sizes = sorted({size for _, size in absent})
        text = "; ".join(
            f"{', '.join(band for band, own in absent if own == size)} at {size:g} m"
            for size in sizes
        )
        warnings.warn(
            f"{path}: {file} lists band files that are not there: {text}; other resolutions of "
            f"these bands are read where they are there{stand_ins}",
            GeomaskWarning,
            stacklevel=3,
        )


def _radiometry(metadata: SafeMetadata, bands: Sequence[Stored], stated: Stated) -> Radiometry:
    by_user = radiometry_of_user(bands, stated)
    if by_user is not None:
        return by_user
    check_delivered(bands, metadata.name, "16-bit digital numbers that ESA delivers")
    pairs, source = metadata.calibration()
    names = {band.common: band.source for band in bands}
    silent = [name for name in names.values() if name not in pairs]
    if silent:
        raise SceneError(
            f"{metadata.file}: states an offset for some bands and none for "
            f"{', '.join(silent)}; state it with --scale and --offset"
        )
    by_common = {common: pairs[name] for common, name in names.items()}
    return Radiometry(by_common, source).overridden(stated)


def _nodata(
    path: str, file: str, metadata: SafeMetadata, bands: Sequence[Stored], stated: Stated
) -> Nodata:
    """The user's rule, else that of the metadata file, else ESA's convention."""
    of_user = nodata_of_user(path, bands, stated)
    if of_user is not None:
        return of_user
    value, source = metadata.nodata, f"NODATA of {file}"
    if value is None:
        value, source = SENTINEL2.nodata or 0.0, f"convention of {SENTINEL2.title}"
    return nodata_of_product(path, bands, stated, value, f"{value:g}, {source}")


def _with_sun(acquisition: Acquisition, granule: Delivery) -> Acquisition:
    """With the sun over the granule, where its metadata are there and say so."""
    name = next((name for name in granule.names if _GRANULE.fullmatch(name)), None)
    if name is None:
        return acquisition
    label = granule.label(name)
    elevation, azimuth = mean_sun(label, parse(label, granule.read(name)))
    return replace(acquisition, sun_elevation=elevation, sun_azimuth=azimuth)
