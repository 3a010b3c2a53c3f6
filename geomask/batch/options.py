"""What is asked of every scene of a batch, and which of it decides what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from geomask.vectors.options import PolygonOptions

POLYGONS = (".shp", ".gpkg", ".fgb", ".geojson", ".parquet")
"""Formats of polygons, by suffix (`layer.check_format`)."""

DECIDING = ("precision", "compress", "confidence", "polygons")
"""Fields of `SceneOptions` that decide the bytes that come out; stated, plan and drawn do, too."""


@dataclass(frozen=True)
class SceneOptions:
    """What `geomask predict` would be told for each scene.

    model: name or path. precision, batch: of `make_engines`. stated: of `open_scene`. plan:
    patch, margin and resolution of `prepare`. readers, compress: of `predicting`. confidence:
    also write it. polygons: suffix of the files to write them to, None for none. drawn: what
    they are like.
    """

    model: str = "default"
    precision: str = "auto"
    batch: int | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    readers: int = 2
    compress: str = "deflate"
    confidence: bool = False
    polygons: str | None = None
    drawn: PolygonOptions = field(default_factory=PolygonOptions)

    def deciding(self) -> dict[str, Any]:
        """Those that decide the bytes that come out, as plain values; what is at its default is
        left out. The model is not among them, since its file's hash stands for it."""
        drawn = _changed(self.drawn)
        if self.polygons is None:
            drawn = {name: value for name, value in drawn.items() if name == "style"}
        own = _changed(self)
        said = {name: own[name] for name in DECIDING if name in own}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in sorted({**said, **self.stated, **self.plan, **drawn}.items())
            if value is not None
        }


def _changed(options: SceneOptions | PolygonOptions) -> dict[str, Any]:
    """Options that are not at their defaults."""
    said = {its.name: (getattr(options, its.name), its.default) for its in fields(options)}
    return {name: value for name, (value, usual) in said.items() if value != usual}
