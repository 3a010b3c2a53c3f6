"""Where clouds are, how thick, what light they pass and reflect; no image in sight.

Optical thickness is fractal: noise with a power-law spectrum below an outer scale, in layers, as
in Czerkawski et al. 2023 (SatelliteCloudGenerator, Remote Sensing 15), though theirs mixes octaves
of noise where ours shapes the spectrum. A shadow lies height x cot(elevation) away from the sun,
the geometry of Zhu and Woodcock 2012 (Fmask, Remote Sensing of Environment 118). Thickness is
drawn on a canvas larger than the image, so that clouds outside it cast shadows into it. Delta
scaling is that of Joseph, Wiscombe and Weinman 1976. Constants that cite nothing are our
judgement, tuned by eye against Sentinel-2 L1C chips of SEN12MS-CR: plausible, not measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from geomask.errors import OptionError

Float = npt.NDArray[np.float32]
Kind = Literal["cumulus", "deck", "veil", "mist"]

EDGE_THICKNESS = 0.5
"""Optical thickness from which a pixel counts as covered: about where the eye sees a cloud."""

RADIATIVE_SMOOTHING = 9.0
"""Metres (standard deviation): light that is scattered many times leaves a cloud beside where it
entered and blurs its finest detail (Marshak et al. 1995, "Radiative smoothing in fractal clouds",
name the effect; the length is ours, short, to keep edges crisp)."""


class Optics(NamedTuple):
    """One band: TOA path reflectance of clear air; share of diffuse light on clear ground; and,
    for water and for ice cloud, gain and absorption of R = gain x / (1 + absorption x)."""

    path: float
    diffuse: float
    water: tuple[float, float]
    ice: tuple[float, float]


OPTICS = {
    "blue": Optics(0.085, 0.40, (0.98, 1.00), (1.00, 1.00)),
    "green": Optics(0.055, 0.32, (0.97, 1.00), (1.00, 1.00)),
    "red": Optics(0.032, 0.26, (1.00, 1.00), (1.00, 1.00)),
    "rededge071": Optics(0.027, 0.23, (1.03, 1.02), (1.00, 1.00)),
    "rededge075": Optics(0.024, 0.21, (1.06, 1.04), (1.00, 1.00)),
    "rededge078": Optics(0.021, 0.20, (1.09, 1.06), (1.00, 1.00)),
    "nir": Optics(0.018, 0.19, (1.12, 1.08), (1.00, 1.02)),
    "nir08": Optics(0.015, 0.18, (1.12, 1.08), (1.00, 1.02)),
    "swir16": Optics(0.004, 0.10, (1.30, 1.75), (0.75, 2.40)),
    "swir22": Optics(0.002, 0.08, (1.12, 2.05), (0.58, 2.80)),
}
"""By common name; within what textbooks show for clear air and clouds, no table's values."""


@dataclass(frozen=True)
class Sun:
    """Where the sun stands: azimuth in degrees clockwise from north, elevation in degrees, 5-90."""

    azimuth: float
    elevation: float

    def __post_init__(self) -> None:
        if not 5.0 <= self.elevation <= 90.0:
            raise ValueError(f"sun elevation {self.elevation} is not within 5 to 90 degrees")

    def displacement(self, height: float, pixel_size: float) -> tuple[float, float]:
        """(rows, columns) from a cloud at `height` metres to its shadow, image north up.

        length = height x cot(elevation) / pixel_size, away from the sun: azimuth 180 moves it up.
        """
        length = height / math.tan(math.radians(self.elevation)) / pixel_size
        azimuth = math.radians(self.azimuth)
        return length * math.cos(azimuth), -length * math.sin(azimuth)


def random_sun(rng: np.random.Generator) -> Sun:
    """Elevation 20 to 70 degrees, azimuth 90 to 270."""
    return Sun(rng.uniform(90.0, 270.0), rng.uniform(20.0, 70.0))


@dataclass(frozen=True)
class CloudLayer:
    """One layer of cloud to draw.

    kind: "cumulus" (cells with sharp edges), "deck" (stratiform), "veil" or "mist" (thin and soft,
    high or low).
    cover: 0 to 1, fraction of the image. height: metres above ground of the cloud base.
    depth: vertical extent in metres of its thickest part. scale: metres, size of the largest cells.
    thickness: optical thickness (visible) one standard deviation inside the edge.
    softness: exponent of the growth inwards from the edge; 1 is crisp, 2 frayed. ice: crystals,
    which absorb more in the SWIR than droplets do.
    """

    kind: Kind = "cumulus"
    cover: float = 0.3
    height: float = 1500.0
    depth: float = 600.0
    scale: float = 1500.0
    thickness: float = 14.0
    softness: float = 1.4
    ice: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.cover <= 1.0:
            raise ValueError(f"cloud cover {self.cover} is not within 0 to 1")
        if min(self.height, self.scale, self.thickness, self.softness) <= 0.0 or self.depth < 0.0:
            raise ValueError(f"of {self} only depth may be 0, and nothing negative")


