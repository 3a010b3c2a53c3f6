from __future__ import annotations

import pytest
from affine import Affine
from pyproj import Geod, Transformer
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


@pytest.mark.parametrize(
    ("crs", "longitude", "latitude"),
    [
        ("EPSG:3857", 10, 60),
        ("EPSG:3395", 10, -45),
        ("EPSG:4087", 10, 60),  # parallels stretched, meridians not
        ("EPSG:3413", -100, 50),  # east is not right there
        ("EPSG:3413", 0, 89.9),
    ],
)
@pytest.mark.parametrize("turn", [0, 30])
def test_a_stretched_map_is_measured_on_the_ground(
    crs: str, longitude: float, latitude: float, turn: float
) -> None:
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = to_map.transform(longitude, latitude)
    transform = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(20, -10)
    grid = Grid(CRS.from_string(crs), transform @ Affine.translation(-2, -2), 4, 4)
    geod = Geod(ellps="WGS84")
    steps = []
    for column, row in ((0, 1), (1, 0)):
        far = (transform.a * column + transform.b * row, transform.d * column + transform.e * row)
        there = to_map.transform(x + far[0], y + far[1], direction="INVERSE")
        steps.append(geod.inv(longitude, latitude, *there)[2])
    assert grid.pixel_size == pytest.approx(steps, rel=1e-4)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3035", "EPSG:2193"])
def test_maps_true_to_the_percent_keep_their_exact_pixel_size(crs: str) -> None:
    longitude, latitude = (173, -41) if crs == "EPSG:2193" else (12, 62)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    grid = Grid(CRS.from_string(crs), Affine(10, 0, x, 0, -10, y), 100, 100)
    assert grid.pixel_size == (10, 10)


def test_where_the_projection_is_undefined_map_metres_count() -> None:
    grid = Grid(CRS.from_epsg(3035), Affine(10, 0, 1e9, 0, -10, 1e9), 5, 5)
    assert grid.pixel_size == (10, 10)


@pytest.mark.parametrize(
    "crs",
    [
        'LOCAL_CS["site",UNIT["metre",1]]',
        'ENGCRS["site",EDATUM["peg"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],'
        'LENGTHUNIT["metre",1]]',
        "EPSG:4978",
    ],
)
def test_local_and_geocentric_crs_have_no_metres_on_the_ground(crs: str) -> None:
    grid = Grid(CRS.from_user_input(crs), Affine(10, 0, 0, 0, -10, 0), 5, 5)
    assert grid.pixel_size is None


def test_a_grid_has_pixels() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        Grid(None, Affine.identity(), 0, 5)
