"""A scene and its mask side by side, as a PNG to look at.

python examples/show.py examples/scene.tif mask.tif picture.png
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from geomask import open_mask, open_scene

BRIGHT = 0.4
"""Reflectance that is shown as white."""

OPAQUE = 0.55
"""How much of a class's colour covers the scene."""


def show(scene_path: str, mask_path: str, picture: str, every: int = 1) -> None:
    """Write the picture: the scene in red, green and blue, then the same with classes over it.

    every: show one pixel in so many.
    """
    with open_scene(scene_path) as scene:
        whole = Window(0, 0, scene.grid.width, scene.grid.height)
        reflectance, _ = scene.read(whole, ("red", "green", "blue"))
    with open_mask(mask_path) as mask:
        codes = np.concatenate(list(mask.strips()))
        classes = mask.classes.polygon_classes
    rgb = 255 * np.clip(np.nan_to_num(reflectance) / BRIGHT, 0, 1) ** 0.7
    over = rgb.copy()
    for item in classes:
        there = codes == item.code
        color = np.array(item.color)[:, None]
        over[:, there] = (1 - OPAQUE) * over[:, there] + OPAQUE * color
    both = np.concatenate([rgb, over], axis=2).round().astype(np.uint8)[:, ::every, ::every]
    size = {"width": both.shape[2], "height": both.shape[1], "count": 3, "dtype": "uint8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(picture, "w", driver="PNG", **size) as dataset:
            dataset.write(both)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("mask")
    parser.add_argument("picture")
    parser.add_argument("--every", type=int, default=1, help="show one pixel in so many")
    arguments = parser.parse_args()
    show(arguments.scene, arguments.mask, arguments.picture, arguments.every)
