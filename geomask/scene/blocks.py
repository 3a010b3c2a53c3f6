"""Reading a raster in any order of overlapping windows while decoding each block about once.

GDAL decodes a JPEG 2000 block again for every window that touches it, and its cache, where it
helps, grows with the scene. Here whole units of blocks are decoded once, by whichever thread
asks first, and kept until the last window that was announced has drawn on them; where none was
announced, while windows near them are read: about the rows that one window spans.
"""

from __future__ import annotations

import math
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from geomask.errors import SceneError
from geomask.raster import GDAL_ERRORS, open_raster, root_cause
from geomask.scene.delivery import check_entry
from geomask.signals import result_of

UNIT_ROWS, UNIT_COLUMNS = 256, 1024
"""A unit is made of whole blocks and has at least so many pixels, where the raster has them:
fewer would spend time on calls, more would keep rows that no window needs."""

VRT_ROWS = 1024
"""The same for a VRT, whose own blocks say nothing of its sources': as tall as the internal tiles
of Sentinel-2's JPEG 2000, which would be decoded again for every unit that cuts one."""

DATASET_MASK = 0
"""Stands for a file's own mask where a band number is expected."""


_Key = tuple[int, int]  # (row, column) of a unit among the units


@dataclass(frozen=True)
class Raw:
    """Pixels as the file has them.

    values: (bands, rows, columns), the file's dtype. masked: bool (rows, columns), True where
    the file's own mask or alpha band says that nothing was measured; None where it has neither.
    """

    values: npt.NDArray[np.generic]
    masked: npt.NDArray[np.bool_] | None


