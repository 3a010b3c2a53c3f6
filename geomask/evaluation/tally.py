"""Counting a chip: its labels against its classes, strip by strip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import numpy as np
from rasterio.windows import Window

from geomask.classes import NODATA, ClassTable, remap
from geomask.engine import Result
from geomask.evaluation.boundary import TOLERANCE, BoundaryCounter
from geomask.evaluation.curves import PercentHistogram
from geomask.metrics import Codes, Counts, count_pairs, fold_rows
from geomask.training.chips import CHIP_LABELS, Chip, read_labels

LABELS = tuple(CHIP_LABELS)
"""Names of the labels that are counted, in the order of a tally's rows."""


@dataclass(frozen=True)
class Legend:
    """What labels and classes are to each other.

    table: the classes. labels: the name of each chip label's class, None where it has none.
    """

    table: ClassTable
    labels: Mapping[str, str | None]

    @property
    def channels(self) -> list[int | None]:
        """The position of each label's class in the table, in the order of `LABELS`."""
        names = [self.labels[label] for label in LABELS]
        return [None if name is None else self.table.names.index(name) for name in names]

    def codes_of(self, labels: Codes) -> Codes:
        """uint8 class codes, 255 where a label has no class, of chip labels of any shape."""
        codes = {
            CHIP_LABELS[label]: self.table[name].code
            for label, name in self.labels.items()
            if name is not None
        }
        return remap(labels, codes)


@dataclass(frozen=True)
class Tally:
    """What was counted; tallies add up.

    labels: int64 (labels, classes + 1), pixels by label (`LABELS`) and class, the last column
    those that were called nothing. unknown: pixels with any other label. boundary: int64
    (classes, 4), see `BoundaryCounter`.
    """

    labels: Counts
    unknown: int
    boundary: Counts

    @classmethod
    def empty(cls, classes: int) -> Self:
        """Nothing counted yet."""
        return cls(
            np.zeros((len(LABELS), classes + 1), dtype=np.int64),
            0,
            np.zeros((classes, 4), dtype=np.int64),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.labels + other.labels,
            self.unknown + other.unknown,
            self.boundary + other.boundary,
        )

    def counts(self, legend: Legend) -> Counts:
        """int64 (classes, classes + 1): counts as `metrics` has them."""
        return fold_rows(self.labels, legend.channels, len(legend.table))


def total(tallies: Iterable[Tally], classes: int) -> Tally:
    """The sum of tallies, of none of them an empty one."""
    return sum(tallies, Tally.empty(classes))


@dataclass(frozen=True)
class Strip:
    """Full rows of a chip. top: the first row. labels: uint8, chip codes as on disk. classes:
    uint8, class codes, 255 for none; both (rows, width). results: what the classes came in."""

    top: int
    labels: Codes
    classes: Codes
    results: tuple[Result, ...]


def strips(chip: Chip, results: Iterable[Result]) -> Iterator[Strip]:
    """Labels beside classes, one row of windows at a time: no more of either is ever in memory."""
    width = chip.shape[1]
    for top, row in groupby(results, key=lambda result: int(result.window.row_off)):
        parts = tuple(row)
        height = int(parts[0].window.height)
        classes = np.full((height, width), NODATA, dtype=np.uint8)
        for part in parts:
            left = int(part.window.col_off)
            classes[:, left : left + int(part.window.width)] = part.codes
        yield Strip(top, read_labels(chip, Window(0, top, width, height)), classes, parts)


def tally_chip(
    chip: Chip,
    results: Iterable[Result],
    legend: Legend,
    histogram: PercentHistogram | None = None,
    tolerance: int = TOLERANCE,
) -> Tally:
    """Count a labelled chip. histogram: also takes the percents, where results have them."""
    codes = [int(code) for code in legend.table.codes]
    boundary = BoundaryCounter(codes, tolerance)
    labels = np.zeros((len(LABELS), len(codes) + 1), dtype=np.int64)
    pixels = 0
    for strip in strips(chip, results):
        labels += count_pairs(strip.labels, strip.classes, list(CHIP_LABELS.values()), codes)
        truth = legend.codes_of(strip.labels)
        boundary.add(truth, strip.classes)
        pixels += truth.size
        if histogram is not None:
            _count_percents(strip, truth, codes, histogram)
    return Tally(labels, pixels - int(labels.sum()), boundary.finish())


def _count_percents(
    strip: Strip, truth: Codes, codes: list[int], histogram: PercentHistogram
) -> None:
    channels = remap(truth, {code: channel for channel, code in enumerate(codes)})
    for result in strip.results:
        if result.percent is not None:
            left = int(result.window.col_off)
            histogram.add(result.percent, channels[:, left : left + int(result.window.width)])
