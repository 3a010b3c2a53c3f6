"""What a sample of CloudSEN12+ is: its bands, its labels, and what its row of metadata says.

The set: Aybar et al. 2024, "CloudSEN12+", Data in Brief 56, 110852; its card, version 1.1.2, at
huggingface.co/datasets/tacofoundation/cloudsen12.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from geomask.band_names import common_names
from geomask.errors import OptionError, RecipeError
from geomask.raster import GDAL_ERRORS, root_cause
from geomask.sensors import INTEGER_SCALE, SENTINEL2
from geomask.training.chips import CHIP_LABELS, IGNORE
from geomask.training.taco import Content, Sample, SampleError

LEVELS = ("l1c", "l2a")

SCALE = INTEGER_SCALE
OFFSET = 0.0
"""Reflectance = DN x SCALE + OFFSET. The images were taken from Google Earth Engine's harmonised
collections (COPERNICUS/S2_HARMONIZED; Aybar et al. 2024, specifications table), in which the
offset of processing baseline 04.00 is undone; and they date from before it (2018 to 2020)."""

NODATA = 0
"""DN of a pixel that was not measured, and of the padding from 509 to 512 and from 2000 to 2048
pixels. The card says at which sides that is, other readers say at others; zeros are zeros."""

GSD = 10.0
"""Metres; all bands were brought to this."""

LICENCE = "CC0-1.0"
ATTRIBUTION = (
    "CloudSEN12+, Aybar et al. 2024, Data in Brief 56, 110852; contains modified Copernicus "
    "Sentinel data"
)

SOURCE_COLUMN, LICENCE_COLUMN = "geomask:source", "geomask:licence"
"""Columns of the sets that geomask writes."""

_BANDS = {
    "l1c": tuple(band.common for band in SENTINEL2.bands),
    "l2a": tuple(band.common for band in SENTINEL2.bands if band.common != "cirrus"),
}
"""Bands in their order (card). At level 2A two more follow that are no reflectance."""

_HIGH = {0: "clear", 1: "thick_cloud", 2: "thin_cloud", 3: "shadow"}
_SCRIBBLE = {
    0: "clear", 1: "thick_cloud", 2: "thick_cloud", 3: "thin_cloud", 4: "thin_cloud",
    5: "shadow", 6: "shadow",
}  # fmt: skip
_CODES = {"high": _HIGH, "scribble": _SCRIBBLE}
"""Labels on disk. Scribbles tell a class's border (odd) from its centre (even), so that 2 is
thick cloud there and thin cloud elsewhere (README of huggingface.co/datasets/
isp-uv-es/CloudSEN12Plus, "Labels")."""

_UNLABELLED = (99, 255)
"""Labels of pixels that nobody labelled."""

_COLUMNS = {
    "split": ("tortilla:data_split", "split"),
    "place": ("roi_id",),
    "size": ("real_proj_shape",),
    "label_type": ("label_type",),
    "country": ("rai:admin0", "geoenrich:admin_countries", "admin:countries"),
    "centroid": ("stac:centroid",),
    "time": ("stac:time_start",),
    "s2_id": ("s2_id",),
    "clear": ("clear_percentage",),
    "thick_cloud": ("thick_percentage",),
    "thin_cloud": ("thin_percentage",),
    "shadow": ("cloud_shadow_percentage",),
}
"""What a fact is called in the set; a second name is what the second generation calls it."""


@dataclass(frozen=True)
class Patch:
    """A sample decoded. image: DN, uint16 (bands, height, width); labels: chip codes, uint8
    (height, width), IGNORE where nobody labelled or a band has no measurement. place: of which
    the set may have several dates."""

    image: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.uint8]
    bands: tuple[str, ...]
    crs: CRS | None
    transform: Affine
    place: str


def fact(sample: Sample, name: str) -> Any:
    """What a sample's row says; None where it says nothing.

    Raises RecipeError where its set has no such column.
    """
    for column in _COLUMNS[name]:
        if column in sample.row:
            value = sample.row[column]
            return None if isinstance(value, float) and math.isnan(value) else value
    raise RecipeError(
        f"{sample.source}: has no column {' or '.join(_COLUMNS[name])}, which tells the "
        f"{name.replace('_', ' ')}; found: {', '.join(map(str, sample.row))}"
    )


def text(sample: Sample, name: str) -> str:
    """`fact` as text, "" where there is none."""
    try:
        value = fact(sample, name)
    except RecipeError:
        return ""
    return "" if value is None else str(value)


def centroid_of(sample: Sample) -> tuple[float, float]:
    """(longitude, latitude), degrees. Raises RecipeError where there is none."""
    value = fact(sample, "centroid")
    try:
        point = shapely.from_wkb(value) if isinstance(value, bytes) else shapely.from_wkt(value)
        return float(point.x), float(point.y)
    except (shapely.errors.ShapelyError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{sample.source}: {sample.id}: stac:centroid is {value!r}, not a point"
        ) from error


def date_of(sample: Sample) -> str:
    """The day of acquisition, ISO 8601; "" where it is not said."""
    try:
        value = fact(sample, "time")
    except RecipeError:
        return ""
    if isinstance(value, (int, float)):  # seconds since 1970
        value = datetime.fromtimestamp(value, UTC)
    return value.date().isoformat() if isinstance(value, datetime) else str(value or "")[:10]


def source_of(sample: Sample) -> str:
    """Where a sample comes from: URL, or a file's name; the first one, if it was copied."""
    stated = sample.row.get(SOURCE_COLUMN)
    return str(stated or (sample.source if "://" in sample.source else Path(sample.source).name))


