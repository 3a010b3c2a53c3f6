"""`geomask batch` as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from geomask.cli import cli
from tests.batch.conftest import leftovers, records, write_scenes
from tests.conftest import random_dn, write_scene

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_file: Path) -> Run:
    """Run a command line in tmp_path; batches with the tiny model."""
    monkeypatch.chdir(tmp_path)

    def invoke(line: str) -> Result:
        words = line.split()
        if words[1] not in ("status", "summary"):
            words += ["--model", str(model_file)]
        return CliRunner().invoke(cli, words)

    return invoke


def test_a_batch_says_what_it_did_and_status_says_it_again(run: Run, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 2)
    result = run("batch in --out-dir out --shp")
    assert result.exit_code == 0, result.output
    assert "[2/2] s01: " in result.stderr
    assert "cloud" in result.stderr
    assert result.stdout.split()[:6] == ["done", "2", "done", "before", "0", "failed"]
    again = run("batch run in --out-dir out --shp --json")
    assert json.loads(again.stdout) == {
        "folder": str(tmp_path / "out"),
        "done": 0,
        "skipped": 2,
        "failed": [],
    }
    told = run("batch status out")
    assert told.stdout.split()[:6] == ["done", "2", "failed", "0", "waiting", "0"]


def test_a_scene_that_failed_is_told_and_exits_3(run: Run, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 1)
    (tmp_path / "in" / "text.tif").write_text("hello")
    result = run("batch in --out-dir out")
    assert result.exit_code == 3
    assert "[2/2] text: failed: " in result.stderr
    assert "is not a raster that GDAL can open" in " ".join(result.stdout.split())
    found = json.loads(run("batch status out --json").stdout)
    assert (found["done"], found["waiting"]) == (1, [])
    assert found["failed"][0]["name"] == "text"
    assert found["failed"][0]["error"]["kind"] == "SceneError"


def test_a_dry_run_touches_nothing(run: Run, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 2)
    told = run("batch in --out-dir out --dry-run")
    assert told.exit_code == 0, told.output
    assert "to do" in told.stdout
    assert not (tmp_path / "out").exists()
    run("batch in/s00.tif --out-dir out --quiet")
    states = json.loads(run("batch in --out-dir out --dry-run --json").stdout)
    assert [(Path(s["mask"]).name, s["state"]) for s in states] == [
        ("s00.tif", "done"),
        ("s01.tif", "to do"),
    ]


def test_shards_together_do_all_scenes_once_and_status_knows_what_waits(
    run: Run, tmp_path: Path
) -> None:
    write_scenes(tmp_path / "in", 5)
    first = json.loads(run("batch in --out-dir out --shard 1/2 --json").stdout)
    assert first["done"] == 3
    assert json.loads(run("batch status out --json").stdout)["waiting"] == ["s01", "s03"]
    assert not (tmp_path / "out" / "summary.csv").exists()
    second = json.loads(run("batch in --out-dir out --shard 2/2 --json").stdout)
    assert (second["done"], second["skipped"]) == (2, 0)
    assert json.loads(run("batch in --out-dir out --json").stdout)["skipped"] == 5


def test_names_come_from_a_template_or_a_list(run: Run, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 1)
    run("batch in --out-dir out --quiet --name {parent}_{stem}_mask.tif")
    assert (tmp_path / "out" / "in_s00_mask.tif").exists()
    (tmp_path / "list.csv").write_text("scene,name\nin/s00.tif,monday\n")
    run("batch list.csv --out-dir out --quiet")
    assert (tmp_path / "out" / "monday.tif").exists()


FAULTS = {
    "batch absent.txt --out-dir out": "absent.txt: cannot be read",
    "batch in in/s00.tif --out-dir out": "is listed twice",
    "batch in --out-dir out --name x.tif": "names {stem} or {parent}",
    "batch in --out-dir in/s00.tif": "cannot be made",
    "batch in --out-dir out --device cuda:7": "torch sees",
    "batch status in": "is no folder that geomask batch has written to",
}


@pytest.mark.parametrize("line", FAULTS)
def test_what_cannot_begin_is_one_sentence_and_exits_1(run: Run, tmp_path: Path, line: str) -> None:
    write_scenes(tmp_path / "in", 1)
    result = run(line)
    assert result.exit_code == 1, result.output
    assert len(result.stderr.splitlines()) == 1
    assert FAULTS[line] in result.stderr


@pytest.mark.parametrize(
    "line",
    [
        "batch --out-dir out",
        "batch in",
        "batch in --out-dir out --shard 0/3",
        "batch in --out-dir out --shard 3",
        "batch in --out-dir out --classes cloud",
        "batch in --out-dir out --bbox 1,2,3",
        "batch in --out-dir out --collection s2",
        "batch in --out-dir out --workers 0",
    ],
)
def test_a_bad_option_exits_2(run: Run, line: str) -> None:
    result = run(line)
    assert result.exit_code == 2, result.output
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_interrupt_leaves_what_a_rerun_completes(
    run: Run, tmp_path: Path, model_file: Path, workers: int
) -> None:
    for index in range(4):
        write_scene(tmp_path / f"s{index}.tif", random_dn(1000, 1000, seed=index))
    command = [sys.executable, "-m", "geomask", "batch", "s*.tif", "--out-dir", "out"]
    command += ["--model", str(model_file), "--patch", "128", "--workers", str(workers)]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    deadline = time.monotonic() + 120
    while not records(tmp_path / "out"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "the same command goes on" in stderr
    assert "Traceback" not in stderr
    assert leftovers(tmp_path / "out") == []
    done = len(records(tmp_path / "out"))
    assert 1 <= done < 4
    result = json.loads(run("batch s*.tif --out-dir out --patch 128 --json").stdout)
    assert (result["done"], result["skipped"]) == (4 - done, done)
