"""A scene: its grid, its bands by common name, and reflectance, window by window."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.errors import BandError
from geomask.grid import Grid
from geomask.scene.blocks import BlockReader


@dataclass(frozen=True)
class SceneBand:
    """One band of a scene, and what its digital numbers mean.

    common: STAC common name. source: the product's own name or band number. path, index: the
    raster file and the 1-based band in it. reflectance = DN * scale + offset. nodata: the DN of
    pixels that were not measured, or None.
    """

    common: str
    source: str
    path: str
    index: int
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

    path: as the user gave it. kind: what it was recognised as. bands: by common name. unnamed:
    bands of the file whose description names no spectral band. files: all that it draws on, so
    that no output replaces one. zero_is_nodata: no band states a nodata value, so a pixel that
    is 0 in every band that is read counts as not measured. use_mask: whether a pixel that the
    file's own mask or alpha band leaves out does, too.
    """

    def __init__(
        self,
        path: str,
        kind: str,
        grid: Grid,
        bands: Sequence[SceneBand],
        provenance: Provenance,
        *,
        unnamed: Sequence[str] = (),
        files: Sequence[str] = (),
        zero_is_nodata: bool = False,
        use_mask: bool = True,
    ) -> None:
        self.path = path
        self.kind = kind
        self.grid = grid
        self.bands = {band.common: band for band in bands}
        self.provenance = provenance
        self.unnamed = tuple(unnamed)
        self.files = tuple(files) or tuple(dict.fromkeys(band.path for band in bands))
        self._zero_is_nodata = zero_is_nodata
        self._use_mask = use_mask
        self._lock = threading.Lock()
        self._readers: dict[tuple[str, ...], dict[str, BlockReader]] = {}

    @property
    def band_names(self) -> tuple[str, ...]:
        """Common names of the bands there are."""
        return tuple(self.bands)

    def read(
        self, window: Window, bands: Sequence[str]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Reflectance and validity of a window inside the scene, from any thread.

        window: integer offsets and sizes, inside the grid. bands: common names.
        Returns reflectance, float32 (bands, height, width), unitless, NaN where not valid; and
        valid, bool (height, width), True where every one of `bands` was measured.
        Raises BandError for a band that is not there, SceneError for a file that is damaged.
        """
        chosen = [self._band(name) for name in bands]
        shape = (int(window.height), int(window.width))
        reflectance = np.empty((len(chosen), *shape), dtype=np.float32)
        valid = np.ones(shape, dtype=bool)
        anything = np.zeros(shape, dtype=bool)
        for path, reader in self._open(tuple(bands)).items():
            raw = reader.read(window)
            if raw.masked is not None:
                valid &= ~raw.masked
            own = [i for i, band in enumerate(chosen) if band.path == path]
            for i, values in zip(own, raw.values, strict=True):
                valid &= _measured(values, chosen[i].nodata)
                if self._zero_is_nodata:
                    anything |= values != 0
                reflectance[i] = values
                reflectance[i] *= np.float32(chosen[i].scale)
                reflectance[i] += np.float32(chosen[i].offset)
        if self._zero_is_nodata:
            valid &= anything
        reflectance[:, ~valid] = np.nan
        return reflectance, valid

    def radiometry(self, bands: Sequence[str]) -> str:
        """What is applied to those bands and where that was read, in a sentence for the tags."""
        formulas: dict[str, list[str]] = {}
        for name in bands:
            band = self._band(name)
            formula = f"reflectance = DN * {band.scale:.10g} + {band.offset:.10g}"
            formulas.setdefault(formula, []).append(name)
        text = "; ".join(
            formula if len(formulas) == 1 else f"{', '.join(names)}: {formula}"
            for formula, names in formulas.items()
        )
        return f"{text} ({self.provenance.radiometry})"

    def describe_bands(self) -> str:
        """The bands that are there, in a clause for error messages."""
        named = [f"{band.common} ({band.source})" for band in self.bands.values()]
        parts = [", ".join(named) or "no band that says which it is"]
        if self.unnamed:
            parts.append(f"and without a usable name: {', '.join(self.unnamed)}")
        return " ".join(parts)

    def close(self) -> None:
        """Close the files."""
        for readers in self._readers.values():
            for reader in readers.values():
                reader.close()
        self._readers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _band(self, name: str) -> SceneBand:
        if name not in self.bands:
            raise BandError(f"{self.path}: has no band {name!r}; there is {self.describe_bands()}")
        return self.bands[name]

    def _open(self, bands: tuple[str, ...]) -> dict[str, BlockReader]:
        """A reader per file that holds some of `bands`, its bands in the order of `bands`."""
        with self._lock:
            if bands not in self._readers:
                indexes: dict[str, list[int]] = {}
                for name in bands:
                    indexes.setdefault(self.bands[name].path, []).append(self.bands[name].index)
                self._readers[bands] = {
                    path: BlockReader(path, tuple(own), use_mask=self._use_mask)
                    for path, own in indexes.items()
                }
            return self._readers[bands]


def _measured(values: npt.NDArray[np.generic], nodata: float | None) -> npt.NDArray[np.bool_]:
    """bool of `values`' shape: finite, and not the nodata value."""
    measured: npt.NDArray[np.bool_] = np.isfinite(values)
    if nodata is not None and np.isfinite(nodata):
        measured &= values != np.asarray(nodata).astype(values.dtype)
    return measured
