"""From a product's band files to a Scene: one resolution each, one CRS, and a stand-in for nir."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from geomask.errors import BandError, GeomaskWarning
from geomask.grid import Grid
from geomask.scene.acquisition import Acquisition
from geomask.scene.nodata import Nodata
from geomask.scene.radiometry import Radiometry
from geomask.scene.scene import Provenance, Scene, SceneBand
from geomask.scene.stored import (
    Stored,
    check_together,
    choose_resolution,
    finest,
    fits,
    with_stand_in,
)


def choose_bands(path: str, candidates: Sequence[Stored], grid: float | None) -> list[Stored]:
    """The band files of a product that are read, one for each band, those of its own and those
    that stand in for another.

    grid: the pixel size that was asked for, metres. Raises SceneError, BandError or OptionError
    where there is none, where they contradict each other, or lie on grids that cannot be joined.
    """
    if not candidates:
        raise BandError(f"{path}: holds no file that is named as a spectral band")
    chosen = with_stand_in(choose_resolution(path, candidates, grid))
    bands = list(chosen.values())
    check_together(path, bands)
    warn_of_no_crs(path, bands[0].grid)
    return bands


def warn_of_no_crs(path: str, grid: Grid, instead: str = "") -> None:
    """Warn of a grid without a CRS. instead: a clause on what there is."""
    if grid.crs is None:
        warnings.warn(
            f"{path}: has no coordinate reference system{instead}; taken at its native pixels, "
            "whatever their size on the ground",
            GeomaskWarning,
            stacklevel=4,
        )


def assemble(
    path: str,
    kind: str,
    bands: Sequence[Stored],
    radiometry: Radiometry,
    nodata: Nodata,
    *,
    grid: float | None = None,
    acquisition: Acquisition | None = None,
    missing: Mapping[str, str] | None = None,
    files: Sequence[str] = (),
) -> Scene:
    """The scene of some bands of a product, as `choose_bands` gave them."""
    wanted = [band.grid for band in bands if grid is not None and fits(band.grid, grid)]
    return Scene(
        path,
        kind,
        scene_bands(path, bands, radiometry, nodata),
        Provenance(radiometry.source, nodata.source),
        grid=finest(wanted) if wanted else None,
        acquisition=acquisition,
        missing=missing,
        files=files,
        zero_is_nodata=nodata.zero,
        use_mask=nodata.use_mask,
    )


def scene_bands(
    path: str, bands: Sequence[Stored], radiometry: Radiometry, nodata: Nodata
) -> list[SceneBand]:
    """Stored bands with what their numbers mean. Raises SceneError for no such thing."""
    return [
        SceneBand(
            band.common,
            band.source + band.note,
            band.path,
            band.index,
            band.grid,
            *radiometry.of(path, band),
            nodata.values[band.common],
        )
        for band in bands
    ]
