"""Two processes that write to one output at once: what is there afterwards is whole, and all of it
is the one's or all of it the other's."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geomask import predict_scene, rasterize, vectorize_mask
from geomask.raster import grid_of
from tests.conftest import identity_model, random_dn, read, write_scene

ROOT = str(Path(__file__).parents[2])
ROUNDS = 40
MOVES = 300
"""Into place, of files that lie ready: without the lock, 6 of 300 were parts of both."""

WRITER = """
# Everything is imported once; each line of the other end is one race.
import sys
from pathlib import Path
import torch
from geomask import GeomaskError, predict_scene, vectorize_mask
from tests.conftest import identity_model
torch.set_num_threads(1)
print("ready", flush=True)
for line in sys.stdin:
    scene, mask, polygons = line.split()
    try:
        if polygons == "-":
            predict_scene(scene, mask, model=identity_model(), confidence=mask + ".c.tif",
                          overwrite=True, precision="fp32")
        else:
            vectorize_mask(mask, polygons, overwrite=True)
    except GeomaskError as error:
        print("refused:", str(error).replace(chr(10), " "), flush=True)
    else:
        print("done", flush=True)
"""


Processes = Sequence["subprocess.Popen[str]"]


@contextmanager
def started(code: str) -> Iterator[Processes]:
    """Two processes that run a program, have said "ready", and go on with what they are told."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": ROOT},
        )
        for _ in range(2)
    ]
    try:
        assert [heard(process) for process in processes] == ["ready"] * 2
        yield processes
    finally:
        for process in processes:
            process.communicate()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def writers() -> Iterator[Processes]:
    """Two that predict and trace."""
    with started(WRITER) as processes:
        yield processes


def race(writers: Processes, lines: Sequence[str]) -> list[str]:
    """What both say at the end; neither waits for the other."""
    for process, line in zip(writers, lines, strict=True):
        tell(process, line)
    said = [heard(process) for process in writers]
    assert "done" in said, said
    assert all(word == "done" or word.startswith("refused: ") for word in said), said
    return said


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_masks_of_two_runs_never_mix(tmp_path: Path, writers: Processes) -> None:
    wanted = []
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        scene = write_scene(folder / "scene.tif", random_dn(60 + seed, 300, seed=seed))
        predict_scene(scene, folder / "m.tif", model=identity_model(), precision="fp32")
        wanted.append(digest(folder / "m.tif"))
    out = tmp_path / "out"
    out.mkdir()
    winners = set()
    for number in range(ROUNDS):
        pair = number % 4, (number + 1 + number // 4 % 3) % 4
        race(writers, [f"{tmp_path}/{seed}/scene.tif {out}/m.tif -" for seed in pair])
        found = digest(out / "m.tif")
        assert found in {wanted[seed] for seed in pair}, f"round {number}: neither's"
        winners.add(found == wanted[pair[0]])
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert winners == {True, False}, "a race that one always wins shows nothing"


@pytest.mark.slow
def test_shapefiles_of_two_runs_never_mix(tmp_path: Path, writers: Processes) -> None:
    masks = []
    for seed in range(2):
        scene = write_scene(tmp_path / f"s{seed}.tif", random_dn(40, 60 + 9 * seed, seed=seed))
        mask = tmp_path / f"m{seed}.tif"
        predict_scene(scene, mask, model=identity_model(), precision="fp32")
        masks.append(mask)
    wanted = []
    for mask in masks:
        vectorize_mask(mask, mask.with_suffix(".shp"))
        wanted.append({end: digest(mask.with_suffix(end)) for end in (".shp", ".shx", ".dbf")})
    out = tmp_path / "out"
    out.mkdir()
    for number in range(ROUNDS):
        race(writers, [f"- {mask} {out}/v.shp" for mask in masks])
        found = {end: digest(out / f"v{end}") for end in wanted[0]}
        assert found in wanted, f"round {number}: parts of both"
        which = wanted.index(found)
        with rasterio.open(masks[which]) as dataset:
            drawn = rasterize(out / "v.shp", grid_of(dataset))
        codes = read(masks[which])
        np.testing.assert_array_equal(drawn[codes != 0], codes[codes != 0])


COMMITTER = """
# Writes what is asked for beside its target, and moves it into place at a word.
import sys
from pathlib import Path
from geomask.output import Staged
print("ready", flush=True)
for line in sys.stdin:
    target, content = line.split()
    with Staged(target) as staged:
        for path in (staged.path, *(staged.path.with_suffix(end) for end in (".dbf", ".shx"))):
            path.write_text(content)
        staged.extra(staged.path.stem + ".qml").write_text(content)
        print("staged", flush=True)
        sys.stdin.readline()
        staged.commit()
    print("done", flush=True)
"""


@pytest.mark.slow
def test_files_that_two_runs_move_into_place_at_the_same_moment_never_mix(
    tmp_path: Path,
) -> None:
    target = tmp_path / "v.shp"
    with started(COMMITTER) as committers:
        for number in range(MOVES):
            contents = {f"a{number}", f"b{number}"}
            for process, content in zip(committers, sorted(contents), strict=True):
                tell(process, f"{target} {content}")
            assert [heard(process) for process in committers] == ["staged"] * 2
            for process in committers:
                tell(process, "now")
            assert [heard(process) for process in committers] == ["done"] * 2
            found = {path.name: path.read_text() for path in tmp_path.iterdir()}
            assert sorted(found) == ["v.dbf", "v.qml", "v.shp", "v.shx"]
            assert len(set(found.values())) == 1, f"round {number}: {found}"
            assert set(found.values()) < contents
