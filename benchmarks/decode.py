"""How often a prediction decodes the pixels it needs: once, if reading is planned well.

    python -m benchmarks.decode [--size 10980] [--margin 64] [--readers 2]

A Sentinel-2-like scene is written as a folder of JPEG 2000 files with the internal tiles of ESA's
(1024 pixels at 10 m, 640 at 20 m) and as one tiled GeoTIFF. Each is read as `geomask predict`
reads it, patch by patch with the pipeline's own plan and threads, with a network that does
nothing. "decoded / needed" is what GDAL was asked for over the pixels there are; "time / plain"
compares with reading every file once from top to bottom with GDAL in one thread, and holds all that
is done but for the network: bands brought to one grid, classes found, the mask put together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
import torch
from rasterio.windows import Window
from torch import nn

from benchmarks.scenes import write_folder, write_scene
from geomask.card import read_card
from geomask.checkpoint import Model
from geomask.inference import make_engines, prepare
from geomask.model_files import find_model
from geomask.pipeline import run
from geomask.raster import GDAL_OPTIONS
from geomask.scene import Scene, open_scene


class Nothing(nn.Module):
    """Logits of as many classes as wanted, laid out as a network's are, for the price of zeros."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, reflectance: torch.Tensor) -> torch.Tensor:
        n, _, height, width = reflectance.shape
        return reflectance.new_zeros(n, height, width, self.classes).permute(0, 3, 1, 2)


@contextmanager
def reading(path: Path, margin: int, readers: int) -> Iterator[tuple[Scene, float]]:
    """A scene that was read as a prediction reads it, and how long that took."""
    card = read_card(find_model("default"))
    model = Model(Nothing(len(card.classes)), card, torch.device("cpu"))
    with (
        rasterio.Env(**GDAL_OPTIONS),
        open_scene(path, scale=1e-4, offset=0, nodata=0) as scene,
    ):
        inference = prepare(scene, model, engines=make_engines(model, "fp32"), margin=margin)
        started = time.perf_counter()
        for _ in run(inference, readers):
            pass
        yield inference.scene, time.perf_counter() - started


def read_plainly(scene: Scene) -> tuple[int, float]:
    """Pixels of all the bands that a default model reads, and seconds to read them once."""
    pixels, started = 0, time.perf_counter()
    with rasterio.Env(**{**GDAL_OPTIONS, "GDAL_NUM_THREADS": "1"}):
        indexes: dict[str, list[int]] = {}
        for name in read_card(find_model("default")).bands:
            indexes.setdefault(scene.bands[name].path, []).append(scene.bands[name].index)
        for path, bands in indexes.items():
            with rasterio.open(path) as dataset:
                rows = dataset.block_shapes[0][0]
                for top in range(0, dataset.height, rows):
                    height = min(rows, dataset.height - top)
                    strip = dataset.read(bands, window=Window(0, top, dataset.width, height))
                    pixels += strip.size
    return pixels, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--margin", type=int, default=64)
    parser.add_argument("--readers", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{'scene':>24} {'decoded / needed':>17} {'time / plain':>13} {'seconds':>8}")
    with tempfile.TemporaryDirectory() as name:
        tiff, folder = Path(name) / "scene.tif", Path(name) / "bands"
        folder.mkdir()
        write_scene(tiff, arguments.size, arguments.size)
        write_folder(folder, tiff)
        for kind, path in (("JPEG 2000, 10 and 20 m", folder), ("GeoTIFF", tiff)):
            with reading(path, arguments.margin, arguments.readers) as (scene, seconds):
                needed, plain = read_plainly(scene)
                ratio = scene.decoded_pixels / needed
            print(f"{kind:>24} {ratio:17.3f} {seconds / plain:13.2f} {seconds:8.1f}")


if __name__ == "__main__":
    main()