class BlockReader:
    """Random access to some bands of one raster file, from any thread.

    `decoded_pixels` counts what GDAL was asked for, in pixels of one band: what was decoded,
    where units are whole blocks of the file that holds the pixels.
    Raises SceneError for a file in a zip that is not what the zip's checksum says.
    """

    def __init__(self, path: str, indexes: tuple[int, ...], *, use_mask: bool = True) -> None:
        self.path = path
        self.indexes = indexes
        self.decoded_pixels = 0
        self._handles = ExitStack()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._units: OrderedDict[_Key, Future[Raw]] = OrderedDict()
        self._decoding: set[Future[Raw]] = set()
        self._closed = False
        self._kept = 0
        self._expected: Counter[_Key] | None = None  # how many windows will draw on each unit
        check_entry(path)
        dataset = self._dataset()
        self._height, self._width = dataset.height, dataset.width
        rows, columns = dataset.block_shapes[indexes[0] - 1]
        least = VRT_ROWS if dataset.driver == "VRT" else UNIT_ROWS
        self._unit = (_whole(rows, least), _whole(columns, UNIT_COLUMNS))
        self._dtype = np.result_type(*(dataset.dtypes[index - 1] for index in indexes))
        self._mask_band = mask_band(dataset) if use_mask else None

    def expect(self, windows: Iterable[Window]) -> None:
        """Announce windows, each of which will be read once more, in any order. What nobody has
        announced can be read as well, and may be decoded again for it."""
        expected = Counter(key for window in windows for key in self._keys(window))
        with self._lock:
            self._expected = expected + (self._expected or Counter())

    def read(self, window: Window) -> Raw:
        """The pixels of a window that lies inside the raster.

        Raises SceneError, naming the file, where it is truncated or damaged.
        """
        top, left = int(window.row_off), int(window.col_off)
        height, width = int(window.height), int(window.width)
        values = np.empty((len(self.indexes), height, width), dtype=self._dtype)
        masked = None if self._mask_band is None else np.empty((height, width), dtype=bool)
        rows, columns = self._unit
        keys = self._keys(window)
        for row, column in keys:
            unit = self._fetch((row, column))
            inside, target = zip(
                _overlap(row * rows, unit.values.shape[1], top, height),
                _overlap(column * columns, unit.values.shape[2], left, width),
                strict=True,
            )
            values[:, *target] = unit.values[:, *inside]
            if masked is not None and unit.masked is not None:
                masked[target] = unit.masked[inside]
        self._forget(keys)
        return Raw(values, masked)

    def close(self) -> None:
        """Close the file in all threads that opened it, and forget its pixels.

        Waits for what is being decoded: GDAL crashes where a dataset is closed under it.
        """
        with self._lock:
            self._closed = True
            decoding = set(self._decoding)
        wait(decoding)
        self._units.clear()
        self._handles.close()

    def _keys(self, window: Window) -> list[_Key]:
        """The units that a window draws on, from its first row and column to its last."""
        (top, bottom), (left, right) = window.toranges()
        rows, columns = self._unit
        return [
            (row, column)
            for row in range(int(top) // rows, -(-int(bottom) // rows))
            for column in range(int(left) // columns, -(-int(right) // columns))
        ]

    def _forget(self, keys: Sequence[_Key]) -> None:
        """Of the units that a window was cut from, drop those of which no more is expected; where
        nothing ever was, the oldest ones beyond the rows of the tallest window so far."""
        with self._lock:
            if self._expected is None:
                rows = keys[-1][0] - keys[0][0] + 2
                self._kept = max(self._kept, rows * math.ceil(self._width / self._unit[1]))
                while len(self._units) > self._kept:
                    self._units.popitem(last=False)
                return
            self._expected.subtract(keys)
            for key in keys:
                if self._expected[key] <= 0:
                    del self._expected[key]
                    self._units.pop(key, None)

    def _fetch(self, key: _Key) -> Raw:
        """The unit at (unit row, unit column), decoded by the first thread that asks for it."""
        mine: Future[Raw] = Future()
        try:
            with self._lock:
                if self._closed and key not in self._units:
                    raise SceneError(f"{self.path}: was closed while it was read")
                future = self._units.setdefault(key, mine)
                if future is mine:
                    self._decoding.add(mine)
                self._units.move_to_end(key)
            if future is mine:
                mine.set_result(self._decode(key))
        except BaseException as error:  # even a signal: others may wait for what is theirs, too
            if not mine.done():
                mine.set_exception(error)
            raise
        finally:
            with self._lock:
                self._decoding.discard(mine)
        return result_of(future)

    def _decode(self, key: _Key) -> Raw:
        rows, columns = self._unit
        top, left = key[0] * rows, key[1] * columns
        height, width = min(rows, self._height - top), min(columns, self._width - left)
        window = Window(left, top, width, height)
        dataset = self._dataset()
        try:
            values = np.empty((len(self.indexes), height, width), dtype=self._dtype)
            alike = len({dataset.dtypes[index - 1] for index in self.indexes}) == 1
            step = len(self.indexes) if alike else 1  # rasterio reads bands of one type at once
            for at in range(0, len(self.indexes), step):
                _read(dataset, self.indexes[at : at + step], window, values[at : at + step])
            masked = self._masked(dataset, window)
        except GDAL_ERRORS as error:
            raise SceneError(
                f"{self.path}: cannot be read at rows {top} to {top + height}; the file is cut "
                f"short or damaged, or one it draws on is missing ({root_cause(error)})"
            ) from error
        with self._lock:
            self.decoded_pixels += height * width
        return Raw(values, masked)

    def _masked(
        self, dataset: rasterio.DatasetReader, window: Window
    ) -> npt.NDArray[np.bool_] | None:
        if self._mask_band is None:
            return None
        if self._mask_band == DATASET_MASK:
            mask: npt.NDArray[np.bool_] = dataset.dataset_mask(window=window) == 0
        else:
            mask = dataset.read(self._mask_band, window=window) == 0
        return mask

    def _dataset(self) -> rasterio.DatasetReader:
        """This thread's own handle: GDAL datasets must not be shared between threads."""
        if not hasattr(self._local, "dataset"):
            with self._lock:
                self._local.dataset = self._handles.enter_context(open_raster(self.path))
        dataset: rasterio.DatasetReader = self._local.dataset
        return dataset


def _read(
    dataset: rasterio.DatasetReader,
    indexes: tuple[int, ...],
    window: Window,
    out: npt.NDArray[np.generic],
) -> None:
    """Fill `out`, (bands, rows, columns), with some bands' window of whole blocks.

    Where GDAL decodes several blocks of a JPEG 2000 file at once, it does so in threads of its
    own, whose errors rasterio does not see: `out` would keep what was in memory before. So they
    are read one by one (two readers are no slower that way), and a VRT, which may draw on such
    files, without those threads.
    """
    if dataset.driver == "VRT":
        with rasterio.Env(GDAL_NUM_THREADS="1"):
            dataset.read(indexes, window=window, out=out)
        return
    if not dataset.driver.startswith("JP2"):
        dataset.read(indexes, window=window, out=out)
        return
    height, width = out.shape[1:]
    rows, columns = dataset.block_shapes[indexes[0] - 1]
    for row in range(0, height, rows):
        for column in range(0, width, columns):
            part = out[:, row : row + rows, column : column + columns]
            own = Window(
                window.col_off + column, window.row_off + row, part.shape[2], part.shape[1]
            )
            part[...] = dataset.read(indexes, window=own)


def mask_band(dataset: rasterio.DatasetReader) -> int | None:
    """What says where a file's pixels are measured: `DATASET_MASK`, the number of its alpha band,
    or None. GDAL derives a mask from alpha for two and four bands only."""
    if any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums):
        return DATASET_MASK
    if ColorInterp.alpha in dataset.colorinterp:
        return int(dataset.colorinterp.index(ColorInterp.alpha)) + 1
    return None


def _whole(block: int, least: int) -> int:
    """The smallest multiple of `block` that is at least `least`."""
    return block * math.ceil(least / block)


def _overlap(start: int, size: int, wanted: int, length: int) -> Iterator[slice]:
    """Where [start, start + size) and [wanted, wanted + length) meet, as a slice of each."""
    low, high = max(start, wanted), min(start + size, wanted + length)
    yield slice(low - start, high - start)
    yield slice(low - wanted, high - wanted)
