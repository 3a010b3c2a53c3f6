"""HTML from values: whatever is not markup already is escaped where it is put in."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

EMPTY_TAGS = ("img", "input", "col", "line", "circle", "rect", "polyline")
"""Elements that are written without content and without an end."""

NOTHING = "\N{EN DASH}"
"""Stands where there was nothing to score."""

THIN, HARD = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
"""Between three digits; between a number and its unit."""


class Html(str):
    """Text that is HTML; a plain str is not, and is escaped."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as HTML. What UTF-8 cannot say, as in names of files of unknown encoding, is "?"."""
    if isinstance(value, Html):
        return value
    return Html(escape(str(value).encode("utf-8", "replace").decode("utf-8")))


def join(parts: Sequence[object], between: str = "") -> Html:
    """Parts one after the other."""
    return Html(text(between).join(text(part) for part in parts))


def element(tag: str, *content: object, **attributes: object) -> Html:
    """<tag attributes>content</tag>.

    attributes: `class_` is class, `aria_label` aria-label; None leaves one out. Their values are
    never markup.
    """
    written = "".join(
        f' {name.removesuffix("_").replace("_", "-")}="{text(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in EMPTY_TAGS:
        return Html(f"<{tag}{written}/>")
    return Html(f"<{tag}{written}>{join(content)}</{tag}>")


def count(number: int) -> Html:
    """A number of things, its digits in threes."""
    return element("data", f"{number:,}".replace(",", THIN), value=number)


def percent(value: float | None, digits: int = 1) -> str:
    """A share, 0 to 1, for reading."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}{HARD}%"


def swatch(color: Sequence[int] | None) -> Html:
    """A patch of a class's colour; None: the pattern of pixels that have no class."""
    if color is None:
        return element("span", class_="swatch no-class")
    red, green, blue = color
    return element("span", class_="swatch", style=f"background-color:rgb({red} {green} {blue})")


def section(name: str, title: object, *content: object) -> Html:
    """A part of the page with its heading. name: its id."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, *content, id=name, aria_labelledby=f"{name}-title")


def facts(pairs: Sequence[tuple[object, object]]) -> Html:
    """Terms and what they are."""
    rows = [element("div", element("dt", term), element("dd", what)) for term, what in pairs]
    return element("dl", *rows, class_="facts")


def table(
    name: str,
    caption: object,
    columns: Sequence[object],
    rows: Sequence[Sequence[object]],
    foot: Sequence[object] = (),
) -> Html:
    """A table in a box that scrolls by itself, by keyboard too, where the page is narrower.

    name: of the ids. rows: cells, of which the first is the row's header; plain text is set as
    words, and what is a whole <td> put in as it is. foot: a last row, of totals.
    """
    words = [bool(rows) and not isinstance(cell, Html) for cell in (rows[0] if rows else columns)]
    head = element(
        "tr",
        *(
            element("th", column, scope="col", class_="word" if is_word else None)
            for column, is_word in zip(columns, words, strict=True)
        ),
    )
    body = [element("tbody", *map(_row, rows))]
    if foot:
        body.append(element("tfoot", _row(foot)))
    return element(
        "div",
        element(
            "table",
            element("caption", caption, id=f"{name}-caption"),
            element("thead", head),
            *body,
        ),
        class_="scroll",
        role="region",
        tabindex=0,
        aria_labelledby=f"{name}-caption",
    )


def _row(cells: Sequence[object]) -> Html:
    first, *others = cells
    return element("tr", element("th", element("div", first), scope="row"), *map(_cell, others))


def _cell(content: object) -> Html:
    if not isinstance(content, Html):
        return element("td", content, class_="word")
    return content if content.startswith("<td") else element("td", content)
