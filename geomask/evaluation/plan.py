"""Evaluate: a model, or masks by any tool, against labelled chips; and what it found to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from geomask.checkpoint import Model, load_model
from geomask.device import choose_device
from geomask.errors import OptionError
from geomask.evaluation.bootstrap import DRAWS
from geomask.evaluation.boundary import TOLERANCE
from geomask.evaluation.mappings import classes_of_labels, parse_codes
from geomask.evaluation.mask_subject import open_masks
from geomask.evaluation.results import Evaluation
from geomask.evaluation.selection import (
    check_ids,
    chips_of_split,
    columns_of,
    seen_groups,
)
from geomask.evaluation.subject import ModelSubject, Subject
from geomask.evaluation.tally import Legend
from geomask.evaluation.trial import Told, Trial
from geomask.training.chips import cloud_free_chips, read_manifest


class Options(TypedDict, total=False):
    """Arguments of `plan_evaluation` and `evaluate`; see there."""

    model: Model | str | Path | None
    masks: str | Path | None
    data: Sequence[str | Path]
    split: str
    clear: Sequence[str | Path]
    mapping: str | Mapping[int, str] | None
    labels: Mapping[str, str] | None
    by: Sequence[str]
    device: str
    precision: str
    patch: int | None
    margin: int | None
    tolerance: int
    draws: int
    seed: int


def evaluate(*, progress: Told | None = None, **options: Unpack[Options]) -> Evaluation:
    """Score a model or masks on labelled chips: `plan_evaluation`, whose arguments it takes, run.

    progress: called as pixels are done.
    """
    return plan_evaluation(**options).run(progress)


def plan_evaluation(
    *,
    data: Sequence[str | Path],
    model: Model | str | Path | None = None,
    masks: str | Path | None = None,
    split: str = "test",
    clear: Sequence[str | Path] = (),
    mapping: str | Mapping[int, str] | None = None,
    labels: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    patch: int | None = None,
    margin: int | None = None,
    tolerance: int = TOLERANCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> Trial:
    """Everything that is decided, and can be refused, before the first chip is scored.

    data: chip folders (docs/training.md). Exactly one of model, a Model, a name or a path; and
    masks, a folder that holds ID.tif or ID_mask.tif for every chip. split: one of `SPLITS`.
    clear: folders whose chips of manifest column `cloud_free` "yes" show what is flagged where
    nothing should be. mapping: what mask codes stand for: "scl", "fmask", "0=clear,1=cloud", or a
    dictionary of the same; unnecessary for geomask's own masks. labels: chip labels to classes,
    where `classes_of_labels` must not decide. by: further columns of the manifest to break scores
    down by. device, precision, patch, margin: of the model, as for `predict_scene`; with margin 0 a
    small chip is shown without reflected surroundings, as training shows it. tolerance: pixels,
    of boundaries. draws, seed: of the intervals.

    Raises GeomaskError; warns of chips that the model was trained on.
    """
    if (model is None) == (masks is None):
        raise OptionError("exactly one of a model and a folder of masks can be scored")
    if masks is None and mapping is not None:
        raise OptionError("a mapping of codes goes with masks; a model says what its codes mean")
    if tolerance < 0 or draws < 1:
        raise OptionError(f"tolerance {tolerance} is below 0, or draws {draws} below 1")
    if model is not None and not isinstance(model, Model):
        model = load_model(model, choose_device(device))
    card = None if model is None else model.card
    there = [chip for folder in data for chip in read_manifest(folder)]
    free = [chip for folder in clear for chip in cloud_free_chips(folder)]
    chips = chips_of_split(there, split, card)
    free = chips_of_split(free, split, card) if free else []
    check_ids([*chips, *free])
    subject: Subject
    if model is not None:
        subject = ModelSubject(model, precision, patch, margin)
        for chip in (*chips, *free):
            subject.bands(chip)  # refused now, not after an hour
    else:
        codes = parse_codes(mapping) if isinstance(mapping, str) else mapping
        subject = open_masks(str(masks), [*chips, *free], codes)
    return Trial(
        subject=subject,
        legend=Legend(subject.classes, classes_of_labels(subject.classes, card, labels)),
        chips=chips,
        clear=free,
        data=tuple(map(str, data)),
        split=split,
        seen=seen_groups(card, there, chips, free),
        by=columns_of(chips, by),
        tolerance=tolerance,
        draws=draws,
        seed=seed,
    )
