"""A GeoParquet file of polygons being written, row group by row group.

GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/): WKB in a column `geometry`, the CRS as
PROJJSON in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely

from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.layer import Features, Layer, columns_of
from geomask.vectors.placing import Placing

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
    """A layer of GeoParquet. multi: whether there may be MultiPolygons.

    Raises OutputError where the file cannot be written.
    """

    failures = (OSError, pa.ArrowException)

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
        fields = [*TYPES.items(), ("geometry", pa.binary())]
        about = {b"geo": json.dumps(_about(placing, multi)).encode()}
        self.schema = pa.schema(fields, metadata=about)
        with self.errors():
            self.writer = pq.ParquetWriter(self.path, self.schema, compression="zstd")

    def _append(self, features: Features) -> None:
        columns = columns_of(features, self.names, self.origin)
        geometries = shapely.transform(self.placing.vertices(features.geometries), self._placed)
        columns["geometry"] = shapely.to_wkb(shapely.orient_polygons(geometries))
        self.writer.write_table(pa.table(columns, self.schema))

    def _placed(self, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack(self.placing.to_map(pixels[:, 0], pixels[:, 1]), axis=1)

    def _close(self) -> None:
        self.writer.close()

    def _is_complete(self) -> bool:
        return bool(pq.read_metadata(self.path).num_rows == self.n_written)


def _about(placing: Placing, multi: bool) -> dict[str, Any]:
    crs = None if placing.crs is None else pyproj.CRS.from_wkt(placing.crs.to_wkt())
    kinds = ["Polygon", "MultiPolygon"] if multi else ["Polygon"]
    column = {
        "encoding": "WKB",
        "geometry_types": kinds,
        "crs": None if crs is None else crs.to_json_dict(),
        "orientation": "counterclockwise",
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
