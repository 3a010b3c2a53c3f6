"""A file of polygons being written by fiona: fields, formats, pixels turned into coordinates."""

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
from rasterio.crs import CRS

from geomask.errors import OptionError, OutputError
from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.placing import Placing

DRIVERS = {
    ".shp": "ESRI Shapefile",
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".geojson": "GeoJSON",
}
"""The formats that fiona writes polygons in, by suffix."""

PARQUET = ".parquet"

WGS84 = CRS.from_epsg(4326)
"""What GeoJSON's coordinates are in, always (RFC 7946)."""

SHAPEFILE_LIMIT = 2**31 - 1
"""Bytes that a .shp or a .dbf may have, so that every program can read it (GDAL's documentation of
the driver; the format's own limit is 4 GB)."""

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
    if path.suffix.lower() not in (*DRIVERS, PARQUET):
        known = ", ".join(DRIVERS) + f" or {PARQUET}"
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

    staged: where it is written, of a suffix in `DRIVERS`. placing: gives the CRS and the pixels'
    coordinates. names: class name by mask code. origin: of the mask, the same for all. multi:
    whether there may be MultiPolygons. Raises OutputError where the file cannot be written.
    """

    def __init__(
        self,
        staged: Staged,
        placing: Placing,
        names: Mapping[int, str],
        origin: Origin,
        *,
        multi: bool,
    ) -> None:
        self.target = staged.target
        self.path = staged.path
        self.names = names
        self.placing = placing
        driver = DRIVERS[self.target.suffix.lower()]
        shapefile = driver == "ESRI Shapefile"
        self.has_crs = placing.crs is not None
        self.n_written = 0
        # A shapefile's polygons are multipart anyway and its type has one name.
        self.multi = multi and not shapefile
        self.origin = origin
        fields = _fields(names, origin)
        if driver == "FlatGeobuf":
            fields["acq_date"] = "str:10"  # fiona knows no dates in it
        schema = {"geometry": "MultiPolygon" if self.multi else "Polygon", "properties": fields}
        self.size = _ShapefileSize(fields) if shapefile else None
        crs = {} if placing.crs is None else {"crs_wkt": placing.crs.to_wkt()}
        options: dict[str, Any] = {"encoding": "UTF-8"} if shapefile else {}
        if driver == "GeoJSON":
            options = {"RFC7946": "YES", "COORDINATE_PRECISION": 9}
        try:
            self.collection = fiona.open(
                staged.path, "w", driver=driver, schema=schema, **crs, **options
            )
        except _FAILURES as error:
            raise OutputError(f"{self.target}: {_why(error)}") from error

    def write(self, features: Features) -> None:
        """Append features. Raises OutputError, before a shapefile grows too large to be read."""
        for start in range(0, len(features), _CHUNK):
            part = features.where(slice(start, start + _CHUNK))
            try:
                self.collection.writerecords(self._records(part))
            except _FAILURES as error:
                raise OutputError(f"{self.target}: {_why(error)}") from error
        self.n_written += len(features)

    def _records(self, features: Features) -> Iterator[dict[str, Any]]:
        columns = columns_of(features, self.names, self.origin)
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
        geometries = self.placing.vertices(geometries)
        parts, part_of = shapely.get_parts(geometries, return_index=True)
        _, pixels, (ring_offsets, part_offsets) = shapely.to_ragged_array(parts)
        if self.size is not None:
            self.size.add(len(geometries), len(ring_offsets) - 1, len(pixels), self.target)
        x, y = self.placing.to_map(pixels[:, 0], pixels[:, 1])
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
                # FlatGeobuf does not count what it holds none of.
                found = len(layer) if self.n_written else sum(1 for _ in layer)
                complete = found == self.n_written and bool(layer.crs) == self.has_crs
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


class _ShapefileSize:
    """How large a shapefile's two growing parts are, to the byte."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        widths = [int(kind.partition(":")[2].partition(".")[0] or 8) for kind in fields.values()]
        self.shp, self.dbf = 100, 32 * (len(fields) + 1) + 1
        self.record = 1 + sum(widths)

    def add(self, polygons: int, rings: int, points: int, target: Path) -> None:
        """Count them, or raise OutputError where there is no more room."""
        # A record's header; type, bounding box and two counts; a start per ring; x and y.
        self.shp += 8 * polygons + 44 * polygons + 4 * rings + 16 * points
        self.dbf += self.record * polygons
        if max(self.shp, self.dbf) > SHAPEFILE_LIMIT:
            raise OutputError(
                f"{target}: a shapefile holds 2 GB, and these polygons need more; name it .gpkg "
                "(GeoPackage), or leave small ones out with --min-area"
            )


def columns_of(features: Features, names: Mapping[int, str], origin: Origin) -> dict[str, Any]:
    """Fields by name, in the order in which they are written: lists (n,), None for null."""
    n = len(features)
    return {
        "class_id": features.codes.tolist(),
        "class": [names[code] for code in features.codes.tolist()],
        "area_m2": _nullable(features.areas, n),
        "perim_m": _nullable(features.perimeters, n),
        "conf": _nullable(features.confidence, n),
        "conf_min": _nullable(features.lowest, n),
        "n_pixels": features.n_pixels.tolist(),
        "scene": [origin.scene] * n,
        "acq_date": [origin.date] * n,
        "model": [origin.model] * n,
    }


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
