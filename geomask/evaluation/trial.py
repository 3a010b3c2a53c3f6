"""An evaluation that is decided to the last chip: run, and looked at chip by chip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import rasterio

from geomask.engine import Result
from geomask.errors import OptionError
from geomask.evaluation.bootstrap import LEVEL
from geomask.evaluation.curves import PercentHistogram
from geomask.evaluation.results import ChipRow, Evaluation, GroupRow
from geomask.evaluation.selection import value_in
from geomask.evaluation.subject import Subject
from geomask.evaluation.summary import Estimates, cloud_free, part_scores
from geomask.evaluation.tally import Legend, Tally, tally_chip, total
from geomask.evaluation.triplet import SIDE, Triplet, make_triplet
from geomask.metrics import Counts
from geomask.predict import Progress
from geomask.raster import GDAL_OPTIONS
from geomask.training.chips import Chip, fingerprint
from geomask.version import __version__

Told = Callable[[Progress], None]
"""Is told of pixels done."""


@dataclass(frozen=True)
class Trial:
    """An evaluation that is ready to run. seen: groups that the model was trained on."""

    subject: Subject
    legend: Legend
    chips: Sequence[Chip]
    clear: Sequence[Chip]
    data: tuple[str, ...]
    split: str
    seen: tuple[str, ...]
    by: tuple[str, ...]
    tolerance: int
    draws: int
    seed: int

    def run(self, progress: Told | None = None) -> Evaluation:
        """Score every chip, a strip at a time. Raises GeomaskError for a chip that fails."""
        histogram = PercentHistogram(len(self.legend.table))
        count = _Meter([*self.chips, *self.clear], progress).count
        tallies: dict[str, Tally] = {}
        flagged: dict[str, dict[str, Counts]] = {}
        with rasterio.Env(**GDAL_OPTIONS):
            for chip in self.chips:
                with closing(self.subject.results(chip)) as results:
                    tallies[chip.id] = tally_chip(
                        chip, count(results), self.legend, histogram, self.tolerance
                    )
            for chip in self.clear:
                with closing(self.subject.results(chip)) as results:
                    flagged.setdefault(chip.group, {})[chip.id] = self._pixels(count(results))
        return self._report(tallies, histogram, flagged)

    def triplet(self, chip_id: str, side: int = SIDE) -> Triplet:
        """The pictures of one chip, classified again. Raises OptionError for an unknown id."""
        chip = next((chip for chip in self.chips if chip.id == chip_id), None)
        if chip is None:
            raise OptionError(f"no chip that is scored has the id {chip_id!r}")
        with rasterio.Env(**GDAL_OPTIONS), closing(self.subject.results(chip)) as results:
            return make_triplet(chip, results, self.legend, side)

    def _pixels(self, results: Iterable[Result]) -> Counts:
        """int64 (classes,): how many pixels are called each class."""
        counts = np.zeros(256, dtype=np.int64)
        for result in results:
            counts += np.bincount(result.codes.ravel(), minlength=256)
        return counts[self.legend.table.codes]

    def _report(
        self,
        tallies: Mapping[str, Tally],
        histogram: PercentHistogram,
        flagged: Mapping[str, Mapping[str, Counts]],
    ) -> Evaluation:
        groups = self._sums("split_group", tallies)
        estimates = Estimates(list(groups.values()), self.legend, self.draws, self.seed)
        counts = estimates.whole.counts(self.legend)
        free = None
        if flagged:
            free = cloud_free(flagged, self.legend, self.draws, self.seed)
        return Evaluation(
            subject=self.subject.about(),
            data=self.data,
            data_sha256=fingerprint(self.data),
            split=self.split,
            chips=len(self.chips),
            groups=len(groups),
            seen_groups=self.seen,
            labels=self.legend.labels,
            classes=estimates.classes(histogram),
            overall=estimates.overall(),
            confusion=tuple(tuple(map(int, row[:-1])) for row in counts),
            ignored=estimates.ignored(),
            thin_cloud=estimates.thin_cloud(),
            cloud_free=free,
            by=self.by,
            group_rows=self._group_rows(tallies),
            chip_rows=tuple(self._chip_row(chip, tallies[chip.id]) for chip in self.chips),
            tolerance=self.tolerance,
            draws=self.draws,
            level=LEVEL,
            seed=self.seed,
            version=__version__,
        )

    def _sums(self, column: str, tallies: Mapping[str, Tally]) -> dict[str, Tally]:
        """The tallies of all chips by their value in a column, in the order of the manifest."""
        groups: dict[str, list[Tally]] = {}
        for chip in self.chips:
            groups.setdefault(value_in(chip, column), []).append(tallies[chip.id])
        return {value: total(some, len(self.legend.table)) for value, some in groups.items()}

    def _group_rows(self, tallies: Mapping[str, Tally]) -> tuple[GroupRow, ...]:
        rows = []
        for column in self.by:
            chips = Counter(value_in(chip, column) for chip in self.chips)
            rows += [
                GroupRow(column, value, chips[value], part_scores(tally, self.legend))
                for value, tally in self._sums(column, tallies).items()
            ]
        return tuple(rows)

    def _chip_row(self, chip: Chip, tally: Tally) -> ChipRow:
        fields = {column: value_in(chip, column) for column in self.by if column != "split_group"}
        scores = part_scores(tally, self.legend)
        return ChipRow(chip.id, chip.group, fields, self.subject.bands(chip), *chip.shape, scores)


class _Meter:
    """Tells how many pixels of all chips are done."""

    def __init__(self, chips: Sequence[Chip], progress: Told | None) -> None:
        self._progress = progress
        self._total = sum(chip.shape[0] * chip.shape[1] for chip in chips)
        self._done = 0

    def count(self, results: Iterable[Result]) -> Generator[Result, None, None]:
        """The same results; told of once each was dealt with."""
        for result in results:
            yield result
            self._done += result.codes.size
            if self._progress is not None:
                self._progress(Progress(self._done, self._total))
