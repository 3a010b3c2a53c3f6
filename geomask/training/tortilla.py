"""The tortilla file format, TACO's first generation: files end to end, and a table at the end.

Bytes 0 to 199 are the header: magic, then offset and length of the table and the number of
parts, little-endian; the table is Parquet, with each file's name, offset and length (the
specification at tacofoundation.github.io/specification/tortilla). A sample of several files is
itself a tortilla within.

tacoreader writes tortillas too (`tacoreader.v1.compile`), but maps the new file, so that a full
disk kills the process, drops what its threads raise, and uses arguments that pandas 4 removes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"#y"
"""How a tortilla begins; a `.taco` begins with `WX` and has a collection's description besides."""

MAGICS = (MAGIC, b"WX")

HEADER = 200
"""Bytes before the first file."""

_FIXED = 26
"""Bytes of the header that mean something in both kinds."""


class TortillaWriter:
    """Writes a tortilla to an open binary file: `add` files, then `finish`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rows: list[dict[str, Any]] = []
        self._end = HEADER
        file.write(bytes(HEADER))

    def add(self, row: Mapping[str, Any], data: bytes) -> None:
        """One file. row: its metadata, `tortilla:id` and `tortilla:file_format` among it."""
        place = {"tortilla:offset": self._end, "tortilla:length": len(data)}
        self._rows.append({**row, **place})
        self._file.write(data)
        self._end += len(data)

    def finish(self) -> None:
        """Write table and header; the file is complete after this, and stays open."""
        sink = io.BytesIO()
        pq.write_table(table_of(self._rows), sink, compression="zstd")
        table = sink.getvalue()
        self._file.write(table)
        self._file.seek(0)
        numbers = (self._end, len(table), 1)
        self._file.write(MAGIC + b"".join(number.to_bytes(8, "little") for number in numbers))


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table with all their columns; what a row lacks is null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.Table.from_pydict({name: [_given(row.get(name)) for row in rows] for name in names})


def _given(value: Any) -> Any:
    """None for the NaN that pandas has where a text is missing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def pack(files: Mapping[str, bytes]) -> bytes:
    """GeoTIFFs by name as one tortilla."""
    file = io.BytesIO()
    writer = TortillaWriter(file)
    for name, data in files.items():
        writer.add({"tortilla:id": name, "tortilla:file_format": "GTiff"}, data)
    writer.finish()
    return file.getvalue()


def unpack(blob: bytes) -> dict[str, bytes]:
    """The files in a tortilla, by name. Raises ValueError where its numbers do not fit."""
    if blob[:2] not in MAGICS or len(blob) < _FIXED:
        raise ValueError("it does not begin as a tortilla")
    start, length = (int.from_bytes(blob[i : i + 8], "little") for i in (2, 10))
    if start + length > len(blob):
        raise ValueError("its table lies beyond its end")
    try:
        rows = pq.read_table(pa.BufferReader(blob[start : start + length])).to_pylist()
        places = [(r["tortilla:id"], r["tortilla:offset"], r["tortilla:length"]) for r in rows]
        files = {str(name): blob[first : first + size] for name, first, size in places}
        cut = [name for name, first, size in places if first < HEADER or first + size > start]
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError("its table cannot be read") from error
    if cut:
        raise ValueError(f"{cut[0]} lies outside it")
    return files