@dataclass(frozen=True)
class CloudField:
    """A layer's optical thickness on its canvas.

    thickness: float32 (canvas height, canvas width), visible optical thickness, 0 where no cloud.
    origin: (row, column) on the canvas of the image's first pixel.
    height, depth: metres, as in `CloudLayer`. ice: ice crystals, which absorb more in the SWIR.
    """

    thickness: Float
    origin: tuple[int, int]
    height: float
    depth: float = 0.0
    ice: bool = False

    def window(self, shape: tuple[int, int], moved: tuple[float, float] = (0.0, 0.0)) -> Float:
        """float32 `shape`: the thickness seen where the field is moved by (rows, columns).

        A move is held within the canvas: farther away is as good as unrelated to the image.
        """
        starts = [
            min(max(start - round(step), 0), size - length)
            for start, step, size, length in zip(
                self.origin, moved, self.thickness.shape, shape, strict=True
            )
        ]
        return self.thickness[starts[0] : starts[0] + shape[0], starts[1] : starts[1] + shape[1]]


def random_layers(rng: np.random.Generator) -> list[CloudLayer]:
    """None in one case of eight; else cumulus, deck, veil and mist, alone or together.

    Covers are small more often than large (Beta(1, 2.8); mist Beta(1.2, 1.6)), but for one deck in
    eight samples that covers most of the image; the ranges are in `_random_layer`.
    """
    chance = rng.random()
    if chance < 0.125:
        return []
    if chance < 0.25:
        deck = replace(_random_layer("deck", rng), cover=rng.beta(6.0, 1.0))
        return [deck, _random_layer("cumulus", rng)] if rng.random() < 0.5 else [deck]
    kinds: dict[Kind, float] = {"cumulus": 0.6, "deck": 0.25, "veil": 0.25, "mist": 0.3}
    drawn = [kind for kind, chance in kinds.items() if rng.random() < chance]
    return [_random_layer(kind, rng) for kind in drawn or ["cumulus"]]


def _random_layer(kind: Kind, rng: np.random.Generator) -> CloudLayer:
    # Lowest and highest of height, depth, scale (metres), thickness and softness.
    low, high = {
        "cumulus": ((300.0, 100.0, 250.0, 2.5, 1.2), (3000.0, 1200.0, 5000.0, 18.0, 2.4)),
        "deck": ((500.0, 10.0, 2000.0, 4.0, 0.9), (5000.0, 400.0, 10000.0, 20.0, 1.5)),
        "veil": ((4000.0, 0.0, 1000.0, 0.4, 1.0), (8000.0, 0.0, 10000.0, 2.5, 1.6)),
        "mist": ((200.0, 0.0, 500.0, 0.6, 1.0), (4000.0, 100.0, 10000.0, 5.0, 1.8)),
    }[kind]
    height, depth, _, _, softness = rng.uniform(low, high)
    scale, thickness = np.exp(rng.uniform(np.log(low[2:4]), np.log(high[2:4])))
    cover = rng.beta(1.2, 1.6) if kind == "mist" else rng.beta(1.0, 2.8)
    ice = kind == "veil" or (kind == "deck" and rng.random() < 0.25)
    return CloudLayer(kind, cover, height, depth, scale, thickness, softness, ice)


