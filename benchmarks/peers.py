"""The same network through other people's pipelines, in turn with ours.

    pip install omnicloudmask monai      # for comparison only, no part of geomask
    python -m benchmarks.peers [--size 10980] [--rounds 1] [--model default]

Each way is a process of its own that makes a class mask from the same GeoTIFF of six bands. Ours
is `geomask.predict_scene`, which reads it window by window and writes a COG; the others read it
whole and keep the mask in memory, writing nothing. Seconds leave imports and the model's loading
out; peak memory is the process's. Ratios are to ours in the same round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.scenes import write_scene

START = """
import json, resource, sys, time
import numpy as np, rasterio, torch
from geomask.checkpoint import load_model
scene, name, out = sys.argv[1:4]
def array():
    with rasterio.open(scene) as dataset:
        return dataset.read().astype(np.float32) * np.float32(1e-4)
def end(started):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([time.perf_counter() - started, peak]))
"""

OURS = """
import geomask
model = geomask.load_model(name, "cuda" if torch.cuda.is_available() else "cpu")
started = time.perf_counter()
geomask.predict_scene(scene, out, model=model, overwrite=True)
end(started)
"""

OMNI = """
from omnicloudmask import predict_from_array
network = load_model(name).network
started = time.perf_counter()
predict_from_array(
    array(), custom_models=network, pred_classes={classes}, inference_dtype="{dtype}"
)
end(started)
"""

MONAI = """
from monai.inferers import sliding_window_inference
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
network = load_model(name, device).network
started = time.perf_counter()
with torch.inference_mode():
    image = torch.from_numpy(array())[None]
    logits = sliding_window_inference(
        image, (1024, 1024), 1, network, overlap={overlap}, sw_device=device, device="cpu"
    )
    mask = logits.argmax(dim=1).to(torch.uint8)
end(started)
"""

WAYS = {
    "geomask": OURS,
    "OmniCloudMask, its defaults (fp32, 1000/300)": OMNI.format(classes=4, dtype="fp32"),
    "OmniCloudMask, bf16": OMNI.format(classes=4, dtype="bf16"),
    "MONAI, fp32, 1024, overlap 0.25": MONAI.format(overlap=0.25),
    "MONAI, fp32, 1024, overlap 0.125": MONAI.format(overlap=0.125),
}


def measured(code: str, scene: Path, model: str, out: Path) -> tuple[float, float]:
    """Seconds, and peak MB of the process."""
    command = [sys.executable, "-c", START + code, str(scene), model, str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), float(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        scene, out = Path(folder) / "scene.tif", Path(folder) / "mask.tif"
        write_scene(scene, given.size, given.size, wedge=False)
        for _ in range(given.rounds):
            for name, code in WAYS.items():
                found[name].append(measured(code, scene, given.model, out))
    print(f"{'':>46} {'seconds':>8} {'Mpx/s':>6} {'peak MB':>8} {'slower':>7} {'memory':>7}")
    ours = found["geomask"]
    for name, rounds in found.items():
        slower = statistics.median(its[0] / own[0] for its, own in zip(rounds, ours, strict=True))
        larger = statistics.median(its[1] / own[1] for its, own in zip(rounds, ours, strict=True))
        seconds, peak = (statistics.median(its[part] for its in rounds) for part in (0, 1))
        print(
            f"{name:>46} {seconds:>8.1f} {given.size**2 / seconds / 1e6:>6.2f} {peak:>8.0f} "
            f"{slower:>6.1f}x {larger:>6.1f}x"
        )


if __name__ == "__main__":
    main()
