"""An evaluation on disk: metrics.json, per_chip.csv and report.html, all of them or none."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from geomask.evaluation.results import ChipRow, Evaluation
from geomask.folders import check_folder, making
from geomask.output import Staged, check_output, commit_all, writing

METRICS, PER_CHIP, REPORT = "metrics.json", "per_chip.csv", "report.html"
"""Files that an evaluation is written to."""


def check_report(folder: str | Path, *, overwrite: bool) -> None:
    """Refuse, before any work, a folder that an evaluation could not be written to; touches
    nothing. Raises OutputError."""
    folder = Path(folder)
    check_folder(folder)
    if folder.exists():
        for name in (METRICS, PER_CHIP, REPORT):
            check_output(folder / name, overwrite=overwrite)


def write_evaluation(
    evaluation: Evaluation,
    folder: str | Path,
    *,
    draw: Callable[[Path], None] | None = None,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write metrics.json and per_chip.csv to a folder; returns their paths. All are complete before
    the first comes into place.

    draw: writes report.html to the path it is given; it comes into place with the others.
    Raises OutputError.
    """
    folder = Path(folder)
    check_report(folder, overwrite=overwrite)
    names = (METRICS, PER_CHIP) if draw is None else (METRICS, PER_CHIP, REPORT)
    with making(folder), ExitStack() as stack:
        files = [stack.enter_context(Staged(folder / name)) for name in names]
        with writing(folder):
            files[0].path.write_text(json.dumps(evaluation.to_json(), indent=1) + "\n", "utf-8")
            with files[1].path.open("w", newline="", encoding="utf-8") as file:
                _write_table(csv.writer(file), evaluation.chip_rows)
            if draw is not None:
                draw(files[2].path)
        commit_all(reversed(files))
    return tuple(staged.target for staged in files)


def _write_table(writer: Any, rows: Sequence[ChipRow]) -> None:
    """A header and a line per chip; scores that there are none of are empty."""
    plain = ("pixels", "ignored", "unpredicted", "accuracy", "macro_iou", "macro_f1")
    by_class = [(score, name) for score in ("iou", "f1", "recall") for name in rows[0].scores.iou]
    writer.writerow(
        [
            *("id", "split_group", *rows[0].fields, "bands", "height", "width"),
            *(*plain, *(f"{score}_{name}" for score, name in by_class)),
        ]
    )
    for row in rows:
        scores = [getattr(row.scores, name) for name in plain]
        scores += [getattr(row.scores, score)[name] for score, name in by_class]
        place = [row.id, row.group, *row.fields.values(), " ".join(row.bands)]
        writer.writerow([*place, row.height, row.width, *_cells(scores)])


def _cells(scores: Iterable[float | None]) -> list[str]:
    return ["" if score is None else f"{score:.6g}" for score in scores]
