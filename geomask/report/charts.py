"""The curves of a class as inline SVG, each with its numbers in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from geomask.evaluation.curves import Curve
from geomask.evaluation.results import ClassEvaluation
from geomask.pages.markup import Html, count, element, join, percent, table
from geomask.report.scores import score

WIDTH, HEIGHT = 280, 250
"""Of a diagram, in its own units."""

LEFT, RIGHT, TOP, BOTTOM = 54, 8, 10, 40
"""Room around a diagram's square, for its numbers."""

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where a diagram has lines."""

TEN = 10
"""Percents that are taken together: single ones hold too few pixels to be told from chance."""

DOTS = (2.0, 7.0)
"""Radius of a dot for no pixels at all, and for all of them."""


@dataclass(frozen=True)
class Bin:
    """Pixels of about one percent. first, last: percents. given: the mean percent, and share:
    which part of them is the class, both 0 to 1."""

    first: int
    last: int
    pixels: int
    given: float
    share: float


def bins_of(curve: Curve) -> tuple[Bin, ...]:
    """Ten percents at a time, 100 with the last of them; without those that no pixel has."""
    bins = []
    for first in range(0, 100, TEN):
        last = 100 if first + TEN == 100 else first + TEN - 1
        here = [(curve.pixels[at], at, curve.share[at] or 0.0) for at in range(first, last + 1)]
        pixels = sum(number for number, _, _ in here)
        if pixels:
            given = sum(number * at for number, at, _ in here) / pixels / 100
            share = sum(number * part for number, _, part in here) / pixels
            bins.append(Bin(first, last, pixels, given, share))
    return tuple(bins)


def class_curves(item: ClassEvaluation, name: str) -> Html:
    """Both diagrams of a class and their numbers; nothing for a class without a curve.

    name: of the ids.
    """
    if item.curve is None:
        return Html("")
    pair = [_precision_recall(item, item.curve), _calibration(item, item.curve)]
    numbers = element(
        "details",
        element("summary", f"Numbers of {item.name}"),
        _numbers(item.name, item.curve, name),
    )
    return join([element("div", *pair, class_="pair"), numbers])


def _precision_recall(item: ClassEvaluation, curve: Curve) -> Html:
    points = [
        (recall, precision)
        for recall, precision in zip(curve.recall, curve.precision, strict=True)
        if precision is not None
    ]
    marks = [_line(points)]
    if item.recall.value is not None and item.precision.value is not None:
        marks.append(_dot(item.recall.value, item.precision.value, 5, "mask"))
    said = f"Precision over recall of {item.name}: average precision {curve.average_precision:.3f}."
    note = "The ring is the mask itself." if len(marks) > 1 else ""
    return _figure(join(marks), "recall", "precision", said, note)


def _calibration(item: ClassEvaluation, curve: Curve) -> Html:
    bins = bins_of(curve)
    whole = sum(found.pixels for found in bins)
    least, most = DOTS
    diagonal = element("line", class_="even", **_ends((0.0, 0.0), (1.0, 1.0)))
    dots = [
        _dot(found.given, found.share, least + (most - least) * sqrt(found.pixels / whole), "bin")
        for found in bins
    ]
    line = _line([(found.given, found.share) for found in bins])
    said = f"Calibration of {item.name}: mean error {curve.calibration_error:.3f}."
    note = "On the dashed line probabilities are true; a larger dot is more pixels."
    axis = f"share that is {item.name}"
    return _figure(join([diagonal, line, *dots]), "probability given", axis, said, note)


def _numbers(class_name: str, curve: Curve, name: str) -> Html:
    columns = ["Given", "Pixels", f"Share that is {class_name}"]
    columns += ["Precision from there on", "Recall from there on"]
    rows = [
        [
            f"{found.first} to {percent(found.last / 100, 0)}",
            count(found.pixels),
            score(found.share),
            score(curve.precision[found.first]),
            score(curve.recall[found.first]),
        ]
        for found in bins_of(curve)
    ]
    return table(name, f"Pixels by the probability of {class_name}", columns, rows)


def _figure(marks: Html, across: str, up: str, said: str, note: str) -> Html:
    middle_x, middle_y = _place(0.5, 0.5)
    labels = [
        element("text", across, x=middle_x, y=HEIGHT - 6, class_="middle"),
        element("text", up, class_="middle", transform=f"translate(12 {middle_y:.1f}) rotate(-90)"),
    ]
    drawing = element(
        "svg",
        *_frame(),
        *labels,
        marks,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=said,
    )
    return element("figure", drawing, element("figcaption", f"{said} {note}".strip()))


def _frame() -> Iterable[Html]:
    """Lines from 0 to 1 both ways, and their numbers."""
    for tick in TICKS:
        x, y = _place(tick, tick)
        yield element("line", class_="grid", **_ends((tick, 0.0), (tick, 1.0)))
        yield element("line", class_="grid", **_ends((0.0, tick), (1.0, tick)))
        yield element("text", f"{tick:g}", x=f"{x:.1f}", y=HEIGHT - BOTTOM + 16, class_="middle")
        yield element("text", f"{tick:g}", x=LEFT - 6, y=f"{y + 4:.1f}", class_="end")


def _line(points: Sequence[tuple[float, float]]) -> Html:
    places = (_place(x, y) for x, y in points)
    return element(
        "polyline", class_="curve", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    )


def _dot(x: float, y: float, radius: float, kind: str) -> Html:
    cx, cy = _place(x, y)
    return element("circle", class_=kind, cx=f"{cx:.1f}", cy=f"{cy:.1f}", r=f"{radius:.1f}")


def _ends(start: tuple[float, float], end: tuple[float, float]) -> dict[str, str]:
    (x1, y1), (x2, y2) = _place(*start), _place(*end)
    return {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}


def _place(x: float, y: float) -> tuple[float, float]:
    """Where a point of the square, 0 to 1 both ways, lies in the drawing."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return LEFT + x * wide, HEIGHT - BOTTOM - y * high
