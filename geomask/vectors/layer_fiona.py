"""A file of polygons being written by fiona, feature by feature."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import fiona
import numpy as np
import numpy.typing as npt
import shapely
from fiona._err import CPLE_BaseError
from fiona.errors import FionaError

from geomask.errors import OutputError
from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.layer import DRIVERS, Features, Layer, columns_of
from geomask.vectors.placing import Placing

SHAPEFILE_LIMIT = 2**31 - 1
"""Bytes that a .shp or a .dbf may have, so that every program can read it (GDAL's documentation of
the driver; the format's own limit is 4 GB)."""

_CHUNK = 2000  # polygons that are Python objects at a time


class FionaLayer(Layer):
    """A layer of a format in `DRIVERS`.

    multi: whether there may be MultiPolygons. Raises OutputError where the file cannot be written.
    """

    failures = (FionaError, CPLE_BaseError, OSError, RuntimeError, struct.error)

    def __init__(
        self,
        staged: Staged,
        placing: Placing,
        names: Mapping[int, str],
        origin: Origin,
        *,
        multi: bool,
    ) -> None:
        super().__init__(staged, placing, names, origin)
        driver = DRIVERS[self.target.suffix.lower()]
        shapefile = driver == "ESRI Shapefile"
        # A shapefile's polygons are multipart anyway and its type has one name.
        self.multi = multi and not shapefile
        fields = _fields(names, origin)
        if driver == "FlatGeobuf":
            fields["acq_date"] = "str:10"  # fiona knows no dates in it
        schema = {"geometry": "MultiPolygon" if self.multi else "Polygon", "properties": fields}
        self.size = _ShapefileSize(fields) if shapefile else None
        crs = {} if placing.crs is None else {"crs_wkt": placing.crs.to_wkt()}
        options: dict[str, Any] = {"encoding": "UTF-8"} if shapefile else {}
        if driver == "GeoJSON":
            options = {"RFC7946": "YES", "COORDINATE_PRECISION": 9}
        with self.errors():
            self.collection = fiona.open(
                staged.path, "w", driver=driver, schema=schema, **crs, **options
            )

    def _append(self, features: Features) -> None:
        for start in range(0, len(features), _CHUNK):
            part = features.where(slice(start, start + _CHUNK))
            self.collection.writerecords(self._records(part))

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

    def _close(self) -> None:
        self.collection.close()

    def _is_complete(self) -> bool:
        shapefile, has_crs = self.path.suffix == ".shp", self.placing.crs is not None
        if shapefile and has_crs and not self.path.with_suffix(".prj").exists():
            raise OutputError(f"{self.target}: a shapefile cannot state this CRS; name it .gpkg")
        with fiona.open(self.path) as layer:
            # FlatGeobuf does not count what it holds none of.
            found = len(layer) if self.n_written else sum(1 for _ in layer)
            complete = found == self.n_written and bool(layer.crs) == has_crs
        return complete and (not shapefile or _is_whole(self.path))


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
