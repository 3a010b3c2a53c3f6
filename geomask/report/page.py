"""The page as a whole: its parts in order, written to one file or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from geomask.evaluation.results import Estimate, Evaluation
from geomask.evaluation.triplet import Triplet
from geomask.metrics import ALARM
from geomask.output import write_text
from geomask.pages import fill
from geomask.pages.markup import Html, count, element, facts, join, percent, section
from geomask.report.charts import class_curves
from geomask.report.pictures import triplets
from geomask.report.scores import interval, score
from geomask.report.tables import (
    chip_table,
    class_label,
    class_table,
    confusion_table,
    group_tables,
    label_table,
)

FEW_GROUPS = 10
"""Below about so many groups intervals are too narrow; see `bootstrap`."""

WORDS = (
    ("IoU", "pixels that are the class and are called it, over those that are either"),
    ("F1", "the harmonic mean of precision and recall"),
    ("Precision", "the share of pixels called the class that are it"),
    ("Recall", "the share of the class's pixels that are called it"),
    ("Macro", "the mean over the classes that the labels hold"),
    ("Balanced accuracy", "macro recall"),
    ("Called nothing", "pixels with a label but no prediction; they count as wrong"),
    ("Left out", "pixels without a label that is scored; they count for nothing"),
)
"""What the words of the tables mean."""


def write_report(
    evaluation: Evaluation, path: str | Path, triplet: Callable[[str], Triplet]
) -> None:
    """Write the page to `path`, which holds all of it or what was there before.

    triplet: makes a chip's pictures, given its id; asked of at most nine chips.
    Raises OutputError, and what `triplet` raises.
    """
    write_text(path, report_html(evaluation, triplet))


def report_html(evaluation: Evaluation, triplet: Callable[[str], Triplet]) -> str:
    """The page: one HTML document that loads nothing, whatever names the chips have."""
    parts = [
        section("summary", "Scores", _headline(evaluation), _notes(evaluation)),
        section("by-class", "Per class", class_table(evaluation), _unseen(evaluation), _words()),
        section("confusion", "Confusion", confusion_table(evaluation)),
    ]
    names = [("summary", "Scores"), ("by-class", "Per class"), ("confusion", "Confusion")]
    if curves := _curves(evaluation):
        names.append(("curves", "Probabilities"))
        parts.append(section("curves", "What probabilities are worth", curves))
    names += [("pictures", "Pictures"), ("groups", "Groups"), ("all-chips", "Chips")]
    names.append(("method", "Method"))
    parts += [
        section("pictures", "Best, median and worst chips", triplets(evaluation, triplet)),
        section("groups", "Per group", group_tables(evaluation)),
        section("all-chips", "Per chip", chip_table(evaluation)),
        section("method", "What was scored, and how", label_table(evaluation), _method(evaluation)),
    ]
    title = f"{evaluation.subject['name']}: evaluation"
    links = [element("li", element("a", what, href=f"#{name}")) for name, what in names]
    return fill(
        __package__,
        "page.html",
        title=title,
        header=_header(evaluation),
        contents=element("ul", *links),
        parts=join(parts, "\n"),
        version=evaluation.version,
    )


def _header(evaluation: Evaluation) -> Html:
    subject = evaluation.subject
    data = join([element("code", folder) for folder in evaluation.data], ", ")
    overall, left_out = evaluation.overall, sum(evaluation.ignored.values())
    chips = [count(evaluation.chips), " chips of ", count(evaluation.groups), " split groups"]
    pixels = [count(overall.pixels), " scored, ", count(left_out), " left out"]
    return join(
        [
            element("p", f"Evaluation of {_kind(subject)}", class_="kind"),
            element("h1", subject["name"]),
            facts(
                [
                    ("Data", data),
                    ("Split", evaluation.split),
                    ("Chips", join(chips)),
                    ("Pixels", join(pixels)),
                ]
            ),
        ]
    )


def _kind(subject: Mapping[str, object]) -> str:
    return "a model" if subject.get("kind") == "model" else "masks"


def _headline(evaluation: Evaluation) -> Html:
    overall, thin, free = evaluation.overall, evaluation.thin_cloud, evaluation.cloud_free
    tiles = [
        _tile("Macro IoU", overall.macro_iou, main=True),
        _tile("Macro F1", overall.macro_f1),
        _tile("Pixel accuracy", overall.accuracy),
        _tile("Balanced accuracy", overall.balanced_accuracy),
        _tile("Macro boundary F1", overall.macro_boundary_f1),
    ]
    if thin is not None and thin.pixels:
        what = join([count(thin.pixels), " pixels"])
        tiles.append(_tile(f"Thin cloud called {thin.class_name}", thin.recall, what))
    if free is not None:
        what = join([count(free.pixels), " pixels of ", count(free.chips), " cloud-free chips"])
        tiles.append(_tile("Flagged where nothing should be", free.flagged, what))
    return element("dl", *tiles, class_="tiles")


def _tile(name: str, value: Estimate, what: Html | None = None, main: bool = False) -> Html:
    ends = interval(value) or element("small", "no interval", class_="interval")
    lines = [element("dd", score(value.value), class_="number"), element("dd", ends)]
    if what is not None:
        lines.append(element("dd", element("small", what)))
    return element("div", element("dt", name), *lines, class_="tile main" if main else "tile")


def _notes(evaluation: Evaluation) -> Html:
    """What a reader must know before believing the scores."""
    overall, seen, groups = evaluation.overall, evaluation.seen_groups, evaluation.groups
    notes: list[object] = [
        f"Ranges are {percent(evaluation.level, 0)} intervals from {evaluation.draws} resamples of "
        "the split groups."
    ]
    if groups < FEW_GROUPS:
        notes.append(f"There are only {groups} groups: the intervals are too narrow, or missing.")
    if seen:
        said = f"The model was trained on {len(seen)} of the groups scored: scores flatter it."
        which = element("details", element("summary", "Which groups"), ", ".join(seen))
        notes.append(join([element("strong", said), which]))
    if overall.unpredicted:
        notes.append(join([count(overall.unpredicted), " pixels were called nothing."]))
    if evaluation.cloud_free is not None:
        free = evaluation.cloud_free
        called = ", ".join(f"{percent(share)} {name}" for name, share in free.shares.items())
        notes.append(
            f"Chips that are known to be free of cloud were called {called}; more than "
            f"{percent(ALARM, 0)} is flagged on {free.alarms} of {free.chips}."
        )
    return element("ul", *(element("li", note) for note in notes), class_="notes")


def _unseen(evaluation: Evaluation) -> Html:
    names = [item.name for item in evaluation.classes if not item.pixels]
    if not names:
        return Html("")
    return element("p", f"No label is {' or '.join(names)}: there is no score for it.")


def _words() -> Html:
    return element("details", element("summary", "What the words mean"), facts(WORDS))


def _curves(evaluation: Evaluation) -> Html:
    parts = []
    for number, item in enumerate(evaluation.classes):
        if curves := class_curves(item, f"curve-{number}"):
            parts.append(element("div", element("h3", class_label(item)), curves))
    return element("div", *parts, class_="curves") if parts else Html("")


def _method(evaluation: Evaluation) -> Html:
    subject = [(name, _value(value)) for name, value in evaluation.subject.items()]
    pixels = f"{evaluation.tolerance} pixels"
    return facts(
        [
            *((name, element("code", value)) for name, value in subject),
            ("fingerprint of the data", element("code", evaluation.data_sha256)),
            ("boundaries match within", pixels),
            ("resamples", f"{evaluation.draws}, seed {evaluation.seed}"),
            ("geomask", evaluation.version),
        ]
    )


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={part}" for key, part in value.items())
    return str(value)
