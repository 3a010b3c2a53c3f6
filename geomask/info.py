"""What a scene is, what its numbers mean, and which models can run on it; without torch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geomask.card import read_card
from geomask.errors import BandError, GeomaskWarning, ModelError, OptionError
from geomask.model_files import list_models
from geomask.scene import Scene, SceneBand, open_scene
from geomask.scene.plausibility import doubt, warn_of_doubt
from geomask.scene.sample import survey
from geomask.suitability import choose_bands, inference_scale


@dataclass(frozen=True)
class BandInfo:
    """One band. name: STAC common name. source: the product's own name or band number.
    resolution: (rows, columns) of its pixels in metres, None where that is unknown. file: its
    name, without folders."""

    name: str
    source: str
    resolution: tuple[float, float] | None
    file: str


@dataclass(frozen=True)
class ModelInfo:
    """Whether a model can run on a scene.

    bands: those it would read, None where it cannot run; why_not: then why. resolution: (rows,
    columns) of inference in metres, None without one: native pixels.
    """

    name: str
    path: str
    bands: tuple[str, ...] | None = None
    resolution: tuple[float, float] | None = None
    why_not: str | None = None


@dataclass(frozen=True)
class SceneInfo:
    """What `geomask info` says.

    acquisition: what is known of it, by name. width, height: of the grid of the finest band,
    pixels; resolution: (rows, columns) of these in metres, None where that is unknown. missing:
    bands that the product should have, and what was found instead. unnamed: bands of the file
    that say nothing usable. radiometry, nodata: what is applied, and where that was read.
    nodata_percent: of the scene, where any of its bands was not measured, from a sample; None
    without bands. doubt: what looks wrong with the radiometry.
    """

    scene: str
    kind: str
    acquisition: dict[str, Any]
    width: int
    height: int
    crs: str | None
    resolution: tuple[float, float] | None
    bands: tuple[BandInfo, ...]
    missing: dict[str, str]
    unnamed: tuple[str, ...]
    radiometry: str
    nodata: str
    nodata_percent: float | None
    doubt: str | None
    models: tuple[ModelInfo, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)


def scene_info(scene: Scene | str | Path) -> SceneInfo:
    """What a scene is, from its metadata and a sample of all its spectral bands.

    scene: an open Scene, or a path for `open_scene`. Raises SceneError where it cannot be opened,
    or a band's file is damaged as far as the sample shows. Warns of radiometry that looks wrong,
    and of model files that cannot be read.
    """
    if not isinstance(scene, Scene):
        with open_scene(scene) as opened:
            return scene_info(opened)
    found = survey(scene, scene.band_names) if scene.bands else None
    if found is not None:
        warn_of_doubt(scene.path, found.histogram)
    grid = scene.grid
    return SceneInfo(
        scene=scene.path,
        kind=scene.kind,
        acquisition=scene.acquisition.known(),
        width=grid.width,
        height=grid.height,
        crs=None if grid.crs is None else grid.crs.to_string(),
        resolution=grid.pixel_size,
        bands=tuple(map(_band_info, scene.bands.values())),
        missing=dict(scene.missing),
        unnamed=scene.unnamed,
        radiometry=(
            scene.radiometry(scene.band_names) if scene.bands else "unknown: no band is named"
        ),
        nodata=scene.provenance.nodata,
        nodata_percent=None if found is None else 100 * found.nodata,
        doubt=None if found is None else doubt(found.histogram),
        models=tuple(_models(scene)),
    )


def _band_info(band: SceneBand) -> BandInfo:
    # Without a URL's query, where signatures stand.
    file = band.path.partition("?")[0].replace("\\", "/").rpartition("/")[2]
    return BandInfo(band.common, band.source, band.grid.pixel_size, file)


def _models(scene: Scene) -> Iterator[ModelInfo]:
    """Every model that can be named, on that scene."""
    for name, path in list_models():
        try:
            card = read_card(path)
        except ModelError as error:
            warnings.warn(f"left out: {error}", GeomaskWarning, stacklevel=3)
            continue
        try:
            bands = choose_bands(scene, card)
            _, metres = inference_scale(scene.for_bands(bands).grid, card.resolution, None)
        except (BandError, OptionError) as error:
            why = str(error).removeprefix(f"{scene.path}: ")
            yield ModelInfo(name, str(path), why_not=why)
        else:
            yield ModelInfo(name, str(path), bands, metres)
