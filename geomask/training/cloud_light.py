"""Sunlight and clouds: what passes through them, and what falls on them and on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from geomask.training.clouds import CloudField, Float, Sun, two_stream_reflectance

DIFFUSION_LENGTH = 0.3
"""Of a cloud's height above the ground: how far the light that it scatters downwards spreads to
either side (half the width of a box, applied twice). Our judgement: of what a small element of a
Lambertian cloud base sends down half falls within one height of its foot, and clouds scatter
forwards."""

SUN_DIAMETER = 0.0093
"""Apparent diameter of the sun, radians: the penumbra's width per metre of light path."""


def direct_light(field: CloudField, shape: tuple[int, int], pixel_size: float, sun: Sun) -> Float:
    """float32 `shape`, 0 to 1: fraction of the direct sunlight that passes the field's clouds.

    exp(-(1 - g^2) thickness / sin(elevation)): what is scattered within the forward peak (delta
    scaling, g = 0.85) still counts as direct.
    """
    return _penumbra(
        _direct(_projected(field, shape, pixel_size, sun), sun), field, pixel_size, sun
    )


def light_below(
    field: CloudField, shape: tuple[int, int], pixel_size: float, sun: Sun, leak: float
) -> Float:
    """float32 `shape`, 0 to 1: sunlight on the ground below the field, relative to a clear sky's.

    Direct light, and of what the cloud scatters downwards (the two-stream transmittance less the
    direct) the part `leak`, spread over the surroundings: below a wide cloud of thickness 10 half
    of the light arrives, if nothing leaks out at its sides, and below a small one hardly any.
    `benchmarks/shadow_light.py` compares the shadows with real ones. leak: 0 to 1.
    """
    thickness = _projected(field, shape, pixel_size, sun)
    direct = _direct(thickness, sun)
    scattered = np.maximum(1 - two_stream_reflectance(thickness, field.ice) - direct, 0)
    reach = 1 + 2 * round(DIFFUSION_LENGTH * field.height / pixel_size)
    for _ in range(2):  # a box twice is a tent, near enough to round
        scattered = ndimage.uniform_filter(scattered, min(reach, *shape), mode="nearest")
    light: Float = np.minimum(direct + np.float32(leak) * scattered, 1)
    return _penumbra(light, field, pixel_size, sun)


def _direct(thickness: Float, sun: Sun) -> Float:
    path = math.sin(math.radians(sun.elevation))
    light: Float = np.exp(np.float32(-0.28 / path) * thickness)
    return light


def _projected(field: CloudField, shape: tuple[int, int], pixel_size: float, sun: Sun) -> Float:
    """float32 `shape`: the thickness that sunlight has passed on its way to each pixel.

    A cloud's upper part casts its shadow farther, so the cloud is projected from several heights,
    thinner towards its top.
    """
    peak = float(field.thickness.max(initial=0.0))
    levels = 4 if field.depth > 0.0 else 1
    thickness = np.zeros(shape, np.float32)
    for level in range(levels):
        share = level / max(levels - 1, 1)
        move = sun.displacement(field.height + share * field.depth, pixel_size)
        there = field.window(shape, move) - np.float32(0.6 * share * peak)
        thickness = np.maximum(thickness, there)
    return thickness


def _penumbra(light: Float, field: CloudField, pixel_size: float, sun: Sun) -> Float:
    """The edges of a shadow, as soft as the sun is wide."""
    width = field.height / math.sin(math.radians(sun.elevation)) * SUN_DIAMETER / pixel_size
    blurred: Float = ndimage.gaussian_filter(
        light, min(width / 3.0, min(light.shape) / 8.0), truncate=3.0
    )
    return blurred


def relief_shading(field: CloudField, shape: tuple[int, int], pixel_size: float, sun: Sun) -> Float:
    """Factor of cloud brightness, about 0.6 to 1.5: the side towards the sun is brighter.

    The relief is the cloud top's: `depth` high where the field is thickest.
    """
    peak = float(field.thickness.max(initial=0.0))
    if field.depth == 0.0 or peak == 0.0:
        return np.ones(shape, np.float32)
    top = np.sqrt(field.window(shape) * np.float32(1.0 / peak)) * np.float32(field.depth)
    top = ndimage.gaussian_filter(top, 1.5, truncate=3.0)
    to_shadow = [np.float32(step) for step in sun.displacement(1.0, pixel_size)]
    length = max(math.hypot(*to_shadow), 1e-9)
    down, right = np.gradient(top, np.float32(pixel_size))
    # Height that grows on the way to the shadow is a slope that faces the sun.
    facing: Float = (down * to_shadow[0] + right * to_shadow[1]) / np.float32(length)
    cot = 1.0 / math.tan(math.radians(sun.elevation))
    shading: Float = 1.0 + np.float32(0.3) * np.tanh(np.float32(0.8 * cot) * facing)
    return shading.astype(np.float32)


def light_from_above(
    field: CloudField,
    higher: Sequence[CloudField],
    shape: tuple[int, int],
    pixel_size: float,
    sun: Sun,
) -> Float:
    """Factor of a cloud's brightness, 0.5 to 1: clouds cast shadows on those below, into which more
    light finds its way than onto the ground."""
    light = np.ones(shape, np.float32)
    for other in higher:
        gap = other.height - field.height - field.depth
        if gap > 0:
            light *= direct_light(replace(other, height=gap), shape, pixel_size, sun)
    result: Float = np.float32(0.5) + np.float32(0.5) * light
    return result
