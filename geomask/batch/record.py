"""The record of one scene: what was done with what, and whether that still holds.

A record is written when every output is in place and on the disk, so a scene is done where a
record says so, what it was made of and how it was made agree with what is asked, and the outputs
are there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Self

from pydantic import ConfigDict, TypeAdapter, with_config
from rasterio.errors import CRSError
from shapely.errors import ShapelyError
from shapely.geometry import shape

from geomask.batch.known import KnownGrid, Outline
from geomask.batch.places import Places
from geomask.classes import ClassTable, MaskClass
from geomask.errors import shown
from geomask.output import write_text
from geomask.version import __version__

DONE, FAILED, BEGUN = "done", "failed", "begun"
"""Of a scene. Begun is one that had been done or had failed before, and is being done again: its
record names what it had written, and holds no longer."""


@dataclass(frozen=True)
class Fingerprint:
    """A file by what the file system says of it.

    size: bytes. mtime_ns: nanoseconds. None for what is no local file: it counts as unchanged.
    """

    path: str
    size: int | None = None
    mtime_ns: int | None = None


@dataclass(frozen=True)
class Written:
    """An output. path: relative to the output folder. size: bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class UsedModel:
    """What a scene was done with. sha256: of the file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Failure:
    """Why a scene could not be done.

    kind: the error's class. message: as the user is told. traceback: where it was no error that
    geomask raises on purpose.
    """

    kind: str
    message: str
    traceback: str | None = None


@dataclass(frozen=True)
class Record:
    """What became of one scene.

    status: `DONE`, `FAILED` or `BEGUN`. scene: as it was opened. name: of its outputs. inputs:
    every file it draws on, as it was before it was read. options: those that decide what comes out.
    outputs: all files; of what is not done, those of before. pixels, percent: by class. polygons:
    by class, None where none were asked for. seconds: by stage, and "total". peak_memory: bytes, of
    the process until then. attempts: how often it was begun in this run. warnings: as texts. error:
    None when done. footprint: None without a CRS. acquisition: what the product says of it. worker:
    who did it. run: identifies the batch run. started, finished: seconds since 1970.
    """

    status: str
    scene: str
    name: str
    inputs: tuple[Fingerprint, ...] = ()
    model: UsedModel = UsedModel("", "")
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Written, ...] = ()
    pixels: Mapping[str, int] = field(default_factory=dict)
    percent: Mapping[str, float] = field(default_factory=dict)
    polygons: Mapping[str, int] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int | None = None
    attempts: int = 1
    warnings: tuple[str, ...] = ()
    error: Failure | None = None
    footprint: Outline | None = None
    grid: KnownGrid | None = None
    classes: tuple[MaskClass, ...] = ()
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)
    run: str = ""
    started: float = 0.0
    finished: float = 0.0
    geomask: str = __version__

    @property
    def done(self) -> bool:
        """Whether its outputs are complete."""
        return self.status == DONE

    @property
    def reason(self) -> str:
        """Why it failed, in one line; empty when done."""
        return "" if self.error is None else shown(" ".join(self.error.message.split()))

    def why_failed(self) -> dict[str, Any]:
        """Scene and error, as plain values."""
        error = None if self.error is None else asdict(self.error)
        return {"name": self.name, "scene": self.scene, "error": error}

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """A record of `to_json`, as JSON. Raises ValueError for anything else, and for outputs
        that lie outside of their folder, since an earlier record's outputs are removed."""
        record: Self = _reader().validate_json(text, strict=True)
        for item in record.outputs:
            path = PurePosixPath(item.path)
            if path.is_absolute() or ".." in path.parts or "\0" in item.path:
                raise ValueError(f"output {item.path} is outside of the folder")
        if record.done and not (record.outputs and "nodata" in record.pixels):
            raise ValueError("is done, and has no mask")
        _check_facts(record)
        return record


def _check_facts(record: Record) -> None:
    """What the summaries make of a record can be made of it. Raises ValueError."""
    if record.footprint is None:
        return
    if record.grid is None or record.grid.crs is None:
        raise ValueError("has a footprint, and no CRS")
    ClassTable(record.classes)
    try:
        shape(record.footprint.to_geojson())
        record.grid.to_grid()
    except (LookupError, TypeError, ShapelyError, CRSError) as error:
        raise ValueError(f"has no map to be put on: {error}") from error


@cache
def _reader() -> TypeAdapter[Any]:
    return TypeAdapter(with_config(ConfigDict(extra="forbid", allow_inf_nan=False))(Record))


def fingerprints(files: Iterable[str]) -> tuple[Fingerprint, ...]:
    """What the file system says of files now; of a URL nothing."""
    return tuple(_fingerprint(path) for path in files)


def _fingerprint(path: str) -> Fingerprint:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return Fingerprint(path)
    return Fingerprint(path, found.st_size, found.st_mtime_ns)


def still_holds(
    record: Record,
    places: Places,
    *,
    scene: str,
    model_sha256: str,
    options: Mapping[str, Any],
) -> bool:
    """Whether a scene need not be done again: done from these inputs with these options, and
    every output there, of the size that it had."""
    return (
        record.done
        and record.scene == scene
        and record.model.sha256 == model_sha256
        and dict(record.options) == dict(options)
        and all(_fingerprint(item.path) == item for item in record.inputs)
        and all(_size(places.root / item.path) == item.size for item in record.outputs)
    )


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def written(paths: Iterable[Path], places: Places) -> tuple[Written, ...]:
    """Outputs as a record names them, those that are there, once their names are on the disk."""
    found = [(path, size) for path in paths if (size := _size(path)) is not None]
    for folder in {path.parent for path, _ in found}:
        _sync_folder(folder)
    return tuple(Written(places.relative(path), size) for path, size in found)


def write_record(record: Record, places: Places) -> None:
    """Put a record in its place and on the disk. Raises OutputError."""
    path = places.record(record.name)
    write_text(path, json.dumps(record.to_json(), indent=1))
    _sync_folder(path.parent)


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none, or it is damaged."""
    try:
        return Record.from_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def read_records(places: Places) -> Iterator[Record]:
    """Every record of a folder that can be read, by name."""
    for path in sorted(places.records.glob("*.json")):
        record = read_record(path)
        if record is not None and record.name == path.stem:
            yield record


def _sync_folder(folder: Path) -> None:
    """Ask the disk to have the names in a folder; not every system can open one."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
