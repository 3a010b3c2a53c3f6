"""What a batch costs over its scenes, and what scheduling costs on a cluster.

    python -m benchmarks.batch [--scenes 8] [--size 4096] [--model default] [--virtual 1 4 16 64]

The same scenes, polygons included, by a loop of `geomask predict`, by `geomask batch` with one
worker and with two, and on Ray with two workers of one core each. "seconds" is the wall time of
everything; "per scene" that over the scenes; "start" is until the first scene begins; "between"
is what passes between a worker's scenes, percent of the time in them; "alone" is the share of a
scene's time in which the network stands still: opening, finishing and polygons, which another
worker of the same GPU would overlap.

Then a cluster of virtual workers of one core each, all on this machine, whose scenes are sleep:
"overhead" is what passes between a worker's scenes, milliseconds per scene (median and greatest).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from benchmarks.scenes import write_scene
from benchmarks.sleeping import Sleeping
from geomask.batch.places import Places
from geomask.batch.ray import run_ray
from geomask.batch.record import Record, read_records
from geomask.batch.run import EngineOptions
from geomask.batch.task import Task

SLEEP = 4.0
"""Seconds of a scene that is none."""

EACH = 16
"""Such scenes per virtual worker."""

ENGINES = (
    ["--workers", "1"],
    ["--workers", "2"],
    ["--engine", "ray", "--workers", "2", "--cores", "1"],
)


def gaps(records: Iterable[Record]) -> list[float]:
    """Seconds between one scene's end and the next one's beginning, of each worker."""
    by_worker: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        by_worker[record.worker["pid"]].append(record)
    found = []
    for own in by_worker.values():
        own.sort(key=lambda record: record.started)
        found += [b.started - a.finished for a, b in pairwise(own)]
    return found


def loop(scenes: list[Path], out: Path, model: str) -> tuple[float, float]:
    """Wall time of a process per scene; of that, mean seconds of a process before its scene."""
    out.mkdir()
    started, inside = time.perf_counter(), 0.0
    for scene in scenes:
        command = [sys.executable, "-m", "geomask", "predict", str(scene), "--json"]
        command += ["--model", model, "--out", str(out / scene.name)]
        command += ["--shp", str(out / f"{scene.stem}.shp")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        report = json.loads(done.stdout)
        inside += report["seconds"] + report["polygons"]["seconds"]
    wall = time.perf_counter() - started
    return wall, (wall - inside) / len(scenes)


def batch(folder: Path, out: Path, model: str, options: list[str]) -> None:
    """A row for a batch."""
    command = [sys.executable, "-m", "geomask", "batch", str(folder), "--out-dir", str(out)]
    command += ["--shp", "--model", model, "--quiet", *options]
    started = time.time()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    wall = time.time() - started
    records = list(read_records(Places(out)))
    first = min(record.started for record in records) - started
    seconds = sum(record.seconds["total"] for record in records)
    still = ("opening", "finishing", "polygons")
    alone = sum(record.seconds[stage] for record in records for stage in still)
    print(
        f"{' '.join(options):>40} {wall:>8.1f} {wall / len(records):>10.2f} {first:>6.1f} "
        f"{100 * sum(gaps(records)) / seconds:>8.2f} {100 * alone / seconds:>6.1f}",
        flush=True,
    )


def virtual(workers: int) -> None:
    """A row for a cluster of so many workers of one core."""
    tasks = [Task(f"/{index}.tif", f"{index:05}") for index in range(EACH * workers)]
    engine = EngineOptions("ray", workers=workers, cores=1, device="cpu")
    records = list(run_ray(Sleeping(SLEEP), tasks, engine, lambda task: None))
    if not all(record.done for record in records):
        sys.exit(f"{workers} workers: scenes were lost")
    between = [1000 * gap for gap in gaps(records)]
    used = len({record.worker["pid"] for record in records})
    print(
        f"{workers:>8} {used:>6} {len(records):>7} {statistics.median(between):>10.1f} "
        f"{max(between):>10.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--model", default="default")
    parser.add_argument("--virtual", type=int, nargs="*", default=[1, 4, 16, 64])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        scenes = [folder / f"s{index:02}.tif" for index in range(given.scenes)]
        for index, scene in enumerate(scenes):
            write_scene(scene, given.size, given.size, wedge=False, seed=index)
        print(f"{len(scenes)} scenes of {given.size} x {given.size} pixels")
        print(
            f"{'':>40} {'seconds':>8} {'per scene':>10} {'start':>6} {'between%':>8} {'alone%':>6}"
        )
        if scenes:
            wall, start = loop(scenes, Path(name) / "loop", given.model)
            words = "a loop of predict"
            print(f"{words:>40} {wall:>8.1f} {wall / len(scenes):>10.2f} {start:>6.1f}", flush=True)
            for index, options in enumerate(ENGINES):
                batch(folder, Path(name) / f"out{index}", given.model, options)
    print(f"\n{'workers':>8} {'used':>6} {'scenes':>7} {'median ms':>10} {'max ms':>10}")
    for workers in given.virtual:
        virtual(workers)


if __name__ == "__main__":
    main()
