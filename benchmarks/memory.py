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

from benchmarks.scenes import write_scene


def predict(scene: Path, folder: Path, model: str, shp: bool) -> dict[str, float]:
    """Run the command on a scene; its own report of seconds and peak bytes."""
    command = [sys.executable, "-m", "geomask", "predict", str(scene), "--json", "--overwrite"]
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
