"""Scores and their intervals as HTML."""

from __future__ import annotations

from geomask.evaluation.results import DIGITS, Estimate
from geomask.pages.markup import HARD, NOTHING, Html, element


def score(value: float | None, digits: int = 3) -> Html:
    """A score, 0 to 1; all that JSON has of it is in the element's value."""
    if value is None:
        return element("span", NOTHING, class_="none", title="nothing to score")
    return element("data", f"{value:.{digits}f}", value=round(value, DIGITS))


def interval(estimate: Estimate, digits: int = 3) -> Html:
    """The ends of a score's interval; nothing where it has none."""
    if estimate.low is None or estimate.high is None:
        return Html("")
    ends = score(estimate.low, digits), f"{HARD}to{HARD}", score(estimate.high, digits)
    return element("small", *ends, class_="interval")
