"""A file of polygons being written: fields, formats, and pixels turned into coordinates."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import fiona
import numpy as np
import numpy.typing as npt
import shapely
from fiona._err import CPLE_BaseError
from fiona.errors import FionaError

from geomask.errors import OptionError, OutputError
from geomask.grid import Grid
from geomask.mask import Origin
from geomask.output import Staged

DRIVERS = {".shp": "ESRI Shapefile", ".gpkg": "GPKG"}
"""The formats polygons are written in, by suffix."""

Floats = npt.NDArray[np.float64]

_CHUNK = 2000  # polygons that are Python objects at a time
_INCOMPLETE = "could not be written completely (is the disk full?)"
_FAILURES = (
    FionaError,
    CPLE_BaseError,
    OSError,
    RuntimeError,
    struct.error,
)  # what fiona raises for GDAL's


def check_format(path: Path) -> None:
    """Raises OptionError where no format is known by the path's suffix."""
    if path.suffix.lower() == ".shp" != path.suffix:
        # GDAL would write c.shp for c.SHP, and read the parts of another c.shp with it.
        raise OptionError(f"{path}: name it in lower case, .shp, as the other parts of a shapefile")
    if path.suffix.lower() not in DRIVERS:
        known = " or ".join(DRIVERS)
        raise OptionError(
            f"{path}: polygons are written to {known}, not to {path.suffix or 'no suffix'}"
        )


@dataclass(frozen=True)
class Features:
    """Polygons and their fields, as columns.

    geometries: object (n,), in pixel coordinates. codes: uint8 (n,), mask codes. n_pixels: int64
    (n,). areas, perimeters: float64 (n,), square metres and metres; None where nothing says metres.
    confidence, lowest: float64 (n,), mean and least percent, NaN where unknown.
    """

    geometries: npt.NDArray[Any]
    codes: npt.NDArray[np.uint8]
    n_pixels: npt.NDArray[np.int64]
    areas: Floats | None
    perimeters: Floats | None
    confidence: Floats
    lowest: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def where(self, chosen: npt.NDArray[np.bool_] | slice) -> Features:
        """Those that are chosen: by a slice or by bool (n,)."""
        return Features(
            self.geometries[chosen],
            self.codes[chosen],
            self.n_pixels[chosen],
            None if self.areas is None else self.areas[chosen],
            None if self.perimeters is None else self.perimeters[chosen],
            self.confidence[chosen],
            self.lowest[chosen],
        )


