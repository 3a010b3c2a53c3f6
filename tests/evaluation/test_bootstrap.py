"""Intervals over groups: cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, bootstrap

from geomask.evaluation.bootstrap import interval, resample
from geomask.metrics import ratio


def accuracy(groups: np.ndarray, **options: int) -> tuple[float, float]:
    """The interval of the share of hits; groups: (groups, 2), hits and pixels."""
    drawn = resample(groups, **options)
    low, high = interval(ratio(drawn[:, 0], drawn[:, 1]))
    return float(low), float(high)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """60 groups whose own accuracies scatter about 0.8: of 300 such experiments, 95 % should
    cover 0.8, give or take; pixels as units would give far narrower intervals, and fail."""
    rng = np.random.default_rng(1)
    covered = 0
    for experiment in range(300):
        pixels = rng.integers(500, 1500, 60)
        hits = rng.binomial(pixels, rng.beta(8, 2, 60))
        low, high = accuracy(np.stack([hits, pixels], axis=1), draws=300, seed=experiment)
        covered += low <= 0.8 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_two_groups_one_right_one_wrong_could_be_anything() -> None:
    assert accuracy(np.array([[10, 10], [0, 10]])) == (0.0, 1.0)


def test_groups_that_agree_leave_no_doubt() -> None:
    assert accuracy(np.array([[7, 10]] * 5)) == (0.7, 0.7)


def test_ends_are_those_of_the_binomial_where_groups_are_all_right_or_all_wrong() -> None:
    """20 drawn from 20 groups, half of them right: how many are right is Binomial(20, 0.5)."""
    low, high = accuracy(np.array([[1, 1]] * 10 + [[0, 1]] * 10), draws=20_000)
    assert low == binom.ppf(0.025, 20, 0.5) / 20
    assert high == binom.ppf(0.975, 20, 0.5) / 20


def test_it_agrees_with_scipys_percentile_bootstrap() -> None:
    hits = np.random.default_rng(3).integers(40, 100, 30)
    # Not rng=, which scipy before 1.15 calls otherwise: 20 000 draws agree whatever the seed.
    theirs = bootstrap(
        (hits / 100,), np.mean, method="percentile", n_resamples=20_000
    ).confidence_interval
    ours = accuracy(np.stack([hits, np.full(30, 100)], axis=1), draws=20_000)
    assert ours == pytest.approx(tuple(theirs), abs=0.003)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    groups = np.stack([np.arange(12), np.full(12, 20)], axis=1)
    assert accuracy(groups, seed=4) == accuracy(groups, seed=4)
    assert accuracy(groups, seed=4) != accuracy(groups, seed=5)


def test_draws_have_as_many_groups_as_there_are() -> None:
    drawn = resample(np.ones((9, 2, 3), np.int64), draws=50)
    assert drawn.shape == (50, 2, 3)
    assert (drawn == 9).all()


def test_resamples_without_a_score_are_left_out() -> None:
    values = np.array([[0.2, np.nan], [0.4, np.nan], [np.nan, np.nan], [0.3, np.nan]])
    low, high = interval(values)
    expected = np.percentile([0.2, 0.3, 0.4], [2.5, 97.5])
    assert (low[0], high[0]) == pytest.approx(tuple(expected))
    assert np.isnan([low[1], high[1]]).all()
