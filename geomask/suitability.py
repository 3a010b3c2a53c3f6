"""Whether a model can run on a scene: with which bands, and at which resolution; without torch."""

from __future__ import annotations

import math

from geomask.card import Card
from geomask.errors import BandError, OptionError
from geomask.grid import Grid
from geomask.scene import Scene

RESOLUTION_SLACK = 1.1
"""A scene may lie so much outside the card's resolutions before it is resampled for inference:
a model for 10 m does as well at 9.5 m, and resampling is not free."""


def choose_bands(scene: Scene, card: Card) -> tuple[str, ...]:
    """The best band set of a model that the scene has.

    Raises BandError where there is none, or a better one but for a file that is missing: the
    product is damaged then, and a mask from fewer bands would not show it.
    """
    bands = card.choose_bands(scene.band_names)
    complete = card.choose_bands((*scene.band_names, *scene.missing))
    if complete != bands:
        lost = next(band for band in complete or () if band in scene.missing)
        raise BandError(f"{scene.path}: {scene.missing[lost]}")
    if bands is not None:
        return bands
    sets = card.band_sets or (card.bands,)
    nearest = min(sets, key=lambda names: (len(set(names) - set(scene.band_names)), len(names)))
    others = f" (or another of its {len(sets)} band sets)" if len(sets) > 1 else ""
    example = ",".join(f"{name}=N" for name in nearest)
    raise BandError(
        f"{scene.path}: model {card.name!r} needs the bands {', '.join(nearest)}{others}; "
        f"there is {scene.describe_bands()}; say which is which, as in --bands {example}, each N a "
        "band's number"
    )


def inference_scale(
    grid: Grid, trained: tuple[float, float], wanted: float | None
) -> tuple[tuple[float, float], tuple[float, float] | None]:
    """Inference pixels per scene pixel (rows, columns), and the inference grid's pixel size in
    metres, None without a CRS.

    trained: a card's (finest, coarsest) pixel size, metres. wanted: the user's, or None. Raises
    OptionError where that means nothing, or is more than 64 times away from the scene's.
    """
    pixel = grid.pixel_size
    if wanted is not None and not (math.isfinite(wanted) and wanted > 0):
        raise OptionError(f"resolution {wanted} is not a pixel size in metres")
    if pixel is None:
        if wanted is not None:
            raise OptionError(
                "the scene has no coordinate reference system, so its pixels have no size in "
                "metres; leave --resolution out"
            )
        return (1.0, 1.0), None
    finest, coarsest = trained
    if wanted is None:
        if all(finest / RESOLUTION_SLACK <= p <= coarsest * RESOLUTION_SLACK for p in pixel):
            return (1.0, 1.0), pixel
        wanted = min(max(math.sqrt(pixel[0] * pixel[1]), finest), coarsest)
    scale = pixel[0] / wanted, pixel[1] / wanted
    if not all(1 / 64 <= s <= 64 for s in scale):
        raise OptionError(
            f"the scene's pixels are {pixel[0]:.3g} x {pixel[1]:.3g} m; inference at "
            f"{wanted:g} m is more than 64 times away from that"
        )
    return scale, (wanted, wanted)
