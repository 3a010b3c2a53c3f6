"""Components streamed in strips against the whole raster at once, polygonised by GDAL."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label

from geomask.vectors.components import Component, Strip, components

CODES = (1, 2, 3)


def strips(
    codes: np.ndarray, heights: list[int], confidence: np.ndarray | None = None
) -> Iterator[Strip]:
    """The raster cut into strips of these heights, over and over."""
    top = turn = 0
    while top < len(codes):
        rows = slice(top, top + heights[turn % len(heights)])
        yield Strip(codes[rows], None if confidence is None else confidence[rows])
        top, turn = rows.stop, turn + 1


def outlines(found: list[Component]) -> list[tuple[int, bytes]]:
    """Comparable whatever the order, and the vertex that rings start at."""
    return sorted((c.code, shapely.normalize(c.geometry).wkb) for c in found)


def whole(codes: np.ndarray) -> list[tuple[int, bytes]]:
    """GDAL's polygons of the whole raster; rings from pixel to pixel, corners only."""
    shapes = rasterio.features.shapes(codes, mask=np.isin(codes, CODES), connectivity=4)
    return sorted(
        (int(code), shapely.normalize(shapely.geometry.shape(shape)).wkb) for shape, code in shapes
    )


def check(codes: np.ndarray, heights: list[int]) -> None:
    """Everything that holds for any raster and any strips."""
    traced = np.where(np.isin(codes, CODES), codes, 0)
    by_parts = []
    for connectivity in (4, 8):
        found = list(components(strips(codes, heights), CODES, connectivity))
        assert len(found) == label(traced, connectivity=connectivity // 4, return_num=True)[1]
        assert all(shapely.is_valid(c.geometry) for c in found)
        assert sum(c.n_pixels for c in found) == np.count_nonzero(traced)
        assert all(c.n_pixels == c.geometry.area for c in found)
        burnt = np.zeros_like(codes)
        if found:
            shapes = [(c.geometry, c.code) for c in found]
            rasterio.features.rasterize(shapes, out=burnt)
        np.testing.assert_array_equal(burnt, traced)
        by_parts.append(
            [
                Component(c.code, part, 0, None, None)
                for c in found
                for part in shapely.get_parts(c.geometry)
            ]
        )
    assert outlines(by_parts[0]) == whole(codes)
    assert outlines(by_parts[1]) == whole(codes)


@settings(max_examples=150, deadline=None)
@given(
    codes=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        elements=st.sampled_from([0, 1, 2, 3, 255]),
    ),
    heights=st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
def test_strips_give_what_the_whole_raster_gives(codes: np.ndarray, heights: list[int]) -> None:
    check(codes, heights)


@settings(max_examples=150, deadline=None)
@given(
    codes=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 20), st.integers(1, 20)),
        elements=st.sampled_from([0, 1]),
    ),
    heights=st.lists(st.integers(1, 5), min_size=1, max_size=4),
)
def test_one_class_with_rings_that_touch(codes: np.ndarray, heights: list[int]) -> None:
    check(codes, heights)


def spiral(size: int) -> np.ndarray:
    codes = np.zeros((size, size), np.uint8)
    y, x, step = 0, 0, size - 1
    codes[0, 0] = 1
    lengths = [step] + [n for n in range(step, 0, -2) for _ in (0, 1)]
    for turn, length in enumerate(lengths):
        dy, dx = ((0, 1), (1, 0), (0, -1), (-1, 0))[turn % 4]
        for _ in range(length):
            y, x = y + dy, x + dx
            codes[y, x] = 1
    return codes


def rings(depth: int) -> np.ndarray:
    size = 4 * depth
    y, x = np.indices((size, size))
    edge = np.minimum(np.minimum(y, x), np.minimum(size - 1 - y, size - 1 - x))
    return (edge % 2 + 1).astype(np.uint8) * (edge % 2 == 0)


comb = np.ones((9, 11), np.uint8)
comb[1:8, 1::2] = 0
RASTERS = {
    "checkerboard": (np.indices((9, 8)).sum(0) % 2).astype(np.uint8),
    "two-class checkerboard": (np.indices((9, 8)).sum(0) % 2 + 1).astype(np.uint8),
    "spiral": spiral(15),
    "nested rings eight deep": rings(8),
    "touching every strip": comb,
    "all one class": np.full((7, 9), 2, np.uint8),
    "all nodata": np.full((7, 9), 255, np.uint8),
    "one pixel": np.ones((1, 1), np.uint8),
    "one column": np.array([[1], [1], [0], [3], [255], [3]], np.uint8),
    "diagonal": np.eye(8, dtype=np.uint8),
}


@pytest.mark.parametrize("height", [1, 2, 3, 100])
@pytest.mark.parametrize("name", RASTERS)
def test_hard_rasters(name: str, height: int) -> None:
    check(RASTERS[name], [height])


def test_nested_rings_are_eight_components_with_a_hole_each() -> None:
    found = list(components(strips(rings(8), [3]), CODES))
    assert len(found) == 8
    assert [len(c.geometry.interiors) for c in found] == [1] * 8


def test_a_diagonal_is_one_component_of_eight_neighbours() -> None:
    diagonal = np.eye(5, dtype=np.uint8)
    assert len(list(components(strips(diagonal, [2]), CODES, 4))) == 5
    (found,) = components(strips(diagonal, [2]), CODES, 8)
    assert found.geometry.geom_type == "MultiPolygon"
    assert len(found.geometry.geoms) == found.n_pixels == 5


def test_only_the_codes_asked_for_are_traced() -> None:
    codes = np.array([[0, 1, 2, 3, 255]], np.uint8)
    assert [c.code for c in components(strips(codes, [1]), [0, 255])] == [0, 255]


@settings(max_examples=50, deadline=None)
@given(
    codes=hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2])),
    confidence=hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 7, 100, 255])),
    height=st.integers(1, 6),
    connectivity=st.sampled_from([4, 8]),
)
def test_confidence_is_the_mean_and_the_least_of_what_is_known(
    codes: np.ndarray, confidence: np.ndarray, height: int, connectivity: int
) -> None:
    for found in components(strips(codes, [height], confidence), CODES, connectivity):
        inside = rasterio.features.geometry_mask(
            [found.geometry], codes.shape, rasterio.Affine.identity(), invert=True
        )
        known = confidence[inside & (confidence != 255)]
        expected = known.mean() if known.size else None
        assert found.confidence == pytest.approx(expected)
        assert found.lowest == (known.min() if known.size else None)


def test_a_component_is_handed_on_once_it_is_complete() -> None:
    def endless() -> Iterator[Strip]:
        yield Strip(np.array([[1, 0, 2]], np.uint8))
        yield Strip(np.array([[0, 0, 2]], np.uint8))
        raise AssertionError("asked for more than it needs")

    assert next(components(endless(), CODES)).code == 1


def test_no_strips_no_components() -> None:
    assert list(components([], CODES)) == []


def test_refuses_what_is_no_strip() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Strip(np.zeros((2, 2), np.int16))
    with pytest.raises(ValueError, match="confidence"):
        Strip(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    pair = [Strip(np.zeros((1, 2), np.uint8)), Strip(np.zeros((1, 3), np.uint8))]
    with pytest.raises(ValueError, match="columns"):
        list(components(pair, CODES))
    with pytest.raises(ValueError, match="connectivity"):
        list(components(pair, CODES, 6))
    with pytest.raises(ValueError, match="codes"):
        list(components(pair, [256]))
