"""What a shapefile's parts must be: not too large, and whole.

ESRI Shapefile Technical Description, 1998; dBASE III.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geomask.errors import MaskError, OutputError

SHAPEFILE_LIMIT = 2**31 - 1
"""Bytes that a .shp or a .dbf may have, so that every program can read it (GDAL's documentation of
the driver; the format's own limit is 4 GB)."""


HEADER = 100
"""Bytes at the start of a .shp and of a .shx."""

_HANDLES = 6  # a shapefile's parts, and one more


def check_handles() -> None:
    """Raises OSError where so few more files can be opened that GDAL crashes as it makes a
    shapefile: version 3.9 writes its .cpg, the fourth, without a look at whether it is open."""
    with ExitStack() as files:
        for _ in range(_HANDLES):
            files.enter_context(Path(os.devnull).open())


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


def check_index(path: Path) -> None:
    """Refuse a shapefile whose .shx does not say where the records of its .shp are: GDAL goes by
    it, and leaves out in silence what it does not find. Nothing to say of any other file.

    Both files give each record's length, and records are numbered from 1 (ESRI Shapefile Technical
    Description, 1998, pages 4, 5 and 23). Raises MaskError.
    """
    index = path.with_suffix(".shx" if path.suffix == ".shp" else ".SHX")
    if path.suffix.lower() != ".shp" or not index.is_file() or not path.is_file():
        return
    try:
        listed = index.read_bytes()[HEADER:]
        words = path.stat().st_size // 4
        if words <= HEADER // 4:
            return  # which GDAL notices
        shapes = np.memmap(path, ">i4", "r", shape=(words,))
    except OSError as error:
        raise MaskError(f"{path}: cannot be read as polygons: {error.strerror}") from error
    # In words of 16 bits: where a record begins, then its length, here and there.
    records = np.frombuffer(listed, ">i4", len(listed) // 8 * 2).reshape(-1, 2)
    places, lengths = records.T.astype(np.int64)
    starts = places // 2 + 1
    inside = (places >= HEADER // 2) & (places % 2 == 0) & (starts < len(shapes))
    wrong = not inside.all() or (shapes[starts] != lengths).any()
    if wrong or _goes_on(shapes, starts + 1 + lengths // 2):
        raise MaskError(
            f"{index}: does not say where the polygons of {path.name} are, so it is damaged or of "
            "another file; remove it and make it again (ogrinfo --config SHAPE_RESTORE_SHX YES)"
        )


def _goes_on(shapes: npt.NDArray[np.int32], ends: npt.NDArray[np.int64]) -> bool:
    """Whether another record follows the last that an index of before knows: its number and a
    length that fits. Other bytes may follow, such as of a record that became shorter.

    shapes: the .shp as numbers of 32 bits. ends: where in it the known records end.
    """
    end = int(ends.max(initial=HEADER // 4))
    if end + 2 > len(shapes):
        return False
    number, words = shapes[end : end + 2].tolist()
    return bool(number == len(ends) + 1 and 0 < words // 2 <= len(shapes) - end - 2)
