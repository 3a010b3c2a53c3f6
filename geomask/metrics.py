"""Scores of a mask against labels: counts of pixel pairs, and what follows from them.

Everything starts from one array, int64 (..., K, K + 1), called counts: row i, column j is how many
pixels of class i were called class j, and the last column how many were called nothing at all
(nodata). Counts of strips, chips and groups add up. A pixel that was called nothing is wrong: it
stays in its class's pixels, so a mask cannot gain by answering only where it is easy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.uint8]

CLASS_SCORES = ("iou", "f1", "precision", "recall")
"""Scores that each class has."""

ALARM = 0.05
"""A cloud-free chip of which more than this is flagged would be taken for a cloudy one."""

_CHUNK = 2**20
"""Pixels that are paired at once: numpy counts in int64, eight times a strip's own size."""


def count_pairs(
    truth: Codes, predicted: Codes, rows: Sequence[int], columns: Sequence[int]
) -> Counts:
    """int64 (rows, columns + 1): pixels by the code of their label and the code of their mask.

    truth, predicted: uint8 of one shape. rows, columns: the codes that are counted. A pixel whose
    truth is no code of `rows` is ignored; one that is predicted as no code of `columns` counts in
    the last column.
    """
    width = len(columns) + 1
    row_of = np.full(256, len(rows), dtype=np.intp)
    row_of[list(rows)] = np.arange(len(rows))
    column_of = np.full(256, len(columns), dtype=np.intp)
    column_of[list(columns)] = np.arange(len(columns))
    truth, predicted = truth.reshape(-1), predicted.reshape(-1)
    total = np.zeros((len(rows) + 1) * width, dtype=np.int64)
    for start in range(0, truth.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        pairs = row_of[truth[part]] * width + column_of[predicted[part]]
        total += np.bincount(pairs, minlength=total.size)
    return total.reshape(-1, width)[:-1]


def fold_rows(counts: Counts, classes: Sequence[int | None], size: int) -> Counts:
    """int64 (..., size, columns): rows added up by the class they belong to; None drops a row."""
    folded = np.zeros((*counts.shape[:-2], size, counts.shape[-1]), dtype=np.int64)
    for row, channel in enumerate(classes):
        if channel is not None:
            folded[..., channel, :] += counts[..., row, :]
    return folded


@dataclass(frozen=True)
class Scores:
    """Scores of counts (..., K, K + 1).

    iou, f1, precision, recall: float64 (..., K); NaN for a class that no pixel has in truth, and
    precision 0 for one that occurs and is never predicted (scikit-learn's zero_division=0).
    accuracy: float64 (...), the share of labelled pixels that are right; NaN without any.
    """

    iou: Floats
    f1: Floats
    precision: Floats
    recall: Floats
    accuracy: Floats

    def macro(self, score: str) -> Floats:
        """float64 (...): the mean of a class score over the classes that occur in truth.

        That of recall is balanced accuracy (Brodersen et al. 2010, as scikit-learn has it).
        """
        return mean_of_known(getattr(self, score))


def scores_of(counts: Counts) -> Scores:
    """The scores of counts, int64 (..., K, K + 1) as the module describes them."""
    pairs = counts[..., :-1].astype(np.float64)
    hits = np.diagonal(pairs, axis1=-2, axis2=-1)
    truth = counts.sum(axis=-1).astype(np.float64)
    found = pairs.sum(axis=-2)
    occurs = truth > 0
    return Scores(
        iou=_share(hits, truth + found - hits, occurs),
        f1=_share(2 * hits, truth + found, occurs),
        precision=_share(hits, np.maximum(found, 1), occurs),
        recall=_share(hits, truth, occurs),
        accuracy=ratio(hits.sum(axis=-1), truth.sum(axis=-1)),
    )


def ratio(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Floats:
    """float64: part / whole, NaN where the whole is 0."""
    return _share(np.asarray(part), np.asarray(whole), np.asarray(whole) > 0)


def mean_of_known(values: Floats) -> Floats:
    """float64 (...): the mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))


def _share(
    part: npt.NDArray[np.number], whole: npt.NDArray[np.number], known: npt.NDArray[np.bool_]
) -> Floats:
    shares: Floats = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=shares, where=known)
    return shares
