"""A GeoParquet file of polygons being written, row group by row group.

GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/): WKB in a column `geometry`, the CRS as
PROJJSON in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely

from geomask.errors import OutputError
from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.layer import Features, columns_of
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

_FAILURES = (OSError, pa.ArrowException)


class ParquetLayer:
    """As `layer.Layer`, for `.parquet`."""

    def __init__(
        self,
        staged: Staged,
        placing: Placing,
        names: Mapping[int, str],
        origin: Origin,
        *,
        multi: bool,
    ) -> None:
        self.target, self.path = staged.target, staged.path
        self.placing, self.names, self.origin = placing, names, origin
        self.n_written = 0
        fields = [*TYPES.items(), ("geometry", pa.binary())]
        about = {b"geo": json.dumps(_about(placing, multi)).encode()}
        self.schema = pa.schema(fields, metadata=about)
        try:
            self.writer = pq.ParquetWriter(self.path, self.schema, compression="zstd")
        except _FAILURES as error:
            raise OutputError(f"{self.target}: {_why(error)}") from error

    def write(self, features: Features) -> None:
        """Append features."""
        if not len(features):
            return
        columns = columns_of(features, self.names, self.origin)
        geometries = shapely.transform(self.placing.vertices(features.geometries), self._placed)
        columns["geometry"] = shapely.to_wkb(shapely.orient_polygons(geometries))
        try:
            self.writer.write_table(pa.table(columns, self.schema))
        except _FAILURES as error:
            raise OutputError(f"{self.target}: {_why(error)}") from error
        self.n_written += len(features)

    def _placed(self, pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack(self.placing.to_map(pixels[:, 0], pixels[:, 1]), axis=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.writer.close()
            complete = error is not None or pq.read_metadata(self.path).num_rows == self.n_written
        except _FAILURES as failure:
            if error is None:
                raise OutputError(f"{self.target}: {_why(failure)}") from failure
            return
        if not complete:
            raise OutputError(f"{self.target}: was not written completely; is the disk full?")


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


def _why(error: Exception) -> str:
    return f"could not be written ({' '.join(str(error).split())}); is there room on the disk?"
