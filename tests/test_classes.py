from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from geomask.classes import DEFAULT_CLASSES, ClassTable, MaskClass, remap
from geomask.errors import OptionError


def test_the_default_table_is_the_documented_one() -> None:
    assert [(c.code, c.name) for c in DEFAULT_CLASSES] == [
        (0, "clear"),
        (1, "cloud"),
        (2, "shadow"),
        (3, "snow"),
    ]


def test_clear_is_never_a_polygon_class() -> None:
    assert [c.name for c in DEFAULT_CLASSES.polygon_classes] == ["cloud", "shadow", "snow"]


def test_an_unknown_class_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="unknown class 'clouds'; there are: clear, cloud"):
        DEFAULT_CLASSES.select(["clouds"])


@pytest.mark.parametrize(
    "classes",
    [
        (MaskClass(1, "a", (0, 0, 0)), MaskClass(1, "b", (0, 0, 0))),
        (MaskClass(1, "a", (0, 0, 0)), MaskClass(2, "a", (0, 0, 0))),
    ],
)
def test_codes_and_names_are_unique(classes: tuple[MaskClass, ...]) -> None:
    with pytest.raises(ValueError, match="repeats"):
        ClassTable(classes)


@pytest.mark.parametrize(
    ("code", "name", "color"),
    [
        (255, "a", (0, 0, 0)),
        (-1, "a", (0, 0, 0)),
        (1, "", (0, 0, 0)),
        (1, "a b", (0, 0, 0)),
        (1, "a", (0, 0, 256)),
        (1.0, "a", (0, 0, 0)),
        (True, "a", (0, 0, 0)),
        ("1", "a", (0, 0, 0)),
        (None, "a", (0, 0, 0)),
        (1, 5, (0, 0, 0)),
        (1, None, (0, 0, 0)),
        (1, ["a"], (0, 0, 0)),
        (1, "a", (0, 0, 1.5)),
        (1, "a", (0, 0, True)),
        (1, "a", ("0", "0", "0")),
        (1, "a", (0, 0)),
        (1, "a", "abc"),
        (1, "a", None),
    ],
)
def test_a_class_checks_itself(code: Any, name: Any, color: Any) -> None:
    with pytest.raises(ValueError, match="class"):
        MaskClass(code, name, color)


def test_remap_sends_what_it_does_not_know_to_fill() -> None:
    labels = np.array([[0, 1, 2], [3, 4, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(
        remap(labels, {0: 0, 1: 1, 2: 1, 3: 2}), [[0, 1, 1], [2, 255, 255]]
    )
