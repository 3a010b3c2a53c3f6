"""Bands of other resolutions on a scene's grid: exact positions, whatever the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.warp import reproject
from rasterio.windows import Window

from geomask.grid import Grid
from geomask.scene import open_scene
from geomask.scene.regrid import place
from tests.conftest import TRANSFORM, UTM, write_scene

CRS = rasterio.CRS.from_user_input(UTM)
FINE = Grid(CRS, TRANSFORM, 72, 60)


def grid(size: float, height: int, width: int, *, east: float = 0.0, south: float = 0.0) -> Grid:
    """A grid of `size` metre pixels whose corner lies `east` and `south` of FINE's."""
    corner = Affine(size, 0, TRANSFORM.c + east, 0, -size, TRANSFORM.f - south)
    return Grid(CRS, corner, width, height)


BANDS = {
    "20 m": grid(20, 30, 36),
    "60 m": grid(60, 10, 12),
    "15 m, half a pixel off": grid(15, 41, 49, east=-7.5, south=-7.5),
    "5 m": grid(5, 120, 144),
    "10 m, cropped": grid(10, 50, 40, east=100, south=70),
    "25 m, beside no edge": grid(25, 20, 25, east=13, south=-9),
}


def whole(band: Grid) -> Window:
    return Window(0, 0, band.width, band.height)


def picture(band: Grid, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).random((1, *band.shape), dtype=np.float32)


@pytest.mark.parametrize("name", BANDS)
def test_any_window_is_a_window_of_the_whole(name: str) -> None:
    band = BANDS[name]
    image, flags = picture(band), picture(band)[0] > 0.2
    full = place(whole(FINE), FINE, band)
    rows, columns = full.window.toslices()
    values = full.values(image[:, rows, columns])
    everywhere = full.everywhere(flags[rows, columns])

    @settings(max_examples=80, deadline=None)
    @given(st.integers(0, 59), st.integers(0, 71), st.integers(1, 60), st.integers(1, 72))
    def check(top: int, left: int, height: int, width: int) -> None:
        target = Window(left, top, min(width, 72 - left), min(height, 60 - top))
        part = place(target, FINE, band)
        rows, columns = part.window.toslices()
        np.testing.assert_array_equal(
            part.values(image[:, rows, columns]), values[:, *target.toslices()]
        )
        np.testing.assert_array_equal(
            part.everywhere(flags[rows, columns]), everywhere[target.toslices()]
        )

    check()


