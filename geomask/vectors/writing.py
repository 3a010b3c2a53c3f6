"""Features to files: a layer of the format asked for, and what went into it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fiona
import numpy as np

from geomask.classes import MaskClass
from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.areas import has_metres
from geomask.vectors.layer import PARQUET, Features, Layer
from geomask.vectors.layer_fiona import FionaLayer
from geomask.vectors.placing import Placing


@dataclass(frozen=True)
class VectorSummary:
    """What `vectorize_mask` wrote.

    paths: the files. counts: polygons by class name, 0 included. areas_m2: their total area by
    class name, square metres; None where the mask has no CRS that says metres. seconds: that
    tracing and writing took.
    """

    paths: tuple[Path, ...]
    counts: dict[str, int]
    areas_m2: dict[str, float] | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "paths": [str(path) for path in self.paths],
            "counts": self.counts,
            "areas_m2": self.areas_m2,
            "seconds": self.seconds,
        }


def open_layer(
    staged: Staged, placing: Placing, names: Mapping[int, str], origin: Origin, *, multi: bool
) -> Layer:
    """A layer of the format that the target's suffix says. multi: whether it may hold
    MultiPolygons. Raises OutputError where it cannot be written."""
    if staged.target.suffix.lower() == PARQUET:
        from geomask.vectors.layer_parquet import ParquetLayer  # pyarrow takes long to load

        return ParquetLayer(staged, placing, names, origin, multi=multi)
    return FionaLayer(staged, placing, names, origin, multi=multi)


def write_layers(
    features: Iterable[Features],
    files: Mapping[Path, Sequence[MaskClass]],
    staged: Sequence[Staged],
    placing: Placing,
    origin: Origin,
    *,
    multi: bool,
) -> VectorSummary:
    """Write every file, beside its target.

    files: the classes in each, as many as `staged`. multi: as for `open_layer`.
    Raises OutputError.
    """
    started = time.perf_counter()
    counts, areas = np.zeros(256, np.int64), np.zeros(256)
    with ExitStack() as open_layers:
        open_layers.enter_context(fiona.Env())  # GDAL's errors are raised, not also printed
        layers: list[Layer] = []
        for item, classes in zip(staged, files.values(), strict=True):
            names = {c.code: c.name for c in classes}
            layer = open_layer(item, placing, names, origin, multi=multi)
            open_layers.enter_context(layer)
            layers.append(layer)
        for some in features:
            counts += np.bincount(some.codes, minlength=256)
            if some.areas is not None:
                areas += np.bincount(some.codes, some.areas, 256)
            for layer in layers:
                layer.write(some.where(np.isin(some.codes, list(layer.names))))
    chosen = [item for group in files.values() for item in group]
    return VectorSummary(
        tuple(files),
        {c.name: int(counts[c.code]) for c in chosen},
        {c.name: float(areas[c.code]) for c in chosen} if has_metres(placing.grid) else None,
        time.perf_counter() - started,
    )
