"""From polygons back to a class mask."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.features import rasterize as burn
from rasterio.windows import Window

from geomask.classes import CLEAR, DEFAULT_CLASSES, NODATA, ClassTable
from geomask.errors import MaskError
from geomask.grid import Grid
from geomask.mask import (
    ACQUISITION_TAG,
    MODEL_TAG,
    SCENE_TAG,
    MaskReader,
    mask_layout,
    open_mask,
)
from geomask.raster import GDAL_OPTIONS, open_raster
from geomask.raster_writer import RasterWriter, check_raster
from geomask.scene import Scene, open_scene
from geomask.styles import check_style
from geomask.vectors.bringing import Bringing, transform_of
from geomask.vectors.reading import PolygonFile, codes_of, open_polygons
from geomask.version import __version__

Codes = npt.NDArray[np.uint8]

ROWS = 512
"""Rows of a strip: of a block of the mask while it is written."""

POLYGONS_TAG = "GEOMASK_POLYGONS"
"""File tag with the name of the polygons that a mask was made from."""


@dataclass(frozen=True)
class Rasterized:
    """What `rasterize_polygons` wrote. pixels: by class name, and "nodata". seconds: it took."""

    path: str
    pixels: dict[str, int]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Like:
    """What a mask is to be like. files: it is read from. tags: that it hands on. strips: bool
    (`ROWS` or fewer, width) arrays, top to bottom, True where something was measured."""

    grid: Grid
    classes: ClassTable
    files: tuple[str | Path, ...]
    tags: Mapping[str, str]
    strips: Iterator[npt.NDArray[np.bool_]]


def rasterize_polygons(
    polygons: str | Path,
    out: str | Path,
    like: Scene | str | Path,
    *,
    layer: str | None = None,
    compress: str = "deflate",
    style: bool = True,
    overwrite: bool = False,
) -> Rasterized:
    """Write the class mask that polygons make on the grid of a mask or a scene.

    polygons: .shp, .gpkg, .fgb, .geojson, .parquet or what else GDAL reads, in any CRS, with a
        field `class_id`, the mask code, or `class`, its name; both must agree where both are there.
    out: the GeoTIFF, as `predict_scene` writes masks.
    like: a mask (one band of uint8), whose classes, nodata and origin the new one has; or a
        Scene, or a path for `open_scene`: then the classes are the default ones, and nodata is
        where one of the bands on the scene's grid was not measured.
    layer: of a file with several. style: also write what QGIS and GDAL read beside a mask.

    A pixel has the class of the polygon its centre lies in, of the one that comes last in the file
    where there are several, and is clear where there is none. Polygons of an unfiltered mask give
    that mask back, to the bit.
    Raises MaskError, SceneError, OptionError or OutputError; then no output was touched.
    """
    started = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**GDAL_OPTIONS))
        model = stack.enter_context(_open_like(like))
        check_raster(Path(out), overwrite=overwrite, inputs=[polygons, *model.files])
        if style:
            check_style(Path(out), overwrite=overwrite, rasters=model.files)
        source = open_polygons(polygons, layer)
        strips = _burnt(source, model.grid, model.classes)
        tags = {**model.tags, **_own_tags(Path(polygons))}
        layout = mask_layout(model.classes, tags, style=style)
        writer = stack.enter_context(
            RasterWriter(out, model.grid, layout, block=ROWS, compress=compress)
        )
        counts = np.zeros(256, np.int64)
        for (window, codes), measured in zip(strips, model.strips, strict=True):
            codes[~measured] = NODATA
            counts += np.bincount(codes.ravel(), minlength=256)
            writer.write(window, codes)
        writer.finish()
        writer.commit()
    pixels = {item.name: int(counts[item.code]) for item in model.classes}
    pixels["nodata"] = int(counts[NODATA])
    return Rasterized(str(out), pixels, time.perf_counter() - started)


def rasterize(polygons: str | Path, like: Grid, classes: ClassTable = DEFAULT_CLASSES) -> Codes:
    """uint8 (height, width): as `rasterize_polygons`, in memory, on a grid that has no nodata.

    Raises MaskError or OptionError.
    """
    strips = _burnt(open_polygons(polygons), like, classes)
    return np.concatenate([codes for _, codes in strips])


def _burnt(source: PolygonFile, grid: Grid, classes: ClassTable) -> Iterator[tuple[Window, Codes]]:
    """The strips of a mask without nodata, once every feature is known to have a class."""
    bringing = Bringing(source.path, source.wkt, grid)
    for records in source.fields():
        codes_of(records, classes, source.path)
    for top in range(0, grid.height, ROWS):
        window = Window(0, top, grid.width, min(ROWS, grid.height - top))
        codes = np.full((int(window.height), grid.width), CLEAR, np.uint8)
        found = [source.within(box) for box in bringing.boxes(window)]
        shapes: dict[int, tuple[Any, int]] = {}
        for records in found:
            own = codes_of(records, classes, source.path)
            _check_kinds(records.geometries, records.numbers, source.path)
            brought = bringing.brought(records.geometries, window)
            rows = zip(records.numbers.tolist(), brought, own.tolist(), strict=True)
            shapes |= {n: (geometry, code) for n, geometry, code in rows if not geometry.is_empty}
        if shapes:
            burn(
                [shapes[number] for number in sorted(shapes)],
                out=codes,
                transform=transform_of(grid, window),
            )
        yield window, codes


def _check_kinds(geometries: npt.NDArray[Any], numbers: Any, path: Path) -> None:
    """Raises MaskError for points and lines, which are no ground."""
    kinds = shapely.get_type_id(geometries)
    polygons = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    others = np.flatnonzero(~np.isin(kinds, polygons))
    if len(others):
        first = others[0]
        raise MaskError(
            f"{path}: feature {numbers[first]} is a {geometries[first].geom_type}; a mask is made "
            "from polygons"
        )


@contextmanager
def _open_like(like: Scene | str | Path) -> Iterator[Like]:
    if isinstance(like, Scene):
        yield _like_scene(like)
    elif _is_mask(like):
        with open_mask(like) as reader:
            yield _like_mask(reader)
    else:
        with open_scene(like) as scene:
            yield _like_scene(scene)


def _is_mask(path: str | Path) -> bool:
    """Whether a file is one band of uint8, as masks are and scenes are not."""
    if not Path(path).is_file():
        return False
    try:
        with open_raster(path, MaskError) as dataset:
            return bool(dataset.count == 1 and dataset.dtypes[0] == "uint8")
    except MaskError:
        return False


def _like_mask(reader: MaskReader) -> Like:
    tags = reader.dataset.tags()
    kept = {name: tags[name] for name in (SCENE_TAG, MODEL_TAG, ACQUISITION_TAG) if name in tags}
    strips = (codes != NODATA for codes in reader.strips(ROWS))
    return Like(reader.grid, reader.classes, (reader.path,), kept, strips)


def _like_scene(scene: Scene) -> Like:
    known = scene.acquisition.known()
    tags = {SCENE_TAG: Path(scene.path).name}
    if known:
        tags[ACQUISITION_TAG] = json.dumps(known)
    return Like(scene.grid, DEFAULT_CLASSES, scene.files, tags, _measured(scene))


def _measured(scene: Scene) -> Iterator[npt.NDArray[np.bool_]]:
    grid = scene.grid
    bands = [name for name, band in scene.bands.items() if band.grid == grid]
    for top in range(0, grid.height, ROWS):
        window = Window(0, top, grid.width, min(ROWS, grid.height - top))
        yield scene.read(window, bands or list(scene.bands))[1]


def _own_tags(polygons: Path) -> dict[str, str]:
    return {
        "TIFFTAG_SOFTWARE": f"geomask {__version__}",
        "GEOMASK_VERSION": __version__,
        POLYGONS_TAG: polygons.name,
    }