class Layer:
    """A polygon layer open for writing; as a context manager it is complete on leaving,
    which is checked by opening it again.

    staged: where it is written, of a suffix in `DRIVERS`. grid: gives the CRS and the pixels'
    coordinates. names: class name by mask code. origin: of the mask, the same for all. multi:
    whether there may be MultiPolygons. Raises OutputError where the file cannot be written.
    """

    def __init__(
        self, staged: Staged, grid: Grid, names: Mapping[int, str], origin: Origin, *, multi: bool
    ) -> None:
        self.target = staged.target
        self.path = staged.path
        self.names = names
        self.grid = grid
        driver = DRIVERS[self.target.suffix.lower()]
        shapefile = driver == "ESRI Shapefile"
        self.has_crs = grid.crs is not None
        self.n_written = 0
        # A shapefile's polygons are multipart anyway and its type has one name.
        self.multi = multi and not shapefile
        self.origin = origin
        schema = {
            "geometry": "MultiPolygon" if self.multi else "Polygon",
            "properties": _fields(names, origin),
        }
        crs = {} if grid.crs is None else {"crs_wkt": grid.crs.to_wkt()}
        options = {"encoding": "UTF-8"} if shapefile else {}
        try:
            self.collection = fiona.open(
                staged.path, "w", driver=driver, schema=schema, **crs, **options
            )
        except _FAILURES as error:
            raise OutputError(f"{self.target}: {_why(error)}") from error

    def write(self, features: Features) -> None:
        """Append features."""
        for start in range(0, len(features), _CHUNK):
            part = features.where(slice(start, start + _CHUNK))
            try:
                self.collection.writerecords(self._records(part))
            except _FAILURES as error:
                raise OutputError(f"{self.target}: {_why(error)}") from error
        self.n_written += len(features)

    def _records(self, features: Features) -> Iterator[dict[str, Any]]:
        n = len(features)
        columns = {
            "class_id": features.codes.tolist(),
            "class": [self.names[code] for code in features.codes.tolist()],
            "area_m2": _nullable(features.areas, n),
            "perim_m": _nullable(features.perimeters, n),
            "conf": _nullable(features.confidence, n),
            "conf_min": _nullable(features.lowest, n),
            "n_pixels": features.n_pixels.tolist(),
            "scene": [self.origin.scene] * n,
            "acq_date": [self.origin.date] * n,
            "model": [self.origin.model] * n,
        }
        rows = zip(*columns.values(), strict=True)
        for polygons, row in zip(self._coordinates(features.geometries), rows, strict=True):
            if self.multi or len(polygons) > 1:
                geometry = {"type": "MultiPolygon", "coordinates": polygons}
            else:
                geometry = {"type": "Polygon", "coordinates": polygons[0]}
            yield {
                "type": "Feature",
                "geometry": geometry,
                "properties": dict(zip(columns, row, strict=True)),
            }

    def _coordinates(self, geometries: npt.NDArray[Any]) -> Iterator[list[Any]]:
        """GeoJSON's nested coordinates of each geometry, as a MultiPolygon, in the CRS.

        Taken from columns of all of them: shapely's `mapping` takes half as long again as fiona.
        """
        parts, part_of = shapely.get_parts(geometries, return_index=True)
        _, pixels, (ring_offsets, part_offsets) = shapely.to_ragged_array(parts)
        x, y = self.grid.to_map(pixels[:, 0], pixels[:, 1])
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        ends = ring_offsets.tolist()
        rings = [points[a:b] for a, b in pairwise(ends)]
        ends = part_offsets.tolist()
        polygons = [rings[a:b] for a, b in pairwise(ends)]
        ends = np.searchsorted(part_of, np.arange(len(geometries) + 1)).tolist()
        yield from (polygons[a:b] for a, b in pairwise(ends))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.collection.close()
        except _FAILURES as failure:
            if error is None:
                raise OutputError(f"{self.target}: {_why(failure)}") from failure
        if error is None:
            self._check()

    def _check(self) -> None:
        """Open what was closed: GDAL says nothing of a disk that fills up while it closes.

        Raises OutputError where features, the CRS or a part's bytes are missing.
        """
        shapefile = self.path.suffix == ".shp"
        if shapefile and self.has_crs and not self.path.with_suffix(".prj").exists():
            raise OutputError(f"{self.target}: a shapefile cannot state this CRS; name it .gpkg")
        try:
            with fiona.open(self.path) as layer:
                complete = len(layer) == self.n_written and bool(layer.crs) == self.has_crs
            complete = complete and (not shapefile or _is_whole(self.path))
        except _FAILURES as error:
            raise OutputError(f"{self.target}: {_INCOMPLETE}") from error
        if not complete:
            raise OutputError(f"{self.target}: {_INCOMPLETE}")


def _is_whole(path: Path) -> bool:
    """Whether a shapefile's parts have the sizes that their headers state, and the encoding is
    there (ESRI Shapefile Technical Description, 1998; dBASE III)."""
    for part in (path, path.with_suffix(".shx")):
        with part.open("rb") as file:
            (words,) = struct.unpack(">24xI", file.read(28))
        if part.stat().st_size != 2 * words:
            return False
    table = path.with_suffix(".dbf")
    with table.open("rb") as file:
        records, header, length = struct.unpack("<4xIHH", file.read(12))
    # One byte may follow that marks the end.
    sized = table.stat().st_size - (header + records * length) in (0, 1)
    return sized and path.with_suffix(".cpg").read_text() == "UTF-8"


def _fields(names: Mapping[int, str], origin: Origin) -> dict[str, str]:
    """fiona's type of each field; names of at most ten characters, for shapefiles.

    Text is as wide as it must be: a shapefile spends the width on every polygon.
    """

    def text(*values: str | None, least: int = 1) -> str:
        return f"str:{max(least, *(len((value or '').encode()) for value in values))}"

    return {
        "class_id": "int:4",
        "class": text(*names.values(), least=32),
        "area_m2": "float:20.2",
        "perim_m": "float:20.2",
        "conf": "float:6.2",
        "conf_min": "float:6.2",
        "n_pixels": "int:9",
        "scene": text(origin.scene),
        "acq_date": "date",
        "model": text(origin.model),
    }


def _nullable(values: npt.NDArray[np.float64] | None, n: int) -> list[float | None]:
    if values is None:
        return [None] * n
    return [None if value != value else value for value in values.tolist()]


def _why(error: Exception) -> str:
    """One clause on why writing failed, without the record that fiona shows with it."""
    text = str(error).removeprefix("GDAL Error: ").removeprefix("b'")
    text = " ".join(text.split(" Failed to write record")[0].split()).rstrip(".'")
    return f"could not be written ({text}); is there room on the disk?"
