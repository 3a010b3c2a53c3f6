"""The tables of a report: classes, confusion, labels, groups and chips."""

from __future__ import annotations

from collections.abc import Sequence

from geomask.evaluation.results import (
    ChipRow,
    ClassEvaluation,
    Estimate,
    Evaluation,
    GroupRow,
    PartScores,
)
from geomask.metrics import CLASS_SCORES
from geomask.pages.markup import Html, count, element, join, percent, swatch, table, text
from geomask.report.scores import interval, score

MOST_ROWS = 50
"""Of groups and of chips; the files beside the report have all of them."""

STRONGEST = 0.45
"""Opacity behind a cell of the confusion matrix that holds its whole row: ink stays readable."""

COLUMNS = (*CLASS_SCORES, "boundary_f1")
"""Scores that a class and, as macro scores, all of them have."""


def class_label(item: ClassEvaluation) -> Html:
    """A class's colour and name."""
    return join([swatch(item.color), item.name])


def class_table(evaluation: Evaluation) -> Html:
    """Scores per class, and their means."""
    overall = evaluation.overall
    curves = any(item.curve is not None for item in evaluation.classes)
    columns = ["Class", "IoU", "F1", "Precision", "Recall", "Boundary F1"]
    columns += ["Labelled pixels", "Called it", "Called nothing"]
    columns += ["Average precision", "Calibration error"] if curves else []
    rows = []
    for item in evaluation.classes:
        row = [class_label(item), *(estimate(getattr(item, name)) for name in COLUMNS)]
        row += [count(number) for number in (item.pixels, item.predicted, item.unpredicted)]
        if curves:
            curve = item.curve
            row.append(score(None if curve is None else curve.average_precision))
            row.append(score(None if curve is None else curve.calibration_error))
        rows.append(row)
    macro = [estimate(getattr(overall, f"macro_{name}")) for name in COLUMNS]
    called = sum(item.predicted for item in evaluation.classes)
    foot = ["Macro", *macro, *map(count, (overall.pixels, called, overall.unpredicted))]
    caption = (
        f"Scores per class; below each its {_level(evaluation)} interval, also drawn from 0 to 1"
    )
    return table("classes", caption, columns, rows, [*foot, "", ""] if curves else foot)


def confusion_table(evaluation: Evaluation) -> Html:
    """Counts by label and prediction, with the share of each label's pixels."""
    names = [item.name for item in evaluation.classes]
    columns = ["Label", *(f"called {name}" for name in names), "called nothing", "all"]
    rows = [
        [class_label(item), *(_shaded(number, item.pixels) for number in found), count(item.pixels)]
        for item, counted in zip(evaluation.classes, evaluation.confusion, strict=True)
        for found in [(*counted, item.unpredicted)]
    ]
    caption = "Confusion matrix: pixels, and their share of the label's, also as shading"
    return table("matrix", caption, columns, rows)


def label_table(evaluation: Evaluation) -> Html:
    """What each label counts as, and how many pixels count for nothing."""
    rows: list[list[object]] = [
        [label.replace("_", " "), stands_for or "not scored", _left_out(evaluation, label)]
        for label, stands_for in evaluation.labels.items()
    ]
    rows.append(["any other", "not scored", _left_out(evaluation, "unknown")])
    caption = "What each label of the chips counts as"
    foot = ["All", "", count(sum(evaluation.ignored.values()))]
    return table("labels", caption, ["Label", "Counts as", "Pixels left out"], rows, foot)


def group_tables(evaluation: Evaluation) -> Html:
    """A table per column of the manifest, that of split groups, which are many, last."""
    columns = sorted(evaluation.by, key=lambda column: column == "split_group")
    return join([_group_table(evaluation, column, number) for number, column in enumerate(columns)])


def chip_table(evaluation: Evaluation) -> Html:
    """The worst chips."""
    names = [item.name for item in evaluation.classes]
    rows = sorted(evaluation.chip_rows, key=lambda row: (_rank(row.scores), row.id))
    fields = list(rows[0].fields) if rows else []
    columns = ["Chip", *_part_columns(names), "Split group", *fields, "Size"]
    where = element("code", "per_chip.csv")
    return table(
        "chips",
        join([f"{_some(len(rows))} chips, worst macro IoU first; all are in ", where]),
        columns,
        [_chip_row(row, fields, names) for row in rows[:MOST_ROWS]],
    )


def estimate(value: Estimate) -> Html:
    """A score over its interval, and both on a scale from 0 to 1."""
    return join([score(value.value), interval(value), _scale(value)])


def _group_table(evaluation: Evaluation, column: str, number: int) -> Html:
    names = [item.name for item in evaluation.classes]
    rows = [row for row in evaluation.group_rows if row.column == column]
    rows.sort(key=lambda row: (_rank(row.scores), row.value))
    caption = join(
        [f"By {column.replace('_', ' ')} ({_some(len(rows))}), worst macro IoU first"]
        + ([Html("; all are in <code>metrics.json</code>")] if len(rows) > MOST_ROWS else [])
    )
    columns = [column.replace("_", " "), "Chips", *_part_columns(names)]
    cells = [_group_row(row, names) for row in rows[:MOST_ROWS]]
    return table(f"group-{number}", caption, columns, cells)


def _group_row(row: GroupRow, names: Sequence[str]) -> list[object]:
    return [row.value, count(row.chips), *_part_cells(row.scores, names)]


def _chip_row(row: ChipRow, fields: Sequence[str], names: Sequence[str]) -> list[object]:
    size = f"{row.height} \N{MULTIPLICATION SIGN} {row.width}"
    given = [row.fields[field] for field in fields]
    return [row.id, *_part_cells(row.scores, names), row.group, *given, size]


def _part_columns(names: Sequence[str]) -> list[str]:
    ious = [f"IoU {name}" for name in names]
    return ["Macro IoU", *ious, "Macro F1", "Accuracy", "Pixels", "Left out", "Called nothing"]


def _part_cells(scores: PartScores, names: Sequence[str]) -> list[Html]:
    shares = [scores.macro_iou, *(scores.iou[name] for name in names)]
    shares += [scores.macro_f1, scores.accuracy]
    counts = (scores.pixels, scores.ignored, scores.unpredicted)
    return [*map(score, shares), *map(count, counts)]


def _rank(scores: PartScores) -> tuple[bool, float]:
    """The worst first, and last what has no score."""
    return scores.macro_iou is None, scores.macro_iou or 0.0


def _some(rows: int) -> str:
    return f"{MOST_ROWS} of {rows}" if rows > MOST_ROWS else str(rows)


def _left_out(evaluation: Evaluation, label: str) -> Html:
    return count(evaluation.ignored.get(label, 0))


def _level(evaluation: Evaluation) -> str:
    return percent(evaluation.level, 0)


def _shaded(number: int, whole: int) -> Html:
    """A cell of the confusion matrix."""
    if not whole:
        return element("td", count(number))
    share = number / whole
    small = element("small", text(percent(share)))
    return element("td", count(number), small, style=f"--share:{STRONGEST * share:.3f}")


def _scale(value: Estimate) -> Html:
    """For eyes alone: the numbers stand beside it."""
    if value.value is None:
        return Html("")
    low = value.value if value.low is None else value.low
    high = value.value if value.high is None else value.high
    spread = f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"
    return element(
        "span",
        element("span", class_="spread", style=spread),
        element("span", class_="dot", style=f"left:{100 * value.value:.1f}%"),
        class_="scale",
        aria_hidden="true",
    )
