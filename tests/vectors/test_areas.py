"""Areas on maps that stretch; plain and geographic ones are in test_vectorize."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from geomask.grid import Grid
from geomask.vectors.areas import areas_m2, perimeters_m

POLYGONS = np.array(
    [
        shapely.box(0, 0, 10, 10),
        shapely.Polygon([(20, 20), (20, 30), (35, 30), (35, 20)], [[(22, 22), (30, 22), (30, 28)]]),
        shapely.MultiPolygon([shapely.box(0, 90, 1, 91), shapely.box(90, 0, 99, 9)]),
    ],
    object,
)


def grid_at(crs: str, longitude: float, latitude: float) -> Grid:
    """100 x 100 pixels of 20 m around a place."""
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    return Grid(CRS.from_string(crs), Affine(20, 0, x - 1000, 0, -20, y + 1000), 100, 100)


def on_another_map(polygon: shapely.Geometry, grid: Grid, crs: str) -> shapely.Geometry:
    assert grid.crs is not None
    there = pyproj.Transformer.from_crs(grid.crs.to_wkt(), crs, always_xy=True)

    def move(points: np.ndarray) -> np.ndarray:
        x, y = there.transform(*grid.to_map(points[:, 0], points[:, 1]))
        return np.column_stack([x, y])

    return shapely.transform(shapely.segmentize(polygon, 1), move)


@pytest.mark.parametrize(
    ("crs", "longitude", "latitude"),
    [
        ("EPSG:3857", 10, 60),
        ("EPSG:3857", -179.995, -42),  # the grid crosses the antimeridian
        ("EPSG:3395", 10, 60),
        ("EPSG:4087", 10, 60),
        ("EPSG:3413", -100, 50),
        ("EPSG:3413", 0, 90),
    ],
)
def test_on_a_stretched_map_areas_are_those_on_the_ground(
    crs: str, longitude: float, latitude: float
) -> None:
    grid = grid_at(crs, longitude, latitude)
    areas = areas_m2(POLYGONS, grid)
    # Equal-area maps: Lambert's azimuthal at the pole, where the cylindrical one is singular.
    equal = "EPSG:6931" if latitude > 89 else "EPSG:6933"
    if longitude < -179:
        equal = "+proj=laea +lat_0=-42 +lon_0=180 +datum=WGS84"
    expected = [on_another_map(p, grid, equal).area for p in POLYGONS]
    np.testing.assert_allclose(areas, expected, rtol=1e-3)


def test_web_mercators_pixel_at_60_degrees_has_a_quarter_of_its_map_area() -> None:
    grid = grid_at("EPSG:3857", 10, 60)
    areas = areas_m2(np.array([shapely.box(45, 45, 55, 55)], object), grid)
    assert areas is not None
    assert areas[0] == pytest.approx(100 * 100.34, rel=1e-4)
    ground = on_another_map(shapely.box(45, 45, 55, 55), grid, "EPSG:4326")
    geodesic, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(ground)
    assert areas[0] == pytest.approx(abs(geodesic), rel=1e-4)
    assert areas[0] == pytest.approx(
        on_another_map(shapely.box(45, 45, 55, 55), grid, "EPSG:3035").area, rel=1e-4
    )


def test_each_polygon_is_measured_where_it_lies() -> None:
    grid = Grid(CRS.from_epsg(3857), Affine(1000, 0, 0, 0, -1000, 9_000_000), 10, 9000)
    polygons = np.array([shapely.box(0, row, 1, row + 1) for row in (0, 4500, 8999)], object)
    expected = [on_another_map(p, grid, "EPSG:6933").area for p in polygons]
    np.testing.assert_allclose(areas_m2(polygons, grid), expected, rtol=1e-3)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3035", "EPSG:27572"])
def test_maps_true_to_the_percent_stay_planar(crs: str) -> None:
    longitude, latitude = (2, 47) if crs == "EPSG:27572" else (14, 50)
    areas = areas_m2(POLYGONS, grid_at(crs, longitude, latitude))
    np.testing.assert_array_equal(areas, shapely.area(POLYGONS) * 400)


@pytest.mark.parametrize("crs", ['LOCAL_CS["site",UNIT["metre",1]]', "EPSG:4978"])
def test_local_and_geocentric_crs_have_no_areas(crs: str) -> None:
    assert areas_m2(POLYGONS, Grid(CRS.from_user_input(crs), Affine.identity(), 5, 5)) is None


def test_no_polygons_have_no_areas() -> None:
    areas = areas_m2(np.empty(0, object), grid_at("EPSG:3857", 10, 60))
    assert areas is not None
    assert areas.shape == (0,)


@pytest.mark.parametrize(
    ("crs", "longitude", "latitude"),
    [
        ("EPSG:32633", 15, 50),
        ("EPSG:3857", 10, 60),
        ("EPSG:3857", -179.995, -42),
        ("EPSG:3413", -100, 50),
    ],
)
def test_perimeters_are_those_on_the_ground(crs: str, longitude: float, latitude: float) -> None:
    """Against geodesics between many points of each ring, holes included."""
    grid = grid_at(crs, longitude, latitude)
    geod = pyproj.Geod(ellps="WGS84")
    expected = [
        sum(geod.line_length(*ring.xy) for ring in rings(on_another_map(p, grid, "EPSG:4326")))
        for p in POLYGONS
    ]
    np.testing.assert_allclose(perimeters_m(POLYGONS, grid), expected, rtol=1.5e-3)


def test_perimeters_in_degrees_are_geodesic() -> None:
    grid = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 10, 0, -1e-4, 60), 100, 100)
    geod = pyproj.Geod(ellps="WGS84")
    moved = [on_another_map(p, grid, "EPSG:4326") for p in POLYGONS]
    expected = [sum(geod.line_length(*ring.xy) for ring in rings(p)) for p in moved]
    np.testing.assert_allclose(perimeters_m(POLYGONS, grid), expected, rtol=1e-6)


def test_a_plain_perimeter_counts_the_hole() -> None:
    grid = Grid(CRS.from_epsg(32633), Affine(10, 0, 5e5, 0, -10, 5e6), 100, 100)
    found = perimeters_m(POLYGONS[:1], grid)
    assert found is not None
    assert found[0] == 400.0
    assert perimeters_m(POLYGONS, Grid(None, grid.transform, 100, 100)) is None
    assert len(perimeters_m(POLYGONS[:0], grid)) == 0  # type: ignore[arg-type]


def rings(geometry: shapely.Geometry) -> list[shapely.Geometry]:
    parts = shapely.get_parts(geometry)
    return [ring for part in parts for ring in (part.exterior, *part.interiors)]
