"""The report in a browser, Debian's chromium: it is read, not only parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pages import CONTRAST, Node, parse
from tests.report.conftest import Scored

PHONE, DESKTOP = 390, 1280
"""Widths, CSS pixels."""

LOOKED_AT = (
    "body",
    ".tile dt",
    ".tile .number",
    ".tile .interval",
    ".notes li",
    "caption",
    "thead th",
    "tbody th",
    "td",
    "td small",
    "figcaption",
    "summary",
    "nav a",
)
"""Text whose contrast is measured."""


@pytest.fixture(scope="session")
def report(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on disk."""
    path = tmp_path_factory.mktemp("reports") / "report.html"
    path.write_text(scored.page, "utf-8")
    return path


@pytest.fixture(
    params=[(width, scheme) for width in (PHONE, DESKTOP) for scheme in ("light", "dark")]
)
def page(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Any]:
    """The report, opened at a width and in a colour scheme; it asks for nothing, nor complains."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
        is_mobile=width == PHONE,
        has_touch=width == PHONE,
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url.split(",")[0]))
    page.on("console", lambda message: said.append(message.text))
    page.goto(report.as_uri())
    page.scheme, page.wide = scheme, width
    yield page
    context.close()
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}
    assert not said


def test_pictures_load(page: Any) -> None:
    widths = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
    assert len(widths) == 27
    assert set(widths) == {32}
    shown = page.evaluate("[...document.images].map(i => i.getBoundingClientRect().width)")
    assert min(shown) > 100


def test_numbers_show(page: Any, report: Path) -> None:
    numbers = [node for node in parse(report.read_text("utf-8")).all("data") if not folded(node)]
    shown = page.evaluate(
        """[...document.querySelectorAll('data')].filter(d => !d.closest('details'))
        .map(d => [d.innerText, d.getBoundingClientRect().height > 10])"""
    )
    assert len(shown) > 200
    assert shown == [[node.text, True] for node in numbers]
    tile = page.inner_text(".tile.main")
    assert re.search(r"Macro IoU\s+0\.\d{3}\s+0\.\d{3}\sto\s0\.\d{3}", tile)


def folded(node: Node) -> bool:
    """Whether it is shown only when asked for."""
    return node.tag == "details" or (node.parent is not None and folded(node.parent))


def test_the_page_does_not_scroll_sideways(page: Any) -> None:
    for opened in (False, True):
        page.evaluate(
            "open => document.querySelectorAll('details').forEach(d => d.open = open)", opened
        )
        size = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert size == [page.wide, page.wide]


def test_wide_tables_scroll_by_keyboard_in_their_own_box(page: Any) -> None:
    box = page.locator(".scroll[aria-labelledby=chips-caption]")
    if page.wide == DESKTOP:
        page.set_viewport_size({"width": DESKTOP // 2, "height": 844})
    assert box.evaluate("b => b.scrollWidth > b.clientWidth")
    box.focus()
    assert box.evaluate("b => getComputedStyle(b).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    page.wait_for_function("b => b.scrollLeft > 0", arg=box.element_handle())
    head = box.locator("tbody th").first.bounding_box()
    assert head["x"] >= 0, "a row's name stays in sight"
    assert head["width"] < PHONE / 2


def test_text_can_be_read_in_both_colour_schemes(page: Any) -> None:
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert bright > 200 if page.scheme == "light" else bright < 50
    worst = page.evaluate(CONTRAST, list(LOOKED_AT))
    assert worst.keys() >= set(LOOKED_AT) - {"td small", "summary"}
    assert min(worst.values()) >= 4.5, worst


def test_it_can_be_looked_at(page: Any, tmp_path: Path) -> None:
    """A picture of it is no single colour: what is there is also drawn."""
    from PIL import Image

    path = tmp_path / "page.png"
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as picture:
        assert picture.width == page.wide
        assert len(picture.convert("RGB").getcolors(2**24) or ()) > 20
