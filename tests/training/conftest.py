"""Chip folders, made anew in each test."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")


def raster(path: Path, values: np.ndarray, bands=(), **profile) -> Path:
    """A small GeoTIFF, 30 m UTM unless told otherwise; bands: descriptions."""
    profile = {"crs": "EPSG:32633", "transform": Affine(30, 0, 5e5, 0, -30, 5e6), **profile}
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width,
        dtype=values.dtype, **profile,
    ) as target:  # fmt: skip
        target.write(values)
        target.descriptions = bands or (None,) * count
    return path


NINE_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")


def bright_square(
    rng: np.random.Generator, size: int, bands: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """(DN uint16 (bands, size, size), labels uint8): one cloud, its shadow, some ignored."""
    image = rng.integers(800, 1500, (bands, size, size)).astype(np.uint16)
    labels = np.zeros((size, size), np.uint8)
    row, column = rng.integers(4, size - 28, 2)
    image[:, row : row + 16, column : column + 16] += 5000
    labels[row : row + 16, column : column + 16] = 1
    image[:, row + 18 : row + 24, column : column + 16] //= 4
    labels[row + 18 : row + 24, column : column + 16] = 3
    labels[:2] = 255
    return image, labels


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def write_raster() -> Callable[..., Path]:
    """`raster`, for tests."""
    return raster


@pytest.fixture
def chip_folder(tmp_path: Path) -> Callable[..., Path]:
    """make(name="chips", count=4, size=64, labelled=True, **columns) -> the folder."""

    def make(name="chips", count=4, size=64, labelled=True, bands=BANDS, **columns) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(7)
        rows = []
        for number in range(count):
            image, labels = bright_square(rng, size, len(bands))
            image = image if labelled else np.full_like(image, 1200)
            raster(folder / f"{name}{number}.tif", image, bands)
            if labelled:
                raster(folder / f"{name}{number}_mask.tif", labels[None])
            rows.append({"id": f"{name}{number}", "split_group": f"place{number}", **columns})
        with (folder / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return folder

    return make