def draw_field(
    layer: CloudLayer,
    shape: tuple[int, int],
    pixel_size: float,
    sun: Sun,
    rng: np.random.Generator,
) -> CloudField:
    """A fractal cloud field that covers `layer.cover` of an image of `shape` (height, width).

    The canvas reaches towards the sun as far as a cloud can cast a shadow into the image, but no
    farther than the image's own size: clouds beyond that are as good as drawn anew.
    """
    moves = sun.displacement(layer.height + layer.depth, pixel_size)
    reach = [min(math.ceil(abs(m)), n) for m, n in zip(moves, shape, strict=True)]
    canvas = (shape[0] + reach[0], shape[1] + reach[1])
    origin = (reach[0] if moves[0] > 0 else 0, reach[1] if moves[1] > 0 else 0)
    scale = layer.scale / pixel_size
    smooth = RADIATIVE_SMOOTHING * rng.uniform(0.7, 2.0) / pixel_size
    puffs: Float | float = 1.0
    if layer.kind == "cumulus":
        noise = spectral_noise(canvas, scale, 3.7, rng, smooth=smooth)
        # |noise| is round bumps with creases between them: the cauliflower of a cumulus.
        puffs = np.abs(spectral_noise(canvas, scale / 4.0, 3.1, rng, smooth=smooth))
        noise += np.float32(0.3) * puffs
        puffs = np.float32(0.35) + np.float32(0.65) * puffs
    elif layer.kind == "deck":
        stretch = rng.uniform(1.0, 2.5)
        noise = spectral_noise(canvas, scale, 3.3, rng, stretch=stretch, smooth=smooth)
    else:
        stretch = rng.uniform(1.0, 3.0)
        noise = spectral_noise(canvas, scale, 3.6, rng, stretch=stretch, smooth=2.0 * smooth)
    frame = noise[origin[0] : origin[0] + shape[0], origin[1] : origin[1] + shape[1]]
    edge = np.float32(np.quantile(frame[::2, ::2], 1.0 - layer.cover))
    edge -= np.float32((EDGE_THICKNESS / layer.thickness) ** (1.0 / layer.softness))
    inside = np.maximum(noise - edge, 0.0) ** np.float32(layer.softness)
    return CloudField(
        np.float32(layer.thickness) * inside * puffs,
        origin,
        layer.height,
        layer.depth,
        layer.ice,
    )


def spectral_noise(
    shape: tuple[int, int],
    scale: float,
    slope: float,
    rng: np.random.Generator,
    *,
    stretch: float = 1.0,
    smooth: float = 0.0,
) -> Float:
    """float32 `shape`, mean 0 and standard deviation 1: noise with a power-law spectrum.

    Power ~ (k^2 + 1 / scale^2)^(-slope / 2): fractal below `scale` pixels, without order above.
    stretch: at least 1, elongation along a random direction. smooth: pixels, standard deviation of
    a Gaussian that the noise is blurred with.
    """
    padded = tuple(-(-(n + n // 8) // 32) * 32 for n in shape)
    rows = np.fft.fftfreq(padded[0]).astype(np.float32)[:, None]
    columns = np.fft.rfftfreq(padded[1]).astype(np.float32)[None, :]
    angle = rng.uniform(0.0, math.pi)
    along = np.float32(math.cos(angle)) * columns + np.float32(math.sin(angle)) * rows
    across = np.float32(math.cos(angle)) * rows - np.float32(math.sin(angle)) * columns
    blur = np.exp(np.float32(-2.0 * (math.pi * smooth) ** 2) * (rows**2 + columns**2))
    k2 = (along * np.float32(stretch)) ** 2 + across**2 + np.float32(scale**-2)
    size = k2.shape
    spectrum = np.empty(size, np.complex64)
    spectrum.real = rng.standard_normal(size, np.float32)
    spectrum.imag = rng.standard_normal(size, np.float32)
    spectrum *= blur * k2 ** np.float32(-slope / 4.0)
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, padded)[: shape[0], : shape[1]].astype(np.float32)
    result: Float = (noise - noise.mean()) / max(float(noise.std()), 1e-12)
    return result


def two_stream_reflectance(
    thickness: Float, ice: bool, gain: float = 1.0, absorption: float = 1.0
) -> Float:
    """float32, 0 to about 1: reflectance of a cloud of visible optical thickness `thickness`.

    R = gain x / (1 + absorption x), x = 0.75 (1 - g) thickness: for gain = absorption = 1 the
    two-stream solution without absorption over a black ground; g, the asymmetry of scattering, is
    0.85 for droplets and about 0.78 for crystals. Absorption caps the reflectance at gain /
    absorption, a shape that mimics an absorbing cloud.
    """
    x = np.float32(0.75 * (1.0 - (0.78 if ice else 0.85))) * thickness
    result: Float = np.float32(gain) * x / (1 + np.float32(absorption) * x)
    return result


def band_optics(name: str) -> Optics:
    """The optics of a band; OptionError for a common name that has none."""
    if name not in OPTICS:
        raise OptionError(
            f"band {name!r} has no cloud optics; clouds can be drawn in: {', '.join(OPTICS)}"
        )
    return OPTICS[name]
