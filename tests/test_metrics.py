"""Scores against scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from geomask.metrics import CLASS_SCORES, count_pairs, fold_rows, ratio, scores_of

CODES = (0, 1, 2, 7)


def random_codes(seed: int, *extra: int, size: int = 4000) -> np.ndarray:
    """uint8 codes of random frequencies, and some that are no class."""
    rng = np.random.default_rng(seed)
    values = [*CODES, *extra]
    return rng.choice(values, size, p=rng.dirichlet(np.ones(len(values)))).astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("nothing", [(), (255,)], ids=["all predicted", "some not predicted"])
def test_scores_equal_scikit_learns_with_ignored_pixels(seed, nothing) -> None:
    """A pixel without prediction is one more label for scikit-learn, which no truth has."""
    truth, predicted = random_codes(seed, 255, 9), random_codes(seed + 50, *nothing)
    scores = scores_of(count_pairs(truth, predicted, CODES, CODES))
    counted = np.isin(truth, CODES)
    truth, predicted = truth[counted], predicted[counted]
    found = [code for code in CODES if code in truth]
    options = {"labels": found, "zero_division": 0}
    theirs = {
        "iou": oracle.jaccard_score,
        "f1": oracle.f1_score,
        "precision": oracle.precision_score,
        "recall": oracle.recall_score,
    }
    occurs = np.isin(CODES, found)
    for score in CLASS_SCORES:
        ours = getattr(scores, score)
        by_class = theirs[score](truth, predicted, average=None, **options)
        np.testing.assert_allclose(ours[occurs], by_class, rtol=1e-12)
        assert np.isnan(ours[~occurs]).all()
        macro = theirs[score](truth, predicted, average="macro", **options)
        np.testing.assert_allclose(scores.macro(score), macro, rtol=1e-12)
    np.testing.assert_allclose(scores.accuracy, oracle.accuracy_score(truth, predicted))
    np.testing.assert_allclose(
        scores.macro("recall"),
        (oracle.recall_score(truth, predicted, average=None, **options)).mean(),
    )
    if not nothing and occurs.all():
        balanced = oracle.balanced_accuracy_score(truth, predicted)
        np.testing.assert_allclose(scores.macro("recall"), balanced)


@pytest.mark.parametrize("seed", range(3))
def test_counts_equal_scikit_learns_confusion_matrix(seed) -> None:
    truth, predicted = random_codes(seed, 255), random_codes(seed + 9, 255)
    counts = count_pairs(truth, predicted, CODES, CODES)
    labels = [*CODES, 255]
    theirs = oracle.confusion_matrix(truth, predicted, labels=labels)
    np.testing.assert_array_equal(counts, theirs[:-1])
    assert counts.dtype == np.int64


def test_counts_of_parts_add_up_to_those_of_the_whole(monkeypatch) -> None:
    truth, predicted = random_codes(1, 255), random_codes(2, 255)
    whole = count_pairs(truth, predicted, CODES, CODES)
    parts = [count_pairs(truth[i::3], predicted[i::3], CODES, CODES) for i in range(3)]
    np.testing.assert_array_equal(sum(parts), whole)
    monkeypatch.setattr("geomask.metrics._CHUNK", 7)
    np.testing.assert_array_equal(count_pairs(truth, predicted, CODES, CODES), whole)


def test_a_pixel_without_prediction_is_wrong_and_not_left_out() -> None:
    truth = np.array([0, 0, 0, 1, 1, 255], np.uint8)
    predicted = np.array([0, 255, 1, 1, 255, 0], np.uint8)
    counts = count_pairs(truth, predicted, (0, 1), (0, 1))
    assert counts.tolist() == [[1, 1, 1], [0, 1, 1]]
    scores = scores_of(counts)
    assert scores.accuracy == pytest.approx(2 / 5)
    assert scores.recall == pytest.approx([1 / 3, 1 / 2])
    assert scores.precision == pytest.approx([1, 1 / 2])
    assert scores.iou == pytest.approx([1 / 3, 1 / 3])
    assert scores.macro("f1") == pytest.approx((2 / 4 + 2 / 4) / 2)


def test_a_class_that_is_never_predicted_has_precision_0_and_one_that_never_occurs_none() -> None:
    truth, predicted = np.array([0, 0, 1], np.uint8), np.array([0, 7, 0], np.uint8)
    scores = scores_of(count_pairs(truth, predicted, (0, 1, 7), (0, 1, 7)))
    np.testing.assert_array_equal(scores.precision, [1 / 2, 0, np.nan])
    assert scores.macro("precision") == pytest.approx(
        oracle.precision_score(truth, predicted, labels=[0, 1], average="macro", zero_division=0)
    )


def test_nothing_labelled_has_no_score() -> None:
    scores = scores_of(np.zeros((2, 3), np.int64))
    assert np.isnan(scores.accuracy)
    assert np.isnan(scores.macro("iou"))


def test_many_counts_are_scored_at_once_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, (6, 4, 5))
    counts[2, 1] = 0
    together = scores_of(counts)
    for index, one in enumerate(counts):
        alone = scores_of(one)
        np.testing.assert_array_equal(together.iou[index], alone.iou)
        np.testing.assert_array_equal(together.macro("f1")[index], alone.macro("f1"))
        assert together.accuracy[index] == alone.accuracy


def test_rows_fold_into_classes_and_dropped_rows_are_gone() -> None:
    counts = np.array([[1, 2, 0], [3, 4, 1], [5, 6, 0], [7, 8, 9]])
    folded = fold_rows(counts, [0, 1, 1, None], 2)
    assert folded.tolist() == [[1, 2, 0], [8, 10, 1]]


def test_a_share_of_nothing_is_not_a_number() -> None:
    assert np.isnan(ratio(np.array([1, 0]), np.array([2, 0]))).tolist() == [False, True]
