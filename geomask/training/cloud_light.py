"""Sunlight and clouds: what passes through them, and what falls on them and on those below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from geomask.training.clouds import CloudField, Float, Sun

SUN_DIAMETER = 0.0093
"""Apparent diameter of the sun, radians: the penumbra's width per metre of light path."""


def direct_light(field: CloudField, shape: tuple[int, int], pixel_size: float, sun: Sun) -> Float:
    """float32 `shape`, 0 to 1: fraction of the direct sunlight that passes the field's clouds.

    exp(-(1 - g^2) thickness / sin(elevation)): what is scattered within the forward peak (delta
    scaling, g = 0.85) still counts as direct. A cloud's upper part casts its shadow farther, so
    the cloud is projected from several heights, thinner towards its top.
    """
    path = math.sin(math.radians(sun.elevation))
    peak = float(field.thickness.max(initial=0.0))
    levels = 4 if field.depth > 0.0 else 1
    thickness = np.zeros(shape, np.float32)
    for level in range(levels):
        share = level / max(levels - 1, 1)
        move = sun.displacement(field.height + share * field.depth, pixel_size)
        there = field.window(shape, move) - np.float32(0.6 * share * peak)
        thickness = np.maximum(thickness, there)
    light: Float = np.exp(np.float32(-0.28 / path) * thickness)
    penumbra = field.height / path * SUN_DIAMETER / pixel_size
    blurred: Float = ndimage.gaussian_filter(
        light, min(penumbra / 3.0, min(shape) / 8.0), truncate=3.0
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
