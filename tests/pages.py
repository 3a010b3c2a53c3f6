"""A strict reader of our pages, and what a browser is asked about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

CONTRAST = """
selectors => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = color => {
    const [r, g, b] = color.slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = node => {
    let layers = [];
    for (let at = node; at; at = at.parentElement)
      layers.push(numbers(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, [r, g, b, a = 1]) =>
      below.map((v, i) => v * (1 - a) + [r, g, b][i] * a), [255, 255, 255]);
  };
  let worst = {};
  for (const selector of selectors)
    for (const node of document.querySelectorAll(selector)) {
      const ink = light(numbers(getComputedStyle(node).color)), page = light(behind(node));
      const ratio = (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05);
      worst[selector] = Math.min(worst[selector] ?? 99, ratio);
    }
  return worst;
}
"""
"""The lowest contrast of text by selector, as WCAG 2.2 defines it."""


@dataclass
class Node:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    parent: Node | None = None
    children: list[Node | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Node]:
        """This element and all within it, in the page's order."""
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child

    def all(self, tag: str, **attributes: str) -> list[Node]:
        """Elements within it of that tag and those attributes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            node for node in self if node.tag == tag and wanted.items() <= node.attributes.items()
        ]

    def one(self, tag: str, **attributes: str) -> Node:
        (node,) = self.all(tag, **attributes)
        return node

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    @property
    def values(self) -> list[float]:
        """Of the <data> within it."""
        return [float(node.attributes["value"]) for node in self.all("data")]


class Reader(HTMLParser):
    """A strict reader: every element ends where it should."""

    EMPTY = frozenset({"meta", "link", "img", "input", "line", "circle", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.root = self.at = Node("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} repeats an attribute"
        node = Node(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(node)
        if tag not in self.EMPTY:
            self.at = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.EMPTY
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.at.tag, f"</{tag}> inside <{self.at.tag}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)


def parse(page: str) -> Node:
    """The page's elements; AssertionError where they are not balanced."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.at is reader.root, f"<{reader.at.tag}> has no end"
    return reader.root
