"""Synthetic scenes as large as real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
BLOCK = 512
BANDS_10M = ("B02", "B03", "B04", "B08")
BANDS_20M = ("B11", "B12")


def write_scene(path: Path, height: int, width: int, *, wedge: bool = True, seed: int = 0) -> None:
    """A tiled uint16 scene of smooth noise, reflectance 0.02 to 0.9.

    wedge: leave a corner unmeasured, as an orbit's edge does.
    """
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(len(BANDS), 2 * BLOCK, 2 * BLOCK)), (0, 12, 12))
    noise = (noise - noise.min()) / np.ptp(noise)
    texture = (200 + 8800 * noise).astype(np.uint16)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=len(BANDS),
        dtype="uint16",
        crs="EPSG:32633",
        transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
        nodata=0,
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        compress="deflate",
        predictor=2,
        bigtiff="yes",
    ) as dataset:
        dataset.scales = [1e-4] * len(BANDS)
        for index, band in enumerate(BANDS, 1):
            dataset.set_band_description(index, band)
        for top in range(0, height, BLOCK):
            for left in range(0, width, BLOCK):
                rows, columns = min(BLOCK, height - top), min(BLOCK, width - left)
                y, x = rng.integers(0, BLOCK, 2)
                part = texture[:, y : y + rows, x : x + columns].copy()
                if wedge and left + top / 4 < width / 16:
                    part[:] = 0
                dataset.write(part, window=Window(left, top, columns, rows))


def write_folder(folder: Path, tiff: Path) -> None:
    """A GeoTIFF's first band as the 10 m bands, every second pixel as the 20 m ones."""
    with rasterio.open(tiff) as dataset:
        values, crs, corner = dataset.read(1), dataset.crs, dataset.transform
    for names, step, tile in ((BANDS_10M, 1, 1024), (BANDS_20M, 2, 640)):
        first = folder / f"T33UUU_20170216T102101_{names[0]}.jp2"
        band = values[::step, ::step]
        with rasterio.open(
            first,
            "w",
            driver="JP2OpenJPEG",
            dtype="uint16",
            count=1,
            height=band.shape[0],
            width=band.shape[1],
            crs=crs,
            transform=Affine(10 * step, 0, corner.c, 0, -10 * step, corner.f),
            BLOCKXSIZE=tile,
            BLOCKYSIZE=tile,
            QUALITY="30",
        ) as dataset:
            dataset.write(band, 1)
        for name in names[1:]:
            os.link(first, first.with_name(first.name.replace(names[0], name)))
