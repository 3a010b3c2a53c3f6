"""`geomask evaluate`: a model, or masks of any tool, against labelled chips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geomask.cli import options

if TYPE_CHECKING:
    from geomask.evaluation.results import Estimate, Evaluation, PartScores

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _parsed(parser: str) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A callback that reads an option by a function of `mappings`."""

    def parse(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
        from geomask.errors import OptionError
        from geomask.evaluation import mappings

        try:
            return None if text is None else getattr(mappings, parser)(text)
        except OptionError as error:
            raise click.BadParameter(str(error)) from error

    return parse


@click.command("evaluate", short_help="A model, or masks, against labelled chips.")
@click.option("--model", metavar="NAME|FILE", help="The model to score, as for predict; or")
@click.option("--masks", type=_FOLDER, help="a folder of masks to score, ID.tif or ID_mask.tif.")
@click.option(
    "--map",
    "mapping",
    callback=_parsed("parse_codes"),
    metavar="scl|fmask|CODE=CLASS,…",
    help="What the codes of --masks stand for, as in 0=clear,1=cloud,9=nodata.",
)
@click.option(
    "--data", required=True, multiple=True, type=_FOLDER, help="A chip folder; may be repeated."
)
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train", "all", "held-out"]),
    default="test",
    show_default=True,
    help="Which chips; held-out: of the groups that the model's card says it was not trained on.",
)
@click.option(
    "--clear",
    multiple=True,
    type=_FOLDER,
    help="A folder of cloud-free chips, to see what is flagged there; may be repeated.",
)
@click.option(
    "--labels",
    callback=_parsed("parse_labels"),
    metavar="LABEL=CLASS,…",
    help="Which class a label counts as, where there is none of its name: shadow=clear.",
)
@click.option("--by", multiple=True, metavar="COLUMN", help="Also by this column; may be repeated.")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for metrics.json, per_chip.csv and report.html.",
)
@options.device_option
@click.option(
    "--margin",
    type=click.IntRange(min=0),
    help="As for predict; 0 shows small chips as training does. [default: the card's]",
)
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def command(
    model: str | None, masks: Path | None, mapping: Any, by: tuple[str, ...], **given: Any
) -> None:
    """Score a model, or masks that any tool has made, on labelled chips.

    A chip folder holds ID.tif, ID_mask.tif and manifest.csv (see docs/training.md). Intervals are
    95 %, over its split groups.

    \b
    geomask evaluate --model my.safetensors --data chips/ --report reports/
    geomask evaluate --masks scl/ --map scl --data chips/ --split all
    """
    if (model is None) == (masks is None):
        raise click.UsageError("give one of --model and --masks")
    if model is not None and mapping is not None:
        raise click.UsageError("--map goes with --masks")
    evaluation = _run({"model": model, "masks": masks, "mapping": mapping, "by": by}, **given)
    if given["as_json"]:
        from geomask.cli.console import print_json

        print_json(evaluation.to_json())
    elif not given["quiet"]:
        _print_scores(evaluation, by)


def _run(
    subject: dict[str, Any],
    report: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **chosen: Any,
) -> Evaluation:
    from geomask.cli.console import progress_bar
    from geomask.evaluation import check_report, plan_evaluation, write_evaluation
    from geomask.report import write_report

    if report is not None:
        check_report(report, overwrite=overwrite)
    trial = plan_evaluation(**subject, **chosen)
    with progress_bar("evaluating", quiet=quiet or as_json) as progress:
        evaluation = trial.run(progress)
    if report is not None:

        def draw(path: Path) -> None:
            write_report(evaluation, path, trial.triplet)

        write_evaluation(evaluation, report, draw=draw, overwrite=overwrite)
    return evaluation


def _print_scores(evaluation: Evaluation, by: tuple[str, ...]) -> None:
    from geomask.cli.console import print_facts, print_table

    overall = evaluation.overall
    rows = [
        [
            item.name,
            str(item.pixels),
            *(_ranged(score) for score in (item.iou, item.f1)),
            *(_plain(score.value) for score in (item.precision, item.recall, item.boundary_f1)),
        ]
        for item in evaluation.classes
    ]
    macro = (overall.macro_precision, overall.macro_recall, overall.macro_boundary_f1)
    rows.append(
        [
            "macro",
            str(overall.pixels),
            *(_ranged(score) for score in (overall.macro_iou, overall.macro_f1)),
            *(_plain(score.value) for score in macro),
        ]
    )
    print_table(["class", "pixels", "IoU", "F1", "precision", "recall", "edge F1"], rows)
    for column in by:
        print_table(
            [column, "chips", "pixels", "accuracy", "macro IoU", "macro F1"],
            [
                [row.value, str(row.chips), *_part(row.scores)]
                for row in evaluation.group_rows
                if row.column == column
            ],
        )
    print_facts(_facts(evaluation))


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    from geomask.metrics import ALARM

    overall, free, thin = evaluation.overall, evaluation.cloud_free, evaluation.thin_cloud
    facts = [
        ("scored", f"{evaluation.subject['kind']} {evaluation.subject['name']}"),
        (
            "chips",
            f"{evaluation.chips} of {evaluation.groups} groups, split {evaluation.split}",
        ),
        ("pixel accuracy", _ranged(overall.accuracy)),
        ("balanced accuracy", _ranged(overall.balanced_accuracy)),
    ]
    if thin is not None and thin.pixels:
        facts.append((f"thin cloud called {thin.class_name}", _ranged(thin.recall)))
    if evaluation.seen_groups:
        facts.append(("trained on", f"{len(evaluation.seen_groups)} of these groups"))
    if free is not None:
        facts.append(("flagged where all is clear", _ranged(free.flagged, 3)))
        facts.append((f"clear chips flagged > {ALARM:.0%}", f"{free.alarms} of {free.chips}"))
    ignored = ", ".join(f"{count} {name}" for name, count in evaluation.ignored.items())
    facts += [
        ("called nothing", f"{overall.unpredicted} pixels, counted as wrong"),
        ("not scored", f"pixels by label: {ignored}"),
    ]
    return facts


def _part(scores: PartScores) -> list[str]:
    shares = (scores.accuracy, scores.macro_iou, scores.macro_f1)
    return [str(scores.pixels), *map(_plain, shares)]


def _plain(score: float | None) -> str:
    return "-" if score is None else f"{score:.3f}"


def _ranged(score: Estimate, digits: int = 2) -> str:
    """0.812 .75-.86, as narrow as a table of 80 columns wants it."""
    if score.low is None or score.high is None:
        return _plain(score.value)
    low, high = (f"{end:.{digits}f}".removeprefix("0") for end in (score.low, score.high))
    return f"{_plain(score.value)} {low}-{high}"
