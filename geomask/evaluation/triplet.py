"""Pictures of one chip: what it looks like, its labels, and what a mask says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geomask.classes import NODATA
from geomask.engine import Result
from geomask.evaluation.tally import Legend, strips
from geomask.metrics import Codes
from geomask.pictures import composite_of, stretched
from geomask.training.chips import Chip, read_image

SIDE = 512
"""Pixels of a picture's longer side, at most."""


@dataclass(frozen=True)
class Triplet:
    """A chip side by side, all of one shape.

    rgb: uint8 (height, width, 3), black where not measured. truth, predicted: uint8 (height,
    width), class codes; 255 where there is no label that is scored, or no prediction.
    """

    rgb: npt.NDArray[np.uint8]
    truth: Codes
    predicted: Codes


def make_triplet(
    chip: Chip, results: Iterable[Result], legend: Legend, side: int = SIDE
) -> Triplet:
    """The pictures of a chip that is classified as `results` come in.

    side: pixels of the longer one at most. Labels and classes are those of every so many pixels,
    the image is averaged; no more than a strip of the chip is in memory.
    """
    height, width = chip.shape
    shrink = max(1.0, max(height, width) / side)
    shape = max(1, int(height / shrink)), max(1, int(width / shrink))
    rows, columns = (
        ((np.arange(small) + 0.5) * (large / small)).astype(np.intp)
        for small, large in zip(shape, chip.shape, strict=True)
    )
    truth, predicted = (np.full(shape, NODATA, dtype=np.uint8) for _ in range(2))
    for strip in strips(chip, results):
        inside = (rows >= strip.top) & (rows < strip.top + len(strip.labels))
        here = rows[inside] - strip.top
        truth[inside] = legend.codes_of(strip.labels[here][:, columns])
        predicted[inside] = strip.classes[here][:, columns]
    return Triplet(picture(chip, shape), truth, predicted)


def picture(chip: Chip, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """uint8 (*shape, 3): the chip for the eye, in natural colours or, without blue, in false ones;
    grey where it has not even these bands."""
    return stretched(read_image(chip, composite_of(chip.bands), shape=shape))
