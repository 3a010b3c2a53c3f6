"""How dark shadows are: labelled ones on chips, and those that training draws.

    python -m benchmarks.shadow_light --data chips/ --clear clear-chips/ [--samples 200]

For each labelled chip with shadow, median reflectance in it over that of clear ground within
`NEAR` pixels; for simulated ones the quartiles over samples of the median of what is left of a
pixel's own reflectance, where nir is above `GROUND` (not water).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from scipy import ndimage

from geomask.training.chips import Chip, cloud_free_chips, read_image, read_labels, read_manifest
from geomask.training.clouds import Float, random_sun
from geomask.training.simulate import CLEAR, SHADOW, random_scene_clouds

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
NEAR, ENOUGH, GROUND = 15, 200, 0.1


def of_chip(chip: Chip) -> Float | None:
    """float (bands,): shadow over clear ground beside it, NaN where a band is absent."""
    labels, image = read_labels(chip), read_image(chip, BANDS)
    shadow = labels == SHADOW
    beside = ndimage.binary_dilation(shadow, iterations=NEAR) & (labels == CLEAR)
    if min(shadow.sum(), beside.sum()) < ENOUGH:
        return None
    return np.asarray(np.median(image[:, shadow], axis=1) / np.median(image[:, beside], axis=1))


def of_samples(chips: Sequence[Chip], count: int) -> npt.NDArray[np.float64]:
    """float (samples, bands): what simulated shadows leave of the ground."""
    rng, found = np.random.default_rng(0), []
    for number in range(count):
        chip = chips[number % len(chips)]
        ground = read_image(chip, BANDS)
        image, labels = random_scene_clouds(
            ground, BANDS, pixel_size=chip.gsd or 10.0, sun=random_sun(rng), rng=rng
        )
        shadow = (labels == SHADOW) & (ground[BANDS.index("nir")] > GROUND)
        if shadow.sum() >= ENOUGH:
            left = image[:, shadow] / np.maximum(ground[:, shadow], 0.01)
            found.append(np.median(left, axis=1))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clear", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=200)
    given = parser.parse_args()
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    warnings.simplefilter("ignore", RuntimeWarning)  # medians of absent bands
    print(f"{'':24}", *(f"{band:>7}" for band in BANDS))
    for chip in read_manifest(given.data):
        ratios = of_chip(chip)
        if ratios is not None:
            print(f"{chip.id:24}", *(f"{value:7.2f}" for value in ratios))
    drawn = of_samples(cloud_free_chips(given.clear), given.samples)
    for share in (25, 50, 75):
        values = np.percentile(drawn, share, axis=0)
        print(f"{f'simulated, {share} %':24}", *(f"{value:7.2f}" for value in values))


if __name__ == "__main__":
    main()
