"""A file of polygons being written by fiona, feature by feature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import fiona
import numpy as np
import numpy.typing as npt
import shapely
from fiona._err import CPLE_BaseError
from fiona.errors import FionaError

from geomask.mask import Origin
from geomask.vectors.features import Features
from geomask.vectors.layer import DRIVERS, Layer, columns_of
from geomask.vectors.shapefile import check_handles

_CHUNK = 2000  # polygons that are Python objects at a time


class FionaLayer(Layer):
    """A layer of a format in `DRIVERS`: what GDAL can only be given feature by feature."""

    failures: ClassVar[tuple[type[Exception], ...]] = (
        FionaError,
        CPLE_BaseError,
        OSError,
        RuntimeError,
    )

    def _open(self) -> None:
        driver = DRIVERS[self.target.suffix.lower()]
        shapefile = driver == "ESRI Shapefile"
        # A shapefile's polygons are multipart anyway and its type has one name.
        self.multi = self.multi and not shapefile
        fields = _fields(self.names, self.origin)
        if driver == "FlatGeobuf":
            fields["acq_date"] = "str:10"  # fiona knows no dates in it
        schema = {"geometry": "MultiPolygon" if self.multi else "Polygon", "properties": fields}
        self.fields = fields
        known = {} if self.crs is None else {"crs_wkt": self.crs.to_wkt()}
        options: dict[str, Any] = {"encoding": "UTF-8"} if shapefile else {}
        if driver == "GeoJSON":
            options = {"RFC7946": "YES", "COORDINATE_PRECISION": 9}
        with self.errors():
            if shapefile:
                check_handles()
            self.collection = fiona.open(
                self.path, "w", driver=driver, schema=schema, **known, **options
            )

    def _append(self, features: Features) -> None:
        for start in range(0, len(features), _CHUNK):
            part = features.where(slice(start, start + _CHUNK))
            self.collection.writerecords(self._records(part))

    def _records(self, features: Features) -> Iterator[dict[str, Any]]:
        columns = columns_of(features, self.names, self.origin)
        rows = zip(*map(_plain, columns.values()), strict=True)
        for polygons, row in zip(_coordinates(features.geometries), rows, strict=True):
            if self.multi or len(polygons) > 1:
                geometry = {"type": "MultiPolygon", "coordinates": polygons}
            else:
                geometry = {"type": "Polygon", "coordinates": polygons[0]}
            yield {
                "type": "Feature",
                "geometry": geometry,
                "properties": dict(zip(columns, row, strict=True)),
            }

    def _close(self) -> None:
        self.collection.close()

    def _is_complete(self) -> bool:
        with fiona.open(self.path) as layer:
            # FlatGeobuf does not count what it holds none of.
            found = len(layer) if self.n_written else sum(1 for _ in layer)
            return found == self.n_written and bool(layer.crs) == (self.crs is not None)


def _coordinates(geometries: npt.NDArray[Any]) -> Iterator[list[Any]]:
    """GeoJSON's nested coordinates of each geometry, as a MultiPolygon.

    Taken from columns of all of them: shapely's `mapping` takes half as long again as fiona.
    """
    parts, part_of = shapely.get_parts(geometries, return_index=True)
    _, places, (ring_offsets, part_offsets) = shapely.to_ragged_array(parts)
    points = list(map(tuple, places.tolist()))
    ends = ring_offsets.tolist()
    rings = [points[a:b] for a, b in pairwise(ends)]
    ends = part_offsets.tolist()
    polygons = [rings[a:b] for a, b in pairwise(ends)]
    ends = np.searchsorted(part_of, np.arange(len(geometries) + 1)).tolist()
    yield from (polygons[a:b] for a, b in pairwise(ends))


def _plain(column: npt.NDArray[Any]) -> list[Any]:
    """As Python values, None for null."""
    return [None if value != value else value for value in column.tolist()]


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
