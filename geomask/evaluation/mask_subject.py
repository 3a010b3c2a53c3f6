"""Masks that any tool made of chips, as something to be scored."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from geomask.classes import NODATA, ClassTable, remap
from geomask.engine import Result
from geomask.errors import MaskError, OptionError
from geomask.evaluation.mappings import NOTHING, classes_of_codes
from geomask.grid import Grid
from geomask.mask import CLASSES_TAG, MaskReader, open_mask
from geomask.metrics import Floats
from geomask.raster import grid_of, open_raster
from geomask.training.chips import Chip

MASK_NAMES = ("{id}.tif", "{id}_mask.tif")
"""What a chip's mask may be called in a folder of masks."""

STRIP_ROWS = 1024
"""Rows of a mask that are read at once, as tall as what a network writes."""

ALIGNED = 0.01
"""Pixels by which the corners of two rasters may differ on one grid: what rounding in the
georeference of different formats makes."""


@dataclass(frozen=True)
class MaskSubject:
    """Masks that lie in a folder, by any tool.

    files: by chip id. codes: the name of the class of each mask code, "nodata" for none.
    """

    folder: Path
    files: Mapping[str, Path]
    codes: Mapping[int, str]
    classes: ClassTable

    def about(self) -> dict[str, Any]:
        """The folder and the mapping."""
        codes = {str(code): name for code, name in sorted(self.codes.items())}
        return {"kind": "masks", "name": str(self.folder), "codes": codes}

    def bands(self, chip: Chip) -> tuple[str, ...]:
        """Not known."""
        return ()

    def results(self, chip: Chip) -> Generator[Result, None, None]:
        """Strips of the chip's mask. Raises MaskError for a code that nothing was said of."""
        classes = {
            code: self.classes[name].code for code, name in self.codes.items() if name != NOTHING
        }
        known = np.zeros(256, dtype=bool)
        known[[*self.codes, NODATA]] = True
        top = 0
        with open_mask(self.files[chip.id]) as mask:
            for strip in mask.strips(STRIP_ROWS):
                strange = np.flatnonzero((np.bincount(strip.ravel(), minlength=256) > 0) & ~known)
                if strange.size:
                    raise MaskError(
                        f"{mask.path}: holds {', '.join(map(str, strange))}, of which nothing was "
                        "said; name every code with --map, as in 0=clear,1=cloud,7=nodata"
                    )
                window = Window(0, top, strip.shape[1], strip.shape[0])
                yield Result(window, remap(strip, classes), None)
                top += strip.shape[0]


def open_masks(
    folder: str | Path, chips: Sequence[Chip], codes: Mapping[int, str] | None
) -> MaskSubject:
    """The masks of `chips` in a folder, each found by the chip's id and looked at.

    codes: what mask codes stand for; None where the masks say so themselves, as geomask's do.
    Raises MaskError for a mask that is missing or lies elsewhere than its chip, OptionError where
    nothing says what the codes stand for, or mask and `codes` contradict each other.
    """
    folder = Path(folder)
    files = {chip.id: _find(folder, chip, len(chips)) for chip in chips}
    tables = set()
    for chip in chips:
        with open_mask(files[chip.id]) as mask:
            _check_place(mask, chip)
            _check_nodata(mask, codes or {})
            if codes is None and CLASSES_TAG not in mask.dataset.tags():
                raise OptionError(
                    f"{mask.path}: does not say what its codes stand for; say so with --map scl, "
                    "--map fmask or --map 0=clear,1=cloud"
                )
            tables.add(mask.classes)
    if codes is not None:
        return MaskSubject(folder, files, codes, classes_of_codes(codes))
    if len(tables) > 1:
        raise OptionError(f"{folder}: its masks have different classes; score them one by one")
    (table,) = tables
    return MaskSubject(folder, files, {item.code: item.name for item in table}, table)


def _find(folder: Path, chip: Chip, count: int) -> Path:
    if folder.resolve() == chip.image.parent.resolve():
        raise MaskError(
            f"{folder}: is the folder of the labels themselves; give one that holds a tool's masks"
        )
    names = [name.format(id=chip.id) for name in MASK_NAMES]
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) != 1:
        there = "both of them" if found else "neither"
        raise MaskError(
            f"{folder}: holds {there} of {' and '.join(names)}; each of the {count} chips that "
            "are scored needs one mask of one of these names"
        )
    return found[0]


def _check_nodata(mask: MaskReader, codes: Mapping[int, str]) -> None:
    """Refuse a class for what a mask calls nodata: tools often call clear ground so, and one of
    the two words is wrong then. What a file leaves out is read as 255, so that is no class then."""
    value, flags = mask.dataset.nodata, mask.dataset.mask_flag_enums[0]
    left_out = {int(value), NODATA} if value is not None and 0 <= value <= NODATA else set()
    left_out |= {NODATA} if MaskFlags.per_dataset in flags else set()
    wrong = [code for code, name in codes.items() if name != NOTHING and code in left_out]
    if wrong:
        raise OptionError(
            f"{mask.path}: has nodata, which is code {wrong[0]} here, and --map says that this is "
            f"{codes[wrong[0]]}; say {wrong[0]}=nodata, or take the file's word away with "
            f"gdal_edit.py -unsetnodata {mask.path}"
        )


def _check_place(mask: MaskReader, chip: Chip) -> None:
    """Refuse a mask on another grid than its chip's; where either states no CRS, of another size.

    Labels may lack the CRS that their image has, so the image's grid is asked.
    """
    with open_raster(chip.image) as dataset:
        grid = grid_of(dataset)
    if mask.grid.shape == grid.shape:
        if mask.grid.crs is None or grid.crs is None:
            return
        if mask.grid.crs == grid.crs and _aligned(mask.grid, grid):
            return
    x, y = _corners(grid)
    extent = " ".join(f"{end:.10g}" for end in (x.min(), y.min(), x.max(), y.max()))
    srs = f"-t_srs {grid.crs.to_string()} " if grid.crs else ""
    raise MaskError(
        f"{mask.path}: {mask.grid.width} x {mask.grid.height} pixels are not the "
        f"{grid.width} x {grid.height} of {chip.image.name}, or lie elsewhere; bring it to that "
        f"grid with gdalwarp -r near {srs}-te {extent} -ts {grid.width} {grid.height}"
    )


def _aligned(one: Grid, other: Grid) -> bool:
    """Whether the corners of two grids of one size and CRS meet."""
    t = other.transform
    step = min(math.hypot(t.a, t.d), math.hypot(t.b, t.e))
    shift = np.subtract(_corners(one), _corners(other))
    return bool(np.abs(shift).max() <= ALIGNED * step)


def _corners(grid: Grid) -> tuple[Floats, Floats]:
    """(x, y) of the four corners, in the grid's CRS."""
    columns, rows = np.array([0, 0, 1, 1]) * grid.width, np.array([0, 1, 0, 1]) * grid.height
    return grid.to_map(columns.astype(np.float64), rows.astype(np.float64))
