"""Whether reflectance can be what it is taken for: refused where it cannot, doubted aloud where it
looks as if Sentinel-2's radiometric offset had been applied twice or not at all; never corrected.

The doubts were tuned on 105 Sentinel-2 chips and scenes whose radiometry is known, as they are and
0.1 brighter and darker (tests/scene/test_plausibility.py): hardly a false alarm, and silence where
an image has nothing dark in it, cloudy and snowy ones above all.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from geomask.errors import GeomaskWarning, SceneError
from geomask.scene.scene import SceneBand
from geomask.sensors import ESA_OFFSET, INTEGER_SCALE

LOW, HIGH, STEP = -0.3, 2.0, 0.001
"""Bins of the histogram, reflectance; what lies beyond counts in the first and the last."""

PIXELS = 2**18
"""So many pixels of a scene, about, are enough for its dark end, and take no time to count."""

IMPOSSIBLE_SHARE = 0.5
"""Share of a scene's pixels that cannot be above `HIGH`, whichever the band: the brightest cloud
and snow, under a low sun, reach 1.5 here and there, and not in the shortwave infrared."""

ENOUGH = 10_000
"""Fewer measured pixels than this are not judged: a few fields have no dark end."""

DARK_END = 0.005
"""Share of the pixels that are darker than a band's dark end: less is noise, and where nodata
begins."""

FLOOR = (0.09, 0.125)
"""Where the darkest band's dark end comes to lie if the offset is left out: water, shadow or,
in the shortwave infrared, forest reflect -0.01 to 0.025."""

GROUND = 0.2
"""A visible dark end above this is an image of cloud or snow, which has no dark end to judge."""

BLUE_OF_AIR = 0.06
"""The least reflectance in blue at the top of the atmosphere, from the air alone (0.067 is the
least dark end of 94 level 1C chips)."""

GREY = 0.025
"""Dark ends of blue and red that differ by less are those of surface reflectance: the air would
make blue brighter, bare ground red."""

NEGATIVE, NEGATIVE_SHARE = -0.02, 0.05
"""Surface reflectance is below zero here and there, but not in so large a share (0.04 % at most
in the scenes that this was tuned on)."""

LEFT_ASIDE = frozenset({"coastal"})
"""Bands that are not judged: surface reflectance in the violet comes out below zero over forest."""


class Histogram:
    """How often which reflectance occurs, by band.

    bands: of the images to come, in their order.
    """

    def __init__(self, bands: Sequence[SceneBand]) -> None:
        self.bands = tuple(bands)
        self._counts = np.zeros((len(self.bands), round((HIGH - LOW) / STEP)), dtype=np.int64)

    def add(self, image: npt.NDArray[np.float32]) -> None:
        """Count float32 (bands, height, width), reflectance, NaN where not measured."""
        for counts, band in zip(self._counts, image, strict=True):
            known = np.clip(band[np.isfinite(band)], np.float32(LOW), np.float32(HIGH))
            bins = ((known - np.float32(LOW)) / np.float32(STEP)).astype(np.intp)
            bins = np.minimum(bins, counts.size - 1)
            counts += np.bincount(bins, minlength=counts.size)

    @property
    def pixels(self) -> int:
        """How many were counted, in the band that has the fewest."""
        return min(self._counts.sum(axis=1).tolist(), default=0)

    def dark_ends(self) -> dict[str, float]:
        """By common name, the reflectance that `DARK_END` of the pixels are below."""
        below = self._counts.cumsum(axis=1)
        first = (below > DARK_END * below[:, -1:]).argmax(axis=1)
        return self._by_name(LOW + (first + 0.5) * STEP)

    def shares_below(self, reflectance: float) -> dict[str, float]:
        """By common name, the share of the pixels below that."""
        edge = round((reflectance - LOW) / STEP)
        return self._by_name(
            self._counts[:, :edge].sum(axis=1) / np.maximum(1, self._counts.sum(axis=1))
        )

    def _by_name(self, values: npt.NDArray[np.float64]) -> dict[str, float]:
        pairs = zip(self.bands, values.tolist(), strict=True)
        return {band.common: value for band, value in pairs if band.common not in LEFT_ASIDE}


def doubt(histogram: Histogram) -> str | None:
    """A clause on what looks wrong with what was applied, and what to do about it.

    None where nothing does. Of the offset, also where too little was counted, and where the scale
    is not that of Sentinel-2's digital numbers.
    """
    if histogram.pixels < ENOUGH:
        return _impossible(histogram)
    return _impossible(histogram) or _left_out(histogram) or _twice(histogram)


def check_possible(path: str, histogram: Histogram, expected: int = 0) -> None:
    """Refuse numbers that are no reflectance: SceneError, before anything is made of them.

    path: of the scene. expected: how many pixels will have been counted in the end, at most: while
    fewer are, only what the others cannot change is refused.
    """
    text = _impossible(histogram, expected)
    if text is not None:
        raise SceneError(f"{path}: {text}")


def warn_of_doubt(path: str, histogram: Histogram, *, stacklevel: int = 2) -> None:
    """A GeomaskWarning that says the doubt, where there is one. path: of the scene."""
    text = doubt(histogram)
    if text is not None:
        warnings.warn(f"{path}: {text}", GeomaskWarning, stacklevel=stacklevel + 1)


def _impossible(histogram: Histogram, expected: int = 0) -> str | None:
    """Where most of what was counted is brighter than anything on Earth."""
    share = 1 - max(histogram.shares_below(HIGH - STEP).values(), default=1.0)
    pixels = histogram.pixels
    if pixels == 0 or share * pixels < IMPOSSIBLE_SHARE * max(expected, pixels):
        return None
    return (
        f"{100 * share:.0f} % of the pixels are above {HIGH:g} in every band, which is no "
        "reflectance; state what the numbers mean with --scale and --offset (reflectance = DN * "
        "scale + offset), or with --nodata which of them were not measured"
    )


def _left_out(histogram: Histogram) -> str | None:
    """Where no offset was applied: what the darkest pixels say of that."""
    if not all(_is_sentinel2(band) and band.offset == 0 for band in histogram.bands):
        return None
    ends = histogram.dark_ends()
    # Without both, a haze over dry ground looks the same.
    if not {"blue", "red"} <= ends.keys():
        return None
    blue, red = ends["blue"], ends["red"]
    at_surface, at_top = abs(blue - red) <= GREY, blue + ESA_OFFSET >= BLUE_OF_AIR
    darkest = min(ends, key=ends.__getitem__)
    low, high = FLOOR
    if min(blue, red) > GROUND or not (at_surface or at_top) or not low <= ends[darkest] <= high:
        return None
    return (
        f"no band shows much that is darker than {ends[darkest]:.3f} of reflectance (that is "
        f"{darkest}), as if Sentinel-2's offset of {ESA_OFFSET:g} had been left out; if the "
        "digital numbers are as ESA delivers them since 2022-01-25, use --scale 0.0001 --offset "
        f"{ESA_OFFSET:g}"
    )


def _twice(histogram: Histogram) -> str | None:
    """Where an offset was applied: what the pixels below zero say of that."""
    shares = histogram.shares_below(NEGATIVE)
    shares = {
        band.common: shares[band.common]
        for band in histogram.bands
        if _is_sentinel2(band) and band.offset < 0 and band.common in shares
    }
    worst = max(shares, key=shares.__getitem__, default=None)
    if worst is None or shares[worst] <= NEGATIVE_SHARE:
        return None
    return (
        f"{100 * shares[worst]:.0f} % of the pixels are below {NEGATIVE:g} of reflectance in "
        f"{worst}, as if Sentinel-2's offset had been applied twice; if the digital numbers have "
        "it already, use --scale 0.0001 --offset 0"
    )


def _is_sentinel2(band: SceneBand) -> bool:
    """Whether a band's scale is that of Sentinel-2's digital numbers."""
    return math.isclose(band.scale, INTEGER_SCALE, rel_tol=1e-3)
