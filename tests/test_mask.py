"""Masks of others: what they say is nodata is never a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from geomask.errors import MaskError
from geomask.mask import UNKNOWN_PERCENT, open_confidence, open_mask
from geomask.vectors.components import NODATA as UNKNOWN

CODES = np.array([[0, 1, 2], [2, 3, 255]], np.uint8)
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def write(path: Path, nodata: float | None, mask: np.ndarray | None = None) -> Path:
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=path.stem == "internal"),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=3,
            height=2,
            count=1,
            dtype="uint8",
            crs="EPSG:32633",
            transform=TRANSFORM,
            nodata=nodata,
        ) as dataset,
    ):
        dataset.write(CODES, 1)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def read(path: Path) -> list[list[int]]:
    with open_mask(path) as mask:
        return np.concatenate(list(mask.strips(1))).tolist()


@pytest.mark.parametrize(
    ("nodata", "expected"),
    [
        (None, [[0, 1, 2], [2, 3, 255]]),
        (255, [[0, 1, 2], [2, 3, 255]]),
        (2, [[0, 1, 255], [255, 3, 255]]),
        (0, [[255, 1, 2], [2, 3, 255]]),
    ],
)
def test_nodata_is_what_the_file_says(
    tmp_path: Path, nodata: float | None, expected: list[list[int]]
) -> None:
    assert read(write(tmp_path / "a.tif", nodata)) == expected


@pytest.mark.parametrize("name", ["internal.tif", "beside.tif"])
def test_a_mask_of_the_file_is_nodata_too(tmp_path: Path, name: str) -> None:
    valid = np.array([[True, False, True], [True, True, True]])
    path = write(tmp_path / name, 2, valid)
    assert (tmp_path / f"{name}.msk").exists() == (name == "beside.tif")
    assert read(path) == [[0, 255, 255], [255, 3, 255]]


def test_one_value_is_unknown() -> None:
    assert UNKNOWN_PERCENT == UNKNOWN == 255


def test_a_file_not_yet_in_its_place_goes_by_the_name_of_its_place(tmp_path: Path) -> None:
    folder = tmp_path / ".mask.tif.geomask-0123abcd-7-0"
    folder.mkdir()
    staged = write(folder / "mask.tif", None)
    with open_mask(staged) as mask:
        assert mask.path == tmp_path / "mask.tif"
        grid = mask.grid
    with open_mask(write(tmp_path / "other.tif", None)) as other:
        assert other.path == tmp_path / "other.tif"
    elsewhere = type(grid)(grid.crs, Affine.identity(), 3, 2)
    with pytest.raises(MaskError) as caught, open_confidence(staged, elsewhere):
        pass
    assert str(caught.value).startswith(str(tmp_path / "mask.tif") + ": ")
