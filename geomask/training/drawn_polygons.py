"""Labels of a scene as polygons, drawn in QGIS or anywhere, window by window as chip codes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fiona
import numpy as np
import numpy.typing as npt
import shapely
from fiona._err import CPLE_BaseError
from fiona.errors import FionaError
from rasterio.features import rasterize as burn
from rasterio.windows import Window
from shapely.geometry import shape

from geomask.errors import GeomaskWarning, MaskError, OptionError
from geomask.grid import Grid
from geomask.raster import root_cause
from geomask.training.chips import CHIP_LABELS, IGNORE
from geomask.training.label_names import NUMBERS, TARGETS, Meanings, key
from geomask.vectors.bringing import Bringing, polygons_only, transform_of

Codes = npt.NDArray[np.uint8]

DAMAGE = (
    FionaError,
    CPLE_BaseError,
    shapely.errors.ShapelyError,
    OSError,
    ValueError,
    SystemError,
    UnboundLocalError,
)
"""What reading a damaged layer raises; the last three are fiona's, of dates that are none, of
texts in another encoding, of errors of GDAL's noticed too late, and of a CRS that is none."""


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """What fiona and shapely raise of a damaged layer, as MaskError."""
    try:
        yield
    except DAMAGE as error:
        raise MaskError(f"{path}: cannot be read as polygons: {root_cause(error)}") from error


@dataclass(frozen=True)
class Drawing:
    """How polygons are to be read.

    meanings: of the values of `field`. layer: the first unless named. background: chip code
    of what nobody drew. all_touched: whether a polygon has all the pixels it touches, not only
    those whose centre lies in it.
    """

    meanings: Meanings
    field: str = "class"
    layer: str | None = None
    background: int = IGNORE
    all_touched: bool = False


@dataclass
class _Survey:
    """What reading all of a layer found."""

    polygons: int = 0
    empty: int = 0
    others: int = 0
    invalid: int = 0
    numbers: set[str] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Strip:
    """The polygons on some rows of the scene, in the order of the file and in its CRS."""

    rows: tuple[int, int]
    geometries: npt.NDArray[Any]
    codes: list[int]
    tree: shapely.STRtree


class DrawnPolygons:
    """A layer of polygons, open for reading. grid: of the scene.

    Where polygons overlap, the one that comes later in the file counts: QGIS adds what is drawn
    at its end. Holes are not drawn; a polygon that crosses itself is made valid.
    Raises MaskError for a file that holds no polygons, OptionError for a field or values that are
    not known, and where one of scene and polygons has no CRS. Warns of features that it
    leaves out or repairs.
    """

    def __init__(self, path: str | Path, grid: Grid, drawing: Drawing) -> None:
        self.path = path
        self.grid = grid
        self.drawing = drawing
        with ExitStack() as stack, reading(self.path):
            stack.enter_context(fiona.Env())  # GDAL's errors are raised, not also printed
            self._layer = stack.enter_context(fiona.open(path, layer=drawing.layer))
            self._field = _choose_field(path, self._layer.schema["properties"], drawing.field)
            self._bringing = Bringing(path, self._layer.crs_wkt, grid, "labels")
            self._check(self._survey())
            self._stack = stack.pop_all()
        self._strip: _Strip | None = None

    def read(self, window: Window) -> Codes:
        """uint8 (height, width): the chip codes of a window, `background` where nothing is drawn.

        The polygons of its rows are kept for the windows beside it. Raises MaskError where the
        file is damaged.
        """
        with reading(self.path):
            strip = self._on_rows(int(window.row_off), int(window.height))
            boxes = self._bringing.boxes(window)
            near = np.unique(np.concatenate([strip.tree.query(shapely.box(*b)) for b in boxes]))
            brought = self._bringing.brought(strip.geometries[near], window)
            shapes = [(g, strip.codes[i]) for g, i in zip(brought, near, strict=True)]
        codes = np.full((int(window.height), int(window.width)), self.drawing.background, np.uint8)
        shapes = [(geometry, code) for geometry, code in shapes if not geometry.is_empty]
        if shapes:
            burn(
                shapes,
                out=codes,
                transform=transform_of(self.grid, window),
                all_touched=self.drawing.all_touched,
            )
        return codes

    def finish(self) -> None:
        """Nothing is left to say: every feature was looked at before the first window."""

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def _survey(self) -> _Survey:
        found = _Survey()
        for feature in self._layer:
            if feature.geometry is None:
                found.empty += 1
            elif feature.geometry.type not in ("Polygon", "MultiPolygon"):
                found.others += 1
            elif (drawn := shape(feature.geometry)).is_empty:
                found.empty += 1
            else:
                found.polygons += 1
                found.invalid += not drawn.is_valid
                value = feature.properties[self._field]
                if self.drawing.meanings.of(value) is None:
                    found.unknown["empty" if value is None else repr(value)] += 1
                elif self.drawing.meanings.numbers_assumed and key(value) in NUMBERS:
                    found.numbers.add(key(value))
        return found

    def _check(self, found: _Survey) -> None:
        """Refuse what cannot be labels, and say what is left out, mended or assumed."""
        if not found.polygons:
            there = f"{found.others} features of another kind" if found.others else "no feature"
            raise MaskError(f"{self.path}: holds no polygon, only {there}; labels are polygons")
        if found.unknown:
            values = [f"{value} ({count})" for value, count in found.unknown.most_common(8)]
            more = " …" if len(found.unknown) > 8 else ""
            raise OptionError(
                f"{self.path}: field {self._field} has values that say nothing geomask knows: "
                f"{', '.join(values)}{more}; say what they are with --map VALUE=LABEL,… (labels: "
                f"{', '.join(TARGETS)}), or correct them"
            )
        if found.numbers:
            names = {str(code): name for name, code in CHIP_LABELS.items()}
            taken = ", ".join(f"{number} as {names[number]}" for number in sorted(found.numbers))
            self._warn(f"took {taken} in field {self._field}; state what they are with --map")
        for count, what in (
            (found.empty, "have no geometry and are left out"),
            (found.others, "are no polygons and are left out"),
            (found.invalid, "cross themselves; what they enclose is taken"),
        ):
            if count:
                self._warn(f"{count} of its features {what}")

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self.path}: {text}", GeomaskWarning, stacklevel=5)

    def _on_rows(self, top: int, height: int) -> _Strip:
        if self._strip is None or self._strip.rows != (top, height):
            self._strip = None  # before the next is read: two may be too many
            features = {}
            for box in self._bringing.boxes(Window(0, top, self.grid.width, height)):
                for item in self._layer.filter(bbox=box):
                    if item.geometry and item.geometry.type in ("Polygon", "MultiPolygon"):
                        value = item.properties[self._field]
                        features[int(item.id)] = (shape(item.geometry), value)
            # By number, since a spatial index gives them in an order of its own.
            ordered = [features[number] for number in sorted(features)]
            geometries = polygons_only(np.array([geometry for geometry, _ in ordered], object))
            codes = [self.drawing.meanings.codes[key(value)] for _, value in ordered]
            self._strip = _Strip((top, height), geometries, codes, shapely.STRtree(geometries))
        return self._strip


def _choose_field(path: str | Path, fields: dict[str, str], wanted: str) -> str:
    """The field of that name; shapefiles and databases change its case."""
    alike = [name for name in fields if name == wanted] or [
        name for name in fields if name.casefold() == wanted.casefold()
    ]
    if len(alike) != 1:
        raise OptionError(
            f"{path}: has no field {wanted!r}, only {', '.join(fields) or 'none'}; name the one "
            "that holds the class with --field"
        )
    return alike[0]
