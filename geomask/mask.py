"""The mask on disk: class names, colours and provenance written with it, and read back."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import MaskFlags, Resampling
from rasterio.windows import Window

from geomask.classes import DEFAULT_CLASSES, NODATA, ClassTable, MaskClass
from geomask.errors import MaskError
from geomask.grid import Grid
from geomask.raster import GDAL_ERRORS, GDAL_OPTIONS, grid_of, open_raster
from geomask.raster_writer import Layout
from geomask.staging import target_of
from geomask.styles import STYLE, attribute_table, style_text

CLASSES_TAG = "GEOMASK_CLASSES"
"""File tag with the class table: a JSON list of {"code", "name", "color"}."""

SCENE_TAG, MODEL_TAG, ACQUISITION_TAG = "GEOMASK_SCENE", "GEOMASK_MODEL", "GEOMASK_ACQUISITION"
"""File tags with the name of the scene's file, the model's name, and JSON of what is known of the
acquisition (`scene.Acquisition`)."""

RADIOMETRY_TAG = "GEOMASK_RADIOMETRY"
"""File tag with what was applied to digital numbers, and where that was read."""

UNKNOWN_PERCENT = NODATA
"""Value of confidence and probability rasters where nothing was measured."""


def mask_layout(classes: ClassTable, tags: Mapping[str, str], *, style: bool = False) -> Layout:
    """The layout of a class mask: colours, class names and nodata 255 travel with the file.

    style: also write what QGIS and GDAL read beside it.
    """
    entries = [{"code": c.code, "name": c.name, "color": list(c.color)} for c in classes]
    return Layout(
        names=("mask",),
        nodata=NODATA,
        colors={c.code: c.color for c in classes} | {NODATA: (0, 0, 0)},
        tags={**tags, CLASSES_TAG: json.dumps(entries)},
        band_tags={f"CLASS_{c.code}": c.name for c in classes} | {f"CLASS_{NODATA}": "nodata"},
        overview=Resampling.mode,
        pam=(attribute_table(classes),) if style else (),
        extras={STYLE: style_text(mask=classes)} if style else {},
    )


def percent_layout(names: tuple[str, ...], tags: Mapping[str, str]) -> Layout:
    """The layout of a confidence or probability raster: percent 0-100, 255 nodata."""
    return Layout(
        names=names,
        nodata=UNKNOWN_PERCENT,
        tags=tags,
        band_tags={"UNITS": "percent"},
        overview=Resampling.nearest,
    )


@dataclass(frozen=True)
class Origin:
    """What a mask says of where it comes from; None for what it does not.

    scene: the name of the scene's file. date: of acquisition. model: its name.
    """

    scene: str | None = None
    date: datetime.date | None = None
    model: str | None = None


@dataclass(frozen=True)
class MaskReader:
    """A mask, or a percent raster on a mask's grid, open for reading strip by strip.

    path: what to call it: of a file not yet in its place, that place.
    """

    path: Path
    grid: Grid
    classes: ClassTable
    dataset: rasterio.DatasetReader

    @property
    def origin(self) -> Origin:
        """By its tags; a tag that is damaged says nothing."""
        tags = self.dataset.tags()
        date = None
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            acquisition = json.loads(tags.get(ACQUISITION_TAG, "{}"))
            date = datetime.date.fromisoformat(str(acquisition.get("time"))[:10])
        return Origin(tags.get(SCENE_TAG), date, tags.get(MODEL_TAG))

    def strips(self, rows: int = 1024) -> Iterator[npt.NDArray[np.uint8]]:
        """uint8 (at most `rows`, width) arrays, top to bottom, that make up the raster.

        255 wherever the file says nodata: by a value of its own, or by a mask of its own.
        """
        nodata = self.dataset.nodata
        masked = MaskFlags.per_dataset in self.dataset.mask_flag_enums[0]
        for top in range(0, self.grid.height, rows):
            window = Window(0, top, self.grid.width, min(rows, self.grid.height - top))
            try:
                strip: npt.NDArray[np.uint8] = self.dataset.read(1, window=window)
                if nodata is not None:
                    strip[strip == nodata] = NODATA
                if masked:
                    strip[self.dataset.read_masks(1, window=window) == 0] = NODATA
            except GDAL_ERRORS as error:
                raise MaskError(f"{self.path}: cannot be read to its end: {error}") from error
            yield strip


@contextmanager
def open_mask(path: str | Path) -> Iterator[MaskReader]:
    """Open a class mask, ours or anyone's single-band uint8 raster.

    A mask that states no classes has the default ones. Raises MaskError for anything else.
    """
    name = target_of(path)
    with rasterio.Env(**GDAL_OPTIONS), open_raster(path, MaskError) as dataset:
        if dataset.count != 1 or dataset.dtypes[0] != "uint8":
            raise MaskError(
                f"{name}: has {dataset.count} band(s) of {dataset.dtypes[0]}; "
                "a mask is one band of uint8 class codes"
            )
        yield MaskReader(Path(name), grid_of(dataset), _classes_of(dataset, name), dataset)


@contextmanager
def open_confidence(path: str | Path, grid: Grid) -> Iterator[MaskReader]:
    """Open a confidence raster (uint8 percent, 255 unknown) that lies on `grid`.

    Raises MaskError where it is no such raster or lies elsewhere.
    """
    with open_mask(path) as reader:
        if CLASSES_TAG in reader.dataset.tags():
            raise MaskError(f"{path}: is a class mask, not a confidence raster")
        if reader.grid != grid:
            raise MaskError(
                f"{reader.path}: does not lie on the mask's grid, so it is not its confidence"
            )
        yield reader


def _classes_of(dataset: rasterio.DatasetReader, path: str | Path) -> ClassTable:
    text = dataset.tags().get(CLASSES_TAG)
    if text is None:
        return DEFAULT_CLASSES
    try:
        return ClassTable(
            tuple(MaskClass(e["code"], e["name"], tuple(e["color"])) for e in json.loads(text))
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MaskError(f"{path}: its {CLASSES_TAG} tag is damaged: {error}") from error
