"""What polygons cost at scene scale, beside the fastest plain way.

    python -m benchmarks.vectorize [--size 10980] [--rounds 3] [--options]

A mask of fractal clouds and shadows, few large ones or very many small ones, to a shapefile with
class and area. "geomask" is `vectorize_mask`, with all its fields; "plain" is
`rasterio.features.shapes` over the array held in memory, ragged arrays into shapely, and pyogrio.
They take turns, each in a process of its own, imports included; seconds are those of the clock and
of the processor (the best of the rounds), peak is resident memory. "twice" is geomask on a mask of
twice the height, "back" `rasterize_polygons`, whose mask is compared with the first. --options
adds what each option takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

from geomask.training.clouds import spectral_noise

STRIP = 1024
KINDS = {"few": (600.0, 4.0), "many": (200.0, 3.4)}
"""Scale in pixels and slope of the noise: at 10 980 rows 14 395 polygons and 297 660."""


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


START = """
import json, sys, time
started = time.perf_counter()
"""
END = """
with open("/proc/self/status") as status:  # getrusage counts what the parent had, too
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps([count, time.perf_counter() - started, time.process_time(), peak]))
"""
GEOMASK = """
from geomask import vectorize_mask
options = json.loads(sys.argv[3])
count = sum(vectorize_mask(sys.argv[1], sys.argv[2], overwrite=True, **options).counts.values())
"""
PLAIN = """
import numpy as np, pyogrio, rasterio, shapely
from rasterio.features import shapes
with rasterio.open(sys.argv[1]) as dataset:
    codes, transform, crs = dataset.read(1), dataset.transform, dataset.crs
points, ring_ends, part_ends, found = [], [0], [0], []
for geometry, code in shapes(codes, codes > 0, transform=transform):
    found.append(code)
    for ring in geometry["coordinates"]:
        points.extend(ring)
        ring_ends.append(len(points))
    part_ends.append(len(ring_ends) - 1)
offsets = np.array(ring_ends), np.array(part_ends)
polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, np.array(points), offsets)
del points
found = np.array(found, np.int32)
names = np.array(["clear", "cloud", "shadow", "snow"], object)[found]
pyogrio.raw.write(
    sys.argv[2], shapely.to_wkb(polygons), [found, names, shapely.area(polygons)],
    ["class_id", "class", "area_m2"], driver="ESRI Shapefile", geometry_type="Polygon",
    crs=crs.to_wkt(),
)
count = len(found)
"""
BACK = """
from geomask import rasterize_polygons
done = rasterize_polygons(sys.argv[2], sys.argv[1] + ".back.tif", sys.argv[1], overwrite=True)
count = sum(done.pixels.values()) - done.pixels["clear"] - done.pixels["nodata"]
"""
OPTIONS = (
    {"fill_holes": 2500},
    {"buffer": 50},
    {"simplify": 15},
    {"smooth": True},
    {"min_area": 2500, "fill_holes": 2500, "buffer": 50, "simplify": 15, "smooth": True},
)


def measured(code: str, mask: Path, layer: Path, **options: object) -> list[float]:
    """Count, seconds by the clock and by the processor, and peak MB of a process of its own."""
    command = [sys.executable, "-c", START + code + END]
    command += [str(mask), str(layer), json.dumps(options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    numbers: list[float] = json.loads(done.stdout)
    return numbers


def show(kind: str, way: str, runs: list[list[float]]) -> None:
    """One line of the table: the best of some runs."""
    count, seconds, cpu, peak = np.array(runs).min(axis=0)
    print(f"{kind:>6} {count:>9.0f} {seconds:>8.1f} {cpu:>8.1f} {peak:>8.0f}  {way}", flush=True)


def compare(kind: str, mask: Path, layer: Path, rounds: int) -> None:
    """geomask and the plain way in turns; they must find as many polygons."""
    ways = {"geomask": GEOMASK, "plain": PLAIN}
    runs: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, code in ways.items():
            runs[way].append(measured(code, mask, layer))
    for way in ways:
        show(kind, way, runs[way])
    if len({run[0] for some in runs.values() for run in some}) > 1:
        sys.exit("they find different numbers of polygons")


def go_back(kind: str, mask: Path, layer: Path) -> None:
    """The polygons of geomask rasterised; the mask must be the one they came from."""
    measured(GEOMASK, mask, layer)
    show(kind, "back", [measured(BACK, mask, layer)])
    back = mask.with_name(mask.name + ".back.tif")
    with rasterio.open(mask) as first, rasterio.open(back) as second:
        for _, window in first.block_windows(1):
            if (first.read(1, window=window) != second.read(1, window=window)).any():
                sys.exit("the mask that comes back is another one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--options", action="store_true")
    given = parser.parse_args()
    print(f"{'clouds':>6} {'polygons':>9} {'clock, s':>8} {'CPU, s':>8} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as name:
        mask, layer = Path(name) / "mask.tif", Path(name) / "clouds.shp"
        for kind, (scale, slope) in KINDS.items():
            write_mask(mask, given.size, given.size, scale, slope)
            compare(kind, mask, layer, given.rounds)
            go_back(kind, mask, layer)
            for options in OPTIONS if given.options else ():
                way = ", ".join(f"{key} {value}" for key, value in options.items())
                show(kind, way, [measured(GEOMASK, mask, layer, **options)])
            write_mask(mask, 2 * given.size, given.size, scale, slope)
            show(kind, "twice", [measured(GEOMASK, mask, layer)])


if __name__ == "__main__":
    main()
