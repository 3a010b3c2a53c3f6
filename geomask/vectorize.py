"""From a class mask to polygons in a file, and back.

The mask is read strip by strip and a component is written as soon as it is complete, so memory
follows the mask's width and its largest component, not its area.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import fiona
import numpy as np
import numpy.typing as npt
from fiona.errors import FionaError
from rasterio.features import rasterize as burn

from geomask.areas import areas_m2, perimeters_m
from geomask.classes import CLEAR, NODATA, ClassTable, MaskClass
from geomask.components import Batch, Strip, batches
from geomask.errors import GeomaskWarning, MaskError, OptionError
from geomask.grid import Grid
from geomask.layer import PARQUET, WGS84, Features, Layer, check_format
from geomask.mask import MaskReader, Origin, open_confidence, open_mask
from geomask.output import Staged, check_distinct, check_output
from geomask.placing import Placing, read_crs
from geomask.styles import STYLE, check_style, style_path, style_text

if TYPE_CHECKING:
    from geomask.layer_parquet import ParquetLayer

_ROWS = 256  # of a strip: labels of 11 000 columns take 22 MB, and taller is no faster


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


@dataclass(frozen=True)
class Traced:
    """Polygons that are complete, beside their targets. summary: as after `commit`."""

    summary: VectorSummary
    staged: tuple[Staged, ...]

    def commit(self) -> None:
        """Move every file into place. Raises OutputError."""
        for item in self.staged:
            item.commit()


def vectorize_mask(
    mask: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str] | None = None,
    connectivity: Literal[4, 8] = 4,
    min_area: float = 0.0,
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
    min_area: square metres; smaller components are left out, whole ones, never pieces.
    confidence: uint8 percent raster on the mask's grid, 255 unknown.
    crs: of the polygons, as in "EPSG:4326"; the mask's unless given, and WGS 84 for .geojson.
        Edges are given more vertices where they bend there. Areas stay those on the ground.
    per_class: one file per class, `clouds.shp` -> `clouds_cloud.shp`, `clouds_shadow.shp`, ...
    style: also write QGIS's beside each file, `clouds.qml`.

    Fields: `class_id` (mask code), `class` (name), `area_m2` and `perim_m` (`areas.py`; null
    without a CRS), `conf` and `conf_min` (mean and least percent over the component's known pixels;
    null without a confidence raster), `n_pixels`, and of the whole mask `scene`, `acq_date` and
    `model` (null where it does not say).
    Warns of codes that the mask's classes do not name; they are left out.
    Raises MaskError, OptionError or OutputError; a run that fails leaves no output.
    """
    with tracing(
        mask,
        out,
        classes=classes,
        connectivity=connectivity,
        min_area=min_area,
        confidence=confidence,
        crs=crs,
        per_class=per_class,
        style=style,
        overwrite=overwrite,
    ) as traced:
        traced.commit()
        return traced.summary


@contextmanager
def tracing(
    mask: str | Path,
    out: str | Path,
    *,
    classes: Sequence[str] | None = None,
    connectivity: Literal[4, 8] = 4,
    min_area: float = 0.0,
    confidence: str | Path | None = None,
    crs: str | None = None,
    per_class: bool = False,
    style: bool = True,
    overwrite: bool = False,
) -> Iterator[Traced]:
    """As `vectorize_mask`, but nothing is in place until `Traced.commit`, and gone without it.

    For polygons that must come into place together with their mask: mask and confidence may be
    files that are not yet in theirs (`RasterWriter.staged_path`).
    """
    if connectivity not in (4, 8):
        raise OptionError(f"connectivity is {connectivity}; give 4 or 8")
    with ExitStack() as outputs, ExitStack() as sources:
        reader = sources.enter_context(open_mask(mask))
        files = check_vectors(
            out,
            reader.grid,
            reader.classes,
            classes=classes,
            min_area=min_area,
            crs=crs,
            per_class=per_class,
            style=style,
            overwrite=overwrite,
            inputs=[mask] if confidence is None else [mask, confidence],
        )
        percent = None
        if confidence is not None:
            percent = sources.enter_context(open_confidence(confidence, reader.grid))
        codes = [item.code for group in files.values() for item in group]
        found = batches(_strips(reader, percent), codes, connectivity)
        features = (_features(b, reader.grid, min_area) for b in found)
        staged = tuple(outputs.enter_context(Staged(path)) for path in files)
        summary = _write(
            features,
            files,
            staged,
            _placing(Path(out), reader.grid, crs),
            reader.origin,
            multi=connectivity == 8,
        )
        if style:
            for item, shown in zip(staged, files.values(), strict=True):
                # QGIS gives a mask of the same name the same file.
                same = style_path(item.target) == style_path(reader.path)
                item.write_extra(STYLE, style_text(reader.classes if same else None, shown))
        sources.close()  # the mask may now be moved
        yield Traced(summary, staged)


