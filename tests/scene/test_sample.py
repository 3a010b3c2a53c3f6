"""A look at a whole scene: the pixels of `Scene.read`, decimated, by the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from geomask import Scene, open_scene
from geomask.errors import BandError, SceneError
from geomask.scene import sample as sample_module
from geomask.scene.sample import sample, survey
from tests.conftest import TRANSFORM, random_dn, write_scene

BANDS = ("red", "green", "nir")


def whole(scene: Scene, bands: tuple[str, ...] = BANDS) -> tuple[Any, Any]:
    return scene.read(Window(0, 0, scene.grid.width, scene.grid.height), bands)


def write_masked(
    path: Path, values: npt.NDArray[np.uint16], measured: npt.NDArray[np.bool_]
) -> None:
    write_scene(path, values, nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(measured)


def write_alpha(
    path: Path, values: npt.NDArray[np.uint16], measured: npt.NDArray[np.bool_]
) -> None:
    alpha = np.where(measured, 65535, 0).astype(np.uint16)
    write_scene(path, np.concatenate([values, alpha[None]]), nodata=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [*[ColorInterp.undefined] * 3, ColorInterp.alpha]


@pytest.mark.parametrize("rule", ["value", "zero", "none", "mask", "alpha"])
@pytest.mark.filterwarnings("ignore::geomask.GeomaskWarning")
def test_a_small_scene_is_sampled_whole_by_the_same_rules(tmp_path: Path, rule: str) -> None:
    values = random_dn(40, 60)
    values[:, :10] = 0
    values[0, :, :10] = 0
    measured = np.random.default_rng(1).random((40, 60)) < 0.7
    path = tmp_path / "s.tif"
    if rule == "mask":
        write_masked(path, values, measured)
    elif rule == "alpha":
        write_alpha(path, values, measured)
    else:
        write_scene(path, values, nodata=0 if rule == "value" else None)
    with open_scene(path, nodata="none" if rule == "none" else None) as scene:
        reflectance, valid = sample(scene, BANDS)
        expected, expected_valid = whole(scene)
    shares = {"value": 30 * 50, "zero": 30 * 60, "none": 40 * 60}
    assert valid.sum() == shares.get(rule, measured.sum())
    np.testing.assert_array_equal(valid, expected_valid)
    np.testing.assert_array_equal(reflectance, expected)
    assert reflectance.dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((100, 60), 50, (50, 30)),
        ((60, 100), 50, (30, 50)),
        ((3, 1000), 10, (1, 10)),
        ((1, 1), 10, (1, 1)),
        ((10, 10), 10, (10, 10)),
    ],
)
def test_a_sample_has_at_most_so_many_pixels_a_side_and_the_scene_s_shape(
    tmp_path: Path, shape: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(*shape))
    with open_scene(path) as scene:
        reflectance, valid = sample(scene, BANDS, size)
    assert reflectance.shape == (3, *expected)
    assert valid.shape == expected


def test_a_sample_s_pixels_are_those_at_their_centres(tmp_path: Path) -> None:
    """Pixel i of 50 over 100 covers 2i and 2i + 1; its centre is where 2i + 1 begins."""
    values = random_dn(100, 60)
    path = write_scene(tmp_path / "s.tif", values)
    with open_scene(path) as scene:
        reflectance, _ = sample(scene, ("nir", "red"), 50)
    np.testing.assert_allclose(reflectance, values[[2, 0], 1::2, 1::2] * 1e-4, rtol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Bands of 10 m, of 20 m and, over the left three quarters alone, of 60 m; DN = 100 * the
    number of a block of 120 m, row by row from 1."""
    blocks = np.arange(1, 17, dtype=np.uint16).reshape(1, 4, 4) * 100
    for name, pixel, columns in (("B04", 10, 48), ("B11", 20, 24), ("B09", 60, 6)):
        side = 120 // pixel
        values = blocks.repeat(side, axis=1).repeat(side, axis=2)[:, :, :columns]
        transform = Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
        write_scene(tmp_path / f"x_{name}.tif", values, bands=(None,), transform=transform)
    return tmp_path


