"""What a command costs before it does anything.

    python -m benchmarks.startup [--rounds 5]

Each in a fresh process with files in the page cache; the median of some rounds. "first patch": of
`geomask predict` on the example, from the shell's point of view to the moment the network has
classified the first patch, model loaded.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

FIRST_PATCH = """
from geomask.checkpoint import load_model
from geomask.inference import prepare
from geomask.scene import open_scene
with open_scene("examples/scene.tif") as scene:
    inference = prepare(scene, load_model("default"))
    inference.engines[0].classify([inference.load(next(iter(inference.plan)))])
"""

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "geomask --help": ["-m", "geomask", "--help"],
    "geomask models": ["-m", "geomask", "models"],
    "geomask info": ["-m", "geomask", "info", "examples/scene.tif"],
    "import torch": ["-c", "import torch"],
    "import smp": ["-c", "import segmentation_models_pytorch"],
    "first patch": ["-c", FIRST_PATCH],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of Python with these arguments."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{'command':>16} {'seconds':>8}")
    for name, arguments in COMMANDS.items():
        seconds(arguments)
        taken = statistics.median(seconds(arguments) for _ in range(given.rounds))
        print(f"{name:>16} {taken:8.2f}", flush=True)


if __name__ == "__main__":
    main()
