"""Make `scene.tif`, a small Sentinel-2-like scene, and the true mask of its clouds.

The land is invented (fields, forest, a river, a lake, a town, a snowy mountain), the clouds and
their shadows are drawn by `geomask.training.simulate`: everything in the mask is known, nothing is
real. Reflectance is top of atmosphere, stored as DN = reflectance x 10000 in steps of 8, coarser
than a real product's 1, to keep the file small.

    python examples/make_scene.py                    # writes examples/scene.tif, examples/truth/
    python examples/make_scene.py --size 512 --seed 3 --scene /tmp/a.tif --truth /tmp/b.tif
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from scipy import ndimage

from geomask.classes import remap
from geomask.training.clouds import CloudField, CloudLayer, Sun, draw_field, spectral_noise
from geomask.training.simulate import render_fields

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
PIXEL = 10.0
SUN = Sun(azimuth=152.0, elevation=41.0)
DN_STEP = 8
HERE = Path(__file__).parent

# Surface reflectance in the order of BANDS: typical of spectral libraries, rounded.
SPECTRA = {
    "wheat": (0.030, 0.065, 0.035, 0.420, 0.190, 0.090),
    "maize": (0.028, 0.060, 0.034, 0.360, 0.170, 0.080),
    "meadow": (0.040, 0.080, 0.050, 0.340, 0.210, 0.115),
    "rape": (0.045, 0.115, 0.085, 0.400, 0.200, 0.100),
    "stubble": (0.080, 0.120, 0.160, 0.270, 0.350, 0.260),
    "dry_soil": (0.095, 0.135, 0.180, 0.250, 0.340, 0.300),
    "wet_soil": (0.050, 0.070, 0.095, 0.145, 0.200, 0.170),
    "broadleaf": (0.022, 0.045, 0.025, 0.330, 0.145, 0.062),
    "conifer": (0.018, 0.030, 0.020, 0.210, 0.090, 0.038),
    "water": (0.035, 0.035, 0.020, 0.008, 0.004, 0.003),
    "river": (0.050, 0.065, 0.050, 0.025, 0.008, 0.005),
    "rock": (0.110, 0.130, 0.150, 0.190, 0.230, 0.210),
    "snow": (0.840, 0.850, 0.840, 0.760, 0.110, 0.080),
    "roof": (0.210, 0.220, 0.240, 0.270, 0.280, 0.260),
    "tile": (0.090, 0.110, 0.190, 0.270, 0.320, 0.290),
    "white_roof": (0.430, 0.450, 0.470, 0.480, 0.440, 0.390),
    "asphalt": (0.085, 0.095, 0.105, 0.130, 0.150, 0.140),
}
CROPS = ("wheat", "maize", "meadow", "rape", "stubble", "dry_soil", "wet_soil")
CROP_SHARES = (0.24, 0.18, 0.21, 0.06, 0.13, 0.09, 0.09)
PATH = (0.075, 0.048, 0.028, 0.014, 0.003, 0.001)
TRANSMISSION = (0.84, 0.88, 0.92, 0.95, 0.96, 0.96)


@dataclass(frozen=True)
class Land:
    """Clear ground. reflectance: float32 (6, size, size), at the surface, sunlit as relief has it.
    snow: bool (size, size), True where snow lies."""

    reflectance: np.ndarray
    snow: np.ndarray


def make_land(size: int, rng: np.random.Generator) -> Land:
    """The scene without clouds or air. Shapes scale with `size`, fields and streets do not."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    height = elevation(x, y, rng)
    surface = farmland(size, rng)
    wobble = noise(size, 120, 3.4, rng)
    from_river = np.abs(y - river_course(x, rng)) * size
    from_lake = (np.hypot((x - 0.25) / 1.5, y - 0.73) + 0.013 * noise(size, 160, 4.4, rng)) * size

    damp = (from_river < 14 + 7 * wobble) | (np.abs(from_lake - 0.065 * size) < 5 + 5 * wobble)
    grove = noise(size, 90, 3.2, rng) > 1.25
    slope_forest = (height > 480 + 90 * wobble) & (height < 1400 + 120 * wobble)
    paint(surface, damp | grove, "broadleaf")
    paint(surface, slope_forest, "conifer")
    leafy = slope_forest & (height < 900 + 300 * noise(size, 60, 3.0, rng))
    paint(surface, leafy, "broadleaf")
    paint(surface, height >= 1400 + 120 * wobble, "meadow")
    rock = height > 1650 + 110 * noise(size, 40, 2.8, rng)
    paint(surface, rock, "rock")
    build_town(surface, (0.56, 0.60), size, rng)
    paint(surface, from_river < 4.5 + wobble, "river")
    paint(surface, from_lake < 0.065 * size, "water")
    snow = height > 1850 + 110 * noise(size, 40, 3.0, rng)
    paint(surface, snow, "snow")

    water = (from_river < 4.5 + wobble) | (from_lake < 0.065 * size)
    wooded = (damp | grove | slope_forest) & ~water
    texture = np.where(wooded, 0.13, np.where(water, 0.03, 0.035)) * noise(size, 4, 2.2, rng)
    texture += np.where(water, 0.02, 0.05) * noise(size, 40, 2.5, rng)
    lit = hillshade(height) * (1.0 + texture)
    return Land((surface * lit).astype(np.float32), snow)


