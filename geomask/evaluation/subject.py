"""What can be scored; and a model as such, which sees chips as it would see scenes."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from affine import Affine
from rasterio.crs import CRS

from geomask.checkpoint import Model
from geomask.classes import ClassTable
from geomask.engine import Engine, Result
from geomask.errors import BandError
from geomask.grid import Grid
from geomask.inference import make_engines, prepare
from geomask.pipeline import run
from geomask.raster import grid_of, open_raster
from geomask.scene import Scene, SceneBand
from geomask.scene.scene import Provenance
from geomask.training.chips import Chip


class Subject(Protocol):
    """Something that gives every pixel of a chip a class, or none."""

    @property
    def classes(self) -> ClassTable:
        """The classes it tells apart."""

    def about(self) -> dict[str, Any]:
        """What it is, for reports: kind, name, and how it can be had again."""

    def bands(self, chip: Chip) -> tuple[str, ...]:
        """Common names of the bands it looks at; none where that is not known."""

    def results(self, chip: Chip) -> Generator[Result, None, None]:
        """Its classes in windows that partition the chip, row by row, left to right."""


@dataclass(frozen=True)
class ModelSubject:
    """A model; it sees a chip as `predict` sees a scene, and its numbers as training does."""

    model: Model
    precision: str = "auto"
    patch: int | None = None
    margin: int | None = None
    readers: int = 2

    @cached_property
    def _engines(self) -> tuple[Engine, ...]:
        """Made once for all chips."""
        return make_engines(self.model, self.precision, with_percent=True)

    @property
    def classes(self) -> ClassTable:
        """The card's."""
        return self.model.card.class_table

    def about(self) -> dict[str, Any]:
        """The card's name, and the file's fingerprint."""
        model = self.model
        return {
            "kind": "model",
            "name": model.card.name,
            "sha256": model.sha256,
            "device": str(model.device),
            "precision": self.precision,
            "margin": model.card.margin if self.margin is None else self.margin,
        }

    def bands(self, chip: Chip) -> tuple[str, ...]:
        """The best band set of the card that the chip has. Raises BandError where it has none."""
        card = self.model.card
        there = tuple(band for band in chip.bands if band)
        bands = card.choose_bands(there)
        if bands is None:
            sets = " or ".join(", ".join(some) for some in card.band_sets or (card.bands,))
            raise BandError(
                f"{chip.image}: model {card.name!r} needs the bands {sets}; there is "
                f"{', '.join(there)}"
            )
        return bands

    def results(self, chip: Chip) -> Generator[Result, None, None]:
        """Classes and percents of the chip's patches."""
        with chip_scene(chip) as scene:
            inference = prepare(
                scene,
                self.model,
                patch=self.patch,
                margin=self.margin,
                engines=self._engines,
            )
            with closing(run(inference, self.readers)) as results:
                yield from results


def chip_scene(chip: Chip) -> Scene:
    """A chip as a scene, its digital numbers read by the rules that training reads them by.

    Its grid is the file's, unless its pixel size is stated elsewhere; then it is one with such
    pixels, on the equator where map metres are metres, and good for nothing but prediction.
    """
    with open_raster(chip.image) as dataset:
        grid = grid_of(dataset)
    own = grid.pixel_size
    if chip.gsd is not None and not (own and math.isclose(math.sqrt(own[0] * own[1]), chip.gsd)):
        place = Affine(chip.gsd, 0, 500_000, 0, -chip.gsd, 0)
        grid = Grid(CRS.from_epsg(32631), place, grid.width, grid.height)
    bands = [
        SceneBand(name, name, str(chip.image), index, grid, scale, offset, chip.nodata)
        for index, (name, scale, offset) in enumerate(
            zip(chip.bands, chip.scales, chip.offsets, strict=True), 1
        )
        if name is not None
    ]
    said = Provenance("as training reads chips", "as training reads chips")
    return Scene(str(chip.image), "chip", bands, said, grid=grid, use_mask=False)
