"""Polygons with classes, in a file of any format that is written, read a window at a time."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyogrio
import pyproj
import shapely

from geomask.classes import ClassTable
from geomask.errors import MaskError, OptionError
from geomask.vectors.bringing import Box
from geomask.vectors.layer import PARQUET
from geomask.vectors.outlines import Ints
from geomask.vectors.shapefile import check_index

Columns = dict[str, npt.NDArray[Any]]

_ROWS = 50_000  # features whose fields are looked at together

FIELDS = ("class_id", "class")
"""Fields that say what a polygon is; one of them is enough."""


@dataclass(frozen=True)
class Records:
    """Some features of a file, in its order.

    numbers: int64 (n,), of each in the file. columns: of `FIELDS`, those there are. geometries:
    object (n,), None for none.
    """

    numbers: Ints
    columns: Columns
    geometries: npt.NDArray[Any]


class PolygonFile(ABC):
    """A layer of polygons, open for reading. wkt: its CRS, "" for none."""

    wkt: str

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def fields(self) -> Iterator[Records]:
        """All features, some at a time, perhaps without their geometries."""

    @abstractmethod
    def within(self, box: Box) -> Records:
        """The features whose bounds meet a box in the file's CRS."""


class OgrFile(PolygonFile):
    """Whatever pyogrio's GDAL reads. Raises MaskError, or OptionError for layers to choose from."""

    def __init__(self, path: Path, layer: str | None) -> None:
        super().__init__(path)
        check_index(path)
        with _errors(path):
            self.layer = _choose_layer(path, layer)
            info = pyogrio.read_info(path, layer=self.layer, force_feature_count=True)
        self.wkt = _wkt(path, info["crs"])
        self.count = int(info["features"])
        # GeoJSON without features has no fields either.
        self.names = _own_fields(path, list(info["fields"])) if self.count else {}

    def fields(self) -> Iterator[Records]:
        for start in range(0, self.count, _ROWS):
            yield self._read(skip_features=start, max_features=_ROWS, read_geometry=False)

    def within(self, box: Box) -> Records:
        return self._read(bbox=box)

    def _read(self, **some: Any) -> Records:
        with _errors(self.path):
            meta, numbers, wkb, columns = pyogrio.raw.read(
                self.path,
                layer=self.layer,
                columns=list(self.names.values()),
                return_fids=True,
                **some,
            )
            found = dict(zip(meta["fields"], columns, strict=True))
            geometries = np.full(len(numbers), None) if wkb is None else shapely.from_wkb(wkb)
        # Some formats give what a spatial index found, in an order of its own.
        order = np.argsort(numbers, kind="stable")
        return Records(
            numbers[order].astype(np.int64),
            {name: found[own][order] for name, own in self.names.items()},
            geometries[order],
        )


