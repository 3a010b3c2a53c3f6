"""Labels of a scene that somebody drew: opened as polygons or as a raster, whichever they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import fiona
import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.errors import OptionError
from geomask.grid import Grid
from geomask.training.chips import CHIP_LABELS, IGNORE
from geomask.training.drawn_polygons import DAMAGE, Drawing, DrawnPolygons, reading
from geomask.training.drawn_raster import DrawnRaster
from geomask.vectors.shapefile import check_index

Background = Literal["ignore", "clear"]


class Drawn(Protocol):
    """Labels, window by window; `closing` closes them."""

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """uint8 (height, width): chip codes."""

    def finish(self) -> None:
        """Say what was left out."""

    def close(self) -> None:
        """Close the file."""


def open_labels(path: str | Path, grid: Grid, drawing: Drawing) -> Drawn:
    """Polygons where the file has layers, else a raster.

    Raises what `DrawnPolygons` and `DrawnRaster` raise, and OptionError where there are several
    layers and none is named, and for a raster with a background.
    """
    try:
        with fiona.Env():
            layers = fiona.listlayers(path)
    except DAMAGE:
        layers = []
    if layers:
        check_index(Path(path))
        layer = _choose_layer(path, layers, drawing.layer)
        return DrawnPolygons(path, grid, replace(drawing, layer=layer))
    raster = DrawnRaster(path, grid, drawing.meanings)
    if drawing.background != IGNORE:
        raster.close()
        raise OptionError(
            f"{path}: a raster says itself what is clear; --background is of polygons"
        )
    return raster


def _choose_layer(path: str | Path, names: Sequence[str], wanted: str | None) -> str:
    """The only layer that has geometries, unless one is named."""
    if wanted is not None:
        if wanted not in names:
            raise OptionError(f"{path}: has no layer {wanted!r}; there are: {', '.join(names)}")
        return wanted
    drawn = []
    with reading(path), fiona.Env():
        for name in names:
            # QGIS keeps its styles in a table beside the layers.
            with fiona.open(path, layer=name) as layer:
                if layer.schema["geometry"] != "None":
                    drawn.append(name)
    if len(drawn) != 1:
        there = f"{len(drawn)} layers ({', '.join(drawn)}); say which with --layer"
        raise OptionError(f"{path}: has {there if drawn else 'no layer of polygons'}")
    return drawn[0]


def background_code(name: str) -> int:
    """The chip code of what nobody drew. Raises OptionError for another word than `Background`."""
    if name not in ("ignore", "clear"):
        raise OptionError(f"background {name!r}; there are: ignore, clear")
    return CHIP_LABELS["clear"] if name == "clear" else IGNORE
