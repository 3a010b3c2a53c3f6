"""Which options decide the result, so that records are compared by them."""

from __future__ import annotations

from typing import Any

import pytest

from geomask.batch.options import SceneOptions
from geomask.vectors.options import PolygonOptions


@pytest.mark.parametrize(
    ("options", "deciding"),
    [
        ({}, {}),
        ({"model": "other", "readers": 9, "batch": 3}, {}),
        ({"polygons": ".shp", "drawn": PolygonOptions()}, {"polygons": ".shp"}),
        ({"drawn": PolygonOptions(min_area=5.0)}, {}),
        ({"drawn": PolygonOptions(style=False)}, {"style": False}),
        (
            {"polygons": ".shp", "drawn": PolygonOptions(("cloud",), min_area=5.0)},
            {"classes": ["cloud"], "min_area": 5.0, "polygons": ".shp"},
        ),
        ({"stated": {"offset": 0.0, "scale": None}}, {"offset": 0.0}),
        ({"plan": {"margin": 0, "patch": None}}, {"margin": 0}),
        ({"confidence": True, "precision": "fp32"}, {"confidence": True, "precision": "fp32"}),
    ],
)
def test_what_is_at_its_default_is_as_if_unsaid(
    options: dict[str, Any], deciding: dict[str, Any]
) -> None:
    assert SceneOptions(**options).deciding() == deciding
