"""Run benchmarks and keep their tables.

    python -m benchmarks                    # all that need no data, one after the other
    python -m benchmarks predict startup    # by name

Each is a module with a `main` that prints a table; what it printed is appended to
benchmarks/results.md with the command, the date, the machine and the versions. Options of a single
benchmark: python -m benchmarks.NAME --help, which writes nothing down.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

NAMES = ("startup", "decode", "predict", "vectorize", "networks", "settings", "peers", "batch")
"""Those that make what they need. The others score models on data: crossvalidate, model_tables,
held_out, peer_masks, contact_sheet, shadow_light; seams takes a scene."""

LIBRARIES = ("geomask", "torch", "segmentation-models-pytorch", "rasterio", "numpy", "shapely")


def machine() -> str:
    """What the numbers were measured on, without a host's name."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GiB, {gpu()}; "
        f"Python {platform.python_version()}, {versions}"
    )


def gpu() -> str:
    """The first CUDA GPU's name."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAME")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results.md")
    given = parser.parse_args()
    failed = []
    for name in given.names or NAMES:
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        if done.returncode:
            failed.append(name)
            continue
        today = datetime.date.today().isoformat()
        with given.results.open("a", encoding="utf-8") as file:
            file.write(f"\n## {name}, {today}\n\n`python -m benchmarks.{name}`: {machine()}\n\n")
            file.write(f"```\n{done.stdout.rstrip()}\n```\n")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
