"""A scene and its mask side by side, decimated: what a picture of both is made of."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geomask.classes import NODATA, ClassTable
from geomask.errors import BandError, MaskError
from geomask.grid import Grid
from geomask.mask import MaskReader, open_mask
from geomask.pictures import Rgb, composite_of, stretched
from geomask.scene import Scene
from geomask.scene.sample import sample


@dataclass(frozen=True)
class Look:
    """A mask over its scene, at most so many pixels a side.

    rgb: uint8 (height, width, 3), black where not measured; bands: what is shown as red, green and
    blue. codes: uint8 (height, width), those of every so many pixels. percent: of the measured
    pixels by class name, counted over the whole mask; nodata: percent of the scene. metres: across
    a shown pixel, None without a CRS. grid: the mask's. scene, mask: names of the files.
    """

    scene: str
    mask: str
    model: str | None
    date: datetime.date | None
    bands: tuple[str, str, str]
    rgb: Rgb
    codes: npt.NDArray[np.uint8]
    classes: ClassTable
    percent: dict[str, float]
    nodata: float
    metres: float | None
    grid: Grid


def look(scene: Scene, mask: str | Path, size: int) -> Look:
    """A look at both. mask: ours or anyone's, on the scene's grid or on that of another of its
    bands. size: pixels of the longer side, at most.

    Memory is a matter of the mask's width. Raises MaskError where the mask is none or lies
    elsewhere, SceneError where the scene cannot be read, BandError where it has no band to show.
    """
    with open_mask(mask) as reader:
        grid, classes = reader.grid, reader.classes
        if not _same_place(scene.grid, grid):
            raise MaskError(
                f"{reader.path}: does not lie where {scene.path} does; give the scene's own mask"
            )
        if not scene.band_names:
            raise BandError(
                f"{scene.path}: no band says which it is, so none can be shown; name them by "
                "number, for example --bands red=1,green=2,nir=3"
            )
        bands = composite_of(scene.band_names)
        reflectance, _ = sample(scene.on(grid), bands, size)
        codes, counts = _decimated(reader, reflectance.shape[1:])
        origin = reader.origin
    measured = max(1, int(sum(counts[item.code] for item in classes)))
    pixel = grid.pixel_size
    return Look(
        scene=Path(scene.path).name,
        mask=reader.path.name,
        model=origin.model,
        date=origin.date,
        bands=bands,
        rgb=stretched(reflectance),
        codes=codes,
        classes=classes,
        percent={item.name: 100 * int(counts[item.code]) / measured for item in classes},
        nodata=100 * int(counts[NODATA]) / (grid.height * grid.width),
        metres=None if pixel is None else pixel[1] * grid.width / codes.shape[1],
        grid=grid,
    )


def _decimated(
    reader: MaskReader, shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The codes at the centres of `shape` pixels, and how often each code is in the whole mask."""
    rows, columns = (
        ((np.arange(small) + 0.5) * (large / small)).astype(np.intp)
        for small, large in zip(shape, reader.grid.shape, strict=True)
    )
    codes = np.full(shape, NODATA, np.uint8)
    counts = np.zeros(256, np.int64)
    top = 0
    for strip in reader.strips():
        counts += np.bincount(strip.ravel(), minlength=256)
        inside = (rows >= top) & (rows < top + len(strip))
        codes[inside] = strip[rows[inside] - top][:, columns]
        top += len(strip)
    return codes, counts


def _same_place(scene: Grid, mask: Grid) -> bool:
    """Whether two grids have their corners within a pixel of each other."""
    if scene.crs != mask.crs:
        return False
    ends = np.array([0.0, 1.0])
    here, there = (
        np.stack(grid.to_map(ends * grid.width, ends * grid.height)) for grid in (scene, mask)
    )
    steps = [grid.transform for grid in (scene, mask)]
    pixel = max(abs(value) for t in steps for value in (t.a, t.b, t.d, t.e))
    return bool(np.all(np.abs(here - there) <= pixel))
