"""A file of polygons being written: what it holds, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from geomask.errors import OptionError, OutputError
from geomask.grid import Floats
from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.placing import Placing

DRIVERS = {
    ".shp": "ESRI Shapefile",
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".geojson": "GeoJSON",
}
"""GDAL's drivers for the formats that it writes polygons in, by suffix."""

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


@dataclass(frozen=True)
class Features:
    """Polygons and their fields, as columns.

    geometries: object (n,), in pixel coordinates. codes: uint8 (n,), mask codes. n_pixels: int64
    (n,). areas, perimeters: float64 (n,), square metres and metres; None where nothing says metres.
    confidence, lowest: float64 (n,), mean and least percent, NaN where unknown.
    """

    geometries: npt.NDArray[Any]
    codes: npt.NDArray[np.uint8]
    n_pixels: npt.NDArray[np.int64]
    areas: Floats | None
    perimeters: Floats | None
    confidence: Floats
    lowest: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def where(self, chosen: npt.NDArray[np.bool_] | slice) -> Features:
        """Those that are chosen: by a slice or by bool (n,)."""
        return Features(
            self.geometries[chosen],
            self.codes[chosen],
            self.n_pixels[chosen],
            None if self.areas is None else self.areas[chosen],
            None if self.perimeters is None else self.perimeters[chosen],
            self.confidence[chosen],
            self.lowest[chosen],
        )


class Layer(ABC):
    """A polygon layer open for writing; as a context manager it is complete on leaving,
    which is checked by opening it again.

    staged: where it is written. placing: gives the CRS and the pixels' coordinates. names: class
    name by mask code. origin: of the mask, the same for all.
    """

    failures: ClassVar[tuple[type[Exception], ...]]
    """What the library that writes it raises where it cannot."""

    def __init__(
        self, staged: Staged, placing: Placing, names: Mapping[int, str], origin: Origin
    ) -> None:
        self.target, self.path = staged.target, staged.path
        self.placing, self.names, self.origin = placing, names, origin
        self.n_written = 0

    def write(self, features: Features) -> None:
        """Append features. Raises OutputError, before a shapefile grows too large to be read."""
        if not len(features):
            return
        with self.errors():
            self._append(features)
        self.n_written += len(features)

    @abstractmethod
    def _append(self, features: Features) -> None: ...

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


def columns_of(features: Features, names: Mapping[int, str], origin: Origin) -> dict[str, Any]:
    """Fields by name, in the order in which they are written: lists (n,), None for null."""
    n = len(features)
    return {
        "class_id": features.codes.tolist(),
        "class": [names[code] for code in features.codes.tolist()],
        "area_m2": _nullable(features.areas, n),
        "perim_m": _nullable(features.perimeters, n),
        "conf": _nullable(features.confidence, n),
        "conf_min": _nullable(features.lowest, n),
        "n_pixels": features.n_pixels.tolist(),
        "scene": [origin.scene] * n,
        "acq_date": [origin.date] * n,
        "model": [origin.model] * n,
    }


def _nullable(values: npt.NDArray[np.float64] | None, n: int) -> list[float | None]:
    if values is None:
        return [None] * n
    return [None if value != value else value for value in values.tolist()]


def _why(error: Exception) -> str:
    """One clause on why writing failed, without the record that fiona shows with it."""
    text = str(error).removeprefix("GDAL Error: ").removeprefix("b'")
    text = " ".join(text.split(" Failed to write record")[0].split()).rstrip(".'")
    return f"could not be written ({text}); is there room on the disk?"
