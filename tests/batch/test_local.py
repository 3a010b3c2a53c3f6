"""The local engine: every task once, whatever becomes of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geomask.batch.local import run_children, run_here
from geomask.batch.run import EngineOptions
from geomask.batch.task import Task
from geomask.errors import BatchError, ModelError
from tests.batch.conftest import Batch, content, leftovers, records, write_scenes
from tests.batch.workers import Sleeping, tasks

ROOT = str(Path(__file__).parents[2])


def test_this_process_does_tasks_in_order(tmp_path: Path) -> None:
    begun: list[Task] = []
    todo = tasks("a", "b", "c")
    found = list(run_here(Sleeping(tmp_path), todo, "cpu", 0, begun.append))
    assert begun == todo
    assert [record.name for record in found] == ["a", "b", "c"]


def test_children_do_every_task_once(tmp_path: Path) -> None:
    names = [f"t{index:02}" for index in range(20)]
    begun: list[Task] = []
    work = Sleeping(tmp_path, seconds=0.05)
    found = list(run_children(work, tasks(*names), ["cpu", "cpu"], 1, begun.append))
    assert sorted(record.name for record in found) == names
    assert sorted(task.name for task in begun) == names
    by_process = {path.read_text() for path in tmp_path.iterdir()}
    assert len(by_process) == 2
    assert str(os.getpid()) not in by_process


def test_a_child_that_dies_is_replaced_and_its_scene_begun_again(tmp_path: Path) -> None:
    todo = tasks("a", "dies once", "b", "c")
    found = list(run_children(Sleeping(tmp_path), todo, ["cpu"], 1, lambda task: None))
    assert sorted(record.name for record in found) == ["a", "b", "c", "dies once"]
    assert {record.name: record.attempts for record in found}["dies once"] == 2


def test_a_scene_that_no_child_survives_is_quarantined(tmp_path: Path) -> None:
    todo = tasks("a", "dies", "b")
    found = {
        record.name: record
        for record in run_children(Sleeping(tmp_path), todo, ["cpu"], 1, lambda task: None)
    }
    assert {name: record.done for name, record in found.items()} == {
        "a": True,
        "b": True,
        "dies": False,
    }
    assert found["dies"].reason == "/dies.tif: its worker ended, by SIGKILL (out of memory?)"
    assert found["dies"].attempts == 3


@pytest.mark.parametrize(("refuse", "error"), [("error", ModelError), ("death", BatchError)])
def test_a_worker_that_cannot_be_made_ends_the_run(
    tmp_path: Path, refuse: str, error: type[Exception]
) -> None:
    work = Sleeping(tmp_path, refuse=refuse)
    with pytest.raises(error):
        list(run_children(work, tasks("a", "b"), ["cpu", "cpu"], 1, lambda task: None))


PARENT = """
import sys
from pathlib import Path
from geomask.batch.local import run_children
from tests.batch.workers import Sleeping, tasks
if __name__ == "__main__":
    work = Sleeping(Path(sys.argv[1]), seconds=0.2)
    for record in run_children(work, tasks(*map(str, range(500))), ["cpu"], 1, lambda task: None):
        print(record.name, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_children_do_not_outlive_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(script), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": ROOT},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    process.stdout.readline()
    child = int((out / "0").read_text())
    process.send_signal(number)
    process.wait(30)
    process.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_processes_write_the_bytes_that_one_writes(batch: Batch, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 6)
    batch(tmp_path / "in", polygons=".shp")
    two = tmp_path / "two"
    result = batch(
        tmp_path / "in", out=two, polygons=".shp", engine=EngineOptions(workers=2, device="cpu")
    )
    assert (len(result.done), result.failed) == (6, ())
    assert content(two) == content(tmp_path / "out")
    assert len({record["worker"]["pid"] for record in records(two).values()}) == 2
    assert leftovers(two) == []
