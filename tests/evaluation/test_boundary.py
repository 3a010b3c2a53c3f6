"""Boundary F1: by hand, against distance transforms, and strip by strip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from geomask.evaluation.boundary import BoundaryCounter, boundary_f1


def counts_of(truth: np.ndarray, predicted: np.ndarray, *rows: int, tolerance: int = 2):
    """Counts of classes 0 and 1; rows: heights of strips, the rest in the last."""
    counter = BoundaryCounter((0, 1), tolerance)
    edges = [0, *np.cumsum(rows), len(truth)]
    for top, bottom in itertools.pairwise(edges):
        counter.add(truth[top:bottom], predicted[top:bottom])
    return counter.finish()


def by_distances(truth: np.ndarray, predicted: np.ndarray, tolerance: int) -> np.ndarray:
    """The definition, pixel by pixel, over the whole image."""
    height, width = truth.shape

    def boundary(codes: np.ndarray, code: int) -> np.ndarray:
        flags = np.zeros(codes.shape, bool)
        for row in range(height):
            for column in range(width):
                around = (
                    (row - 1, column),
                    (row + 1, column),
                    (row, column - 1),
                    (row, column + 1),
                )
                beside = [codes[r, c] for r, c in around if 0 <= r < height and 0 <= c < width]
                own = codes[row, column] == code
                flags[row, column] = own and any(o not in (code, 255) for o in beside)
        return flags

    def near(flags: np.ndarray) -> np.ndarray:
        if not flags.any():
            return flags
        return distance_transform_edt(~flags) <= tolerance

    rows = []
    for code in (0, 1):
        true, found = boundary(truth, code), boundary(predicted, code)
        counted = found & ~near(truth == 255)
        rows.append([f.sum() for f in (true, true & near(found), counted, counted & near(true))])
    return np.array(rows)


def halves(column: int) -> np.ndarray:
    """8 x 20: class 1 left of a column, class 0 from it on."""
    codes = np.zeros((8, 20), np.uint8)
    codes[:, :column] = 1
    return codes


@pytest.mark.parametrize(
    ("shift", "score"), [(0, 1.0), (1, 1.0), (2, 1.0), (3, 0.0), (-2, 1.0), (-3, 0.0)]
)
def test_a_boundary_may_be_off_by_the_tolerance(shift, score) -> None:
    counts = counts_of(halves(10), halves(10 + shift))
    assert counts[:, 0].tolist() == [8, 8], "one column on either side"
    np.testing.assert_array_equal(boundary_f1(counts), [score, score])


def test_precision_and_recall_by_hand() -> None:
    """The mask is right in the upper half and steps 5 columns aside in the lower: 4 pixels along
    the true boundary, 5 of the step, of which the first is near, 3 along the wrong one."""
    truth, predicted = halves(10), halves(10)
    predicted[4:] = halves(15)[4:]
    counts = counts_of(truth, predicted, tolerance=1)
    assert counts[1].tolist() == [8, 5, 12, 5]
    expected = 2 * (5 / 8) * (5 / 12) / (5 / 8 + 5 / 12)
    assert boundary_f1(counts)[1] == pytest.approx(expected)


def test_edges_of_the_image_and_of_unlabelled_areas_are_no_boundaries() -> None:
    truth = halves(10)
    truth[:, 8:12] = 255
    counts = counts_of(truth, halves(10))
    assert counts.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert np.isnan(boundary_f1(counts)).all()


def test_a_predicted_boundary_far_from_unlabelled_pixels_counts() -> None:
    truth = halves(10)
    truth[:, 8:12] = 255
    counts = counts_of(truth, halves(15))
    assert counts[0].tolist() == [0, 0, 8, 0]


def test_a_class_that_is_not_found_scores_nothing() -> None:
    counts = counts_of(halves(10), np.zeros((8, 20), np.uint8))
    assert boundary_f1(counts).tolist() == [0.0, 0.0]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 24),
    width=st.integers(1, 12),
    tolerance=st.integers(0, 4),
    cuts=st.lists(st.integers(1, 8), max_size=5),
)
def test_strips_add_up_to_the_whole_and_to_the_definition(
    seed, height, width, tolerance, cuts
) -> None:
    rng = np.random.default_rng(seed)
    size = (height, width)
    truth, predicted = (rng.choice([0, 1, 1, 255], size).astype(np.uint8) for _ in range(2))
    truth[: height // 2] = np.maximum(truth[: height // 2], 1)  # some larger areas
    rows = [cut for i, cut in enumerate(cuts) if sum(cuts[: i + 1]) < height]
    whole = counts_of(truth, predicted, tolerance=tolerance)
    np.testing.assert_array_equal(whole, by_distances(truth, predicted, tolerance))
    np.testing.assert_array_equal(counts_of(truth, predicted, *rows, tolerance=tolerance), whole)


def test_a_counter_keeps_few_rows() -> None:
    counter = BoundaryCounter((0, 1), 2)
    for _ in range(50):
        counter.add(halves(10), halves(10))
    kept = counter._rows
    assert kept is not None
    assert kept.shape[1] <= 2 * 3 + 8
    assert counter.finish()[0, 0] == 50 * 8