class ParquetFile(PolygonFile):
    """GeoParquet, a row group at a time. Raises MaskError for what is none."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq  # takes long to load

        super().__init__(path)
        with _errors(path):
            self.file = pq.ParquetFile(path)
            about = json.loads((self.file.schema_arrow.metadata or {}).get(b"geo", b"{}"))
        try:
            self.column = about["primary_column"]
            column = about["columns"][self.column]
            encoding, crs = column["encoding"], column.get("crs", "OGC:CRS84")
        except (KeyError, TypeError) as error:
            raise MaskError(f"{path}: is no GeoParquet: it says nothing of geometries") from error
        if encoding != "WKB":
            raise MaskError(f"{path}: has geometries as {encoding}; save them as WKB")
        self.wkt = _wkt(path, crs)
        self.names = _own_fields(path, self.file.schema_arrow.names)
        sizes = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self.starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        self.bounds: list[npt.NDArray[np.float64]] = []

    def fields(self) -> Iterator[Records]:
        self.bounds = []
        for group in range(self.file.num_row_groups):
            records = self._read(group)
            self.bounds.append(shapely.total_bounds(records.geometries))
            yield records

    def within(self, box: Box) -> Records:
        if not self.bounds:
            for _ in self.fields():
                pass
        found = [self._near(g, box) for g, b in enumerate(self.bounds) if _meets(b[None], box)[0]]
        if not found:
            return Records(np.empty(0, np.int64), {}, np.empty(0, object))
        return Records(
            np.concatenate([some.numbers for some in found]),
            {name: np.concatenate([some.columns[name] for some in found]) for name in self.names},
            np.concatenate([some.geometries for some in found]),
        )

    def _near(self, group: int, box: Box) -> Records:
        records = self._read(group)
        near = _meets(shapely.bounds(records.geometries), box)
        columns = {name: column[near] for name, column in records.columns.items()}
        return Records(records.numbers[near], columns, records.geometries[near])

    def _read(self, group: int) -> Records:
        with _errors(self.path):
            table = self.file.read_row_group(group, columns=[*self.names.values(), self.column])
            wkb = table[self.column].to_numpy(zero_copy_only=False)
            geometries = shapely.from_wkb(wkb)
        numbers = np.arange(len(wkb)) + self.starts[group]
        columns = {
            name: table[own].to_numpy(zero_copy_only=False) for name, own in self.names.items()
        }
        return Records(numbers, columns, geometries)


def open_polygons(path: str | Path, layer: str | None = None) -> PolygonFile:
    """A file of polygons. layer: which, where there are several. Raises MaskError for what is
    none, OptionError where a layer must be chosen."""
    path = Path(path)
    if not path.exists():
        raise MaskError(f"{path}: cannot be read as polygons: no such file")
    return ParquetFile(path) if path.suffix.lower() == PARQUET else OgrFile(path, layer)


def codes_of(records: Records, table: ClassTable, path: Path) -> npt.NDArray[np.uint8]:
    """uint8 (n,): the mask code of each feature, by its class_id, or else by its class.

    Raises MaskError, naming the feature, where it has neither, one that `table` has not, or two
    that contradict each other: where polygons were edited, nobody else knows which is meant.
    """
    n = len(records.numbers)
    ids = records.columns.get("class_id", np.full(n, None, object))
    names = records.columns.get("class", np.full(n, None, object))
    name_of = {item.code: item.name for item in table}
    code_of = {name: code for code, name in name_of.items()}
    codes = np.empty(n, np.uint8)
    known: dict[tuple[Any, Any], int | str] = {}
    for place, (code, name) in enumerate(zip(ids.tolist(), names.tolist(), strict=True)):
        # Whole numbers are fractional where some are missing.
        code = None if code != code else int(code) if code == round(code or 0) else code
        pair = (code, None if name in ("", None) else name)
        if pair not in known:
            known[pair] = _meaning(*pair, name_of, code_of)
        found = known[pair]
        if isinstance(found, str):
            raise MaskError(f"{path}: feature {records.numbers[place]} {found}")
        codes[place] = found
    return codes


def _meaning(code: Any, name: Any, name_of: dict[int, str], code_of: dict[str, int]) -> int | str:
    """The code, or a clause on what is wrong."""
    there = ", ".join(f"{code} {name}" for code, name in name_of.items())
    if code is None and name is None:
        return f"has neither class_id nor class; give it one of: {there}"
    if code is not None and code not in name_of:
        return f"has class_id {code!r}, and the classes of the mask are: {there}"
    if code is None and name not in code_of:
        return f"has class {name!r} and no class_id; the classes of the mask are: {there}"
    if code is not None and name is not None and name_of[code] != name:
        return (
            f"has class_id {code!r}, which is {name_of[code]}, and class {name!r}; make them agree"
            " or empty one of them"
        )
    return int(code_of[name] if code is None else code)


def _own_fields(path: Path, there: list[str]) -> dict[str, str]:
    """The file's own names of `FIELDS`, those it has; shapefiles and databases change case."""
    own = {name: field for name in FIELDS for field in there if field.casefold() == name}
    if not own:
        raise MaskError(
            f"{path}: has neither a field class_id, the mask code of its polygons, nor class"
        )
    return own


def _wkt(path: Path, crs: Any) -> str:
    """A CRS, as a file states it, as WKT; "" for None. Raises MaskError for what is none."""
    if crs is None:
        return ""
    try:
        return str(pyproj.CRS.from_user_input(crs).to_wkt())
    except pyproj.exceptions.ProjError as error:
        raise MaskError(
            f"{path}: its CRS is damaged or unknown to PROJ; state it again (ogr2ogr -a_srs)"
        ) from error


def _choose_layer(path: Path, layer: str | None) -> str:
    """The layer of that name, or the only one with polygons."""
    layers = {name: kind for name, kind in pyogrio.list_layers(path)}
    polygons = [
        name
        for name, kind in layers.items()
        if kind is not None and ("Polygon" in kind or kind in ("Unknown", "Unknown (any)"))
    ]
    if layer is not None and layer not in layers:
        raise OptionError(f"{path}: has no layer {layer!r}, only {', '.join(layers)}")
    if layer is None and len(polygons) > 1:
        raise OptionError(f"{path}: has layers {', '.join(polygons)}; choose one with --layer")
    if layer is None and not polygons:
        raise MaskError(f"{path}: cannot be read as polygons: holds none")
    return polygons[0] if layer is None else layer


def _meets(bounds: npt.NDArray[np.float64], box: Box) -> npt.NDArray[np.bool_]:
    """bool (n,): which bounds, float64 (n, 4), meet a box; NaN does not."""
    left, bottom, right, top = bounds.T
    across, down = (left <= box[2]) & (right >= box[0]), (bottom <= box[3]) & (top >= box[1])
    meets: npt.NDArray[np.bool_] = across & down
    return meets


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, OSError, shapely.errors.ShapelyError) as error:
        if isinstance(error, (MaskError, OptionError)):
            raise
        why = " ".join(str(error).split())
        raise MaskError(f"{path}: cannot be read as polygons: {why}") from error
