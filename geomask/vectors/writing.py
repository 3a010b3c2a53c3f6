"""Features to files: a layer of the format asked for, and what went into it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fiona
import numpy as np
from rasterio.crs import CRS

from geomask.classes import MaskClass
from geomask.errors import GeomaskWarning
from geomask.mask import Origin
from geomask.output import Staged
from geomask.vectors.areas import has_metres
from geomask.vectors.features import Features
from geomask.vectors.layer import BULK, PARQUET, Layer
from geomask.vectors.layer_fiona import FionaLayer
from geomask.vectors.options import PolygonOptions
from geomask.vectors.placing import Placing
from geomask.vectors.refine import mend


@dataclass(frozen=True)
class VectorPlan:
    """What is to be written. files: the classes in each. placing: where the polygons lie."""

    files: dict[Path, tuple[MaskClass, ...]]
    placing: Placing
    options: PolygonOptions


@dataclass(frozen=True)
class VectorSummary:
    """What `vectorize_mask` wrote.

    paths: the files. counts: polygons by class name, 0 included. areas_m2: their total area by
    class name, square metres; None where the mask has no CRS that says metres. mended: polygons
    that had to be made valid. seconds: that tracing and writing took.
    """

    paths: tuple[Path, ...]
    counts: dict[str, int]
    areas_m2: dict[str, float] | None
    mended: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "paths": [str(path) for path in self.paths],
            "counts": self.counts,
            "areas_m2": self.areas_m2,
            "mended": self.mended,
            "seconds": self.seconds,
        }


def open_layer(
    staged: Staged, crs: CRS | None, names: Mapping[int, str], origin: Origin, *, multi: bool
) -> Layer:
    """A layer of the format that the target's suffix says. multi: whether it may hold
    MultiPolygons. Raises OutputError where it cannot be written."""
    if staged.target.suffix.lower() == PARQUET:
        from geomask.vectors.layer_parquet import ParquetLayer  # pyarrow takes long to load

        return ParquetLayer(staged, crs, names, origin, multi=multi)
    if staged.target.suffix.lower() in BULK:
        from geomask.vectors.layer_bulk import BulkLayer  # so does pyogrio, with pandas

        return BulkLayer(staged, crs, names, origin, multi=multi)
    return FionaLayer(staged, crs, names, origin, multi=multi)


def write_layers(
    features: Iterable[Features], plan: VectorPlan, staged: Sequence[Staged], origin: Origin
) -> VectorSummary:
    """Write every file of a plan, beside its target.

    features: in pixel coordinates. staged: as many as the plan has files. Raises OutputError.
    Warns of polygons that had to be mended.
    """
    started = time.perf_counter()
    counts, areas, mended = np.zeros(256, np.int64), np.zeros(256), 0
    placing, options = plan.placing, plan.options
    multi = options.connectivity == 8 or options.reshapes
    with ExitStack() as open_layers:
        open_layers.enter_context(fiona.Env())  # GDAL's errors are raised, not also printed
        layers = []
        for item, classes in zip(staged, plan.files.values(), strict=True):
            names = {c.code: c.name for c in classes}
            layer = open_layer(item, placing.crs, names, origin, multi=multi)
            layers.append(open_layers.enter_context(layer))
        for some in features:
            counts += np.bincount(some.codes, minlength=256)
            if some.areas is not None:
                areas += np.bincount(some.codes, some.areas, 256)
            geometries = placing.placed(some.geometries)
            if placing.bends or options.reshapes:  # others are outlines of pixels
                geometries, count = mend(geometries)
                mended += count
            some = replace(some, geometries=geometries)
            for layer in layers:
                layer.write(some.where(np.isin(some.codes, list(layer.names))))
    if mended:
        warnings.warn(
            f"{', '.join(map(str, plan.files))}: {mended} polygons crossed themselves and were "
            "made valid",
            GeomaskWarning,
            stacklevel=2,
        )
    chosen = [item for group in plan.files.values() for item in group]
    return VectorSummary(
        tuple(plan.files),
        {c.name: int(counts[c.code]) for c in chosen},
        {c.name: float(areas[c.code]) for c in chosen} if has_metres(placing.grid) else None,
        mended,
        time.perf_counter() - started,
    )
