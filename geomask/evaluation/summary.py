"""From what was counted to what is reported: scores, their intervals, and rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geomask.evaluation.bootstrap import interval, resample
from geomask.evaluation.boundary import boundary_f1
from geomask.evaluation.curves import PercentHistogram
from geomask.evaluation.results import (
    BoundaryPixels,
    ClassEvaluation,
    CloudFree,
    Estimate,
    Overall,
    PartScores,
    ThinCloud,
)
from geomask.evaluation.tally import LABELS, Legend, Tally, total
from geomask.metrics import CLASS_SCORES, Counts, Floats, mean_of_known, ratio, scores_of

THIN = LABELS.index("thin_cloud")
"""Row of thin cloud in a tally."""


class Estimates:
    """All scores of tallies by group, with intervals over the groups where there are several.

    groups: a tally each. draws, seed: of the resamples, which are the same for every score.
    """

    def __init__(self, groups: Sequence[Tally], legend: Legend, draws: int, seed: int) -> None:
        self._legend = legend
        self.whole = total(groups, len(legend.table))
        self._values = _scores(self.whole.labels, self.whole.boundary, legend)
        labels = np.array([tally.labels for tally in groups])
        boundary = np.array([tally.boundary for tally in groups])
        single = _scores(labels, boundary, legend)
        resampled = _scores(*_resampled(labels, boundary, draws, seed), legend)
        self._ends = {name: _ends(resampled[name], single[name]) for name in single}

    def get(self, name: str, position: int | None = None) -> Estimate:
        """A score by its name in `_scores`; of the class at `position`, if it is a class's."""
        where = () if position is None else position
        return Estimate(
            *(_number(values[where]) for values in (self._values[name], *self._ends[name]))
        )

    def classes(self, histogram: PercentHistogram | None) -> tuple[ClassEvaluation, ...]:
        """Every class of the table, in its order."""
        counts = self.whole.counts(self._legend)
        return tuple(
            ClassEvaluation(
                code=item.code,
                name=item.name,
                color=item.color,
                pixels=int(counts[channel].sum()),
                predicted=int(counts[:, channel].sum()),
                unpredicted=int(counts[channel, -1]),
                **{score: self.get(score, channel) for score in (*CLASS_SCORES, "boundary_f1")},
                boundary=BoundaryPixels(*map(int, self.whole.boundary[channel])),
                curve=None if histogram is None else histogram.curve(channel),
            )
            for channel, item in enumerate(self._legend.table)
        )

    def overall(self) -> Overall:
        """All classes together."""
        counts = self.whole.counts(self._legend)
        macros = [f"macro_{score}" for score in (*CLASS_SCORES, "boundary_f1")]
        return Overall(
            pixels=int(counts.sum()),
            unpredicted=int(counts[:, -1].sum()),
            accuracy=self.get("accuracy"),
            balanced_accuracy=self.get("macro_recall"),
            **{name: self.get(name) for name in macros},
        )

    def thin_cloud(self) -> ThinCloud | None:
        """What became of thin cloud; None where no class stands for it."""
        name = self._legend.labels["thin_cloud"]
        if name is None:
            return None
        return ThinCloud(name, int(self.whole.labels[THIN].sum()), self.get("thin_cloud"))

    def ignored(self) -> dict[str, int]:
        """Pixels that are not scored, by label."""
        left_out = {
            label: int(row.sum())
            for label, row in zip(LABELS, self.whole.labels, strict=True)
            if self._legend.labels[label] is None
        }
        return left_out | {"unknown": self.whole.unknown}


def part_scores(tally: Tally, legend: Legend) -> PartScores:
    """The scores of a chip or a group, without intervals."""
    counts = tally.counts(legend)
    scores = scores_of(counts)
    names = legend.table.names
    return PartScores(
        pixels=int(counts.sum()),
        ignored=int(tally.labels.sum() - counts.sum()) + tally.unknown,
        unpredicted=int(counts[:, -1].sum()),
        accuracy=_number(scores.accuracy),
        macro_iou=_number(scores.macro("iou")),
        macro_f1=_number(scores.macro("f1")),
        iou=_by_name(names, scores.iou),
        f1=_by_name(names, scores.f1),
        recall=_by_name(names, scores.recall),
    )


