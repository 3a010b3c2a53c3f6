"""What can be wrong with a file: its bytes, its words, its structure; as hypothesis strategies."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

HOSTILE = (
    *("", " ", "0", "-1", "1e400", "-1e400", "1e-400", "NaN", "nan", "inf", "-Infinity", "1_0"),
    *("9" * 20, "9" * 5000, "0x10", "1.5", "true", "null", "None", "{}", "[]", '""', "''"),
    *(
        '"',
        "'",
        "\\",
        ",",
        "=",
        ".",
        ":",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "\v",
        "\x1b[2J",
        "\x9b",
        "\x7f",
    ),
    *("\u202e", "\u2028", "\ufeff", "\ud800", "\udce9", "\u0661", "\U0010ffff", "e\u0301"),
    *("[" * 3000, "{" * 3000, '{"a":' * 3000, "<a>" * 3000, "(" * 3000, "GROUP = A\n" * 3000),
    *("a" * 70_000, "a " * 20_000, "nir " * 5000, "_" * 20_000, "a." * 2000 + "a"),
    *("../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "/vsicurl/http://127.0.0.1:9/a"),
    *("http://127.0.0.1:9/a.tif", "//127.0.0.1:9/a.tif", "s3://a/b.tif", "http://[a", "a%00b"),
    *("&a;", "&#0;", "<!DOCTYPE a>", "]]>", "<![CDATA[", "<!--", "<script>alert(1)</script>"),
    *("=1+1", "'; DROP TABLE clouds; --", "%s%n", "{stem}", "$(id)", "*", "END", "END_GROUP = A"),
)
"""Texts that some parser somewhere has stumbled over: numbers out of range, ends of texts, control
characters, half characters, nesting, length, addresses, markup, commands."""

VALUES = (
    *(None, True, False, 0, 1, -1, 255, 256, 1.5, 10**20, 10**400, float("nan"), float("inf")),
    *(1e-320, 1e308, -0.0, "", "a", "B04", "nan", "red", "\ud800", "\0", "a\nb", "\x1b[2J", "../a"),
    *([], {}, [None], [[]], [{}], {"a": None}, {"a\nb": 1}, ["red"], [{"name": 5}], [1] * 300),
)
"""JSON of every type, where another was meant."""

BOMBS = ("[" * 5000, "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "1" * 5000)
"""JSON that is hard to read, or to write again."""


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def broken_bytes(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed whose bytes were changed, lost, repeated, or cut off."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        how = draw(st.sampled_from(["flip", "write", "drop", "repeat", "insert", "cut"]))
        if how == "flip" and start < len(content):
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif how == "write":
            content[start:end] = draw(st.binary(max_size=40))
        elif how == "drop":
            del content[start:end]
        elif how == "repeat":
            content[start:start] = bytes(content[start:end]) * draw(st.sampled_from([1, 2, 200]))
        elif how == "insert":
            content[start:start] = _encode(draw(st.sampled_from(HOSTILE)))
        elif how == "cut":
            del content[start:]
    return bytes(content)


_WORD = re.compile(r"[\w.+-]+|\s+|[^\w\s]")


@st.composite
def broken_words(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed, which is text, whose words were replaced, lost, repeated, or changed places."""
    text = draw(st.sampled_from(seeds)).decode("utf-8", "replace")
    words = _WORD.findall(text)
    for _ in range(draw(st.integers(1, 4))):
        if not words:
            break
        at = draw(st.integers(0, len(words) - 1))
        how = draw(
            st.sampled_from(["hostile", "hostile", "text", "drop", "repeat", "swap", "line"])
        )
        if how == "hostile":
            words[at] = draw(st.sampled_from(HOSTILE))
        elif how == "text":
            words[at] = draw(st.text(max_size=20))
        elif how == "drop":
            del words[at : at + draw(st.integers(1, 12))]
        elif how == "repeat":
            words[at:at] = words[at : at + 8] * draw(st.sampled_from([1, 2, 300]))
        elif how == "swap":
            other = draw(st.integers(0, len(words) - 1))
            words[at], words[other] = words[other], words[at]
        elif how == "line":  # of a file that gives a key again
            words.insert(at, "\n" + "".join(words[at : at + 6]) + "\n")
    return _encode("".join(words))


def places(value: object, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within JSON, itself left out."""
    if way:
        yield way
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*way, key))


@st.composite
def broken_json(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed, which is JSON, with values of other types, keys lost, new or given twice, and deep
    nesting."""
    value = json.loads(draw(st.sampled_from(seeds)))
    marks: dict[str, str] = {}
    for _ in range(draw(st.integers(1, 4))):
        ways = list(places(value))
        if not ways:
            break
        *way, last = ways[draw(st.integers(0, len(ways) - 1))]
        place = value
        for key in way:
            place = place[key]
        how = draw(st.sampled_from(["value", "value", "value", "hostile", "bomb", "drop", "key"]))
        if how == "value":
            place[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif how == "hostile":
            place[last] = draw(st.sampled_from(HOSTILE))
        elif how == "bomb":
            mark = f"\N{BLACK SQUARE}{len(marks)}"
            marks[json.dumps(mark)] = draw(st.sampled_from(BOMBS))
            place[last] = mark
        elif how == "drop":
            del place[last]
        elif isinstance(place, dict):
            place[draw(st.sampled_from(HOSTILE))] = place[last]
    text = json.dumps(value)
    for mark, bomb in marks.items():
        text = text.replace(mark, bomb)
    keys = sorted(set(re.findall(r'"\w+":', text)))
    if keys and draw(st.booleans()):
        key = draw(st.sampled_from(keys))
        text = text.replace(key, f"{key} {json.dumps(draw(st.sampled_from(VALUES)))}, {key}", 1)
    return _encode(text)


def broken_text(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Text that is damaged in any way."""
    return st.one_of(broken_words(seeds), broken_words(seeds), broken_bytes(seeds), st.binary())


def broken_document(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """JSON that is damaged in any way."""
    return st.one_of(broken_json(seeds), broken_json(seeds), broken_text(seeds))
