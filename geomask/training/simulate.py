"""Clouds and their shadows drawn over a clear image, with the truth known at every pixel.

`clouds.py` says where clouds are and how thick; here a two-stream formula turns thickness into
cloud reflectance and transmission per band, and the same thickness, moved away from the sun, takes
light from the ground. What the clouds pass on, what the sky scatters onto the ground (more in blue
than in the infrared) and the path radiance of clear air remain in a shadow.

Sources stand in `clouds.py`; the thresholds below are our judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geomask.errors import OptionError
from geomask.training.chips import CHIP_LABELS, IGNORE, Labels
from geomask.training.cloud_light import light_below, light_from_above, relief_shading
from geomask.training.clouds import (
    CloudField,
    CloudLayer,
    Float,
    Optics,
    Sun,
    band_optics,
    draw_field,
    random_layers,
    two_stream_reflectance,
)

CLEAR, THICK, THIN, SHADOW, SNOW = (
    CHIP_LABELS[name] for name in ("clear", "thick_cloud", "thin_cloud", "shadow", "snow")
)

CLOUDS = (THICK, THIN)
"""Codes of cloud, onto which no drawn shadow falls."""

THICK_REFLECTANCE, THIN_REFLECTANCE, CLEAR_REFLECTANCE = 0.28, 0.045, 0.02
"""Visible reflectance a cloud adds: thick above the first, thin above the second, not there below
the third; between the last two nobody can say, and the label is IGNORE."""

SEEN_DARKENING = 0.012
"""Reflectance that a shadow must take from some band to be seen: over dark water it is IGNORE."""

SHADOW_LIGHT, SUNLIT_LIGHT = 0.6, 0.85
"""Fraction of sunlight: shadow below the first, sunlit above the second, IGNORE between."""

LEAK = (0.0, 1.0)
"""What of the light that clouds scatter downwards reaches the ground (`light_below`), lowest and
highest: all below a wide deck, little below a tower that it leaves at the sides."""


def simulate_clouds(
    image: Float,
    bands: Sequence[str],
    *,
    pixel_size: float,
    sun: Sun,
    rng: np.random.Generator,
    cover: float = 0.3,
    thin_share: float = 0.25,
    base_height: float = 1500.0,
    thin_height: float = 7000.0,
    scale: float = 1500.0,
    noise: float = 0.001,
    misregistration: float = 0.0,
    base_labels: Labels | None = None,
) -> tuple[Float, Labels]:
    """A cumulus layer and a veil over `image`: (image, labels), see `draw_layers`.

    cover: 0 to 1, cloud of both kinds; thin_share: 0 to 1, the veil's part of it.
    base_height, thin_height: metres above ground of cumulus and of veil; scale: metres, the size
    of the largest cells.
    """
    low = CloudLayer(cover=cover * (1.0 - thin_share), height=base_height, scale=scale)
    high = CloudLayer("veil", cover * thin_share, thin_height, 0.0, 3.0 * scale, 1.5, ice=True)
    return draw_layers(
        image,
        bands,
        [layer for layer in (low, high) if layer.cover > 0.0],
        pixel_size=pixel_size,
        sun=sun,
        rng=rng,
        noise=noise,
        misregistration=misregistration,
        base_labels=base_labels,
    )


def random_scene_clouds(
    image: Float,
    bands: Sequence[str],
    *,
    pixel_size: float,
    sun: Sun,
    rng: np.random.Generator,
    base_labels: Labels | None = None,
) -> tuple[Float, Labels]:
    """Clouds as a training sample wants them, everything drawn from `rng`; see `draw_layers`.

    One sample in eight stays without cloud, and about one in eight is overcast. Cumulus lies at
    300 to 3000 m, decks at 500 to 5000 m, veils at 4000 to 8000 m.
    """
    return draw_layers(
        image,
        bands,
        random_layers(rng),
        pixel_size=pixel_size,
        sun=sun,
        rng=rng,
        noise=rng.uniform(0.0003, 0.002),
        misregistration=rng.choice([0.0, rng.uniform(0.0, 0.5)]),
        base_labels=base_labels,
    )


def draw_layers(
    image: Float,
    bands: Sequence[str],
    layers: Sequence[CloudLayer],
    *,
    pixel_size: float,
    sun: Sun,
    rng: np.random.Generator,
    noise: float = 0.001,
    misregistration: float = 0.0,
    base_labels: Labels | None = None,
) -> tuple[Float, Labels]:
    """Fractal clouds of each layer over `image`: (image, labels), see `render_fields`."""
    shape = (image.shape[1], image.shape[2])
    fields = [draw_field(layer, shape, pixel_size, sun, rng) for layer in layers]
    return render_fields(
        image,
        bands,
        fields,
        pixel_size=pixel_size,
        sun=sun,
        rng=rng,
        noise=noise,
        misregistration=misregistration,
        base_labels=base_labels,
    )


def render_fields(
    image: Float,
    bands: Sequence[str],
    fields: Sequence[CloudField],
    *,
    pixel_size: float,
    sun: Sun,
    rng: np.random.Generator,
    noise: float = 0.001,
    misregistration: float = 0.0,
    ignore_faint: bool = True,
    base_labels: Labels | None = None,
) -> tuple[Float, Labels]:
    """The image under the given clouds, and the labels that are true of it.

    image: float32 (bands, height, width), reflectance (TOA, or surface), north up.
    bands: common name of each band. pixel_size: metres.
    noise: standard deviation of the sensor's noise, reflectance. misregistration: pixels, standard
    deviation per band of the clouds' parallax against the ground.
    ignore_faint: False to decide every pixel, at the middle of what would be IGNORE.
    base_labels: uint8 (height, width), chip codes of the image; kept where nothing is drawn. On
    clouds that the image has no shadow falls.
    Returns float32 (bands, height, width) and uint8 (height, width): 0 clear, 1 thick cloud, 2 thin
    cloud, 3 cloud shadow, 4 snow, 255 where cloud or shadow is too faint to tell, or the ground
    too dark for a shadow to be seen.

    Raises OptionError for a band without cloud optics, or where the shapes disagree.
    """
    base = _checked_labels(image, bands, base_labels)
    shape = (image.shape[1], image.shape[2])
    light = _sunlight(fields, base, pixel_size, sun, leak=rng.uniform(*LEAK))
    ordered = sorted(fields, key=lambda field: field.height)
    seen = [
        _Seen(
            field.window(shape),
            relief_shading(field, shape, pixel_size, sun)
            * light_from_above(field, ordered[number + 1 :], shape, pixel_size, sun),
            field.ice,
        )
        for number, field in enumerate(ordered)
    ]
    haze, diffusion, absorption = rng.uniform((0.8, 0.7, 0.5), (1.1, 1.3, 1.2))
    result = np.empty(image.shape, np.float32)
    taken = np.zeros(shape, np.float32)
    for index, name in enumerate(bands):
        optics = band_optics(name)
        # Surface reflectance has little path radiance in it; the darkest pixels bound it.
        darkest = max(0.0, 0.9 * float(np.nanpercentile(image[index, ::4, ::4], 1)))
        path = np.float32(min(haze * optics.path, darkest))
        diffuse = np.float32(min(0.6, diffusion * optics.diffuse))
        lost = (image[index] - path) * (1 - diffuse) * (1 - light)
        ground = image[index] - path - lost
        np.maximum(taken, lost, out=taken)
        parallax = misregistration * rng.standard_normal(2)
        result[index] = _seen_through(ground, path, seen, optics, absorption, parallax)
    if noise > 0.0:
        result += np.float32(noise) * rng.standard_normal(result.shape, np.float32)
    labels = _labels(fields, light, base, ignore_faint)
    if ignore_faint:
        labels[(labels == SHADOW) & (base != SHADOW) & (taken < SEEN_DARKENING)] = IGNORE
    return np.maximum(result, 0.0, out=result), labels


class _Seen(NamedTuple):
    """A field as the sensor sees it: thickness and shading (height, width), and its phase."""

    thickness: Float
    shading: Float
    ice: bool


def _checked_labels(image: Float, bands: Sequence[str], labels: Labels | None) -> Labels:
    shape = (image.shape[1], image.shape[2])
    base = np.zeros(shape, np.uint8) if labels is None else labels
    if len(bands) != image.shape[0] or base.shape != shape:
        raise OptionError(
            f"image {image.shape}, {len(bands)} bands and labels {base.shape} do not belong "
            f"together; pass (bands, height, width), one name per band and (height, width)"
        )
    return base


def _sunlight(
    fields: Sequence[CloudField], base: Labels, pixel_size: float, sun: Sun, leak: float
) -> Float:
    """float32 (height, width), 0 to 1: `light_below` of all fields; 1 on clouds that were there."""
    shape = (base.shape[0], base.shape[1])
    light = np.ones(shape, np.float32)
    for field in fields:
        light *= light_below(field, shape, pixel_size, sun, leak)
    light[np.isin(base, CLOUDS)] = 1
    return light


def _seen_through(
    ground: Float,
    path: np.float32,
    clouds: Sequence[_Seen],
    optics: Optics,
    absorption: float,
    parallax: npt.NDArray[np.float64],
) -> Float:
    """TOA reflectance of lit ground below clouds, lowest first.

    Adding method with one reflectance per layer: R + T^2 A / (1 - R A), T = 1 - R in the visible,
    for all bands: a cloud that absorbs must not show more of the ground.
    """
    air: Float | np.float32 = path
    for cloud in clouds:
        thickness = cloud.thickness
        if parallax.any():
            thickness = ndimage.shift(thickness, parallax, order=1, mode="nearest")
        gain, loss = optics.ice if cloud.ice else optics.water
        reflected = two_stream_reflectance(thickness, cloud.ice, gain, loss**absorption)
        through = 1 - two_stream_reflectance(thickness, cloud.ice)
        bounced = 1 - reflected * np.clip(ground, 0, np.float32(0.9))
        ground = reflected * cloud.shading + through**2 * ground / bounced
        air = air * through
    result: Float = ground + air
    return result


def _labels(fields: Sequence[CloudField], light: Float, base: Labels, ignore_faint: bool) -> Labels:
    added = np.zeros(base.shape, np.float32)
    for field in fields:
        one = two_stream_reflectance(field.window((base.shape[0], base.shape[1])), field.ice)
        added += (1 - added) * one
    thin, faint, shadow, dimmed = THIN_REFLECTANCE, CLEAR_REFLECTANCE, SHADOW_LIGHT, SUNLIT_LIGHT
    if not ignore_faint:
        thin = faint = (thin + faint) / 2
        shadow = dimmed = (shadow + dimmed) / 2
    labels = base.copy()
    labels[(light < dimmed) & (base != SHADOW)] = IGNORE
    labels[light < shadow] = SHADOW
    labels[(added >= faint) & (labels != SHADOW) & ~np.isin(base, CLOUDS)] = IGNORE
    labels[(added >= thin) & (base != THICK)] = THIN
    labels[base == IGNORE] = IGNORE
    labels[added >= THICK_REFLECTANCE] = THICK
    return labels
