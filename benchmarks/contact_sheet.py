"""Pictures to judge by eye: masks beside labels, and simulated clouds beside real ones.

    python -m benchmarks.contact_sheet masks --masks folds/masks --data chips/ --out masks.jpg
    python -m benchmarks.contact_sheet simulated --clear clear-chips/ --out simulated.jpg

masks: scene, labels, mask of the best, the middle and the worst chips by macro IoU; grey pixels
have no label. simulated: above, training samples with clouds drawn over clear chips; below, chips
that the manifest calls cloudy.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image, ImageDraw, ImageFont
from rasterio.errors import NotGeoreferencedWarning

from geomask import evaluate
from geomask.classes import remap
from geomask.errors import GeomaskWarning
from geomask.training.chips import IGNORE, cloud_free_chips, read_image, read_labels, read_manifest
from geomask.training.crops import simulated_crop
from geomask.training.pictures import composite, paint
from geomask.training.recipe import load_recipe

Rgb = npt.NDArray[np.uint8]

SIDE = 256
GAP = 4
BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
WHITE = 0.6
"""Reflectance that simulated and real clouds are both shown white at: no stretch flatters one."""


def fitted(picture: Rgb) -> Image.Image:
    """At most `SIDE` on its longer side, in the corner of a square."""
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(image)
    return square


def sheet(rows: Sequence[Sequence[Rgb]], titles: Sequence[str], text: int = 16) -> Image.Image:
    """Rows of pictures, a title above each row."""
    across = max(map(len, rows)) * (SIDE + GAP) + GAP
    picture = Image.new("RGB", (across, len(rows) * (SIDE + GAP + text) + GAP), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for number, (row, title) in enumerate(zip(rows, titles, strict=True)):
        top = GAP + number * (SIDE + GAP + text)
        draw.text((GAP, top), title, "black", font)
        for column, part in enumerate(row):
            picture.paste(fitted(part), (GAP + column * (SIDE + GAP), top + text))
    return picture


def beside(first: Image.Image, second: Image.Image) -> Image.Image:
    """Two sheets side by side."""
    both = Image.new("RGB", (first.width + second.width, max(first.height, second.height)), "white")
    both.paste(first)
    both.paste(second, (first.width, 0))
    return both


def draw_masks(masks: Path, data: Path, count: int) -> Image.Image:
    """The best, the middle and the worst `count` chips that have at least two classes, or a third
    of them each."""
    recipe = load_recipe("default")
    codes = {entry.code: entry.name for entry in recipe.classes}
    found = evaluate(masks=masks, data=[data], split="all", mapping=codes)
    channels = {code: channel for channel, code in enumerate(c.code for c in recipe.classes)}
    rated = sorted(
        (row for row in found.chip_rows if sum(v is not None for v in row.scores.iou.values()) > 1),
        key=lambda row: -(row.scores.macro_iou or 0),
    )
    count = min(count, len(rated) // 3)
    middle = (len(rated) - count) // 2
    chosen = [
        *(("best", row) for row in rated[:count]),
        *(("middle", row) for row in rated[middle : middle + count]),
        *(("worst", row) for row in rated[-count:]),
    ]
    chips = {chip.id: chip for chip in read_manifest(data)}
    rows, titles = [], []
    for kind, row in chosen:
        chip = chips[row.id]
        names = [band for band in BANDS if band in chip.bands]
        with rasterio.open(masks / f"{chip.id}_mask.tif") as dataset:
            mask = remap(dataset.read(1), channels, fill=IGNORE)
        truth = remap(read_labels(chip), recipe.label_channels(), fill=IGNORE)
        picture = composite(read_image(chip, names), names)
        rows.append([picture, paint(truth, recipe), paint(mask, recipe)])
        titles.append(f"{kind}: {chip.id}, macro IoU {row.scores.macro_iou:.2f}")
    half = -(-len(rows) // 2)
    return beside(sheet(rows[:half], titles[:half]), sheet(rows[half:], titles[half:]))


def shown(image: npt.NDArray[np.float32]) -> Rgb:
    """True colours of (bands, height, width) in the order of `BANDS`, black 0, white `WHITE`."""
    scaled = np.clip(np.nan_to_num(image[2::-1]) / WHITE, 0, 1) ** 0.7
    return np.moveaxis((scaled * 255).round().astype(np.uint8), 0, -1)


def draw_simulated(clear: Path, count: int, seed: int) -> Image.Image:
    """`count` simulated crops, then as many real ones."""
    free = cloud_free_chips(clear)
    cloudy = [
        chip for chip in read_manifest(clear, labelled=False) if chip.fields["cloud_free"] == "no"
    ]
    rng = np.random.default_rng(seed)
    simulated = [
        shown(simulated_crop(free[int(rng.integers(len(free)))], BANDS, SIDE, (10.0, 12.0), rng)[0])
        for _ in range(count)
    ]
    picked = rng.choice(len(cloudy), count, replace=False)
    real = [shown(read_image(cloudy[index], BANDS)) for index in picked]
    across = 6
    rows = [part[i : i + across] for part in (simulated, real) for i in range(0, count, across)]
    titles = [
        *["simulated"] * -(-count // across),
        *["real"] * -(-count // across),
    ]
    return sheet(rows, titles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["masks", "simulated"])
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--clear", type=Path)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    warnings.simplefilter("ignore", GeomaskWarning)
    if given.what == "masks":
        picture = draw_masks(given.masks, given.data, given.count or 4)
    else:
        picture = draw_simulated(given.clear, given.count or 12, given.seed)
    picture.save(given.out, quality=85)


if __name__ == "__main__":
    main()