def noise(size: int, scale: float, slope: float, rng: np.random.Generator) -> np.ndarray:
    return spectral_noise((size, size), scale, slope, rng)


def paint(surface: np.ndarray, where: np.ndarray, name: str) -> None:
    surface[:, where] = np.array(SPECTRA[name], np.float32)[:, None]


def elevation(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Metres: a plain at 300, a ridged mountain in the north-east corner."""
    size = x.shape[0]
    mountain = np.exp(-((np.hypot(x - 1.0, (y - 0.02) / 0.9) / 0.31) ** 2))
    ridges = 1.0 - np.abs(noise(size, size / 4, 4.6, rng)) * 0.7
    ridges += 0.10 * noise(size, size / 14, 4.4, rng)
    hills = 12 * noise(size, size / 4, 4.2, rng)
    height = 300 + hills + 2900 * mountain * (0.55 + 0.45 * ridges)
    return ndimage.gaussian_filter(height, 1.2)


def hillshade(height: np.ndarray) -> np.ndarray:
    """Light on the slope relative to flat ground, with a fifth of it diffuse."""
    down, right = np.gradient(height, PIXEL)
    azimuth, sun = np.radians(SUN.azimuth), np.radians(SUN.elevation)
    towards = -right * np.sin(azimuth) + down * np.cos(azimuth)
    incidence = (np.sin(sun) + np.cos(sun) * towards) / np.sqrt(1 + down**2 + right**2)
    return 0.2 + 0.8 * np.clip(incidence / np.sin(sun), 0.0, 1.3)


def river_course(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    phase = rng.uniform(0, 2 * np.pi, 3)
    bends = 0.045 * np.sin(2 * np.pi * 1.3 * x + phase[0])
    bends += 0.018 * np.sin(2 * np.pi * 3.7 * x + phase[1])
    bends += 0.006 * np.sin(2 * np.pi * 9.1 * x + phase[2])
    return 0.40 + 0.22 * x + bends


def farmland(size: int, rng: np.random.Generator) -> np.ndarray:
    """float32 (6, size, size): fields in strips, each district with its own direction and crops."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    warp = 18 * noise(size, 150, 3.6, rng), 18 * noise(size, 150, 3.6, rng)
    seeds = rng.uniform(0, size, (max(4, (size // 230) ** 2), 2))
    distance = [np.hypot(y + warp[0] - row, x + warp[1] - column) for row, column in seeds]
    district = np.argmin(distance, axis=0)
    parcel = np.zeros((size, size), np.int64)
    edge = np.zeros((size, size), bool)
    for index in range(len(seeds)):
        angle = rng.normal(0.3, 0.6)
        u = x * np.cos(angle) + y * np.sin(angle) + 2 * size
        v = y * np.cos(angle) - x * np.sin(angle) + 2 * size
        breaks = np.cumsum(rng.gamma(6.0, rng.uniform(1.8, 4.0), 4 * size // 8))
        strip = np.searchsorted(breaks, v)
        length = rng.uniform(25, 85, len(breaks) + 1)[strip]
        column = np.floor(u / length + strip * 0.37).astype(np.int64)
        inside = district == index
        parcel[inside] = (strip * 997 + column + index * 500_009)[inside]
    edge[1:, :] |= parcel[1:, :] != parcel[:-1, :]
    edge[:, 1:] |= parcel[:, 1:] != parcel[:, :-1]
    _, number = np.unique(parcel, return_inverse=True)
    count = int(number.max()) + 1
    crops = np.array([SPECTRA[name] for name in CROPS], np.float32)
    parcels = crops[rng.choice(len(CROPS), count, p=CROP_SHARES)]
    # Neighbouring fields of one crop differ in growth: a share of soil, and a little brightness.
    bare = rng.beta(1.2, 5.0, (count, 1)).astype(np.float32)
    parcels = parcels * (1 - bare) + bare * np.array(SPECTRA["dry_soil"], np.float32)
    parcels *= rng.normal(1.0, 0.07, (count, 1)).astype(np.float32)
    surface = parcels.T[:, number.reshape(size, size)]
    track = edge & (noise(size, 60, 3.0, rng) > 0.4)
    surface[:, track] = 0.5 * surface[:, track] + 0.5 * np.float32(SPECTRA["stubble"])[:, None]
    hedge = edge & (noise(size, 50, 3.0, rng) > 0.9)
    paint(surface, hedge, "broadleaf")
    road_towards(surface, size, rng)
    return surface


def road_towards(surface: np.ndarray, size: int, rng: np.random.Generator) -> None:
    """Three country roads that meet in the town."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    for angle in (0.5, 2.4, 4.4):
        along = (x - 0.56) * np.cos(angle) + (y - 0.60) * np.sin(angle)
        across = (y - 0.60) * np.cos(angle) - (x - 0.56) * np.sin(angle)
        bend = 0.02 * np.sin(7 * along + rng.uniform(0, 6)) * np.minimum(1, 8 * np.abs(along))
        paint(surface, (along > 0) & (np.abs(across - bend) * size < 0.9), "asphalt")


def build_town(
    surface: np.ndarray, centre: tuple[float, float], size: int, rng: np.random.Generator
) -> None:
    """Streets and roofs, dense in the middle, with large bright halls at the rim."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    dx, dy = x - centre[0] * size, y - centre[1] * size
    u, v = dx * 0.9 + dy * 0.43, dy * 0.9 - dx * 0.43
    radius = np.hypot(u / 1.3, v) + 7 * noise(size, 25, 3.0, rng)
    density = np.clip(1.15 - radius / (0.06 * size), 0.0, 0.85)
    house = ndimage.zoom(rng.random((size // 2 + 1, size // 2 + 1)), 2, order=0)[:size, :size]
    kind = ndimage.zoom(rng.random((size // 2 + 1, size // 2 + 1)), 2, order=0)[:size, :size]
    urban = density > 0.05
    paint(surface, urban & (house > density), "meadow")
    built = urban & (house <= density)
    paint(surface, built, "tile")
    paint(surface, built & (kind > 0.55), "roof")
    streets = urban & ((np.mod(u, 13) < 1.2) | (np.mod(v, 17) < 1.2))
    paint(surface, streets, "asphalt")
    for _ in range(9):
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.045, 0.062) * size
        hall_u, hall_v = 1.3 * away * np.cos(angle), away * np.sin(angle)
        hall = (np.abs(u - hall_u) < rng.uniform(3, 7)) & (np.abs(v - hall_v) < rng.uniform(2, 4))
        paint(surface, hall, "white_roof")


def make_clouds(size: int, rng: np.random.Generator) -> list[CloudField]:
    """A cumulus field, one large thick cloud and a veil in the south-east."""
    shape = (size, size)
    cumulus = CloudLayer("cumulus", 0.075, 900.0, 400.0, 1400.0, 12.0, 1.5)
    veil = CloudLayer("veil", 0.22, 7500.0, 0.0, 4000.0, 0.7, 1.2, ice=True)
    return [
        draw_field(cumulus, shape, PIXEL, SUN, rng),
        thick_cloud(size, rng),
        fade(draw_field(veil, shape, PIXEL, SUN, rng), (0.80, 0.80), 0.33, size),
    ]


def thick_cloud(size: int, rng: np.random.Generator) -> CloudField:
    """A towering cumulus in the west of the middle, about a seventh of the scene across."""
    high = CloudLayer("cumulus", 0.8, 1400.0, 1200.0, 0.25 * size * PIXEL, 26.0, 1.2)
    return fade(draw_field(high, (size, size), PIXEL, SUN, rng), (0.33, 0.36), 0.09, size)


def fade(field: CloudField, centre: tuple[float, float], radius: float, size: int) -> CloudField:
    """The field within about `radius` of `centre` (x, y), all three as fractions of the scene."""
    rows, columns = np.indices(field.thickness.shape, np.float32)
    x = (columns - field.origin[1]) / size - centre[0]
    y = (rows - field.origin[0]) / size - centre[1]
    falloff = np.exp(-((np.hypot(x / 1.3, y) / radius) ** 4))
    return replace(field, thickness=(field.thickness * falloff).astype(np.float32))


def swath_edge(size: int) -> np.ndarray:
    """bool (size, size), True where measured: the swath's western edge leans as orbits do."""
    y, x = np.mgrid[0:size, 0:size] / size
    return x > 0.015 + 0.10 * y


def write(path: Path, pixels: np.ndarray, nodata: int, bands: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": pixels.shape[0],
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
        "nodata": nodata,
        "crs": "EPSG:32633",
        "transform": Affine(PIXEL, 0.0, 430_000.0, 0.0, -PIXEL, 5_290_000.0),
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "zlevel": 9,
        "predictor": 2,
        "interleave": "band",
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(pixels)
        raster.descriptions = bands
        if nodata == 0:
            raster.scales, raster.offsets = (1e-4,) * len(bands), (0.0,) * len(bands)


def make_scene(path: Path, truth: Path, size: int = 1024, seed: int = 7) -> None:
    """Write the scene to `path` and its true mask to `truth`.

    Scene: uint16, six bands, DN = TOA reflectance x 10000, 0 outside the swath. Mask: uint8, 0
    clear, 1 cloud (thick and thin), 2 shadow, 3 snow, 255 outside the swath. No pixel inside
    the swath is left undecided, however faint its cloud. The same seed gives the same pixels.
    """
    rng = np.random.default_rng(seed)
    land = make_land(size, rng)
    path_radiance = np.array(PATH, np.float32)[:, None, None]
    clear = path_radiance + np.array(TRANSMISSION, np.float32)[:, None, None] * land.reflectance
    image, labels = render_fields(
        clear,
        BANDS,
        make_clouds(size, rng),
        pixel_size=PIXEL,
        sun=SUN,
        rng=rng,
        noise=0.0005,
        ignore_faint=False,
        base_labels=np.where(land.snow, 4, 0).astype(np.uint8),
    )
    mask = remap(labels, {0: 0, 1: 1, 2: 1, 3: 2, 4: 3})
    dn = np.clip(np.round(image * 10_000 / DN_STEP) * DN_STEP, 1, 65_535).astype(np.uint16)
    for swir in dn[4:]:
        # Sentinel-2 measures the SWIR at 20 m: two by two pixels share one value.
        swir[:] = swir[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)[:size, :size]
    measured = swath_edge(size)
    dn[:, ~measured] = 0
    mask[~measured] = 255
    write(path, dn, 0, BANDS)
    write(truth, mask[None], 255, ("class",))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scene", type=Path, default=HERE / "scene.tif")
    parser.add_argument("--truth", type=Path, default=HERE / "truth" / "scene_mask.tif")
    parser.add_argument("--size", type=int, default=1024, help="pixels per side")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    make_scene(options.scene, options.truth, options.size, options.seed)


if __name__ == "__main__":
    main()