@pytest.mark.parametrize("name", [name for name in BANDS if name != "5 m"])
def test_values_are_gdals_bilinear_where_the_band_surrounds_a_pixel(name: str) -> None:
    band = BANDS[name]
    image = picture(band)
    placement = place(whole(FINE), FINE, band)
    values = placement.values(image[:, *placement.window.toslices()])[0]
    oracle = np.full(FINE.shape, np.nan, dtype=np.float32)
    reproject(
        image[0],
        oracle,
        src_transform=band.transform,
        src_crs=CRS,
        dst_transform=FINE.transform,
        dst_crs=CRS,
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    # Half a band's pixel inside its ends both interpolate between the same four neighbours.
    inner = np.zeros((1, *band.shape), dtype=bool)
    inner[:, 1:-1, 1:-1] = True
    safe = placement.everywhere(inner[0][placement.window.toslices()])
    assert safe.mean() > 0.2
    np.testing.assert_allclose(values[safe], oracle[safe], atol=1e-5)


def test_a_coarser_scene_averages_and_misses_no_pixel() -> None:
    coarse, fine = grid(60, 10, 12), BANDS["20 m"]
    image = np.zeros((1, *fine.shape), dtype=np.float32)
    image[0, 4, 7] = 1  # the middle of row 1, column 2 at 60 m
    values = place(whole(coarse), coarse, fine).values(image)[0]
    assert values.argmax() == 1 * 12 + 2
    assert values.sum() == pytest.approx(1 / 9)


def test_what_is_not_measured_reaches_all_pixels_that_overlap_it_and_no_other() -> None:
    flags = np.ones((10, 12), dtype=bool)
    flags[3, 5] = False
    everywhere = place(whole(FINE), FINE, BANDS["60 m"]).everywhere(flags)
    expected = np.ones(FINE.shape, dtype=bool)
    expected[18:24, 30:36] = False
    np.testing.assert_array_equal(everywhere, expected)


def test_beyond_a_bands_ends_nothing_is_measured() -> None:
    band = BANDS["10 m, cropped"]
    placement = place(whole(FINE), FINE, band)
    flags = np.ones(band.shape, dtype=bool)[placement.window.toslices()]
    expected = np.zeros(FINE.shape, dtype=bool)
    expected[7:57, 10:50] = True
    np.testing.assert_array_equal(placement.everywhere(flags), expected)


def test_a_window_wholly_beyond_the_band_reads_little_and_measures_nothing() -> None:
    placement = place(Window(0, 0, 5, 5), FINE, BANDS["10 m, cropped"])
    assert placement.window.width * placement.window.height <= 4
    flags = np.ones((placement.window.height, placement.window.width), dtype=bool)
    assert not placement.everywhere(flags).any()


EDGE = 360.0
"""Metres east of the corner: a border of pixels at 10, 20 and 60 m alike."""


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """A folder with one straight edge seen at 10, 20 and 60 m: dark west of it, bright east."""
    for name, size in (("red", 10), ("swir16", 20), ("nir", 60)):
        width, height = 720 // size, 600 // size
        values = np.full((1, height, width), 1000, dtype=np.uint16)
        values[:, :, int(EDGE // size) :] = 5000
        write_scene(
            tmp_path / f"{name}.tif",
            values,
            bands=(None,),
            transform=Affine(size, 0, TRANSFORM.c, 0, -size, TRANSFORM.f),
        )
    return tmp_path


def crossing(profile: npt.NDArray[np.float32], size: float) -> float:
    """Metres east of the corner where a rising profile of pixel centres passes its middle."""
    centres = (np.arange(profile.size) + 0.5) * size
    return float(np.interp(0.3, profile, centres))


@pytest.mark.parametrize("size", [10, 20, 60])
def test_an_edge_stays_where_it_is_at_every_resolution(step: Path, size: int) -> None:
    with open_scene(step, grid=size) as scene:
        reflectance, valid = scene.read(whole(scene.grid), ("red", "swir16", "nir"))
    assert scene.grid == Grid(
        CRS, Affine(size, 0, TRANSFORM.c, 0, -size, TRANSFORM.f), 720 // size, 600 // size
    )
    assert valid.all()
    for band in reflectance:
        assert (np.diff(band[5]) >= 0).all()
        assert crossing(band[5], size) == pytest.approx(EDGE, abs=0.01)


def test_bands_without_a_nodata_value_are_dark_in_all_at_once_or_measured(tmp_path: Path) -> None:
    red = np.full((1, 6, 6), 500, dtype=np.uint16)
    red[0, :2, :4] = 0
    nir = np.full((1, 3, 3), 500, dtype=np.uint16)
    nir[0, 0, 0] = 0
    write_scene(tmp_path / "red.tif", red, bands=(None,), nodata=None)
    coarse = Affine(20, 0, TRANSFORM.c, 0, -20, TRANSFORM.f)
    write_scene(tmp_path / "nir.tif", nir, bands=(None,), nodata=None, transform=coarse)
    with pytest.warns(UserWarning, match="0 in every band"), open_scene(tmp_path) as scene:
        _, valid = scene.read(whole(scene.grid), ("red", "nir"))
    expected = np.ones((6, 6), dtype=bool)
    expected[:2, :2] = False
    np.testing.assert_array_equal(valid, expected)


def test_a_files_own_mask_counts_at_its_own_resolution(tmp_path: Path) -> None:
    write_scene(tmp_path / "red.tif", np.full((1, 6, 6), 500, np.uint16), bands=(None,))
    coarse = Affine(20, 0, TRANSFORM.c, 0, -20, TRANSFORM.f)
    path = tmp_path / "nir.tif"
    write_scene(
        path, np.full((1, 3, 3), 500, np.uint16), bands=(None,), transform=coarse, nodata=None
    )
    mask = np.full((3, 3), 255, dtype=np.uint8)
    mask[2, 1] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    with open_scene(tmp_path) as scene:
        reflectance, valid = scene.read(whole(scene.grid), ("red", "nir"))
    expected = np.ones((6, 6), dtype=bool)
    expected[4:, 2:4] = False
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_allclose(reflectance[:, valid], 0.05, atol=1e-6)
