"""How far a score could be off by chance: intervals from resampling whole groups.

Pixels of one scene, and dates of one place, are no independent observations; groups are drawn,
never pixels or chips. The percentile bootstrap of Efron and Tibshirani (An Introduction to the
Bootstrap, 1993, chapter 13), which is too narrow where there are fewer than about ten groups.
"""

from __future__ import annotations

import numpy as np

from geomask.metrics import Counts, Floats

DRAWS = 1000
"""Resamples. The ends of a 95 % interval then rest on 25 of them each, enough for two digits."""

LEVEL = 0.95
"""Share of resamples whose score lies inside the interval."""


def resample(groups: Counts, draws: int = DRAWS, seed: int = 0) -> Counts:
    """int64 (draws, ...): sums of as many groups as there are, drawn with replacement.

    groups: int64 (groups, ...), what was counted in each. The same seed draws the same groups.
    """
    count = len(groups)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    sums = weights.astype(np.int64) @ groups.reshape(count, -1)
    return sums.reshape(draws, *groups.shape[1:])


def interval(values: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
    """(low, high), float64 (...): percentiles of scores (draws, ...) of the resamples.

    Resamples whose score is NaN, because a class does not occur in them, are left out; NaN where
    there are no others.
    """
    ordered = np.sort(values, axis=0)  # NaN comes last
    known = np.count_nonzero(~np.isnan(values), axis=0)
    low, high = (
        _at(ordered, np.maximum(known - 1, 0) * share)
        for share in ((1 - level) / 2, (1 + level) / 2)
    )
    return low, high


def _at(ordered: Floats, position: Floats) -> Floats:
    """Values at fractional positions of the first axis, linearly between neighbours."""
    below = np.floor(position).astype(np.intp)
    above = np.ceil(position).astype(np.intp)
    low = np.take_along_axis(ordered, below[None], axis=0)[0]
    high = np.take_along_axis(ordered, above[None], axis=0)[0]
    return np.asarray(low + (high - low) * (position - below))
