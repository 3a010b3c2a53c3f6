"""From polygons drawn in QGIS to a model of your own, and to its mask: the whole way, small.

Three scenes are made, and somebody's drawing of them is imitated: a shapefile in longitude and
latitude, with outlines that are no more exact than a hand's, over a part of each scene. From there
on it is what anybody would do with labels of their own; every command is printed as it is run:

    geomask data chips monday.tif monday.shp --out chips --split train
    geomask data chips tuesday.tif tuesday.shp --out chips --split train
    geomask data chips wednesday.tif wednesday.shp --out chips --split val
    geomask train --recipe default --data chips --out mine.safetensors --set …
    geomask predict examples/scene.tif --model mine.safetensors --out mask.tif

The last scene was not drawn and not trained on, and its truth is known, so the script ends with
how well the two agree. Everything is invented (see make_scene.py) and the network is tiny, so that
it takes about a minute on a CPU: the numbers show that the way is open, not what a model can do.

    python examples/train_on_your_labels.py            # in a temporary folder
    python examples/train_on_your_labels.py --folder /tmp/mine
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from make_scene import make_scene
from rasterio.features import shapes

HERE = Path(__file__).parent
SCENE, TRUTH = HERE / "scene.tif", HERE / "truth" / "scene_mask.tif"

DRAWN_AS = {0: "Clear", 1: "Cloud", 2: "Cloud shadow", 3: "Snow"}
"""What the field `class` says, by code of the truth: as people spell it."""

STROKE = 15.0
"""Metres by which a drawn outline strays from the true one."""

LEAST = 2000.0
"""Square metres of the smallest thing that is drawn; smaller ones go with what is around them."""

SETTINGS = {
    "network": '{architecture = "plain-unet", options = {width = 12}}',
    "band_sets": "[]",
    "data.patch": "96",
    "data.steps_per_epoch": "50",
    "data.workers": "0",
    "augment.rotate_share": "0",
    "augment.rescale_share": "0",
    "augment.saturate_share": "0",
    "optimizer.lr": "3e-3",
    "optimizer.ema": "0.9",
    "trainer.max_epochs": "4",
    "card.margin": "32",
}
"""Of the recipe default, to be done in a minute: a small network for scenes of one kind. Leave
them out for a model worth having."""

DAYS = (("monday", 1, "train"), ("tuesday", 2, "train"), ("wednesday", 3, "val"))
"""Name, seed and split of each scene: the one to choose the best epoch by is another one."""


def draw(truth: Path, drawing: Path, share: float = 0.75) -> int:
    """Write the shapefile that somebody drew of the eastern `share` of a scene; how many polygons.

    Clear ground is drawn as well: what nobody drew is unknown, not clear.
    """
    with rasterio.open(truth) as dataset:
        codes, transform, crs = dataset.read(1), dataset.transform, dataset.crs
    codes[:, : round((1 - share) * codes.shape[1])] = 255
    found = [(shapely.geometry.shape(s), int(c)) for s, c in shapes(codes, transform=transform)]
    kept = [(shape, code) for shape, code in found if code in DRAWN_AS and shape.area >= LEAST]
    # Where outlines cross, the later polygon counts: clouds over the ground below them.
    kept.sort(key=lambda pair: pair[1] != 0)
    layer = geopandas.GeoDataFrame(
        {"class": [DRAWN_AS[code] for _, code in kept]},
        geometry=[_drawn_by_hand(shape) for shape, _ in kept],
        crs=crs,
    )
    layer.to_crs("EPSG:4326").to_file(drawing)
    return len(layer)


def _drawn_by_hand(shape: shapely.Polygon) -> shapely.Polygon:
    """With rounded corners, and without the small holes that nobody cuts."""
    rings = [ring for ring in shape.interiors if shapely.Polygon(ring).area >= LEAST]
    return shapely.Polygon(shape.exterior, rings).simplify(STROKE).buffer(0)


def agreement(mask: Path, truth: Path) -> dict[str, float]:
    """Intersection over union by class, where both know what is there; and the share of pixels
    that agree."""
    with rasterio.open(mask) as ours, rasterio.open(truth) as theirs:
        found, true = ours.read(1), theirs.read(1)
    known = (found != 255) & (true != 255)
    found, true = found[known], true[known]
    scores = {
        name: float(((found == code) & (true == code)).sum() / max(1, count))
        for code, name in enumerate(("clear", "cloud", "shadow", "snow"))
        if (count := ((found == code) | (true == code)).sum())
    }
    return {**scores, "pixels": float(np.mean(found == true))}


def geomask(*arguments: str | Path) -> None:
    """Print a command, then run it."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ geomask {shlex.join(words)}", flush=True)
    # A network this small gains nothing from threads, and loses much where the machine is busy.
    threads = {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "geomask", *words], check=True, env={**threads, **os.environ}
    )


def round_trip(folder: Path) -> dict[str, float]:
    """Everything, in `folder`; what `agreement` says of the mask."""
    chips, model, mask = folder / "chips", folder / "mine.safetensors", folder / "mask.tif"
    for name, seed, split in DAYS:
        scene, truth = folder / f"{name}.tif", folder / "truth" / f"{name}.tif"
        make_scene(scene, truth, size=512, seed=seed)
        drawing = folder / f"{name}.shp"
        print(f"\n{drawing}: {draw(truth, drawing)} polygons drawn over {scene}")
        geomask("data", "chips", scene, drawing, "--out", chips, "--split", split)
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    geomask("train", "--recipe", "default", "--data", chips, "--out", model, *settings)
    geomask("predict", SCENE, "--model", model, "--out", mask)
    return agreement(mask, TRUTH)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        scores = round_trip(place)
    print(f"\nagreement with the truth of {SCENE.name}, which was neither drawn nor trained on:")
    for name, value in scores.items():
        print(f"  {name:8} {'IoU' if name != 'pixels' else 'equal'} {value:.3f}")


if __name__ == "__main__":
    main()
