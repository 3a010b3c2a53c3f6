"""The Ray engine, on a cluster of this machine: every task once, whatever becomes of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geomask.batch.run import EngineOptions
from geomask.errors import BatchError, ModelError
from tests.batch.conftest import Batch, content, leftovers, records, write_scenes
from tests.batch.workers import Sleeping, tasks

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'geomask[ray]')")

from geomask.batch.ray import run_ray  # noqa: E402

ROOT = str(Path(__file__).parents[2])
TWO = EngineOptions("ray", workers=2, cores=1)
# Ray's own, of its own sockets and files.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray with three cores, one more than two workers need; `run_ray` finds it connected."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def ran(work: Sleeping, *names: str, **given: Any) -> dict[str, Any]:
    """What became of tasks, by name; each has one record."""
    found = list(run_ray(work, tasks(*names), TWO, lambda task: None, **given))
    assert sorted(record.name for record in found) == sorted(names)
    return {record.name: record for record in found}


def test_workers_do_every_task_once(cluster: Any, tmp_path: Path) -> None:
    names = [f"t{index:02}" for index in range(12)]
    ran(Sleeping(tmp_path, seconds=0.1), *names)
    assert len({path.read_text() for path in tmp_path.iterdir()}) == 2


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_scene_begun_again(
    cluster: Any, tmp_path: Path
) -> None:
    found = ran(Sleeping(tmp_path), "a", "dies once", "b", "dies", "c")
    assert [found[name].attempts for name in ("a", "dies once", "dies")] == [1, 2, 3]
    assert {name for name, record in found.items() if not record.done} == {"dies"}
    assert "its worker ended" in found["dies"].reason


def test_what_is_left_of_a_task_is_done_by_another_process(cluster: Any, tmp_path: Path) -> None:
    found = ran(Sleeping(tmp_path), "a", "b", "c", apart=True)
    assert {record.polygons["traced"] for record in found.values()} == {1}
    for name, record in found.items():
        assert record.worker["pid"] != int((tmp_path / name).read_text())


@pytest.mark.parametrize(
    ("refuse", "error"),
    [("error", ModelError), pytest.param("death", BatchError, marks=pytest.mark.slow)],
)
def test_a_worker_that_cannot_be_made_ends_the_run(
    cluster: Any, tmp_path: Path, refuse: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ran(Sleeping(tmp_path, refuse=refuse), "a", "b")


def test_a_cluster_without_room_is_told(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="no room for a worker"):
        list(
            run_ray(
                Sleeping(tmp_path), tasks("a"), EngineOptions("ray", cores=99), lambda task: None
            )
        )


def command(tmp_path: Path, model_file: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "geomask", "batch", str(tmp_path / "in"), "--shp"]
    words += ["--out-dir", str(tmp_path / "ray"), "--model", str(model_file)]
    words += ["--engine", "ray", "--workers", "2", "--cores", "1"]
    return subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ROOT}
    )


def wait_for(out: Path, count: int, process: subprocess.Popen[str]) -> dict[str, Any]:
    """The records, once there are so many."""
    deadline = time.monotonic() + 240
    while len(found := records(out)) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_and_the_bytes_are_the_local_engines(
    batch: Batch, tmp_path: Path, model_file: Path
) -> None:
    write_scenes(tmp_path / "in", 24, size=200)
    process = command(tmp_path, model_file)
    found = wait_for(tmp_path / "ray", 5, process)
    victim = found["s00"]["worker"]["pid"]
    while not list((tmp_path / "ray").glob(f".*.tif.geomask-*-{victim}-*")):
        assert process.poll() is None
    os.kill(victim, signal.SIGKILL)  # in the middle of a scene, which lies there half written
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert "[24/24]" in stderr
    after = records(tmp_path / "ray")
    assert len(after) == 24
    assert {record["status"] for record in after.values()} == {"done"}
    assert found.items() <= after.items()  # nothing was done twice
    assert [record["attempts"] for record in after.values() if record["attempts"] > 1] == [2]
    batch(tmp_path / "in", polygons=".shp", out=tmp_path / "local")
    assert content(tmp_path / "ray") == content(tmp_path / "local")
    assert leftovers(tmp_path / "ray") == []


@pytest.mark.slow
def test_a_killed_driver_leaves_what_a_second_run_completes(
    batch: Batch, tmp_path: Path, model_file: Path
) -> None:
    write_scenes(tmp_path / "in", 24, size=200)
    process = command(tmp_path, model_file)
    before = wait_for(tmp_path / "ray", 3, process)
    process.kill()
    process.communicate(timeout=60)
    pids = {record["worker"]["pid"] for record in before.values()}
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    before = records(tmp_path / "ray")
    result = batch(tmp_path / "in", polygons=".shp", out=tmp_path / "ray")
    assert len(result.done) == 24 - len(before) > 0
    assert before.items() <= records(tmp_path / "ray").items()
    assert leftovers(tmp_path / "ray") == []
