"""Hundreds of predictions in one process: it ends with as much memory, as many open files and as
many threads as it had after the first few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import random_dn, write_scene

ROOT = str(Path(__file__).parents[2])

PREDICTIONS = 500
WARM_UP = 100
"""Predictions until caches, arenas and pools are as large as they get."""

GROWTH = 16 * 2**20
"""Bytes that memory may grow by over the other 400: 40 kB a prediction, where one patch's image
(3 bands of 64 x 64 float32) has 49 kB. What was measured is in docs/reliability.md."""

SOAKING = """
import gc, os, sys
from pathlib import Path
import torch
from geomask import load_model, open_scene, predict_scene, vectorize_mask, write_quicklook
torch.set_num_threads(1)  # as many threads as there are, whatever the machine
scenes, out, model = map(Path, sys.argv[1:4])
paths = sorted(scenes.iterdir())
model = load_model(model)
for number in range(int(sys.argv[4])):
    with open_scene(paths[number % len(paths)]) as scene:
        predict_scene(scene, out / "m.tif", model=model, confidence=out / "c.tif", overwrite=True)
        write_quicklook(scene, out / "m.tif", out / "q.png", overwrite=True)
    vectorize_mask(out / "m.tif", out / "v.shp", confidence=out / "c.tif", overwrite=True)
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files, threads = (len(os.listdir(f"/proc/self/{what}")) for what in ("fd", "task"))
    print(pages * os.sysconf("SC_PAGE_SIZE"), files, threads, flush=True)
"""


def soaked(folder: Path, model: Path, code: str, predictions: int) -> list[tuple[int, ...]]:
    """(bytes of memory, open files, threads) after each prediction of a process that runs `code`
    on scenes of several sizes and data types."""
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    for number, side in enumerate((40, 64, 90, 130)):
        values = random_dn(side, side + 7, seed=number)
        values[:, :9, :9] = 0
        write_scene(folder / f"in/{number}.tif", values)
        write_scene(folder / f"in/f{number}.tif", values / 1e4, nodata=None)
    done = subprocess.run(
        [sys.executable, "-c", code, folder / "in", folder / "out", model, str(predictions)],
        env=os.environ | {"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [tuple(map(int, line.split())) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_five_hundred_predictions_leave_nothing_behind(tmp_path: Path, model_file: Path) -> None:
    found = soaked(tmp_path, model_file, SOAKING, PREDICTIONS)
    memory, files, threads = zip(*found[WARM_UP:], strict=True)
    assert len(memory) == PREDICTIONS - WARM_UP
    assert max(memory[-50:]) - max(memory[:50]) < GROWTH
    assert max(files) == min(files), "open files"
    assert max(threads) == min(threads), "threads"
    left = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")}
    assert not left


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_a_leak_would_be_seen(tmp_path: Path, model_file: Path) -> None:
    """The same with a megabyte and a file kept each time, and now and then a thread."""
    leaking = SOAKING.replace(
        "    gc.collect()",
        "    kept = globals().setdefault('kept', [])\n"
        "    import numpy, threading, time\n"
        "    kept += [numpy.ones(2**18, numpy.float32), open('/dev/null')]\n"
        "    if number % 10 == 0:\n"
        "        threading.Thread(target=time.sleep, args=(999,), daemon=True).start()",
    )
    leaking += "os._exit(0)\n"
    found = soaked(tmp_path, model_file, leaking, 50)
    assert found[-1][0] > found[10][0] + 30 * 2**20
    assert found[-1][1] > found[10][1] + 30
    assert found[-1][2] > found[10][2]
