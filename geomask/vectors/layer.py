"""A file of polygons being written: what it holds, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from rasterio.crs import CRS

from geomask.errors import OptionError, OutputError
from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.features import Features

DRIVERS = {
    ".shp": "ESRI Shapefile",
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".geojson": "GeoJSON",
}
"""GDAL's drivers for the formats that it writes polygons in, by suffix."""

BULK = (".shp", ".gpkg")
"""Those of them that GDAL can add to once they are closed."""

PARQUET = ".parquet"


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


class Layer(ABC):
    """A polygon layer open for writing; as a context manager it is complete on leaving,
    which is checked by opening it again.

    staged: where it is written. crs: of the polygons. names: class name by mask code. origin: of
    the mask, the same for all. multi: whether there may be MultiPolygons. Raises OutputError where
    the file cannot be written.
    """

    failures: ClassVar[tuple[type[Exception], ...]]
    """What the library that writes it raises where it cannot."""

    def __init__(
        self,
        staged: Staged,
        crs: CRS | None,
        names: Mapping[int, str],
        origin: Origin,
        *,
        multi: bool,
    ) -> None:
        self.target, self.path = staged.target, staged.path
        self.crs, self.names, self.origin, self.multi = crs, names, origin, multi
        self.n_written = 0
        self._open()

    def write(self, features: Features) -> None:
        """Append features, on the map. Raises OutputError, before a shapefile grows too large to
        be read."""
        if not len(features):
            return
        with self.errors():
            self._append(features)
        self.n_written += len(features)

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _append(self, features: Features) -> None: ...

    def _flush(self) -> None:  # noqa: B027 - most have nothing to do
        """Write what still waits to be."""

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _is_complete(self) -> bool:
        """Whether what was closed holds everything: GDAL says nothing of a disk that fills up
        while it closes."""

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The library's errors as OutputError."""
        try:
            yield
        except self.failures as error:
            raise OutputError(f"{self.target}: {_why(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            with suppress(*self.failures):
                self._close()
            return
        with self.errors():
            self._flush()
            self._close()
        cause = None
        try:
            complete = self._is_complete()
        except self.failures as failure:
            complete, cause = False, failure
        if not complete:
            raise OutputError(
                f"{self.target}: could not be written completely (is the disk full?)"
            ) from cause


def columns_of(
    features: Features, names: Mapping[int, str], origin: Origin
) -> dict[str, npt.NDArray[Any]]:
    """Fields by name, in the order in which they are written: arrays (n,). Null is NaN, NaT and,
    in text, None."""
    n = len(features)
    unknown = np.full(n, np.nan)
    name_of = np.full(256, None, object)
    name_of[list(names)] = list(names.values())
    return {
        "class_id": features.codes.astype(np.int32),
        "class": name_of[features.codes],
        "area_m2": unknown if features.areas is None else features.areas,
        "perim_m": unknown if features.perimeters is None else features.perimeters,
        "conf": features.confidence,
        "conf_min": features.lowest,
        "n_pixels": features.n_pixels,
        "scene": np.full(n, origin.scene, object),
        "acq_date": np.full(n, origin.date, "datetime64[D]"),
        "model": np.full(n, origin.model, object),
    }


def _why(error: Exception) -> str:
    """One clause on why writing failed, without the record that fiona shows with it."""
    text = str(error).removeprefix("GDAL Error: ").removeprefix("b'")
    text = " ".join(text.split(" Failed to write record")[0].split()).rstrip(".'")
    return f"could not be written ({text}); is there room on the disk?"
