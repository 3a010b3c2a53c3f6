from __future__ import annotations

import pytest
from affine import Affine
from pyproj import Geod
from rasterio.crs import CRS

from geomask.grid import Grid


def test_projected_pixels_are_measured_in_metres() -> None:
    grid = Grid(CRS.from_epsg(32633), Affine(10, 0, 0, 0, -20, 0), 5, 5)
    assert grid.pixel_size == (20, 10)


def test_feet_become_metres() -> None:
    grid = Grid(CRS.from_epsg(2263), Affine(100, 0, 0, 0, -100, 0), 5, 5)
    assert grid.pixel_size == pytest.approx((30.48, 30.48), rel=1e-4)


def test_a_rotated_grid_keeps_its_pixel_size() -> None:
    transform = Affine(8, 6, 0, 6, -8, 0)
    grid = Grid(CRS.from_epsg(32633), transform, 5, 5)
    assert grid.pixel_size == pytest.approx((10, 10))


@pytest.mark.parametrize("latitude", [0.0, 41.8, -60.0])
def test_degrees_become_local_metres(latitude: float) -> None:
    step = 1e-4
    grid = Grid(CRS.from_epsg(4326), Affine(step, 0, 1, 0, -step, latitude), 1, 1)
    geod = Geod(ellps="WGS84")
    _, _, north = geod.inv(1, latitude, 1, latitude + step)
    _, _, east = geod.inv(1, latitude, 1 + step, latitude)
    assert grid.pixel_size == pytest.approx((north, east), rel=0.006)


def test_without_a_crs_there_are_no_metres() -> None:
    assert Grid(None, Affine.identity(), 5, 5).pixel_size is None


def test_a_grid_has_pixels() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        Grid(None, Affine.identity(), 0, 5)