def cloud_free(
    found: Mapping[str, Mapping[str, Counts]], legend: Legend, draws: int, seed: int
) -> CloudFree:
    """What was flagged on clear chips. found: by group and chip id, int64 (classes,), pixels."""
    table = legend.table
    labels = legend.labels
    alarming = {labels[name] for name in ("thick_cloud", "thin_cloud", "shadow")}
    # Snow that is told to count as cloud makes no cloud harmless.
    harmless = {labels["clear"], *({"snow", labels["snow"]} - alarming)}
    flags = np.array([item.name not in harmless for item in table])
    chips = {name: counts for group in found.values() for name, counts in group.items()}
    pixels = np.array([np.sum(list(group.values()), axis=0) for group in found.values()])
    flagged = np.stack([pixels[:, flags].sum(axis=1), pixels.sum(axis=1)], axis=1)
    single, drawn = (
        ratio(some[:, 0], some[:, 1]) for some in (flagged, resample(flagged, draws, seed))
    )
    value = ratio(*flagged.sum(axis=0))
    shares = ratio(pixels.sum(axis=0), pixels.sum())
    return CloudFree(
        chips=len(chips),
        pixels=int(pixels.sum()),
        flagged=Estimate(*(_number(part) for part in (value, *_ends(drawn, single)))),
        shares=dict(zip(table.names, map(float, np.nan_to_num(shares)), strict=True)),
        by_chip={
            name: float(counts[flags].sum() / max(1, counts.sum()))
            for name, counts in chips.items()
        },
    )


def _scores(labels: Counts, boundary: Counts, legend: Legend) -> dict[str, Floats]:
    """Scores by name of label counts (..., labels, classes + 1) and boundary counts (...,
    classes, 4): of classes, (..., classes), and of all of them, (...)."""
    tally = Tally(labels, 0, boundary)
    scores = scores_of(tally.counts(legend))
    by_class = {score: getattr(scores, score) for score in CLASS_SCORES}
    by_class["boundary_f1"] = boundary_f1(boundary)
    macro = {f"macro_{name}": mean_of_known(values) for name, values in by_class.items()}
    thin = labels[..., THIN, :]
    channel = legend.channels[THIN]
    hits = np.zeros_like(thin[..., 0]) if channel is None else thin[..., channel]
    recall = {"thin_cloud": ratio(hits, thin.sum(axis=-1))}
    return by_class | macro | {"accuracy": scores.accuracy} | recall


def _resampled(labels: Counts, boundary: Counts, draws: int, seed: int) -> tuple[Counts, Counts]:
    """(labels, boundary) of resamples of groups, (draws, ...): drawn once for both."""
    count = len(labels)
    flat = np.concatenate([labels.reshape(count, -1), boundary.reshape(count, -1)], axis=1)
    drawn = np.split(resample(flat, draws, seed), [labels[0].size], axis=1)
    return drawn[0].reshape(-1, *labels.shape[1:]), drawn[1].reshape(-1, *boundary.shape[1:])


def _ends(resampled: Floats, single: Floats) -> tuple[Floats, Floats]:
    """The interval of a score of resamples (draws, ...); NaN where fewer than two groups have the
    score at all, single (groups, ...), since resampling one group says nothing."""
    enough = np.count_nonzero(~np.isnan(single), axis=0) > 1
    low, high = interval(resampled)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _by_name(names: Sequence[str], values: Floats) -> dict[str, float | None]:
    return {name: _number(value) for name, value in zip(names, values, strict=True)}


def _number(value: Floats) -> float | None:
    return None if np.isnan(value) else float(value)
