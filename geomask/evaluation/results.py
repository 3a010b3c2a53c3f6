"""What an evaluation found: plain records, for reports, JSON and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from geomask.evaluation.curves import Curve
from geomask.metrics import ALARM

DIGITS = 6
"""Decimals of scores in JSON: a pixel in a million."""


@dataclass(frozen=True)
class Estimate:
    """A score, 0 to 1, and its 95 % interval over groups (`bootstrap`).

    value: None where nothing was there to score. low, high: None where fewer than two groups have
    the score.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class BoundaryPixels:
    """Boundary pixels of a class; see `boundary.BoundaryCounter`.

    true: in the labels. true_matched: of these, near a predicted one. predicted: in the mask,
    away from pixels without a label. predicted_matched: of these, near a true one.
    """

    true: int
    true_matched: int
    predicted: int
    predicted_matched: int


@dataclass(frozen=True)
class ClassEvaluation:
    """One class over all chips.

    pixels: labelled as it. predicted: labelled pixels that are called it. unpredicted: of
    `pixels`, those that were called nothing (nodata), which count as wrong. Scores are None in
    value for a class that no label has. curve: of a model's probabilities.
    """

    code: int
    name: str
    color: tuple[int, int, int]
    pixels: int
    predicted: int
    unpredicted: int
    iou: Estimate
    f1: Estimate
    precision: Estimate
    recall: Estimate
    boundary_f1: Estimate
    boundary: BoundaryPixels
    curve: Curve | None


@dataclass(frozen=True)
class Overall:
    """All classes over all chips.

    Macro scores are means over the classes that occur in truth; in an interval, over those that
    occur in each resample, so that a class which only few groups have makes it wide.
    """

    pixels: int
    unpredicted: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_iou: Estimate
    macro_f1: Estimate
    macro_precision: Estimate
    macro_recall: Estimate
    macro_boundary_f1: Estimate


@dataclass(frozen=True)
class ThinCloud:
    """Pixels labelled thin cloud, and the share of them that is called what the label stands for.

    class_name: that class, usually cloud.
    """

    class_name: str
    pixels: int
    recall: Estimate


@dataclass(frozen=True)
class CloudFree:
    """Chips that are known to be free of cloud, and what was called cloud or shadow there.

    pixels: that were called anything. flagged: the share of them that was called neither clear
    nor snow. shares: by class name. by_chip: `flagged` of each chip, by id.
    """

    chips: int
    pixels: int
    flagged: Estimate
    shares: Mapping[str, float]
    by_chip: Mapping[str, float]

    @property
    def alarms(self) -> int:
        """How many chips are flagged in more than `ALARM` of their pixels."""
        return sum(share > ALARM for share in self.by_chip.values())


@dataclass(frozen=True)
class PartScores:
    """Scores of a part of the chips. By class: None for a class that no label there has."""

    pixels: int
    ignored: int
    unpredicted: int
    accuracy: float | None
    macro_iou: float | None
    macro_f1: float | None
    iou: Mapping[str, float | None]
    f1: Mapping[str, float | None]
    recall: Mapping[str, float | None]


@dataclass(frozen=True)
class GroupRow:
    """Chips that agree in a column of the manifest. column, value: which; chips: how many."""

    column: str
    value: str
    chips: int
    scores: PartScores


@dataclass(frozen=True)
class ChipRow:
    """One chip. group: its split_group. fields: the manifest's, of the columns of `by`. bands:
    that the model looked at, none for masks. height, width: pixels."""

    id: str
    group: str
    fields: Mapping[str, str]
    bands: tuple[str, ...]
    height: int
    width: int
    scores: PartScores


@dataclass(frozen=True)
class Evaluation:
    """Masks against labels.

    subject: what was scored, as `Subject.about` says. data: chip folders. data_sha256: their
    fingerprint. split: which chips. groups: split groups that they make. seen_groups: of these and
    of cloud-free chips', what the model's card says it was trained on. labels: the class each chip
    label counts as; None: not scored. confusion: pixels, row truth, column prediction, in the order
    of `classes`. ignored: pixels not scored by the name of their label, "unknown" for any other
    code. by: columns of `group_rows`. tolerance: pixels, of boundaries. draws, level, seed: of
    intervals.
    """

    subject: Mapping[str, Any]
    data: tuple[str, ...]
    data_sha256: str
    split: str
    chips: int
    groups: int
    seen_groups: tuple[str, ...]
    labels: Mapping[str, str | None]
    classes: tuple[ClassEvaluation, ...]
    overall: Overall
    confusion: tuple[tuple[int, ...], ...]
    ignored: Mapping[str, int]
    thin_cloud: ThinCloud | None
    cloud_free: CloudFree | None
    by: tuple[str, ...]
    group_rows: tuple[GroupRow, ...]
    chip_rows: tuple[ChipRow, ...]
    tolerance: int
    draws: int
    level: float
    seed: int
    version: str

    def to_json(self) -> dict[str, Any]:
        """As plain values, scores to six decimals."""
        result: dict[str, Any] = _plain(asdict(self))
        return result


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return round(value, DIGITS) if isinstance(value, float) else value
