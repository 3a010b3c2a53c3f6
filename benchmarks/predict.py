"""What a prediction costs over the network alone.

    python -m benchmarks.predict [--size 10980] [--rounds 3] [--model default] [--kinds tiff jp2]

A Sentinel-2-like scene is predicted by `geomask predict` in a process of its own, and in turn with
it the bare network, at the best of a few patch sizes, forwards as many pixels as the scene has:
no margin, nothing read, nothing written. "wall / network" is over the command's own account of its
seconds, without start-up; stages are the main thread's, in seconds ("reading" and "writing" are
waiting for the threads that do it), "start" is what the process took besides. Scenes of a quarter
and twice the area come last, once each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.scenes import write_folder, write_scene

PATCHES = (768, 1024, 1536, 2048)

BARE = """
import json, sys, time, torch
from geomask.checkpoint import load_model
from geomask.device import choose_device, choose_precision
from geomask.prepared import prepared_network
from geomask.memory import keep_freed_memory
name, pixels, patches = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
device = choose_device("auto")
keep_freed_memory()
model = load_model(name, device)
dtype = choose_precision("auto", device)
network = prepared_network(model, dtype, device)
def forward(image):
    with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        return float(network(image).float().argmax(dim=1).max())
best = None
for patch in patches:
    image = torch.rand(1, len(model.card.bands), patch, patch, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    forward(image)
    started = time.perf_counter()
    for _ in range(2):
        forward(image)
    seconds = (time.perf_counter() - started) / 2 / patch**2
    best = min(best or (seconds, patch, image), (seconds, patch, image), key=lambda its: its[0])
_, patch, image = best
count = max(1, round(pixels / patch**2))
started = time.perf_counter()
for _ in range(count):
    forward(image)
print(json.dumps([(time.perf_counter() - started) * pixels / (count * patch**2), patch]))
"""


def bare(model: str, pixels: int) -> tuple[float, int]:
    """Seconds that the network alone takes for so many pixels, and its best patch size."""
    command = [sys.executable, "-c", BARE, model, str(pixels), json.dumps(PATCHES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, patch = json.loads(done.stdout)
    return float(seconds), int(patch)


def predict(scene: Path, model: str, folder: Path) -> tuple[dict[str, Any], float]:
    """The command's report, and the wall time of its process; polygons are written too."""
    command = [sys.executable, "-m", "geomask", "predict", str(scene), "--json", "--overwrite"]
    command += ["--model", model, "--out", str(folder / "mask.tif")]
    command += ["--shp", str(folder / "clouds.shp")]
    if scene.is_dir():
        command += ["--scale", "0.0001", "--offset", "0", "--nodata", "0"]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout), time.perf_counter() - started


def line(kind: str, size: int, report: dict[str, Any], process: float, network: float) -> str:
    """A row of the table."""
    stages = report["stages"]
    vectors = report["polygons"]["seconds"]
    cells = [stages.get(name, 0.0) for name in ("reading", "network", "writing", "finishing")]
    start = process - report["seconds"] - vectors
    return (
        f"{kind:>5} {size:>6} {report['seconds']:>8.1f} {network:>8.1f} "
        f"{report['seconds'] / network:>14.2f} "
        + " ".join(f"{cell:>9.1f}" for cell in [*cells, vectors, start])
        + f" {report['peak_memory'] / 2**20:>8.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="default")
    parser.add_argument("--kinds", nargs="+", choices=["tiff", "jp2"], default=["tiff", "jp2"])
    given = parser.parse_args()
    print(
        f"{'scene':>5} {'side':>6} {'seconds':>8} {'network':>8} {'wall / network':>14} "
        f"{'reading':>9} {'network':>9} {'writing':>9} {'finishing':>9} {'polygons':>9} "
        f"{'start':>9} {'peak MB':>8}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiff, bands = folder / "scene.tif", folder / "bands"
        write_scene(tiff, given.size, given.size, wedge=False)
        scenes = {"tiff": tiff, "jp2": bands}
        if "jp2" in given.kinds:
            bands.mkdir()
            write_folder(bands, tiff)
        for kind in given.kinds:
            rounds = []
            for _ in range(given.rounds):
                network, _ = bare(given.model, given.size**2)
                rounds.append((*predict(scenes[kind], given.model, folder), network))
            rounds.sort(key=lambda its: its[0]["seconds"] / its[2])
            report, process, _ = rounds[len(rounds) // 2]
            network = statistics.median(its[2] for its in rounds)
            print(line(kind, given.size, report, process, network), flush=True)
        for factor in (0.5, 2**0.5):
            size = round(given.size * factor)
            write_scene(tiff, size, size, wedge=False)
            network, _ = bare(given.model, size**2)
            print(line("tiff", size, *predict(tiff, given.model, folder), network), flush=True)


if __name__ == "__main__":
    main()
