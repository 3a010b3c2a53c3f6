"""The chip folder: `<id>.tif`, `<id>_mask.tif`, and a manifest.csv that says which belong together.

Labels on disk are chip codes (`CHIP_LABELS`); a recipe maps them by name to its classes.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from geomask.band_names import common_names
from geomask.errors import RecipeError
from geomask.grid import Grid
from geomask.raster import GDAL_ERRORS, grid_of, open_raster, root_cause
from geomask.scene.stated import is_factor, is_number
from geomask.sensors import INTEGER_SCALE

CHIP_LABELS = {"clear": 0, "thick_cloud": 1, "thin_cloud": 2, "shadow": 3, "snow": 4}
"""Codes of a chip's labels on disk; every other code is ignored."""

IGNORE = 255
"""Label of a pixel that neither loss nor score counts."""

Labels = npt.NDArray[np.uint8]
"""Codes, (height, width)."""


@dataclass(frozen=True)
class Chip:
    """One labelled image.

    image, mask: files; mask is None for a chip that is known to be cloud-free and has no labels.
    group: chips of one group never part between training and validation.
    bands: common name of each band of `image`, None for a band that is not known.
    shape: (height, width), pixels. gsd: pixel size in metres, None where nothing states it.
    scales, offsets: reflectance = DN x scale + offset, per band. nodata: DN that means not
    measured, or None. drawn: number of the clouds that are drawn over it as it is read, or None
    to show it as it is. fields: the manifest's row.
    """

    id: str
    image: Path
    mask: Path | None
    group: str
    bands: tuple[str | None, ...]
    shape: tuple[int, int]
    gsd: float | None
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    nodata: float | None = None
    drawn: int | None = None
    fields: dict[str, str] = field(default_factory=dict, compare=False)


def read_manifest(folder: str | Path, *, labelled: bool = True) -> list[Chip]:
    """The chips of a folder, in the manifest's order.

    labelled: every chip must have a mask of its own size; otherwise masks are not looked for.
    Raises RecipeError for a missing or wrong manifest, and for a chip that does not open.
    """
    path = Path(folder) / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"{path}: cannot be read ({reason}); a chip folder has one") from error
    missing = {"id", "split_group"} - set(columns)
    if missing:
        raise RecipeError(
            f"{path}: has no column {' and '.join(sorted(missing))}; found: "
            f"{', '.join(columns) or 'nothing'}"
        )
    if not rows:
        raise RecipeError(f"{path}: lists no chips")
    return [_read_chip(path, row, labelled) for row in rows]


def cloud_free_chips(folder: str | Path) -> list[Chip]:
    """The chips of a folder whose manifest says `yes` in the column `cloud_free`, without masks.

    Raises RecipeError as `read_manifest` does, and where there are none.
    """
    chips = read_manifest(folder, labelled=False)
    free = [chip for chip in chips if chip.fields.get("cloud_free") == "yes"]
    if not free:
        raise RecipeError(
            f"{folder}: no chip has cloud_free = yes in its manifest; only those are known to be "
            "free of cloud"
        )
    return free


def _read_chip(manifest: Path, row: dict[str, str], labelled: bool) -> Chip:
    name, group = row["id"], row["split_group"]
    if not name or not group or Path(name).name != name:
        raise RecipeError(
            f"{manifest}: id {name!r} with split_group {group!r} is no chip; "
            "an id is a file's name, and every chip has a group"
        )
    image = manifest.parent / f"{name}.tif"
    mask = manifest.parent / f"{name}_mask.tif" if labelled else None
    with open_raster(image, RecipeError) as source:
        bands = common_names(source.descriptions)
        scales, offsets = _radiometry(source)
        grid = grid_of(source)
        nodata = source.nodata
    if not any(bands):
        raise RecipeError(f"{image}: no band is named; set band descriptions such as blue or B02")
    if mask is not None:
        with open_raster(mask, RecipeError) as source:
            if source.shape != grid.shape:
                raise RecipeError(
                    f"{mask}: is {source.width} x {source.height} pixels, its image "
                    f"{grid.width} x {grid.height}; they must be the same"
                )
    gsd = _gsd(manifest, row, grid)
    return Chip(
        name, image, mask, group, bands, grid.shape, gsd, scales, offsets, nodata, fields=dict(row)
    )


