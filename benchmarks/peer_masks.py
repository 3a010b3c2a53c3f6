"""Masks of chips by other tools, to be scored by the same rules as ours.

    pip install 'ukis-csmask[cpu]' s2cloudless      # for comparison only, no part of geomask
    python -m benchmarks.peer_masks ukis-csmask --data chips/ --out masks/ [--bands 4] [--level l2a]
    python -m benchmarks.peer_masks s2cloudless --data chips/ --out masks/
    geomask evaluate --masks masks/ --map 0=clear,1=cloud,2=shadow --labels snow=clear --data chips/

Codes: 0 clear, 1 cloud, 2 shadow, 255 where the tool lacks a band. ukis-csmask wants pixels of
about 30 m, so finer chips are averaged to that, and its mask brought back by nearest neighbour;
s2cloudless wants Sentinel-2's ten bands and knows no shadow.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio

from geomask.classes import NODATA
from geomask.errors import GeomaskError
from geomask.training.chips import Chip, read_image, read_manifest

Codes = npt.NDArray[np.uint8]

UKIS_BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
UKIS_PIXEL = 30.0
S2_BANDS = (
    "coastal", "blue", "red", "rededge071", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22",
)  # fmt: skip


def ukis_csmask(chip: Chip, bands: int, level: str) -> Codes:
    """The network of 4 or 6 bands for `level` (l1c, l2a); 4 where a chip has no more."""
    from ukis_csmask.mask import CSmask

    names = UKIS_BANDS if bands == 6 and set(UKIS_BANDS) <= set(chip.bands) else UKIS_BANDS[:4]
    if not set(names) <= set(chip.bands):
        return np.full(chip.shape, NODATA, np.uint8)
    shrink = max(1.0, UKIS_PIXEL / (chip.gsd or UKIS_PIXEL))
    shape = (round(chip.shape[0] / shrink), round(chip.shape[1] / shrink))
    image = np.nan_to_num(np.moveaxis(read_image(chip, names, shape=shape), 0, -1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = CSmask(img=image, band_order=list(names), product_level=level).csm[..., 0]
    return stretched(found.astype(np.uint8), chip.shape)


def s2cloudless(chip: Chip) -> Codes:
    """Cloud where s2cloudless says so at its own settings for 10 m (threshold 0.4, average 4,
    dilation 2, as in its documentation)."""
    from s2cloudless import S2PixelCloudDetector

    if not set(S2_BANDS) <= set(chip.bands):
        return np.full(chip.shape, NODATA, np.uint8)
    image = np.moveaxis(np.nan_to_num(read_image(chip, S2_BANDS)), 0, -1)[None]
    detector = S2PixelCloudDetector(threshold=0.4, average_over=4, dilation_size=2, all_bands=False)
    found: Codes = detector.get_cloud_masks(image)[0].astype(np.uint8)
    return found


def stretched(codes: Codes, shape: tuple[int, int]) -> Codes:
    """Brought to `shape` by nearest neighbour."""
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(int)
        for new, old in zip(shape, codes.shape, strict=True)
    )
    return codes[np.ix_(rows, columns)]


def write_masks(folder: Path, out: Path, classify: Callable[[Chip], Codes]) -> int:
    """One ID_mask.tif for each chip, on its grid; how many."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        chips = read_manifest(folder)
    except GeomaskError:
        chips = read_manifest(folder, labelled=False)
    for chip in chips:
        write_mask(chip, out, classify(chip))
    return len(chips)


def write_mask(chip: Chip, out: Path, codes: Codes) -> None:
    """ID_mask.tif in a folder, on the chip's grid. codes: uint8 (height, width), 255 nodata."""
    with rasterio.open(chip.image) as dataset:
        profile: dict[str, Any] = dataset.profile
    profile |= {"count": 1, "dtype": "uint8", "nodata": NODATA}
    with rasterio.open(out / f"{chip.id}_mask.tif", "w", **profile) as dataset:
        dataset.write(codes, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool", choices=["ukis-csmask", "s2cloudless"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bands", type=int, choices=[4, 6], default=6)
    parser.add_argument("--level", choices=["l1c", "l2a"], default="l1c")
    given = parser.parse_args()
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)

    def classify(chip: Chip) -> Codes:
        if given.tool == "s2cloudless":
            return s2cloudless(chip)
        return ukis_csmask(chip, given.bands, given.level)

    print(f"{write_masks(given.data, given.out, classify)} masks in {given.out}")


if __name__ == "__main__":
    main()
