"""The pictures of a report: image, labels and prediction of the best, median and worst chips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from geomask.classes import NODATA
from geomask.evaluation.results import ChipRow, ClassEvaluation, Evaluation
from geomask.evaluation.triplet import Triplet
from geomask.metrics import Codes
from geomask.pages.markup import Html, element, join, percent, swatch
from geomask.pictures import inline, painted
from geomask.report.scores import score

EACH = 3
"""Chips of each kind, at most."""

SIDE = 320
"""Pixels of a picture's longer side, at most: of pure noise, all of them make a page of 4.5 MB, and
of real chips one of about 1 MB."""


def chosen_chips(rows: Sequence[ChipRow]) -> dict[str, tuple[ChipRow, ...]]:
    """Rows of the best, median and worst chips by macro IoU, without those that have none.

    No chip is shown twice, so fewer than nine chips are fewer of each kind. Of chips that are
    equal to three digits those with more classes are the better ones: they show more.
    """
    ranked = sorted((row for row in rows if row.scores.macro_iou is not None), key=_rank)
    total = len(ranked)
    if total < 2:
        return {"The only one": tuple(ranked)}
    if total == 2:
        return {"Best": (ranked[1],), "Worst": (ranked[0],)}
    each = min(EACH, total // 3)
    middle = (total - each) // 2
    return {
        "Best": tuple(reversed(ranked[-each:])),
        "Median": tuple(ranked[middle : middle + each]),
        "Worst": tuple(ranked[:each]),
    }


def triplets(evaluation: Evaluation, triplet: Callable[[str], Triplet]) -> Html:
    """The chosen chips side by side. triplet: makes a chip's pictures, given its id."""
    parts = []
    for kind, rows in chosen_chips(evaluation.chip_rows).items():
        if rows:
            parts.append(element("h3", kind))
            parts += [_chip(row, triplet(row.id), evaluation.classes) for row in rows]
    return join([legend(evaluation.classes), *parts])


def legend(classes: Sequence[ClassEvaluation]) -> Html:
    """Which colour is which class."""
    named = [element("li", swatch(item.color), item.name) for item in classes]
    nothing = element("li", swatch(None), "no label that is scored, or no prediction")
    return element("ul", *named, nothing, class_="legend", aria_label="Colours of the classes")


def _rank(row: ChipRow) -> tuple[float, int, str]:
    classes = sum(value is not None for value in row.scores.iou.values())
    return round(row.scores.macro_iou or 0.0, 3), classes, row.id


def _chip(row: ChipRow, shown: Triplet, classes: Sequence[ClassEvaluation]) -> Html:
    pictures = (
        ("image", inline(_small(shown.rgb, Image.Resampling.BOX)), f"Image of chip {row.id}"),
        ("labels", *_class_picture(shown.truth, classes, f"Labels of chip {row.id}")),
        ("prediction", *_class_picture(shown.predicted, classes, f"Prediction for chip {row.id}")),
    )
    height, width = shown.truth.shape
    images = [
        element(
            "div",
            element(
                "img",
                src=source,
                alt=said,
                class_="photo" if name == "image" else "no-class",
                style=f"--ratio:{width / height:.4f}",
            ),
            element("span", name, aria_hidden="true"),
        )
        for name, source, said in pictures
    ]
    place = ", ".join(dict.fromkeys((row.group, *row.fields.values())))
    caption = element(
        "figcaption",
        element("strong", row.id),
        element("span", "macro IoU ", score(row.scores.macro_iou), class_="figure"),
        element("span", place, class_="place"),
    )
    return element("figure", caption, element("div", *images, class_="triplet"), class_="chip")


def _class_picture(codes: Codes, classes: Sequence[ClassEvaluation], title: str) -> tuple[str, str]:
    """A picture of class codes, transparent where there are none, and what there is in words."""
    counts = np.bincount(codes.ravel(), minlength=256) / codes.size
    shares = [(item.name, counts[item.code]) for item in classes] + [("none", counts[NODATA])]
    said = ", ".join(f"{name} {percent(share)}" for name, share in shares if share)
    # Each pixel keeps a class: a mean of colours would be the colour of another one.
    picture = _small(painted(codes, classes), Image.Resampling.NEAREST)
    return inline(picture), f"{title}: {said}"


def _small(pixels: Codes, way: Image.Resampling) -> Image.Image:
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE), way, reducing_gap=None)
    return picture
