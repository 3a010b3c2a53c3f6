"""A chip's image and labels as GeoTIFFs: written, read back, and on the disk."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.crs import CRS

from geomask.errors import BandError
from geomask.raster import quiet
from geomask.sensors import COMMON_NAMES
from geomask.training.chips import IGNORE

BLOCK = 256
"""Side of a chip's internal tiles, pixels; smaller where the chip is."""


@dataclass(frozen=True)
class ChipRasters:
    """A chip's pixels and what they mean.

    image: any integer or float32 (bands, height, width); reflectance = image * scale + offset,
    also for floats. labels: uint8 (height, width), chip codes. bands: common names. nodata: value
    of `image` where nothing was measured.
    Raises ValueError for what would not read back as it was meant, BandError for bands that are
    not common names.
    """

    image: npt.NDArray[Any]
    labels: npt.NDArray[np.uint8]
    bands: tuple[str, ...]
    crs: CRS | str | None
    transform: Affine
    scale: float
    offset: float
    nodata: float | None

    def __post_init__(self) -> None:
        image, labels = self.image, self.labels
        if image.ndim != 3 or len(self.bands) != image.shape[0] or labels.shape != image.shape[1:]:
            raise ValueError(f"{image.shape} of bands {self.bands}, and labels {labels.shape}")
        integers = image.dtype.kind in "iu"
        if labels.dtype != np.uint8 or not (integers or image.dtype == np.float32):
            raise ValueError(f"image is {image.dtype}, no integer or float32, or {labels.dtype}")
        if integers and (self.scale, self.offset) == (1.0, 0.0):
            raise ValueError("scale 1 and offset 0 of integers would be read as not stated")
        unnamed = [band for band in self.bands if band not in COMMON_NAMES]
        if unnamed or len(set(self.bands)) < len(self.bands):
            raise BandError(f"{', '.join(self.bands)}: are not common names, each given once")

    def write(self, image: Path, mask: Path) -> None:
        """Write both files. Raises OSError or rasterio's errors where the disk does not take them,
        or they do not read back."""
        _write(mask, self, self.labels[None], ("labels",), (1.0, 0.0), IGNORE)
        _write(image, self, self.image, self.bands, (self.scale, self.offset), self.nodata)


def _write(
    path: Path,
    chip: ChipRasters,
    values: npt.NDArray[Any],
    names: tuple[str, ...],
    calibration: tuple[float, float],
    nodata: float | None,
) -> None:
    """A raster of (bands, height, width), checked."""
    count, height, width = values.shape
    profile = {
        "driver": "GTiff",
        "dtype": values.dtype.name,
        "count": count,
        "height": height,
        "width": width,
        "crs": chip.crs,
        "transform": chip.transform,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": _block(width),
        "blockysize": _block(height),
        "interleave": "band",
        "compress": "deflate",
        # Differences of neighbours: GDAL has one way for integers, another for floats.
        "predictor": 3 if values.dtype.kind == "f" else 2,
    }
    with quiet():
        dataset = rasterio.open(path, "w", **profile)
    with dataset:
        dataset.write(values)
        dataset.descriptions = names
        if calibration != (1.0, 0.0):
            dataset.scales, dataset.offsets = ((part,) * count for part in calibration)
    with quiet(), rasterio.open(path) as dataset:
        same = (
            np.array_equal(dataset.read(), values, equal_nan=values.dtype.kind == "f")
            and dataset.descriptions == names
            and (dataset.scales[0], dataset.offsets[0]) == calibration
            and dataset.transform == chip.transform
            and bool(dataset.crs) == bool(chip.crs)
        )
    if not same:
        raise OSError(errno.EIO, "what was written does not read back")
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _block(side: int) -> int:
    """A TIFF's tiles have sides that are multiples of 16."""
    return min(BLOCK, -(-side // 16) * 16)