@pytest.mark.parametrize("size", [512, 48, 16, 4])
def test_bands_of_other_resolutions_and_extents_lie_on_the_same_ground(
    folder: Path, size: int
) -> None:
    with open_scene(folder, sensor="sentinel2") as scene:
        assert scene.grid.shape == (48, 48)
        reflectance, valid = sample(scene, ("red", "swir16", "nir09"), size)
    side = min(size, 48) // 4
    expected = np.arange(1, 17).reshape(4, 4).repeat(side, axis=0).repeat(side, axis=1) / 100
    np.testing.assert_array_equal(
        valid, np.broadcast_to(np.arange(4 * side) < 3 * side, valid.shape)
    )
    for band in reflectance:
        np.testing.assert_allclose(band[valid], expected[valid], rtol=1e-6)
        assert np.isnan(band[~valid]).all()


def test_a_band_that_begins_elsewhere_is_shifted(tmp_path: Path) -> None:
    """Red begins 30 m east and 20 m south of green, whose first 3 columns and 2 rows lack it."""
    values = np.arange(1, 101, dtype=np.uint16).reshape(1, 10, 10)
    write_scene(tmp_path / "x_B03.tif", values, bands=(None,))
    shifted = Affine(10, 0, 500_030, 0, -10, 4_999_980)
    write_scene(tmp_path / "x_B04.tif", values, bands=(None,), transform=shifted)
    with open_scene(tmp_path, sensor="sentinel2") as scene:
        assert scene.grid.transform == TRANSFORM
        reflectance, valid = sample(scene, ("green", "red"))
    expected = np.zeros((10, 10), dtype=bool)
    expected[2:, 3:] = True
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_allclose(reflectance[0, 2:, 3:], values[0, 2:, 3:] * 1e-4, rtol=1e-6)
    np.testing.assert_allclose(reflectance[1, 2:, 3:], values[0, :8, :7] * 1e-4, rtol=1e-6)


def test_a_band_that_is_not_there_is_said(scene_file: Path) -> None:
    with open_scene(scene_file) as scene, pytest.raises(BandError, match="has no band 'blue'"):
        sample(scene, ("red", "blue"))


@pytest.mark.parametrize("size", [512, 50])
def test_damage_is_said_naming_the_file(tmp_path: Path, size: int) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(300, 300), compress="deflate")
    content = bytearray(path.read_bytes())
    content[100_000:110_000] = bytes(10_000)
    path.write_bytes(content)
    message = r"s\.tif: cannot be read; the file is cut short or damaged"
    with open_scene(path) as scene, pytest.raises(SceneError, match=message):
        sample(scene, BANDS, size)


def test_a_survey_leaves_out_what_lies_beside_nodata(tmp_path: Path) -> None:
    values = np.full((3, 20, 20), 2000, dtype=np.uint16)
    values[:, 5, 5] = 0
    path = write_scene(tmp_path / "s.tif", values)
    with open_scene(path) as scene:
        found = survey(scene, BANDS)
    assert found.nodata == pytest.approx(1 / 400)
    assert found.histogram.pixels == 18 * 18 - 9


@pytest.mark.filterwarnings("ignore::geomask.GeomaskWarning")
def test_a_full_product_s_sample_agrees_with_all_its_pixels(data: Path) -> None:
    bands = ("blue", "red", "swir16")
    with open_scene(data / "scenes/T29UNU_l2a_safe") as scene:
        reflectance, valid = sample(scene, bands, 300)
        everything, measured = whole(scene, bands)
    assert reflectance.shape == (3, 300, 300)
    assert valid.mean() == pytest.approx(measured.mean(), abs=0.005)
    np.testing.assert_allclose(
        np.nanmedian(reflectance, axis=(1, 2)), np.nanmedian(everything, axis=(1, 2)), atol=0.01
    )


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="Linux counts bytes read there")
def test_a_file_without_overviews_is_read_once_for_each_band(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wider than GDAL's cache: blocks of a row stay until its last line. Else, 64 lines of a
    block's would be 64 readings."""
    monkeypatch.setattr(sample_module, "GDAL_OPTIONS", {"GDAL_CACHEMAX": 2**20})
    how = {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "pixel"}
    path = write_scene(tmp_path / "s.tif", random_dn(1024, 4096), **how)
    with open_scene(path) as scene:
        before = bytes_read()
        sample(scene, BANDS, 1024)
        assert bytes_read() - before < 1.2 * len(BANDS) * path.stat().st_size


def bytes_read() -> int:
    """By this process so far."""
    return int(Path("/proc/self/io").read_text().split()[1])
