"""A uint8 raster on disk: written window by window beside its target, read back, then moved."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.windows import Window

from geomask.errors import OptionError, OutputError
from geomask.grid import Grid
from geomask.output import Staged, check_output, writing
from geomask.raster import GDAL_ERRORS, quiet

PAM = ".aux.xml"
"""What GDAL appends to a raster's name for what its format has no room for."""

COMPRESSIONS = ("deflate", "zstd")


def check_raster(target: Path, *, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
    """As `check_output`, for a GeoTIFF. Raises OutputError."""
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(f"{target}: is not named as what it will be; name it .tif")
    check_output(target, overwrite=overwrite, inputs=inputs)


@dataclass(frozen=True)
class Layout:
    """What a uint8 raster is.

    names: a description per band. nodata: its value where nothing was measured. colors: of a
    single band, (red, green, blue) by value. tags: of the file; band_tags: of every band.
    overview: how overviews are made. pam: what GDAL keeps of bands in an .aux.xml, `PAMRasterBand`
    elements. extras: texts beside the raster, by suffix.
    """

    names: Sequence[str]
    nodata: int = 255
    colors: Mapping[int, tuple[int, int, int]] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    band_tags: Mapping[str, str] = field(default_factory=dict)
    overview: Resampling = Resampling.nearest
    pam: Sequence[ET.Element] = ()
    extras: Mapping[str, str] = field(default_factory=dict)


class RasterWriter:
    """Writes a uint8 Cloud Optimized GeoTIFF window by window; the target changes in `commit`.

    block: the internal tile while writing, a multiple of 16: windows should be whole blocks,
    each written once; unwritten pixels are nodata. compress: "deflate" or "zstd".
    As a context manager it leaves nothing behind unless `commit` was called. All methods raise
    OutputError, naming the target, where the disk does not take the bytes. staged: the file beside
    its target, complete between `finish` and `commit`.
    """

    def __init__(
        self,
        target: str | Path,
        grid: Grid,
        layout: Layout,
        *,
        block: int = 512,
        compress: str = "deflate",
    ) -> None:
        if compress not in COMPRESSIONS:
            raise OptionError(f"compression {compress!r}; there are: {', '.join(COMPRESSIONS)}")
        self.target = Path(target)
        self._copy_options = {
            "driver": "COG",
            "compress": compress,
            "overview_resampling": layout.overview.name,
            "bigtiff": "if_safer",
            # GDAL's own variable, which the workers of a batch set: they share the processor.
            "num_threads": os.environ.get("GDAL_NUM_THREADS", "all_cpus"),
        }
        self._layout = layout
        self._has_crs = bool(grid.crs)
        self._written: list[tuple[Window, int]] = []
        self.staged = Staged(self.target)
        self._work = self.staged.folder / "work.tif"
        try:
            with self._writing():
                self._dataset = _create(self._work, grid, layout, block)
        except BaseException:
            self.staged.discard()
            raise

    def write(self, window: Window, values: npt.NDArray[np.uint8]) -> None:
        """Write uint8 (bands, rows, columns), or (rows, columns) for a single band."""
        values = np.ascontiguousarray(values if values.ndim == 3 else values[None])
        with self._writing():
            self._dataset.write(values, window=window)
        self._written.append((window, zlib.crc32(values.data)))

    def finish(self) -> None:
        """Complete the file, overviews included, beside its target, and read it back."""
        # Somebody may have forbidden GDAL its .aux.xml, and some masks need theirs.
        with self._writing(), rasterio.Env(GDAL_PAM_ENABLED=True):
            self._dataset.close()
            self._describe()
            rasterio.shutil.copy(self._work, self.staged.path, **self._copy_options)
            for path in self._work.parent.glob(f"{self._work.name}*"):
                path.unlink()
            self._read_back()
        for suffix, text in self._layout.extras.items():
            self.staged.write_extra(suffix, text)

    def _describe(self) -> None:
        """Put the layout's `pam` where GDAL copies it from: beside a TIFF, which has no room for
        it, with what no TIFF can state either, such as some CRS."""
        if not self._layout.pam:
            return
        path = self._work.with_name(self._work.name + PAM)
        needed = path.exists()
        root = ET.parse(path).getroot() if needed else ET.Element("PAMDataset")
        root.extend(self._layout.pam)
        path.write_bytes(ET.tostring(root, "utf-8"))
        if not needed:
            self.staged.extra(self.staged.path.name + PAM)

    def _read_back(self) -> None:
        """Compare the file with what was written: GDAL says nothing of a disk that fills up
        while a file is closed, or while the COG driver's threads compress."""
        if self._layout.pam:
            path = self.staged.path
            described = path.with_name(path.name + PAM).read_bytes().rstrip()
            if not described.endswith(b"</PAMDataset>"):
                raise OSError(errno.EIO, "what GDAL keeps beside it is not whole")
        with quiet(), rasterio.open(self.staged.path) as dataset:
            # GDAL drops an empty value, and the space around any.
            found = {key: value.strip() for key, value in dataset.tags().items()}
            lost = [k for k, v in self._layout.tags.items() if v.strip() != found.get(k, "")]
            if lost or bool(dataset.crs) != self._has_crs:
                raise OSError(errno.EIO, "what was written about it does not read back")
            for window, checksum in self._written:
                if zlib.crc32(dataset.read(window=window)) != checksum:
                    raise OSError(errno.EIO, "what was written does not read back")
            levels = range(len(dataset.overviews(1)))
        for level in levels:
            with quiet(), rasterio.open(self.staged.path, overview_level=level) as overview:
                for _, window in overview.block_windows(1):
                    overview.read(window=window)

    def commit(self) -> None:
        """Move the finished file into place."""
        self.staged.commit()

    def discard(self) -> None:
        """Drop everything written so far; safe to call twice, or after `finish`."""
        try:
            self._dataset.close()
        except GDAL_ERRORS:
            pass  # it is thrown away all the same
        finally:
            self.staged.discard()

    def _writing(self) -> AbstractContextManager[None]:
        return writing(self.target, *GDAL_ERRORS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.discard()


def _create(path: Path, grid: Grid, layout: Layout, block: int) -> rasterio.io.DatasetWriter:
    """An empty tiled TIFF to write into; read once, a moment later, so hardly compressed."""
    with quiet():
        dataset = rasterio.open(
            path,
            "w",
            driver="GTiff",
            dtype="uint8",
            count=len(layout.names),
            width=grid.width,
            height=grid.height,
            crs=grid.crs,
            transform=grid.transform,
            nodata=layout.nodata,
            tiled=True,
            blockxsize=block,
            blockysize=block,
            interleave="band",
            compress="deflate",
            zlevel=1,
            bigtiff="if_safer",
        )
    dataset.update_tags(**layout.tags)
    for index, name in enumerate(layout.names, 1):
        dataset.set_band_description(index, name)
        dataset.update_tags(index, **layout.band_tags)
    if layout.colors is not None:
        dataset.write_colormap(1, {k: (*v, 255) for k, v in layout.colors.items()})
    return dataset
