"""What a shapefile's parts must be: not too large, and whole.

ESRI Shapefile Technical Description, 1998; dBASE III.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from geomask.errors import OutputError

SHAPEFILE_LIMIT = 2**31 - 1
"""Bytes that a .shp or a .dbf may have, so that every program can read it (GDAL's documentation of
the driver; the format's own limit is 4 GB)."""


class ShapefileSize:
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


def is_whole(path: Path) -> bool:
    """Whether a shapefile's parts have the sizes that their headers state, and the encoding is
    there."""
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
