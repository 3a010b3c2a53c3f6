"""A batch that is killed again and again, at any moment, ends as one that was not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio

from tests.batch.conftest import Batch, content, leftovers, records, write_scenes

ROOT = str(Path(__file__).parents[2])
KILLS = 20
SCENES = 60

RUNNER = """
# Everything is imported once; each round is a fork that is killed, as the system would.
import os, signal, sys, time
import torch
from geomask.batch import SceneOptions, find_scenes, run_batch
from geomask.batch import job
from geomask.batch.run import Progress
scenes, out, model = sys.argv[1:]
print("ready", flush=True)
for line in sys.stdin:
    begun, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        progress = Progress(begun=lambda task: os.write(theirs, b"."))
        options = SceneOptions(model=model, polygons=".shp")
        result = run_batch(find_scenes([scenes]), out, options, progress=progress)
        os._exit(3 if result.failed else 0)
    os.close(theirs)  # so that a child that is gone is heard of
    scenes_begun, delay = line.split()
    for _ in range(int(scenes_begun)):
        os.read(begun, 1)
    if int(scenes_begun):
        time.sleep(float(delay))
        os.kill(child, signal.SIGKILL)
    os.close(begun)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.slow
def test_killed_twenty_times_at_any_moment_it_ends_complete(
    batch: Batch, tmp_path: Path, model_file: Path
) -> None:
    write_scenes(tmp_path / "in", SCENES)
    result = batch(tmp_path / "in", polygons=".shp", out=tmp_path / "whole")
    per_scene = sum(record.seconds["total"] for record in result.done) / SCENES
    whole = content(tmp_path / "whole")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(tmp_path / "in"), str(out), str(model_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ROOT},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def round_of(scenes: int, delay: float) -> int:
        """Exit code of a run that is killed so long after it has begun so many scenes; of one that
        is not, for 0 scenes."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{scenes} {delay}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    rng = random.Random(20)
    killed = 0
    before: dict[str, dict[str, object]] = {}
    for _ in range(KILLS):
        killed += round_of(rng.randint(1, 3), rng.uniform(0, per_scene)) == -9
        now = records(out)
        assert before.items() <= now.items()  # what was complete was not done again
        for name, record in now.items():
            assert record["status"] == "done"
            assert (out / f"{name}.tif").read_bytes() == whole[f"{name}.tif"]
        for path in out.glob("*.tif"):  # complete, also where its record is still to come
            with rasterio.open(path) as mask:
                mask.read()
        before = now
    assert killed == KILLS
    assert 0 < len(before) < SCENES
    assert round_of(0, 0.0) == 0
    process.stdin.close()
    process.stdout.close()
    assert process.wait(30) == 0
    after = records(out)
    assert before.items() <= after.items()
    assert len(after) == SCENES
    assert content(out) == whole
    assert leftovers(out) == []
