"""What polygons cost at scene scale.

    python -m benchmarks.vectorize [--size 10980] [--heights 1 2]

A mask of fractal clouds and shadows, few large ones or very many small ones, to a shapefile by
`geomask vectorize` in a process of its own; memory and time also at twice the height. "rasterio" is
`rasterio.features.shapes` over the array held in memory, geometries built and nothing written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.features import shapes
from rasterio.windows import Window
from shapely.geometry import shape

from geomask.training.clouds import spectral_noise

STRIP = 1024
KINDS = {"few": (600.0, 4.0), "many": (200.0, 3.4)}
"""Scale in pixels and slope of the noise."""


def write_mask(path: Path, height: int, width: int, scale: float, slope: float) -> None:
    """A class mask in strips that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "width": width, "height": height,
        "crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000),
        "nodata": 255, "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for top in range(0, height, STRIP):
            rows = min(STRIP, height - top)
            noise = spectral_noise((STRIP, width), scale, slope, rng)[:rows]
            codes = ((noise > 0.8).astype(np.uint8)) + 2 * (noise < -1.2).astype(np.uint8)
            dataset.write(codes, 1, window=Window(0, top, width, rows))


def whole(path: Path) -> tuple[int, float]:
    """Polygons and seconds of rasterio on the whole array."""
    started = time.perf_counter()
    with rasterio.open(path) as dataset:
        codes: npt.NDArray[np.uint8] = dataset.read(1)
        found = [shape(its) for its, _ in shapes(codes, codes > 0, transform=dataset.transform)]
    return len(found), time.perf_counter() - started


MEASURED = """
import json, resource, sys, time
from geomask import vectorize_mask
started = time.perf_counter()
found = vectorize_mask(sys.argv[1], sys.argv[2])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([sum(found.counts.values()), time.perf_counter() - started, peak]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--heights", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    heads = f"{'clouds':>6} {'rows':>6} {'polygons':>9} {'seconds':>8} {'peak MB':>8}"
    print(f"{heads} {'rasterio, s':>12}")
    with tempfile.TemporaryDirectory() as name:
        mask, layer = Path(name) / "mask.tif", Path(name) / "clouds.shp"
        for kind, (scale, slope) in KINDS.items():
            for times in given.heights:
                write_mask(mask, times * given.size, given.size, scale, slope)
                command = [sys.executable, "-c", MEASURED, str(mask), str(layer)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                count, seconds, peak = json.loads(done.stdout)
                expected, plain = whole(mask)
                if count != expected:
                    sys.exit(f"{count} polygons, and rasterio finds {expected}")
                for old in layer.parent.glob("clouds.*"):
                    old.unlink()
                print(
                    f"{kind:>6} {times * given.size:>6} {count:>9} {seconds:>8.1f} {peak:>8.0f} "
                    f"{plain:>12.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
