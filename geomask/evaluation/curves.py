"""What probabilities are worth: precision and recall by threshold, and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geomask.classes import NODATA
from geomask.metrics import Codes, Counts, ratio

BINS = 101
"""Percents a probability can have, 0 to 100."""


@dataclass(frozen=True)
class Curve:
    """One class by the percent that the model gives it; every tuple has 101 numbers, 0 to 100 %.

    precision, recall: of calling a pixel the class from that percent on; precision is None where
    no pixel has so much. pixels: how many were given that percent. share: which part of them is
    the class, None where there are none: a model is calibrated where it equals the percent.
    average_precision: the area under precision over recall in steps, as scikit-learn has it.
    calibration_error: mean distance of share from percent, each pixel counting once, 0 to 1
    (Naeini et al., AAAI 2015, of one class).
    """

    precision: tuple[float | None, ...]
    recall: tuple[float, ...]
    pixels: tuple[int, ...]
    share: tuple[float | None, ...]
    average_precision: float
    calibration_error: float


class PercentHistogram:
    """Counts labelled pixels by class, percent of that class, and label."""

    def __init__(self, classes: int) -> None:
        self._counts: Counts = np.zeros((classes, BINS, classes), dtype=np.int64)

    def add(self, percent: npt.NDArray[np.uint8], channels: Codes) -> None:
        """percent: uint8 (classes, rows, columns), 0 to 100, 255 where nothing was predicted.
        channels: uint8 (rows, columns), the position of the label's class, 255 ignored."""
        classes = len(self._counts)
        used = (channels != NODATA) & (percent[0] < BINS)
        truth = channels[used].astype(np.intp)
        for counts, values in zip(self._counts, percent, strict=True):
            found = np.bincount(
                values[used].astype(np.intp) * classes + truth, minlength=counts.size
            )
            counts += found.reshape(counts.shape)

    def curve(self, channel: int) -> Curve | None:
        """The curve of a class; None where no pixel that counts has its label."""
        counts = self._counts[channel]
        pixels, own = counts.sum(axis=1), counts[:, channel]
        if not own.sum():
            return None
        hits = own[::-1].cumsum()[::-1]
        called = pixels[::-1].cumsum()[::-1]
        precision, recall = ratio(hits, called), hits / own.sum()
        steps = recall - np.append(recall[1:], 0)
        share = ratio(own, pixels)
        distance = np.abs(np.nan_to_num(share - np.arange(BINS) / 100))
        return Curve(
            precision=_numbers(precision),
            recall=tuple(map(float, recall)),
            pixels=tuple(map(int, pixels)),
            share=_numbers(share),
            average_precision=float((steps * np.nan_to_num(precision)).sum()),
            calibration_error=float((distance * pixels).sum() / pixels.sum()),
        )


def _numbers(values: npt.NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
