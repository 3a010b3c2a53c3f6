"""Polygons after they are complete: holes filled, grown, simplified, smoothed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.crs import CRS
from rasterio.features import rasterize as burn

from geomask.grid import Grid
from geomask.vectors.components import Strip, batches
from geomask.vectors.coverage import noded, smoothed
from geomask.vectors.features import Features
from geomask.vectors.options import PolygonOptions
from geomask.vectors.refine import mend, refine

GRID = Grid(CRS.from_epsg(32633), Affine(10, 0, 500_000, 0, -10, 5_000_000), 100, 100)
PRIORITY = np.array([0, 1, 2, 3], np.uint8)

masks = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0, 0, 1, 1, 2, 3]),
)


def traced(codes: np.ndarray, connectivity: Any = 4) -> Features:
    """The components of a mask that is one strip; confidence is 50 % in class 1, else 80 %."""
    percent = np.where(codes == 1, 50, 80).astype(np.uint8)
    found = list(batches([Strip(codes, percent)], [1, 2, 3], connectivity))
    columns = ("geometries", "codes", "n_pixels", "confidence", "lowest")
    return Features(*(np.concatenate([getattr(b, name) for b in found]) for name in columns))


def refined(
    codes: np.ndarray | Features, grid: Grid = GRID, connectivity: Any = 4, **options: Any
) -> Features:
    features = codes if isinstance(codes, Features) else traced(codes, connectivity)
    return refine(features, grid, PolygonOptions(connectivity=connectivity, **options), PRIORITY)


def check_apart(geometries: np.ndarray) -> None:
    """Valid, and no two overlap."""
    assert shapely.is_valid(geometries).all()
    assert not shapely.is_empty(geometries).any()
    total = shapely.union_all(geometries).area
    assert total == pytest.approx(shapely.area(geometries).sum(), rel=1e-9)


def by_class(features: Features, code: int) -> Any:
    return shapely.union_all(features.geometries[features.codes == code])


HOLLOW = np.array(
    [
        [1, 1, 1, 1, 1, 0],
        [1, 0, 0, 0, 1, 0],
        [1, 0, 2, 0, 1, 0],
        [1, 0, 0, 0, 1, 0],
        [1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    np.uint8,
)


def test_a_small_hole_is_filled_around_what_lies_in_it() -> None:
    found = refined(HOLLOW, fill_holes=1000)
    assert found.codes.tolist() == [1, 2]
    assert shapely.area(found.geometries).tolist() == [24, 1]
    assert found.n_pixels.tolist() == [16, 1], "pixels are the mask's"
    check_apart(found.geometries)


@pytest.mark.parametrize(("limit", "area"), [(899, 16), (900, 16), (901, 24)])
def test_a_hole_of_the_limit_stays(limit: float, area: float) -> None:
    """Nine pixels of 100 m2; what lies in the hole is part of it."""
    assert by_class(refined(HOLLOW, fill_holes=limit), 1).area == area


def test_a_hole_without_polygons_is_filled_wholly() -> None:
    alone = traced(HOLLOW).where(np.array([True, False]))  # as --min-area leaves it
    assert shapely.area(refined(alone, fill_holes=1000).geometries).tolist() == [25]


def test_an_island_of_the_same_class_becomes_part_of_what_encloses_it() -> None:
    found = refined(np.where(HOLLOW == 2, 1, HOLLOW).astype(np.uint8), fill_holes=1000)
    assert shapely.area(found.geometries).tolist() == [25]
    assert found.n_pixels.tolist() == [17]
    assert found.confidence.tolist() == [50]


def test_in_nested_rings_every_class_keeps_its_ground() -> None:
    y, x = np.indices((9, 9))
    ring = np.minimum(np.minimum(y, x), np.minimum(8 - y, 8 - x))
    codes = np.array([1, 0, 2, 0, 1], np.uint8)[ring]  # cloud, gap, shadow, gap, cloud
    found = refined(codes, fill_holes=1e6)
    check_apart(found.geometries)
    assert sorted(zip(found.codes, shapely.area(found.geometries), strict=True)) == [
        (1, 1.0),
        (1, 81 - 25),
        (2, 24.0),
    ]


@settings(max_examples=150, deadline=None)
@given(codes=masks, connectivity=st.sampled_from([4, 8]), limit=st.sampled_from([150, 500, 1e6]))
def test_filling_adds_what_is_clear_and_takes_nothing(
    codes: np.ndarray, connectivity: int, limit: float
) -> None:
    if not codes.any():
        return
    before, found = (
        traced(codes, connectivity),
        refined(codes, GRID, connectivity, fill_holes=limit),
    )
    check_apart(found.geometries)
    burnt = burn(
        zip(found.geometries, found.codes.tolist(), strict=True), codes.shape, dtype=np.uint8
    )
    np.testing.assert_array_equal(burnt[codes > 0], codes[codes > 0])
    assert found.n_pixels.sum() == np.count_nonzero(codes)
    holes = [
        hole
        for geometry in shapely.get_parts(before.geometries)
        for hole in map(shapely.Polygon, geometry.interiors)
        if hole.area * 100 < limit
    ]
    everything = shapely.union_all([*before.geometries, *holes])
    assert shapely.union_all(found.geometries).area == everything.area


@settings(max_examples=150, deadline=None)
@given(codes=masks)
def test_a_noded_coverage_is_the_same_polygons_with_matching_edges(codes: np.ndarray) -> None:
    if not codes.any():
        return
    geometries = traced(codes).geometries
    found = noded(geometries)
    assert shapely.equals(found, geometries).all()
    assert shapely.coverage_is_valid(found)


@settings(max_examples=80, deadline=None)
@given(codes=masks, metres=st.sampled_from([4.0, 10.0, 25.0]), connectivity=st.sampled_from([4, 8]))
def test_ground_that_several_reach_is_the_first_classs(
    codes: np.ndarray, metres: float, connectivity: int
) -> None:
    if not codes.any():
        return
    found = refined(codes, GRID, connectivity, buffer=metres)
    check_apart(found.geometries)
    assert shapely.coverage_is_valid(found.geometries)
    taken = shapely.Polygon()
    for code in (1, 2, 3):
        pixels = by_class(traced(codes), code)
        expected = shapely.difference(shapely.buffer(pixels, metres / 10, quad_segs=4), taken)
        differing = shapely.symmetric_difference(by_class(found, code), expected)
        assert differing.area < 1e-6 + 0.01 * expected.area
        taken = shapely.union(taken, by_class(found, code))


def test_what_grows_together_is_one_with_all_its_pixels() -> None:
    codes = np.array([[1, 1, 1, 0, 1, 0, 0, 0, 0, 1]], np.uint8)
    found = refined(codes, buffer=6)
    order = np.argsort(-found.n_pixels)
    assert found.n_pixels[order].tolist() == [4, 1]
    assert found.confidence.tolist() == [50, 50]


def test_a_polygon_that_is_covered_wholly_is_left_out() -> None:
    found = refined(np.array([[1, 1, 1], [1, 2, 1], [1, 1, 1]], np.uint8), buffer=10)
    assert found.codes.tolist() == [1]


@pytest.mark.parametrize("latitude", [0, 60])
def test_metres_are_metres_in_degrees(latitude: float) -> None:
    """Against geodesics from the middle of a pixel."""
    grid = Grid(CRS.from_epsg(4326), Affine(1e-3, 0, 10, 0, -1e-3, latitude), 10, 10)
    (found,) = refined(np.pad(np.ones((1, 1), np.uint8), 4), grid, buffer=500).geometries
    column, row, right, bottom = found.bounds
    (x0, x1), (y0, y1) = grid.to_map(np.array([column, right]), np.array([row, bottom]))
    geod = pyproj.Geod(ellps="WGS84")
    middle = latitude - 4.5e-3
    for there in ((x1, middle), (x0, middle)):
        assert geod.inv(*there, 10 + 4.5e-3, middle)[2] == pytest.approx(
            500 + geod.inv(10, middle, 10 + 5e-4, middle)[2], rel=1e-3
        )
    assert geod.inv(10, y0, 10, y1)[2] == pytest.approx(
        1000 + geod.inv(10, latitude, 10, latitude - 1e-3)[2], rel=1e-3
    )


@settings(max_examples=80, deadline=None)
@given(
    codes=masks,
    connectivity=st.sampled_from([4, 8]),
    fill_holes=st.sampled_from([0, 500]),
    buffer=st.sampled_from([0, 7]),
    simplify=st.sampled_from([0, 5, 12, 40]),
    smooth=st.booleans(),
)
def test_polygons_never_overlap(codes: np.ndarray, connectivity: int, **options: Any) -> None:
    if not codes.any():
        return
    found = refined(codes, GRID, connectivity, **options)
    check_apart(found.geometries)
    parts = shapely.get_parts(found.geometries)
    assert shapely.is_ccw(shapely.get_exterior_ring(parts)).all()


@pytest.mark.parametrize(
    "options", [{"simplify": 15}, {"smooth": True}, {"simplify": 15, "smooth": True}]
)
def test_neighbours_stay_neighbours(options: dict[str, Any]) -> None:
    """Cloud fills a ragged bay of shadow: between them no gap opens, and around them nothing moves
    but the outline."""
    rng = np.random.default_rng(0)
    codes = np.ones((40, 40), np.uint8)
    edge = 20 + np.cumsum(rng.integers(-1, 2, 40))
    codes[np.arange(40) < edge[:, None]] = 2
    found = refined(codes, **options)
    assert len(found) == 2
    whole = shapely.union_all(found.geometries)
    assert whole.geom_type == "Polygon"
    assert not whole.interiors
    before = shapely.get_num_coordinates(traced(codes).geometries).sum()
    after = shapely.get_num_coordinates(found.geometries).sum()
    assert (after < before / 2) == (options == {"simplify": 15})
    shared = shapely.length(shapely.intersection(*found.geometries))
    assert shared < shapely.length(shapely.intersection(*traced(codes).geometries))


def test_a_pixel_without_its_corners() -> None:
    """By hand: four corners of (1/4)^2 / 2, then eight of 1/8 by sqrt(2)/16 at 135 degrees."""
    (found,) = refined(np.ones((1, 1), np.uint8), smooth=True).geometries
    assert found.area == pytest.approx(1 - 4 / 32 - 8 / 256)
    assert len(found.exterior.coords) == 17


def test_corners_that_several_polygons_share_stay() -> None:
    codes = np.array([[1, 2], [3, 1]], np.uint8)
    for geometry in refined(codes, smooth=True).geometries:
        assert shapely.Point(1, 1).within(shapely.boundary(geometry))


def test_smoothing_leaves_alone_what_would_overlap() -> None:
    """A long edge's corner cut far passes through a small polygon beside it."""
    corner = shapely.Polygon([(0, 0), (40, 0), (40, 40), (36, 40), (36, 4), (0, 4)])
    small = shapely.box(34.5, 4.5, 35.5, 5.5)
    apart = shapely.box(100, 100, 140, 140)
    found = smoothed(np.array([corner, small, apart], object), reach=10)
    check_apart(found)
    assert found[2].area < apart.area


@pytest.mark.parametrize("geometry", [
    shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]),
    shapely.Polygon([(0, 0), (4, 0), (4, 4), (2, 4), (2, 6), (2, 4), (0, 4)]),
])  # fmt: skip
def test_what_crosses_itself_is_mended_and_counted(geometry: Any) -> None:
    fine = shapely.box(0, 0, 1, 1)
    found, count = mend(np.array([fine, geometry], object))
    assert count == 1
    assert found[0] is fine
    assert found[1].is_valid
    assert set(shapely.get_dimensions(shapely.get_parts(found[1]))) == {2}
