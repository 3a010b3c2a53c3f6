"""From a class mask to polygons in a file.

The mask is read strip by strip and a component is written as soon as it is complete, so memory
follows the mask's width and its largest component, not its area.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from geomask.classes import CLEAR, NODATA, ClassTable, MaskClass
from geomask.errors import GeomaskWarning, OptionError
from geomask.grid import Grid
from geomask.mask import MaskReader, open_confidence, open_mask
from geomask.output import Staged, check_distinct, check_output, commit_all
from geomask.styles import STYLE, check_style, style_path, style_text
from geomask.vectors.areas import areas_m2, has_metres, perimeters_m
from geomask.vectors.components import Batch, Strip, batches
from geomask.vectors.features import Features, together
from geomask.vectors.layer import check_format
from geomask.vectors.options import PolygonOptions
from geomask.vectors.placing import WGS84, Placing, read_crs
from geomask.vectors.refine import refine
from geomask.vectors.writing import VectorPlan, VectorSummary, write_layers

_ROWS = 256  # of a strip: labels of 11 000 columns take 22 MB, and taller is no faster


@dataclass(frozen=True)
class Traced:
    """Polygons that are complete, beside their targets. summary: as after `commit`."""

    summary: VectorSummary
    staged: tuple[Staged, ...]

    def commit(self) -> None:
        """Move every file into place. Raises OutputError."""
        commit_all(self.staged)


def vectorize_mask(
    mask: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str] | None = None,
    connectivity: Literal[4, 8] = 4,
    min_area: float = 0.0,
    fill_holes: float = 0.0,
    buffer: float = 0.0,
    simplify: float = 0.0,
    smooth: bool = False,
    confidence: str | Path | None = None,
    crs: str | None = None,
    per_class: bool = False,
    style: bool = True,
    overwrite: bool = False,
) -> VectorSummary:
    """Write the connected components of a mask's classes as polygons with holes.

    mask: a single-band uint8 class mask; without class names of its own it has the default ones.
        What it says is nodata, by a value or by a mask of its own, is nodata.
    out: .shp, .gpkg, .fgb, .geojson or .parquet (GeoParquet).
    classes: names to write, all but clear by default. Clear and nodata never become polygons.
    connectivity: 4 makes a Polygon of pixels joined along edges; 8 joins them at vertices too,
        and makes a component that is so joined one valid MultiPolygon.
    confidence: uint8 percent raster on the mask's grid, 255 unknown.
    crs: of the polygons, as in "EPSG:4326"; the mask's unless given, and WGS 84 for .geojson.
        Edges are given more vertices where they bend there. Areas stay those on the ground.
    per_class: one file per class, `clouds.shp` -> `clouds_cloud.shp`, `clouds_shadow.shp`, ...
    style: also write QGIS's beside each file, `clouds.qml`.

    What is done to components, in this order, once they are complete; all but the first need all
    polygons in memory:
    min_area: square metres; smaller components are left out, whole ones, never pieces.
    fill_holes: square metres; smaller holes are filled, around the polygons in them that are
        written. One of the same class becomes part of what encloses it.
    buffer: metres outward. What two classes reach is of the one that the mask lists first (cloud,
        then shadow, then snow); polygons of one class that meet become one.
    simplify: metres; vertices are left out that make triangles of less than its square. Shared
        edges stay shared, so polygons neither overlap nor come apart.
    smooth: corners are cut, shared edges as one.

    Fields: `class_id` (mask code), `class` (name), `area_m2` and `perim_m` (`areas.py`; null
    without a CRS; of the polygon as it is written), `conf` and `conf_min` (mean and least percent
    over the component's known pixels; null without a confidence raster), `n_pixels`, and of the
    whole mask `scene`, `acq_date` and `model` (null where it does not say).
    Warns of codes that the mask's classes do not name, which are left out, and of polygons that
    had to be made valid.
    Raises MaskError, OptionError or OutputError; a run that fails leaves no output.
    """
    options = PolygonOptions(
        None if classes is None else tuple(classes),
        connectivity,
        min_area,
        fill_holes,
        buffer,
        simplify,
        smooth,
        crs,
        per_class,
        style,
    )
    with tracing(mask, out, options, confidence=confidence, overwrite=overwrite) as traced:
        traced.commit()
        return traced.summary


@contextmanager
def tracing(
    mask: str | Path,
    out: str | Path,
    options: PolygonOptions,
    *,
    confidence: str | Path | None = None,
    overwrite: bool = False,
) -> Iterator[Traced]:
    """As `vectorize_mask`, but nothing is in place until `Traced.commit`, and gone without it.

    For polygons that must come into place together with their mask: mask and confidence may be
    files that are not yet in theirs (`RasterWriter.staged`).
    """
    with ExitStack() as outputs, ExitStack() as sources:
        reader = sources.enter_context(open_mask(mask))
        inputs = [mask] if confidence is None else [mask, confidence]
        plan = check_vectors(
            out, reader.grid, reader.classes, options, overwrite=overwrite, inputs=inputs
        )
        percent = None
        if confidence is not None:
            percent = sources.enter_context(open_confidence(confidence, reader.grid))
        staged = tuple(outputs.enter_context(Staged(path)) for path in plan.files)
        features = _features(reader, percent, plan)
        summary = write_layers(features, plan, staged, reader.origin)
        if options.style:
            for item, shown in zip(staged, plan.files.values(), strict=True):
                # QGIS gives a mask of the same name the same file.
                same = style_path(item.target) == style_path(reader.path)
                item.write_extra(STYLE, style_text(reader.classes if same else None, shown))
        sources.close()  # the mask may now be moved
        yield Traced(summary, staged)


def check_vectors(
    out: str | Path,
    grid: Grid,
    table: ClassTable,
    options: PolygonOptions,
    *,
    overwrite: bool = False,
    inputs: Sequence[str | Path] = (),
) -> VectorPlan:
    """Refuse, before any work, polygons that could not be written; what is to be written.

    For a mask on `grid` with the classes of `table`. inputs: files that must not be replaced.
    Raises OptionError or OutputError.
    """
    check_format(Path(out))
    if options.in_metres and not has_metres(grid):
        raise OptionError(
            f"{out}: lengths and areas need a CRS that says metres, and the scene has none; "
            f"leave {', '.join(options.in_metres)} out"
        )
    placing = _placing(Path(out), grid, options.crs)
    files = _files(Path(out), _chosen(table, options.classes), options.per_class)
    check_distinct(files)
    for path in files:
        check_output(path, overwrite=overwrite, inputs=inputs)
        if options.style:
            check_style(path, overwrite=overwrite)
    return VectorPlan(files, placing, options)


def _chosen(table: ClassTable, names: Sequence[str] | None) -> tuple[MaskClass, ...]:
    """The classes to write: those named, or all that become polygons."""
    chosen = table.polygon_classes if names is None else table.select(names)
    for item in chosen:
        if item.code == CLEAR:
            raise OptionError(f"class {item.name!r} is never turned into polygons")
    if not chosen:
        raise OptionError(f"no class to write; there are: {', '.join(table.names)}")
    return chosen


def _files(
    out: Path, chosen: Sequence[MaskClass], per_class: bool
) -> dict[Path, tuple[MaskClass, ...]]:
    """The files to write, and the classes in each."""
    if not per_class:
        return {out: tuple(chosen)}
    return {out.with_name(f"{out.stem}_{c.name}{out.suffix}"): (c,) for c in chosen}


def _placing(out: Path, grid: Grid, crs: str | None) -> Placing:
    """Raises OptionError for a CRS that the polygons cannot be in."""
    target = None if crs is None else read_crs(crs)
    if out.suffix.lower() == ".geojson":
        if target not in (None, WGS84):
            raise OptionError(f"{out}: GeoJSON is in WGS 84 (RFC 7946); name it .gpkg for {crs}")
        target = WGS84
    return Placing(grid, target)


def _strips(mask: MaskReader, percent: MaskReader | None) -> Iterator[Strip]:
    """The mask's strips; at their end a warning of codes that no class has."""
    named = np.zeros(256, bool)
    named[[*mask.classes.codes, CLEAR, NODATA]] = True
    unnamed: set[int] = set()
    below = itertools.repeat(None) if percent is None else percent.strips(_ROWS)
    for codes, confidence in zip(mask.strips(_ROWS), below, strict=percent is not None):
        known = named[codes]
        if not known.all():
            unnamed.update(np.unique(codes[~known]).tolist())
        yield Strip(codes, confidence)
    if unnamed:
        found = ", ".join(map(str, sorted(unnamed)))
        warnings.warn(
            f"{mask.path}: has pixels of code {found}, which none of its classes has; "
            "they were left out",
            GeomaskWarning,
            stacklevel=2,
        )


def _features(mask: MaskReader, percent: MaskReader | None, plan: VectorPlan) -> Iterator[Features]:
    """What is written, with all its fields, a strip's at a time where no option needs more."""
    grid, options = mask.grid, plan.options
    codes = [item.code for group in plan.files.values() for item in group]
    found = batches(_strips(mask, percent), codes, options.connectivity)
    large: Iterable[Features] = (_large(batch, grid, options.min_area) for batch in found)
    if options.reshapes:
        large = _reshaped(large, grid, options, mask.classes.codes)
    for some in large:
        areas = areas_m2(some.geometries, grid) if some.areas is None else some.areas
        yield replace(some, areas=areas, perimeters=perimeters_m(some.geometries, grid))


def _large(batch: Batch, grid: Grid, min_area: float) -> Features:
    """The components of a batch that are large enough, with their areas."""
    areas = areas_m2(batch.geometries, grid)
    found = Features(
        batch.geometries, batch.codes, batch.n_pixels, batch.confidence, batch.lowest, areas
    )
    return found if areas is None or min_area == 0 else found.where(areas >= min_area)


def _reshaped(
    found: Iterable[Features],
    grid: Grid,
    options: PolygonOptions,
    priority: npt.NDArray[np.uint8],
) -> Iterator[Features]:
    """All of them at once, refined."""
    if held := list(found):
        yield refine(together(held), grid, options, priority)
