"""Scenes whose numbers are at the edge of what numbers can be: from pixels to mask, polygons and
picture, without a warning of numpy's, and nodata exactly where nothing was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from geomask import open_scene, predict_scene, rasterize, vectorize_mask, write_quicklook
from geomask.checkpoint import Model
from geomask.raster import grid_of
from tests.conftest import random_dn, read, unet_model, write_scene

LARGEST32 = float(np.finfo(np.float32).max)
LARGEST64 = float(np.finfo(np.float64).max)


@pytest.fixture(scope="module")
def model() -> Model:
    """A small U-Net with random weights."""
    return unet_model()


def reflectance(dtype: str = "float32") -> npt.NDArray[Any]:
    """(3, 40, 50), 0 to 1."""
    return random_dn(40, 50).astype(dtype) / 10_000


def everything(folder: Path, scene: Path, model: Model, **stated: Any) -> npt.NDArray[np.uint8]:
    """The mask of a scene, after all else that is made of it was made and agrees with it."""
    mask, probabilities, confidence = (folder / f"{name}.tif" for name in "mpc")
    with open_scene(scene, **stated) as opened:
        predict_scene(opened, mask, model=model, probabilities=probabilities, confidence=confidence)
        write_quicklook(opened, mask, folder / "q.png")
    codes = read(mask)
    with rasterio.open(probabilities) as dataset:
        percent = dataset.read().astype(int)
    measured = codes != 255
    assert (percent[:, ~measured] == 255).all()
    assert np.abs(percent[:, measured].sum(axis=0) - 100).max(initial=0) <= 1, "rounded shares"
    np.testing.assert_array_equal(read(confidence), percent.max(axis=0))
    polygons = folder / "v.gpkg"
    vectorize_mask(mask, polygons, confidence=confidence)
    with rasterio.open(mask) as dataset:
        drawn = rasterize(polygons, grid_of(dataset))
    traced = measured & (codes != 0)
    np.testing.assert_array_equal(drawn[traced], codes[traced])
    return codes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_nodata_and_nothing_else_is(
    tmp_path: Path, model: Model, value: float, dtype: str
) -> None:
    values = reflectance(dtype)
    values[0, 3, 4] = values[1, 30:, :7] = values[2, :, 49] = value
    missing = ~np.isfinite(values).all(axis=0)
    scene = write_scene(tmp_path / "s.tif", values, nodata=None)
    codes = everything(tmp_path, scene, model, scale=1, offset=0)
    np.testing.assert_array_equal(codes == 255, missing)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("float32", -LARGEST32), ("float32", LARGEST32), ("float64", -LARGEST64)],
)
def test_the_largest_numbers_there_are_serve_as_nodata(
    tmp_path: Path, model: Model, dtype: str, value: float
) -> None:
    """As ArcGIS and GDAL fill rasters of floats; ten times that is no number at all."""
    values = reflectance(dtype) / 10
    values[:, :9, :9] = value
    scene = write_scene(tmp_path / "s.tif", values, nodata=value, scale=10)
    codes = everything(tmp_path, scene, model)
    np.testing.assert_array_equal(codes == 255, values[0] == value)


def test_what_float32_cannot_hold_was_not_measured(tmp_path: Path, model: Model) -> None:
    values = reflectance("float64")
    values[0, :9, :9] = 1e300
    values[1, 20:, :9] = -1e300
    codes = everything(tmp_path, write_scene(tmp_path / "s.tif", values, nodata=None), model)
    np.testing.assert_array_equal(codes == 255, (np.abs(values) > 1).any(axis=0))


@pytest.mark.parametrize("value", [-1e38, 1e38])
def test_numbers_beyond_reason_are_as_bright_or_dark_as_can_be(
    tmp_path: Path, model: Model, value: float
) -> None:
    """The network clips reflectance to its card's 0 to 1, so they are 0 or 1 to it."""
    values = reflectance()
    masks = []
    for put in (value, float(value > 0)):
        values[:, :9, :9] = put
        scene = write_scene(tmp_path / "s.tif", values, nodata=None, scale=1.0, offset=0.0)
        masks.append(everything(tmp_path, scene, model, scale=1, offset=0))
        for made in tmp_path.iterdir():
            made.unlink()
    np.testing.assert_array_equal(*masks)
    assert (masks[0] != 255).all()


def test_reflectance_below_zero_is_measured(tmp_path: Path, model: Model) -> None:
    values = random_dn(40, 50)
    values[:, 5:9] = 1
    scene = write_scene(tmp_path / "s.tif", values, offset=-0.1)
    assert (everything(tmp_path, scene, model) != 255).all()


@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
def test_saturated_pixels_are_measured(tmp_path: Path, model: Model, dtype: str) -> None:
    values = (random_dn(40, 50) % 250 + 1).astype(dtype)
    values[:, 5:9] = np.iinfo(dtype).max
    scale = 1 / np.iinfo(dtype).max
    scene = write_scene(tmp_path / "s.tif", values, scale=scale)
    assert (everything(tmp_path, scene, model) != 255).all()


@pytest.mark.parametrize("value", [1, 10_000, 19_000])
def test_a_single_value_everywhere_is_measured_everywhere(
    tmp_path: Path, model: Model, value: int
) -> None:
    scene = write_scene(tmp_path / "s.tif", np.full((3, 70, 90), value, np.uint16))
    assert (everything(tmp_path, scene, model) != 255).all()


def test_no_measured_pixel_at_all_is_all_nodata(tmp_path: Path, model: Model) -> None:
    scene = write_scene(tmp_path / "s.tif", np.full((3, 70, 90), np.nan, np.float32), nodata=None)
    assert (everything(tmp_path, scene, model) == 255).all()


@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_constant_band_beside_others_is_measured(tmp_path: Path, model: Model, band: int) -> None:
    values = random_dn(40, 50)
    values[band] = 1234
    scene = write_scene(tmp_path / "s.tif", values)
    assert (everything(tmp_path, scene, model) != 255).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1)])
@pytest.mark.parametrize("pixel", [10.0, 5.8])
def test_the_smallest_scenes_are_classified_pixel_for_pixel(
    tmp_path: Path, model: Model, size: tuple[int, int], pixel: float
) -> None:
    values = random_dn(*size)
    missing = np.arange(size[0] * size[1]).reshape(size) % 3 == 1
    values[:, missing] = 0
    transform = rasterio.Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
    scene = write_scene(tmp_path / "s.tif", values, transform=transform)
    np.testing.assert_array_equal(everything(tmp_path, scene, model) == 255, missing)
