"""Precision and recall by threshold, and calibration, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score

from geomask.evaluation.curves import PercentHistogram


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    """percent uint8 (3, 40, 50) that know something of channels uint8 (40, 50), 255 ignored."""
    rng = np.random.default_rng(0)
    channels = rng.choice([0, 1, 2, 255], (40, 50)).astype(np.uint8)
    scores = rng.random((3, 40, 50)) + 0.5 * (channels == np.arange(3)[:, None, None])
    percent = np.round(100 * scores / scores.sum(axis=0)).astype(np.uint8)
    percent[:, :2] = 255
    return percent, channels


def test_curves_equal_scikit_learns(case) -> None:
    percent, channels = case
    histogram = PercentHistogram(3)
    histogram.add(percent, channels)
    used = (channels != 255) & (percent[0] != 255)
    for channel in range(3):
        curve = histogram.curve(channel)
        truth, score = channels[used] == channel, percent[channel][used]
        assert curve.average_precision == pytest.approx(average_precision_score(truth, score))
        for threshold in (0, 30, 45, 60):
            called = score >= threshold
            assert curve.recall[threshold] == pytest.approx(recall_score(truth, called))
            assert curve.precision[threshold] == pytest.approx(precision_score(truth, called))
        assert sum(curve.pixels) == used.sum()
        assert curve.share[40] == pytest.approx(truth[score == 40].mean())


def test_pixels_that_a_model_is_sure_of_count_as_the_others() -> None:
    truth = np.array([0, 0, 0, 1, 1, 1], np.uint8)
    percent = np.array([100, 100, 0, 100, 0, 50], np.uint8)
    histogram = PercentHistogram(2)
    histogram.add(np.stack([percent, 100 - percent])[:, None], truth[None])
    for channel, score in enumerate((percent, 100 - percent)):
        theirs = average_precision_score(truth == channel, score)
        assert histogram.curve(channel).average_precision == pytest.approx(theirs)
    assert histogram.curve(0).recall[100] == pytest.approx(2 / 3)


def test_parts_add_up(case) -> None:
    percent, channels = case
    whole, parts = PercentHistogram(3), PercentHistogram(3)
    whole.add(percent, channels)
    for rows in (slice(0, 11), slice(11, 40)):
        parts.add(percent[:, rows], channels[rows])
    assert parts.curve(1) == whole.curve(1)


def test_a_calibrated_model_has_no_error_and_a_boaster_has() -> None:
    channels = np.repeat([0, 1], [60, 40]).astype(np.uint8)[None]
    honest, boaster = PercentHistogram(2), PercentHistogram(2)
    honest.add(np.full((2, 1, 100), 60, np.uint8), channels)
    boaster.add(np.full((2, 1, 100), 100, np.uint8), channels)
    assert honest.curve(0).calibration_error == pytest.approx(0)
    assert boaster.curve(0).calibration_error == pytest.approx(0.4)
    assert honest.curve(0).share[60] == pytest.approx(0.6)
    assert honest.curve(0).precision[61] is None, "no pixel is called that from 61 % on"


def test_a_class_without_labels_has_no_curve(case) -> None:
    percent, channels = case
    histogram = PercentHistogram(3)
    histogram.add(percent, np.where(channels == 2, 255, channels).astype(np.uint8))
    assert histogram.curve(2) is None
    assert histogram.curve(0) is not None