def check_vectors(
    out: str | Path,
    grid: Grid,
    table: ClassTable,
    *,
    classes: Sequence[str] | None = None,
    min_area: float = 0.0,
    crs: str | None = None,
    per_class: bool = False,
    style: bool = True,
    overwrite: bool = False,
    inputs: Sequence[str | Path] = (),
) -> dict[Path, tuple[MaskClass, ...]]:
    """Refuse, before any work, polygons that could not be written; the files and their classes.

    The arguments are `vectorize_mask`'s, for a mask on `grid` with the classes of `table`.
    inputs: files that must not be replaced. Raises OptionError or OutputError.
    """
    check_format(Path(out))
    if not min_area >= 0:
        raise OptionError(f"min_area is {min_area}; give 0 or more square metres")
    if min_area > 0 and not _has_metres(grid):
        raise OptionError(
            f"{out}: the scene has no CRS that says metres, and areas need a CRS; "
            "leave the smallest area out"
        )
    _placing(Path(out), grid, crs)
    files = _files(Path(out), _chosen(table, classes), per_class)
    check_distinct(files)
    for path in files:
        check_output(path, overwrite=overwrite, inputs=inputs)
        if style:
            check_style(path, overwrite=overwrite)
    return files


def rasterize(vectors: str | Path, like: Grid) -> npt.NDArray[np.uint8]:
    """uint8 (height, width): the mask that polygons were made from, on the grid `like`.

    vectors: polygons with the field `class_id`, in the CRS of `like`. A pixel has the class of
    the polygon its centre lies in, of the last one if there are several, and is clear (0)
    where there is none; where the mask had nodata is not in the polygons.
    Raises MaskError where the file cannot be read or has no such field.
    """
    try:
        with fiona.open(vectors) as layer:
            if "class_id" not in layer.schema["properties"]:
                raise MaskError(f"{vectors}: has no field class_id, the mask code of its polygons")
            shapes = [(f.geometry, f.properties["class_id"]) for f in layer if f.geometry]
    except FionaError as error:
        raise MaskError(f"{vectors}: cannot be read as polygons: {error}") from error
    if not shapes:
        return np.full(like.shape, CLEAR, np.uint8)
    mask: npt.NDArray[np.uint8] = burn(
        shapes, like.shape, fill=CLEAR, transform=like.transform, dtype=np.uint8
    )
    return mask


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


def _has_metres(grid: Grid) -> bool:
    return areas_m2(np.empty(0, object), grid) is not None


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


def _features(batch: Batch, grid: Grid, min_area: float) -> Features:
    """The components of a batch that are large enough, with their fields."""
    areas = areas_m2(batch.geometries, grid)
    features = Features(
        batch.geometries,
        batch.codes,
        batch.n_pixels,
        areas,
        perimeters_m(batch.geometries, grid),
        batch.confidence,
        batch.lowest,
    )
    return features if areas is None or min_area == 0 else features.where(areas >= min_area)


def _open_layer(
    staged: Staged, placing: Placing, names: Mapping[int, str], origin: Origin, *, multi: bool
) -> Layer | ParquetLayer:
    if staged.target.suffix.lower() == PARQUET:
        from geomask.layer_parquet import ParquetLayer  # pyarrow takes long to load

        return ParquetLayer(staged, placing, names, origin, multi=multi)
    return Layer(staged, placing, names, origin, multi=multi)


def _write(
    features: Iterable[Features],
    files: Mapping[Path, Sequence[MaskClass]],
    staged: Sequence[Staged],
    placing: Placing,
    origin: Origin,
    *,
    multi: bool,
) -> VectorSummary:
    """Write every file, beside its target."""
    started = time.perf_counter()
    counts, areas = np.zeros(256, np.int64), np.zeros(256)
    with ExitStack() as open_layers:
        open_layers.enter_context(fiona.Env())  # GDAL's errors are raised, not also printed
        layers: list[Layer | ParquetLayer] = []
        for item, classes in zip(staged, files.values(), strict=True):
            names = {c.code: c.name for c in classes}
            layer = _open_layer(item, placing, names, origin, multi=multi)
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
        {c.name: float(areas[c.code]) for c in chosen} if _has_metres(placing.grid) else None,
        time.perf_counter() - started,
    )
