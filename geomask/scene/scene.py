"""A scene: its grid, its bands by common name, and reflectance, window by window."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.errors import BandError, SceneError
from geomask.grid import Grid
from geomask.scene.acquisition import Acquisition
from geomask.scene.blocks import BlockReader, Raw
from geomask.scene.regrid import Placement, place
from geomask.scene.stored import finest

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SceneBand:
    """One band of a scene, and what its digital numbers mean.

    common: STAC common name. source: the product's own name or band number. path, index: the
    raster file and the 1-based band in it. grid: the file's. reflectance = DN * scale + offset.
    nodata: the DN of pixels that were not measured, or None.
    """

    common: str
    source: str
    path: str
    index: int
    grid: Grid
    scale: float
    offset: float
    nodata: float | None


@dataclass(frozen=True)
class Provenance:
    """Where a scene's radiometry was read, in words for tags, tables and people.

    radiometry: where scale and offset come from. nodata: where the nodata rule comes from.
    """

    radiometry: str
    nodata: str


class Scene:
    """One acquisition, open for reading; a context manager.

    path: as the user gave it. kind: what it was recognised as. grid: that of the finest band,
    unless given. bands: by common name. acquisition: who took it, when, under which sun, as far
    as the product says. missing: common names of bands that the product should have and lacks,
    each with a clause on what was found and what to do. unnamed: bands of the file whose
    description names no spectral band. files: all that it draws on, so that no output replaces
    one. zero_is_nodata: no band states a nodata value, so a pixel that is 0 in every band that
    is read counts as not measured. use_mask: whether a pixel that a file's own mask or alpha
    band leaves out does, too.
    """

    def __init__(
        self,
        path: str,
        kind: str,
        bands: Sequence[SceneBand],
        provenance: Provenance,
        *,
        grid: Grid | None = None,
        acquisition: Acquisition | None = None,
        missing: Mapping[str, str] | None = None,
        unnamed: Sequence[str] = (),
        files: Sequence[str] = (),
        zero_is_nodata: bool = False,
        use_mask: bool = True,
    ) -> None:
        self.path = path
        self.kind = kind
        self.grid = grid or finest(band.grid for band in bands)
        self.bands = {band.common: band for band in bands}
        self.provenance = provenance
        self.acquisition = acquisition or Acquisition()
        self.missing = dict(missing or {})
        self.unnamed = tuple(unnamed)
        self.files = tuple(files) or tuple(dict.fromkeys(band.path for band in bands))
        self._grid_given = grid is not None
        self.zero_is_nodata = zero_is_nodata
        self.use_mask = use_mask
        self._lock = threading.Lock()
        self._closed = False
        self._readers: dict[tuple[str, ...], dict[str, BlockReader]] = {}

    @property
    def band_names(self) -> tuple[str, ...]:
        """Common names of the bands there are."""
        return tuple(self.bands)

    def for_bands(self, bands: Sequence[str]) -> Scene:
        """The same scene, on the grid of the finest of those bands unless its grid was given.

        It shares the open files: closing one closes both. Raises BandError.
        """
        grids = [self.band(name).grid for name in bands]
        view = copy.copy(self)
        if not self._grid_given:
            view.grid = finest(grids)
        return view

    def on(self, grid: Grid) -> Scene:
        """The same scene on another grid of its CRS; it shares the open files."""
        view = copy.copy(self)
        view.grid = grid
        return view

    def read(self, window: Window, bands: Sequence[str]) -> tuple[Floats, Bools]:
        """Reflectance and validity of a window inside the scene, from any thread.

        window: integer offsets and sizes, inside the grid. bands: common names.
        Returns reflectance, float32 (bands, height, width), unitless, NaN where not valid; and
        valid, bool (height, width), True where every one of `bands` was measured: where files
        of another resolution are read, in all of their pixels that it overlaps; and where
        float32 can hold what they amount to.
        Raises BandError for a band that is not there, SceneError for a file that is damaged.
        """
        chosen = [self.band(name) for name in bands]
        shape = (int(window.height), int(window.width))
        reflectance = np.empty((len(chosen), *shape), dtype=np.float32)
        valid = np.ones(shape, dtype=bool)
        anything = np.zeros(shape, dtype=bool)
        for path, reader in self._open(tuple(bands)).items():
            own = [i for i, band in enumerate(chosen) if band.path == path]
            grid = chosen[own[0]].grid
            placement = None if grid == self.grid else place(window, self.grid, grid)
            raw = reader.read(window if placement is None else placement.window)
            if raw.masked is not None:
                valid &= _everywhere(~raw.masked, placement)
            for position, i in enumerate(own):
                measured = measured_pixels(raw.values[position], chosen[i].nodata)
                valid &= _everywhere(measured, placement)
                if self.zero_is_nodata:
                    anything |= _anywhere(raw.values[position] != 0, placement)
                _bring(raw, position, measured, chosen[i], placement, reflectance[i])
        if self.zero_is_nodata:
            valid &= anything
        valid &= np.isfinite(reflectance).all(axis=0)
        reflectance[:, ~valid] = np.nan
        return reflectance, valid

    def expect(self, windows: Sequence[Window], bands: Sequence[str]) -> None:
        """Announce what `read` will be asked for, each window once, in any order: blocks are kept
        until the last that needs them, and no longer."""
        for path, reader in self._open(tuple(bands)).items():
            grid = next(self.bands[name].grid for name in bands if self.bands[name].path == path)
            if grid == self.grid:
                reader.expect(windows)
            else:
                reader.expect(place(window, self.grid, grid).window for window in windows)

    def radiometry(self, bands: Sequence[str]) -> str:
        """What is applied to those bands and where that was read, in a sentence for the tags."""
        formulas: dict[str, list[str]] = {}
        for name in bands:
            band = self.band(name)
            sign = "-" if band.offset < 0 else "+"
            formula = f"reflectance = DN * {band.scale:.10g} {sign} {abs(band.offset):.10g}"
            formulas.setdefault(formula, []).append(name)
        text = "; ".join(
            formula if len(formulas) == 1 else f"{', '.join(names)}: {formula}"
            for formula, names in formulas.items()
        )
        return f"{text} ({self.provenance.radiometry})"

    def describe_bands(self) -> str:
        """The bands that are there, in a clause for error messages."""
        named = [f"{band.common} ({band.source})" for band in self.bands.values()]
        unnamed = ", ".join(self.unnamed)
        if not named:
            return f"no band that says which it is ({unnamed or 'nor any other'})"
        also = f", and without a usable name {unnamed}" if unnamed else ""
        return ", ".join(named) + also

    @property
    def decoded_pixels(self) -> int:
        """How many pixels of single bands the files were asked to decode so far."""
        readers = [reader for some in self._readers.values() for reader in some.values()]
        return sum(reader.decoded_pixels * len(reader.indexes) for reader in readers)

    def close(self) -> None:
        """Close the files, once nothing of them is being read."""
        with self._lock:
            self._closed = True
            readers = [reader for some in self._readers.values() for reader in some.values()]
            self._readers.clear()
        for reader in readers:
            reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def band(self, name: str) -> SceneBand:
        """A band by its common name. Raises BandError, naming those there are."""
        if name not in self.bands:
            why = f"; {self.missing[name]}" if name in self.missing else ""
            raise BandError(
                f"{self.path}: has no band {name!r}; there is {self.describe_bands()}{why}"
            )
        return self.bands[name]

    def _open(self, bands: tuple[str, ...]) -> dict[str, BlockReader]:
        """A reader per file that holds some of `bands`, its bands in the order of `bands`."""
        with self._lock:
            if self._closed:
                raise SceneError(f"{self.path}: is closed")
            if bands not in self._readers:
                indexes: dict[str, list[int]] = {}
                for name in bands:
                    indexes.setdefault(self.bands[name].path, []).append(self.bands[name].index)
                self._readers[bands] = {
                    path: BlockReader(path, tuple(own), use_mask=self.use_mask)
                    for path, own in indexes.items()
                }
            return self._readers[bands]


def measured_pixels(values: npt.NDArray[np.generic], nodata: float | None) -> Bools:
    """bool of the values' shape: finite, in float32 too, and not the nodata value."""
    measured: Bools = np.ones(values.shape, dtype=bool)
    if np.issubdtype(values.dtype, np.floating):
        with np.errstate(over="ignore"):
            measured = np.isfinite(values.astype(np.float32, copy=False))
    if nodata is not None and np.isfinite(nodata):
        measured &= values != np.asarray(nodata).astype(values.dtype)
    return measured


def _everywhere(flags: Bools, placement: Placement | None) -> Bools:
    return flags if placement is None else placement.everywhere(flags)


def _anywhere(flags: Bools, placement: Placement | None) -> Bools:
    return flags if placement is None else placement.anywhere(flags)


def calibrate(values: npt.NDArray[np.generic], band: SceneBand, out: Floats) -> None:
    """Write a band's digital numbers as reflectance to `out`, float32 of their shape; infinite
    where float32 cannot hold it."""
    with np.errstate(over="ignore"):
        out[...] = values
        out *= np.float32(band.scale)
        out += np.float32(band.offset)


def _bring(
    raw: Raw,
    position: int,
    measured: Bools,
    band: SceneBand,
    placement: Placement | None,
    out: Floats,
) -> None:
    """Write a band's reflectance to `out`, float32, brought to its size; interpolation leaves
    out what was not measured."""
    values = raw.values[position]
    if placement is not None:
        with np.errstate(over="ignore"):
            image = values.astype(np.float32)
        absent = ~measured if raw.masked is None else ~measured | raw.masked
        image[absent] = np.nan
        values = placement.values(image[None])[0]
    calibrate(values, band, out)