def _radiometry(
    source: rasterio.DatasetReader,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(scales, offsets) per band: GDAL's, or the convention where the file states none. Raises
    RecipeError for those that make no reflectance."""
    scales, offsets = tuple(source.scales), tuple(source.offsets)
    unstated = all(s == 1.0 for s in scales) and all(o == 0.0 for o in offsets)
    if unstated and all(np.dtype(kind).kind in "iu" for kind in source.dtypes):
        scales = (INTEGER_SCALE,) * len(scales)
    if not (all(map(is_factor, scales)) and all(map(is_number, offsets))):
        raise RecipeError(
            f"{source.name}: scales {scales} and offsets {offsets} make no reflectance; mend them "
            "with gdal_edit.py -scale and -offset"
        )
    return scales, offsets


def _gsd(manifest: Path, row: dict[str, str], grid: Grid) -> float | None:
    """Metres: the number that `gsd_m` begins with, else the grid's mean pixel size."""
    text = (row.get("gsd_m") or "").strip()
    if text:
        number = re.match(r"\d+(\.\d+)?", text)
        if number is None or not 0 < float(number[0]) < math.inf:
            raise RecipeError(f"{manifest}: gsd_m of {row['id']} is {text!r}, not metres")
        return float(number[0])
    size = grid.pixel_size
    return None if size is None else (size[0] * size[1]) ** 0.5


def read_image(
    chip: Chip,
    bands: Sequence[str],
    window: Window | None = None,
    shape: tuple[int, int] | None = None,
) -> npt.NDArray[np.float32]:
    """float32 (bands, height, width), reflectance; NaN where a band is absent or not measured.

    window: the part to read, the whole chip if None. shape: (height, width) to average it to.
    Raises RecipeError where the pixels are damaged.
    """
    where = [chip.bands.index(name) if name in chip.bands else None for name in bands]
    present = [index for index in where if index is not None]
    with _reading(chip.image) as source:
        dn = source.read(
            [index + 1 for index in present],
            window=window,
            out_shape=None if shape is None else (len(present), *shape),
            resampling=Resampling.average,
        )
    scale, offset = (
        np.array([values[index] for index in present], np.float32)[:, None, None]
        for values in (chip.scales, chip.offsets)
    )
    values = dn.astype(np.float32) * scale + offset
    if chip.nodata is not None:
        values[dn == chip.nodata] = np.nan
    values[~np.isfinite(values)] = np.nan
    image = np.full((len(bands), *dn.shape[1:]), np.nan, np.float32)
    image[[row for row, index in enumerate(where) if index is not None]] = values
    return image


def read_labels(
    chip: Chip, window: Window | None = None, shape: tuple[int, int] | None = None
) -> npt.NDArray[np.uint8]:
    """uint8 (height, width): chip codes as on disk; `IGNORE` for a number that is no byte's.

    window: the part to read, the whole chip if None. shape: (height, width) to bring it to, each
    pixel that of the nearest. Raises RecipeError for a chip without a mask, or a damaged one.
    """
    if chip.mask is None:
        raise RecipeError(f"{chip.image}: has no mask")
    with _reading(chip.mask) as source:
        codes = source.read(1, window=window, out_shape=shape)
    if codes.dtype == np.uint8:
        return np.asarray(codes)
    codes = np.where((codes >= 0) & (codes <= IGNORE) & (codes % 1 == 0), codes, IGNORE)
    return codes.astype(np.uint8)


@contextmanager
def _reading(path: Path) -> Iterator[rasterio.DatasetReader]:
    """A raster of a chip; RecipeError where it does not open, or its pixels are damaged."""
    with open_raster(path, RecipeError) as source:
        try:
            yield source
        except GDAL_ERRORS as error:
            raise RecipeError(
                f"{path}: its pixels cannot be read ({root_cause(error)}); "
                "make the chip again or take it out of the manifest"
            ) from error


def fingerprint(folders: Iterable[str | Path]) -> str:
    """SHA-256, hexadecimal, of each folder's manifest and masks, and of images' names and sizes."""
    digest = hashlib.sha256()
    for folder in map(Path, folders):
        digest.update((folder / "manifest.csv").read_bytes())
        for path in sorted(folder.glob("*.tif")):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            if path.stem.endswith("_mask"):
                digest.update(path.read_bytes())
    return digest.hexdigest()
