"""A GeoParquet file of polygons being written, row group by row group.

GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/): WKB in a column `geometry`, the CRS as
PROJJSON in the file's metadata.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely
from rasterio.crs import CRS

from geomask.vectors.features import Features
from geomask.vectors.layer import Layer, columns_of

TYPES = {
    "class_id": pa.uint8(),
    "class": pa.string(),
    "area_m2": pa.float64(),
    "perim_m": pa.float64(),
    "conf": pa.float32(),
    "conf_min": pa.float32(),
    "n_pixels": pa.int64(),
    "scene": pa.string(),
    "acq_date": pa.date32(),
    "model": pa.string(),
}


class ParquetLayer(Layer):
    """A layer of GeoParquet."""

    failures = (OSError, pa.ArrowException)

    def _open(self) -> None:
        fields = [*TYPES.items(), ("geometry", pa.binary())]
        about = {b"geo": json.dumps(_about(self.crs, self.multi)).encode()}
        self.schema = pa.schema(fields, metadata=about)
        with self.errors():
            self.writer = pq.ParquetWriter(self.path, self.schema, compression="zstd")

    def _append(self, features: Features) -> None:
        columns = columns_of(features, self.names, self.origin)
        arrays = [
            pa.array(column, TYPES[name], from_pandas=True) for name, column in columns.items()
        ]
        geometries = shapely.to_wkb(shapely.orient_polygons(features.geometries))
        self.writer.write_table(pa.table([*arrays, pa.array(geometries)], self.schema))

    def _close(self) -> None:
        self.writer.close()

    def _is_complete(self) -> bool:
        return bool(pq.read_metadata(self.path).num_rows == self.n_written)


def _about(crs: CRS | None, multi: bool) -> dict[str, Any]:
    known = None if crs is None else pyproj.CRS.from_wkt(crs.to_wkt())
    kinds = ["Polygon", "MultiPolygon"] if multi else ["Polygon"]
    column = {
        "encoding": "WKB",
        "geometry_types": kinds,
        "crs": None if known is None else known.to_json_dict(),
        "orientation": "counterclockwise",
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
