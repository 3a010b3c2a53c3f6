"""Crops of chips as arrays: labelled ones as they are, clear ones with clouds drawn over them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.errors import RecipeError
from geomask.training.chips import CHIP_LABELS, IGNORE, Chip, read_image, read_labels
from geomask.training.clouds import random_sun, spectral_noise
from geomask.training.ground import GROUND_BANDS, random_ground, snow_labels
from geomask.training.simulate import random_scene_clouds

TRIES = 4
"""Windows drawn at most, until one has enough labelled pixels."""

LABELLED_SHARE = 0.2
"""Enough labelled pixels: this share of a crop."""


def resized(shape: tuple[int, int], side: int | None) -> tuple[int, int]:
    """(height, width) of a chip whose longer side is to have at most `side` pixels, if any."""
    factor = 1.0 if side is None else min(1.0, side / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def resized_gsd(chip: Chip, side: int | None) -> float | None:
    """Metres, the pixel size of the chip as `resized`; None where nothing states it."""
    return chip.gsd and chip.gsd * max(chip.shape) / max(resized(chip.shape, side))


def labelled_crop(
    chip: Chip,
    bands: Sequence[str],
    side: int,
    rng: np.random.Generator,
    resize: int | None = None,
    label: int | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """A random crop: image float32 (bands, side, side), chip codes uint8 (side, side).

    Of the chip as `resized`. Where it is smaller than the crop it is mirrored, as scenes are at
    their edges when a model is run, and the codes are 255. label: a chip code that the window
    must have, where the chip has it; without one, a window that is almost all ignored is drawn
    again, a few times.
    """
    shape = resized(chip.shape, resize)
    labels = read_labels(chip, None, shape)
    height, width = (min(side, size) for size in shape)
    anchors = np.argwhere(labels == label) if label is not None else ()
    for _ in range(TRIES):
        low, high = (0, 0), (shape[0] - height, shape[1] - width)
        if len(anchors):
            anchor = anchors[int(rng.integers(len(anchors)))]
            low = tuple(np.maximum(low, anchor - (height - 1, width - 1)))
            high = tuple(np.minimum(high, anchor))
        row, column = (int(rng.integers(a, b + 1)) for a, b in zip(low, high, strict=True))
        window = Window(column, row, width, height)
        codes = labels[window.toslices()]
        if len(anchors) or (codes <= max(CHIP_LABELS.values())).mean() >= LABELLED_SHARE:
            break
    if shape == chip.shape:
        image = read_image(chip, bands, window)
    else:
        image = read_image(chip, bands, shape=shape)[:, *window.toslices()]
    margins = _margins((height, width), side, rng)
    image = np.pad(image, [(0, 0), *margins], mode="reflect")
    return image, np.pad(codes, margins, constant_values=IGNORE)


def simulated_crop(
    chip: Chip,
    bands: Sequence[str],
    side: int,
    gsd: tuple[float, float],
    rng: np.random.Generator,
    other: Chip | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Clouds over a random crop of a clear chip: image (bands, side, side), chip codes.

    The ground is averaged to a pixel size drawn from `gsd` (metres, evenly in its logarithm), but
    never made finer than the chip's, and mirrored where the chip ends; clouds come after that.
    other: a second chip, whose ground takes the place of the first's in parts, so that networks
    do not learn the few places there are by heart.
    Raises RecipeError for a chip without a pixel size, or that lacks one of the bands.
    """
    pixel_size = _pixel_size(chip, bands, gsd, rng)
    names = list(dict.fromkeys([*bands, *GROUND_BANDS]))
    ground, labels = _clear_crop(chip, names, side, pixel_size, rng)
    if other is not None and other.gsd is not None and other.gsd <= pixel_size:
        beside = _clear_crop(other, names, side, pixel_size, rng)
        there = spectral_noise((side, side), side / 4, 3.5, rng) > rng.normal(0.0, 0.7)
        ground, labels = np.where(there, beside[0], ground), np.where(there, beside[1], labels)
    sun = random_sun(rng)
    if set(GROUND_BANDS) <= set(chip.bands):
        ground, labels = random_ground(
            ground, names, labels, pixel_size=pixel_size, sun=sun, rng=rng
        )
    return random_scene_clouds(
        ground[: len(bands)], bands, pixel_size=pixel_size, sun=sun, rng=rng, base_labels=labels
    )


def clouds_over(
    image: npt.NDArray[np.float32],
    codes: npt.NDArray[np.uint8],
    bands: Sequence[str],
    pixel_size: float,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """More clouds and shadows over a labelled crop, in the bands that it has: the same shapes.

    Places that are labelled are many more than those known to be free of cloud, and have clouds
    and shadows of their own beside those that are drawn.
    """
    present = [index for index in range(len(bands)) if not np.isnan(image[index]).all()]
    drawn, codes = random_scene_clouds(
        image[present],
        [bands[index] for index in present],
        pixel_size=pixel_size,
        sun=random_sun(rng),
        rng=rng,
        base_labels=codes,
    )
    image = image.copy()
    image[present] = drawn
    return image, codes


def _pixel_size(
    chip: Chip, bands: Sequence[str], gsd: tuple[float, float], rng: np.random.Generator
) -> float:
    """Of a simulated crop; RecipeError where clouds cannot be drawn over the chip."""
    missing = set(bands) - set(chip.bands)
    if chip.gsd is None or missing:
        what = f"bands {', '.join(sorted(missing))}" if missing else "a pixel size (gsd_m)"
        raise RecipeError(f"{chip.image}: clouds cannot be drawn over it, since it lacks {what}")
    return max(chip.gsd, math.exp(rng.uniform(math.log(gsd[0]), math.log(gsd[1]))))


def _clear_crop(
    chip: Chip, names: Sequence[str], side: int, pixel_size: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """A random crop of a clear chip at a pixel size: image (bands, side, side), chip codes."""
    assert chip.gsd is not None  # `_pixel_size`
    factor = pixel_size / chip.gsd
    spans = [min(size, round(side * factor)) for size in chip.shape]
    row, column = (
        int(rng.integers(size - span + 1)) for size, span in zip(chip.shape, spans, strict=True)
    )
    window = Window(column, row, spans[1], spans[0])
    shape = (min(side, max(1, round(spans[0] / factor))), min(side, round(spans[1] / factor)))
    margins = _margins(shape, side, rng)
    ground = np.pad(read_image(chip, names, window, shape), [(0, 0), *margins], mode="symmetric")
    if chip.mask is None:
        labels = snow_labels(*(ground[names.index(name)] for name in ("green", "nir", "swir16")))
    else:
        labels = np.pad(read_labels(chip, window, shape), margins, mode="symmetric")
    return ground, labels


def cloud_free_labels(chip: Chip, shape: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """uint8 (height, width): snow (4) or clear (0) for a chip that is known to be cloud-free."""
    return snow_labels(*read_image(chip, ("green", "nir", "swir16"), shape=shape))


def _margins(shape: tuple[int, int], side: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(before, after) per axis that bring `shape` to a square of `side`, split at random."""
    before = [int(rng.integers(side - size + 1)) for size in shape]
    return [(first, side - size - first) for first, size in zip(before, shape, strict=True)]
