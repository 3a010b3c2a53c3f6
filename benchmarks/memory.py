"""Peak memory of `geomask predict` against a scene's height: it should follow the width alone.

    python -m benchmarks.memory [--width 10980] [--heights 10000 20000] [--model default] [--shp]

Each scene is predicted by the installed command in a process of its own; the figure is the
operating system's account of that process. The scene is synthetic: smooth noise in six bands, a
different part of it in every block, written tiled and compressed.
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
from scipy.ndimage import gaussian_filter

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
BLOCK = 512


def write_scene(path: Path, height: int, width: int, seed: int = 0) -> None:
    """A tiled uint16 scene of smooth noise, reflectance 0.02 to 0.9, with a wedge of nodata."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(len(BANDS), 2 * BLOCK, 2 * BLOCK)), (0, 12, 12))
    noise = (noise - noise.min()) / np.ptp(noise)
    texture = (200 + 8800 * noise).astype(np.uint16)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=len(BANDS),
        dtype="uint16",
        crs="EPSG:32633",
        transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
        nodata=0,
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        compress="deflate",
        predictor=2,
        bigtiff="yes",
    ) as dataset:
        dataset.scales = [1e-4] * len(BANDS)
        for index, band in enumerate(BANDS, 1):
            dataset.set_band_description(index, band)
        for top in range(0, height, BLOCK):
            for left in range(0, width, BLOCK):
                rows, columns = min(BLOCK, height - top), min(BLOCK, width - left)
                y, x = rng.integers(0, BLOCK, 2)
                part = texture[:, y : y + rows, x : x + columns].copy()
                if left + top / 4 < width / 16:
                    part[:] = 0
                dataset.write(part, window=Window(left, top, columns, rows))


def predict(scene: Path, folder: Path, model: str, shp: bool) -> dict[str, float]:
    """Run the command on a scene; its own report of seconds and peak bytes."""
    command = [sys.executable, "-m", "geomask.cli", "predict", str(scene), "--json", "--overwrite"]
    command += ["--model", model, "--out", str(folder / "mask.tif")]
    if shp:
        command += ["--shp", str(folder / "clouds.shp")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, float] = json.loads(done.stdout)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=10980)
    parser.add_argument("--heights", type=int, nargs="+", default=[10000, 20000])
    parser.add_argument("--model", default="default")
    parser.add_argument("--shp", action="store_true", help="also write polygons")
    arguments = parser.parse_args()
    print(f"{'rows x columns':>16} {'peak MB':>8} {'ratio':>6} {'seconds':>8} {'Mpx/s':>6}")
    first = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for height in arguments.heights:
            scene = folder / f"scene{height}.tif"
            write_scene(scene, height, arguments.width)
            report = predict(scene, folder, arguments.model, arguments.shp)
            scene.unlink()
            peak, seconds = report["peak_memory"] / 2**20, report["seconds"]
            first = first or peak
            size = f"{height} x {arguments.width}"
            speed = height * arguments.width / seconds / 1e6
            print(f"{size:>16} {peak:8.0f} {peak / first:6.2f} {seconds:8.1f} {speed:6.2f}")


if __name__ == "__main__":
    main()