def licence_of(sample: Sample) -> str:
    """As the set says, in the sample's row or of itself."""
    stated = sample.row.get(LICENCE_COLUMN) or ", ".join(sample.licences)
    return str(stated or f"not stated by {source_of(sample)}; CloudSEN12+ is {LICENCE}")


def chip_id(sample: Sample) -> str:
    """A sample's id as the name of a file."""
    return re.sub(r"[^\w.-]", "_", sample.id, flags=re.ASCII).lstrip(".-") or "_"


def choose_bands(level: str, names: Sequence[str] | None) -> tuple[str, ...]:
    """Common names of the bands to take, in the order asked for; all if `names` is None.

    names: common names or Sentinel-2's, such as B04. Raises OptionError.
    """
    if names is None:
        return _BANDS[level]
    chosen = common_names(names, SENTINEL2.name)
    for name, common in zip(names, chosen, strict=True):
        if common not in _BANDS[level]:
            raise OptionError(
                f"--bands: {name!r} is no band of level {level}; there are "
                f"{', '.join(_BANDS[level])}"
            )
    if not chosen or len(set(chosen)) < len(chosen):
        raise OptionError("--bands: name at least one band, and each once")
    return tuple(name for name in chosen if name is not None)


def decode(sample: Sample, content: Content, level: str, bands: Sequence[str]) -> Patch:
    """A sample's image and labels, checked against each other and against what the set says.

    Raises SampleError, and OptionError where the set is of another level.
    """
    try:
        with rasterio.Env(GDAL_CACHEMAX=64 * 2**20):
            return _decode(sample, content.files, level, bands)
    except (*GDAL_ERRORS, ValueError) as error:
        raise SampleError(
            f"{sample.source}: {sample.id} is damaged: {root_cause(error)}"
        ) from error


def _decode(sample: Sample, files: Mapping[str, bytes], level: str, bands: Sequence[str]) -> Patch:
    """As `decode`; raises ValueError for what does not fit."""
    image_name = _image_name(sample, files, level)
    with MemoryFile(files[image_name]) as memory, memory.open(driver="GTiff") as source:
        indexes = _band_indexes(source, level, bands)
        if np.dtype(source.dtypes[0]) not in (np.uint16, np.int16):
            raise ValueError(f"its image is {source.dtypes[0]}; expected uint16")
        image = source.read(indexes)
        crs, transform = source.crs, source.transform
    with MemoryFile(files["target"]) as memory, memory.open(driver="GTiff") as source:
        codes = source.read(1)
        other = source.crs, source.transform
    if codes.shape != image.shape[1:]:
        raise ValueError(f"its image is {image.shape[1:]} pixels and its labels {codes.shape}")
    if crs and other[0] and (crs != other[0] or not transform.almost_equals(other[1], 1e-3)):
        raise ValueError("its image and its labels lie in different places")
    if image.min() < NODATA:
        raise ValueError(f"its image has the DN {image.min()}; expected 0 or more")
    labels = _chip_labels(codes, str(fact(sample, "label_type")))
    labels[(image == NODATA).any(axis=0)] = IGNORE
    if not (labels != IGNORE).any():
        raise ValueError("no pixel is both measured and labelled")
    place = str(fact(sample, "place") or "").strip()
    if not place:
        raise ValueError("it names no place (roi_id)")
    return Patch(image.astype(np.uint16), labels, tuple(bands), crs, transform, place)


def _image_name(sample: Sample, files: Mapping[str, bytes], level: str) -> str:
    images = [name for name in files if name.startswith("s2")]
    if len(images) != 1 or "target" not in files:
        raise ValueError(f"it holds {', '.join(files)}; expected s2{level} and target")
    if images[0] != f"s2{level}" and images[0].removeprefix("s2") in LEVELS:
        raise OptionError(
            f"{sample.source}: holds level {images[0].removeprefix('s2')}, not {level}; give "
            f"--level {images[0].removeprefix('s2')}"
        )
    return images[0]


def _band_indexes(source: rasterio.DatasetReader, level: str, bands: Sequence[str]) -> list[int]:
    """1-based, by the set's order; where the file names its bands, it must agree."""
    order = _BANDS[level]
    if source.count < len(order) or (level == "l1c" and source.count > len(order)):
        raise ValueError(f"its image has {source.count} bands; level {level} has {len(order)}")
    named = common_names(source.descriptions[: len(order)], SENTINEL2.name)
    wrong = [index for index, name in enumerate(named) if name not in (None, order[index])]
    if wrong:
        raise ValueError(
            f"its band {wrong[0] + 1} is called {named[wrong[0]]}, not {order[wrong[0]]}"
        )
    return [order.index(name) + 1 for name in bands]


def _chip_labels(codes: npt.NDArray[Any], label_type: str) -> npt.NDArray[np.uint8]:
    """The set's labels as chip codes. Raises ValueError for a code it does not have."""
    meanings = _CODES.get(label_type)
    if meanings is None:
        raise ValueError(f"its labels are of type {label_type!r}, which has none")
    labels = np.full(codes.shape, IGNORE, np.uint8)
    for code, name in meanings.items():
        labels[codes == code] = CHIP_LABELS[name]
    strange = np.setdiff1d(codes, [*meanings, *_UNLABELLED])
    if strange.size:
        raise ValueError(
            f"its labels have the code {strange[0]}; those of type {label_type} are "
            f"{min(meanings)} to {max(meanings)}"
        )
    return labels
