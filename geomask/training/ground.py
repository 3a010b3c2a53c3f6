"""Ground that the clear chips do not show: snow, water, roofs, dry seasons, mountains.

Clouds are drawn over few places; what they have too little of, and what networks take for cloud
or shadow, is drawn into the ground first. Every change keeps the texture below it, and the labels
say what is true of the result.

Reflectances are within what spectral libraries show (snow: Warren 1982, "Optical properties of
snow", Reviews of Geophysics 20, fine and coarse grains; water, soils: the ECOSTRESS library,
Meerdink et al. 2019, Remote Sensing of Environment 230). Constants that cite nothing are our
judgement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from geomask.training.chips import CHIP_LABELS, IGNORE, Labels
from geomask.training.clouds import Float, Sun, band_optics, spectral_noise

SNOW_NDSI, SNOW_GREEN, SNOW_NIR = 0.4, 0.2, 0.15
"""Snow where NDSI, green and nir reflectance lie above these (Hall et al. 1995's threshold on the
index, and brightness to leave out water); only good for pixels without cloud."""

GROUND_BANDS = ("green", "red", "nir", "swir16")
"""Bands that `random_ground` must have to tell plants, water and snow."""

SOME_SNOW = 0.15
"""Fraction of a pixel under snow from which it is no longer clear ground."""


class Surface(NamedTuple):
    """Reflectance in one band at the surface; of snow and of water the two extremes."""

    fine_snow: float
    coarse_snow: float
    clear_water: float
    turbid_water: float
    soil: float
    roof: float


SURFACES = {
    "blue": Surface(0.96, 0.92, 0.030, 0.085, 0.11, 0.90),
    "green": Surface(0.95, 0.90, 0.022, 0.120, 0.15, 0.96),
    "red": Surface(0.94, 0.87, 0.010, 0.125, 0.20, 1.00),
    "rededge071": Surface(0.92, 0.83, 0.006, 0.100, 0.23, 1.00),
    "rededge075": Surface(0.91, 0.79, 0.004, 0.060, 0.25, 1.00),
    "rededge078": Surface(0.89, 0.75, 0.003, 0.050, 0.27, 1.00),
    "nir": Surface(0.87, 0.70, 0.002, 0.030, 0.29, 1.00),
    "nir08": Surface(0.85, 0.66, 0.002, 0.025, 0.30, 1.00),
    "swir16": Surface(0.20, 0.03, 0.001, 0.004, 0.36, 0.88),
    "swir22": Surface(0.17, 0.02, 0.001, 0.003, 0.32, 0.76),
}
"""By common name; roof is relative to red."""


def snow_labels(green: Float, nir: Float, swir16: Float) -> Labels:
    """uint8 of the same shape: snow (4) or clear (0), of reflectances without cloud."""
    ndsi = (green - swir16) / np.maximum(green + swir16, 1e-6)
    snow = (ndsi > SNOW_NDSI) & (green > SNOW_GREEN) & (nir > SNOW_NIR)
    return np.where(snow, CHIP_LABELS["snow"], CHIP_LABELS["clear"]).astype(np.uint8)


def random_ground(
    image: Float,
    bands: Sequence[str],
    labels: Labels,
    *,
    pixel_size: float,
    sun: Sun,
    rng: np.random.Generator,
) -> tuple[Float, Labels]:
    """Another season, other soils and plants, lakes and rivers, snow, roofs and mountains, each in
    its share of cases.

    image: float32 (bands, height, width), reflectance without cloud. bands: must hold
    `GROUND_BANDS`. labels: uint8 (height, width), chip codes of it.
    pixel_size: metres. Returns both anew, the same shapes.
    Raises OptionError for a band without optics.
    """
    image, labels = image.copy(), labels.copy()
    names = tuple(bands)
    if rng.random() < 0.2:
        _dry(image, names, rng)
    if rng.random() < 0.7:
        _tint(image, labels, names, rng)
    if rng.random() < 0.3:
        _water(image, labels, names, pixel_size, rng)
    if rng.random() < 0.1:
        _roofs(image, labels, names, pixel_size, rng)
    height = _heights(labels.shape, pixel_size, rng) if rng.random() < 0.25 else None
    if rng.random() < (0.4 if height is not None else 0.12):
        _snow(image, labels, names, height, pixel_size, rng)
    if height is not None:
        _shade(image, labels, names, height, pixel_size, sun)
    return image, labels


def _noise(
    shape: tuple[int, ...], scale: float, slope: float, rng: np.random.Generator, smooth: float = 0
) -> Float:
    return spectral_noise((shape[0], shape[1]), scale, slope, rng, smooth=smooth)


def _over(
    image: Float, bands: Sequence[str], share: Float, surface: Sequence[float], texture: Float
) -> None:
    """Mix a surface into the image, in place: its reflectance through clear air, by `share`."""
    for index, name in enumerate(bands):
        seen = band_optics(name).path + np.float32(surface[index]) * texture
        image[index] += share * (seen - image[index])


def _dry(image: Float, bands: Sequence[str], rng: np.random.Generator) -> None:
    """Plants turn to what soil and straw look like, in part, where there are any."""
    nir = image[bands.index("nir")]
    green = np.clip(_ndvi(image, bands) - 0.2, 0, 0.5) * 2
    share = (green * np.float32(rng.uniform(0.3, 0.9))).astype(np.float32)
    brightness = rng.uniform(0.5, 1.4)
    texture = np.clip(nir / max(float(np.nanmedian(nir)), 0.02), 0.4, 2.0).astype(np.float32)
    _over(image, bands, share, [brightness * SURFACES[name].soil for name in bands], texture)


def _tint(image: Float, labels: Labels, bands: Sequence[str], rng: np.random.Generator) -> None:
    """Other soils and plants of the same pattern: brighter or darker, more or less contrast, and
    each band a little by itself. Snow and what absorbs almost all light stay."""
    clear = labels == CHIP_LABELS["clear"]
    if not clear.any():
        return
    gain, contrast = np.exp(rng.normal(0.0, (0.2, 0.25)))
    for index, name in enumerate(bands):
        path = np.minimum(np.float32(band_optics(name).path), image[index])
        ground = image[index] - path
        middle = max(float(np.median(ground[clear])), 1e-3)
        bent = middle * (np.maximum(ground, 0) / middle) ** np.float32(contrast)
        own = np.float32(gain * np.exp(rng.normal(0.0, 0.1)))
        image[index] = np.where(clear, path + np.minimum(own * bent, 0.7), image[index])


def _water(
    image: Float,
    labels: Labels,
    bands: Sequence[str],
    pixel_size: float,
    rng: np.random.Generator,
) -> None:
    """Lakes, or a river, with soft shores; calm, rough or with some glint."""
    field = _noise(labels.shape, np.exp(rng.uniform(5.3, 8.7)) / pixel_size, 4.0, rng)
    if rng.random() < 0.5:
        where = field > np.quantile(field, rng.uniform(0.5, 0.98))
    else:
        slope = np.hypot(*np.gradient(field)) + np.float32(1e-6)
        where = np.abs(field) / slope < rng.uniform(15, 250) / pixel_size
    share = ndimage.gaussian_filter(where.astype(np.float32), 0.6)
    turbid = rng.beta(0.8, 1.6)
    glint = rng.exponential(0.008)
    colour = [
        glint + (1 - turbid) * SURFACES[n].clear_water + turbid * SURFACES[n].turbid_water
        for n in bands
    ]
    waves = 1 + np.float32(0.1) * _noise(labels.shape, 300 / pixel_size, 2.5, rng)
    _over(image, bands, share, colour, waves)
    labels[share > 0.5] = CHIP_LABELS["clear"]


def _roofs(
    image: Float,
    labels: Labels,
    bands: Sequence[str],
    pixel_size: float,
    rng: np.random.Generator,
) -> None:
    """Bright buildings, greenhouses and bare pits: small, square, and no clouds."""
    height, width = labels.shape
    for _ in range(int(rng.integers(5, 80))):
        sides = np.maximum(1, np.round(np.exp(rng.uniform(2.3, 5.0, 2)) / pixel_size)).astype(int)
        row, column = int(rng.integers(height)), int(rng.integers(width))
        part = np.s_[row : row + sides[0], column : column + sides[1]]
        brightness, tint = rng.uniform(0.2, 0.75), rng.uniform(-0.25, 0.15)
        for index, name in enumerate(bands):
            # Tinted in the visible, as paint and tiles are: blue down, or up a little.
            colour = 1 + tint * {"blue": 1.0, "green": 0.5}.get(name, 0.0)
            image[index][part] = band_optics(name).path + brightness * colour * SURFACES[name].roof
        labels[part] = CHIP_LABELS["clear"]


def _heights(shape: tuple[int, ...], pixel_size: float, rng: np.random.Generator) -> Float:
    """float32 `shape`: metres, mountains with a root-mean-square slope of 0.1 to 0.6."""
    relief = _noise(shape, rng.uniform(2000, 8000) / pixel_size, 4.2, rng, smooth=1.0)
    # Ridges rather than domes, in half of the cases.
    relief = -np.abs(relief) if rng.random() < 0.5 else relief
    slope = float(np.sqrt(np.mean(np.square(np.gradient(relief, pixel_size)).sum(axis=0))))
    result: Float = (relief * (rng.uniform(0.1, 0.6) / max(slope, 1e-9))).astype(np.float32)
    return result


def _snow(
    image: Float,
    labels: Labels,
    bands: Sequence[str],
    height: Float | None,
    pixel_size: float,
    rng: np.random.Generator,
) -> None:
    """Snow in patches, or above a line; less of it under trees, and not on open water."""
    patches = _noise(labels.shape, rng.uniform(200, 5000) / pixel_size, 3.0, rng)
    if height is not None:
        patches = 0.3 * patches + (height - height.mean()) / max(float(height.std()), 1e-6)
    edge = np.quantile(patches, rng.uniform(0.0, 0.8)) - (2.0 if rng.random() < 0.3 else 0.0)
    share = np.clip((patches - edge) / rng.uniform(0.02, 0.4), 0, 1)
    plants = np.clip(_ndvi(image, bands), 0, 1)
    water = (image[bands.index("nir")] < 0.07) & (rng.random() < 0.7)
    share = (share * (1 - rng.uniform(0, 0.8) * plants) * ~water).astype(np.float32)
    grain, dirt = rng.uniform(), rng.uniform(0.65, 1.0)
    colour = []
    for name in bands:
        pure = (1 - grain) * SURFACES[name].fine_snow + grain * SURFACES[name].coarse_snow
        colour.append(pure * dirt * (1 - band_optics(name).path))
    drifts = 1 + np.float32(0.04) * _noise(labels.shape, 150 / pixel_size, 2.5, rng)
    _over(image, bands, share, colour, drifts)
    snowy = (share > SOME_SNOW) & (labels == CHIP_LABELS["clear"])
    labels[snowy] = IGNORE
    labels[snowy & (_told(image, bands) == CHIP_LABELS["snow"])] = CHIP_LABELS["snow"]


def _shade(
    image: Float,
    labels: Labels,
    bands: Sequence[str],
    height: Float,
    pixel_size: float,
    sun: Sun,
) -> None:
    """Slopes that face the sun are brighter and others darker, which makes no shadow of a cloud.

    The cosine of incidence over that of flat ground, for the direct part of the light.
    """
    down, right = np.gradient(height, np.float32(pixel_size))
    elevation, azimuth = math.radians(sun.elevation), math.radians(sun.azimuth)
    # The normal is (-right, -down, 1), the sun's direction (sin a cos e, -cos a cos e, sin e), in
    # steps to the right, down and up.
    across = down * math.cos(azimuth) - right * math.sin(azimuth)
    cosine = (math.sin(elevation) + math.cos(elevation) * across) / np.sqrt(1 + down**2 + right**2)
    light = np.clip(cosine / math.sin(elevation), 0, 1.8).astype(np.float32)
    for index, name in enumerate(bands):
        optics = band_optics(name)
        path = np.minimum(np.float32(optics.path), image[index])
        diffuse = np.float32(optics.diffuse)
        image[index] = path + (image[index] - path) * (diffuse + (1 - diffuse) * light)
    told = _told(image, bands)
    labels[(labels == CHIP_LABELS["snow"]) & (told != CHIP_LABELS["snow"])] = IGNORE


def _ndvi(image: Float, bands: Sequence[str]) -> Float:
    """The normalised difference vegetation index, of two bands by their names."""
    red, nir = image[bands.index("red")], image[bands.index("nir")]
    index: Float = (nir - red) / np.maximum(nir + red, np.float32(1e-3))
    return index


def _told(image: Float, bands: Sequence[str]) -> Labels:
    return snow_labels(*(image[bands.index(name)] for name in ("green", "nir", "swir16")))
