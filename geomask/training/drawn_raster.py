"""Labels of a scene as a raster on its grid, window by window as chip codes."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.errors import GeomaskWarning, MaskError, OptionError
from geomask.grid import Grid
from geomask.mask import CLASSES_TAG, open_mask
from geomask.raster import GDAL_ERRORS, grid_of, open_raster, root_cause
from geomask.training.chips import CHIP_LABELS, IGNORE
from geomask.training.label_names import Meanings

Codes = npt.NDArray[np.uint8]

SAME_PLACE = 0.05
"""Pixels that corners of one grid may differ by: what programs lose when they print coordinates."""

MANY = 256
"""Values in a window that are more than any label raster has."""


class DrawnRaster:
    """A raster of labels, one band, open for reading.

    grid: of the scene. meanings: of its codes; where it is a mask of geomask's, of its classes'
    names. What it says is nodata is not labelled.
    Raises MaskError for a raster that holds no labels, OptionError for one on another grid, and
    where the user says that its nodata value is a class.
    Warns where codes are taken as chip codes.
    """

    def __init__(self, path: str | Path, grid: Grid, meanings: Meanings) -> None:
        self.path = path
        self.unknown: set[float] = set()
        self._meanings = meanings
        with ExitStack() as stack:
            self._dataset = stack.enter_context(open_raster(path, MaskError))
            kind = np.dtype(self._dataset.dtypes[0]).kind
            if self._dataset.count != 1 or kind not in "iuf":
                raise MaskError(
                    f"{path}: has {self._dataset.count} band(s) of {self._dataset.dtypes[0]}; "
                    "labels are one band of class codes"
                )
            _check_place(path, grid_of(self._dataset), grid)
            _check_nodata(path, self._dataset.nodata, meanings)
            self._names = _class_names(path) if CLASSES_TAG in self._dataset.tags() else {}
            self._stack = stack.pop_all()
        if not self._names and meanings.numbers_assumed:
            chip_codes = ", ".join(f"{code} {name}" for name, code in CHIP_LABELS.items())
            nodata = self._dataset.nodata
            others = "all others" + ("" if nodata is None else f" and its nodata, {nodata:g},")
            warnings.warn(
                f"{path}: does not name its classes; its codes are taken as {chip_codes} and "
                f'{others} as not labelled (state them with --map "1=cloud,2=shadow")',
                GeomaskWarning,
                stacklevel=2,
            )

    def read(self, window: Window) -> Codes:
        """uint8 (height, width): the chip codes of a window, `IGNORE` where not labelled.

        Raises MaskError where the file is damaged.
        """
        try:
            values = self._dataset.read(1, window=window)
            absent = self._dataset.read_masks(1, window=window) == 0
        except GDAL_ERRORS as error:
            raise MaskError(f"{self.path}: cannot be read ({root_cause(error)})") from error
        if values.dtype.kind == "f":
            absent |= ~np.isfinite(values)
        values[absent] = 0
        found, where = np.unique(values, return_inverse=True)
        if found.size > MANY:
            raise MaskError(f"{self.path}: has {found.size} values in one window, so no labels")
        present = set(np.unique(values[~absent]).tolist())
        table = np.array([self._code(v) if v in present else IGNORE for v in found.tolist()])
        codes: Codes = table.astype(np.uint8)[where.reshape(values.shape)]
        codes[absent] = IGNORE
        return codes

    def finish(self) -> None:
        """Warn of codes that were met and mean nothing."""
        if self.unknown:
            some = sorted(self.unknown)
            text = ", ".join(f"{value:g}" for value in some[:8]) + (" …" if len(some) > 8 else "")
            warnings.warn(
                f"{self.path}: pixels of code {text} are not labelled, since nothing says what "
                "they are (--map)",
                GeomaskWarning,
                stacklevel=2,
            )

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def _code(self, value: float) -> int:
        """The user's word on a number comes first, then the file's own name for it."""
        name = self._names.get(int(value)) if value == int(value) else None
        by_number = self._meanings.of(value)
        if name is None or (by_number is not None and not self._meanings.numbers_assumed):
            code = by_number
        else:
            code = self._meanings.of(name)
        if code is None:
            self.unknown.add(value)
            return IGNORE
        return code


def _class_names(path: str | Path) -> dict[int, str]:
    with open_mask(path) as mask:
        return {item.code: item.name for item in mask.classes}


def _check_nodata(path: str | Path, nodata: float | None, meanings: Meanings) -> None:
    """Tools often call the code of clear ground nodata: one of the two words is wrong then."""
    code = None if nodata is None or meanings.numbers_assumed else meanings.of(nodata)
    if code not in (None, IGNORE):
        raise OptionError(
            f"{path}: says that its {nodata:g} is nodata, and --map that it is a class; leave it "
            f"out of --map, or take the file's word away with gdal_edit.py -unsetnodata {path}"
        )


def _check_place(path: str | Path, own: Grid, scene: Grid) -> None:
    """OptionError, with the way out, for labels on another grid than the scene's."""
    columns = np.array([0, scene.width, 0, scene.width], np.float64)
    rows = np.array([0, 0, scene.height, scene.height], np.float64)
    x, y = own.to_map(columns, rows)
    on_scene = Grid(None, ~scene.transform, 1, 1).to_map(x, y)
    away = np.abs(np.array(on_scene) - [columns, rows]).max()
    if own.shape == scene.shape and own.crs == scene.crs and away <= SAME_PLACE:
        return
    t = scene.transform
    way = f"bring them to its {scene.width} x {scene.height} pixels"
    if scene.crs is not None and t.a > 0 > t.e and not (t.b or t.d):
        right, bottom = t.c + t.a * scene.width, t.f + t.e * scene.height
        way = (
            f"bring them there with gdalwarp -r near -t_srs {scene.crs.to_string()} "
            f"-te {t.c:.12g} {bottom:.12g} {right:.12g} {t.f:.12g} "
            f"-ts {scene.width} {scene.height} {path} on_grid.tif"
        )
    raise OptionError(
        f"{path}: labels lie on another grid ({_describe(own)}) than the scene "
        f"({_describe(scene)}); {way}, or give --grid where the product has bands on theirs"
    )


def _describe(grid: Grid) -> str:
    t = grid.transform
    crs = grid.crs.to_string() if grid.crs else "no CRS"
    return f"{grid.width} x {grid.height} pixels from {t.c:.12g}, {t.f:.12g} in {crs}"
