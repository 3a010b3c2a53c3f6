"""Seams: how many pixels differ between small patches and the whole scene at once, by margin.

    python -m benchmarks.seams [--model default] [--scene examples/scene.tif]

The scene is predicted in one patch, then in patches that keep 256 pixels a side, in fp32 and on
the same grid. A card's `seam_fraction` is the same figure for the chips that its model was
validated on, in patches that keep 128, at its own margin.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from geomask import Model, load_model, open_scene, predict_scene
from geomask.inference import prepare


def predict(scene: str, out: Path, model: Model, patch: int, margin: int) -> npt.NDArray[np.uint8]:
    """The mask of a scene, at a patch size and margin."""
    predict_scene(
        scene, out, model=model, patch=patch, margin=margin, precision="fp32", overwrite=True
    )
    with rasterio.open(out) as dataset:
        mask: npt.NDArray[np.uint8] = dataset.read(1)
    return mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--scene", default="examples/scene.tif")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    stride = model.card.stride
    with open_scene(arguments.scene) as scene:
        scale = max(prepare(scene, model).plan.scale)
        longest = max(scene.grid.shape) * scale + 1024
    whole = -(-int(longest) // stride) * stride
    print(f"{'margin':>6} {'pixels that differ':>18}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "mask.tif"
        expected = predict(arguments.scene, out, model, whole, 256)
        for margin in (0, 32, 64, 128):
            patch = 256 + 2 * margin
            found = predict(arguments.scene, out, model, patch, margin)
            print(f"{margin:>6} {(found != expected).mean():>18.6%}")


if __name__ == "__main__":
    main()
