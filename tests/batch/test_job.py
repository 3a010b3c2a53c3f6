"""The scene job: the same bytes as predict, done once, and every fault with its own reason."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiona
import pytest

from geomask.batch import batch_status
from geomask.batch import job as job_module
from geomask.errors import ModelError, OutputError, SceneError
from geomask.vectors.options import PolygonOptions
from tests.batch.conftest import Batch, content, leftovers, records, write_scenes
from tests.conftest import random_dn, write_scene


def test_a_batch_writes_the_bytes_that_predict_writes(
    batch: Batch, tmp_path: Path, model_file: Path
) -> None:
    from click.testing import CliRunner

    from geomask.cli import cli

    scenes = write_scenes(tmp_path / "in", 2)
    result = batch(tmp_path / "in", confidence=True, polygons=".shp")
    assert (len(result.done), result.failed) == (2, ())
    for scene in scenes:
        line = f"predict {scene} --out {tmp_path}/p.tif --confidence {tmp_path}/c.tif --overwrite "
        line += f"--shp {tmp_path}/v.shp --model {model_file} --quiet"
        assert CliRunner().invoke(cli, line.split()).exit_code == 0
        out = tmp_path / "out"
        assert (out / scene.name).read_bytes() == (tmp_path / "p.tif").read_bytes()
        assert (out / "confidence" / scene.name).read_bytes() == (tmp_path / "c.tif").read_bytes()
        for suffix in (".shp", ".shx", ".dbf", ".prj"):
            ours = out / "polygons" / f"{scene.stem}{suffix}"
            assert ours.read_bytes() == (tmp_path / f"v{suffix}").read_bytes()


def test_a_record_says_what_was_done_with_what(batch: Batch, tmp_path: Path) -> None:
    scene = write_scenes(tmp_path / "in", 1)[0]
    batch(scene, polygons=".gpkg", stated={"scale": 2e-4, "offset": 0.0})
    record = records(tmp_path / "out")["s00"]
    about = scene.stat()
    assert record["status"] == "done"
    assert record["inputs"] == [
        {"path": str(scene), "size": about.st_size, "mtime_ns": about.st_mtime_ns}
    ]
    assert [item["path"] for item in record["outputs"]] == [
        *("s00.tif", "s00.qml", "s00.tif.aux.xml", "polygons/s00.gpkg", "polygons/s00.qml")
    ]
    assert record["options"] == {"offset": 0.0, "polygons": ".gpkg", "scale": 2e-4}
    assert len(record["model"]["sha256"]) == 64
    assert sum(record["pixels"].values()) == 1600
    assert sum(record["percent"].values()) == pytest.approx(100)
    with fiona.open(tmp_path / "out" / "polygons" / "s00.gpkg") as layer:
        assert sum(record["polygons"].values()) == len(layer)
    assert set(record["seconds"]) >= {"opening", "network", "finishing", "polygons", "total"}
    assert record["seconds"]["total"] <= record["finished"] - record["started"]
    assert record["peak_memory"] > 2**20
    assert record["error"] is None
    assert record["worker"]["pid"] == os.getpid()


def test_the_top_of_the_folder_holds_masks_alone(batch: Batch, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 2)
    batch(tmp_path / "in", confidence=True, polygons=".shp")
    top = sorted(path.name for path in (tmp_path / "out").iterdir())
    beside = [f"s0{n}{suffix}" for n in (0, 1) for suffix in (".qml", ".tif", ".tif.aux.xml")]
    assert top == [".geomask", "confidence", "polygons", *beside]


def test_what_is_done_is_not_done_again(batch: Batch, tmp_path: Path) -> None:
    write_scenes(tmp_path / "in", 3)
    batch(tmp_path / "in")
    before = records(tmp_path / "out")
    again = batch(tmp_path / "in")
    assert (len(again.done), len(again.skipped)) == (0, 3)
    assert records(tmp_path / "out") == before


def _touched(scene: Path, out: Path) -> dict[str, Any]:
    os.utime(scene, ns=(0, 0))
    return {}


def _mask_gone(scene: Path, out: Path) -> dict[str, Any]:
    (out / scene.name).unlink()
    return {}


def _mask_cut(scene: Path, out: Path) -> dict[str, Any]:
    with (out / scene.name).open("r+b") as file:
        file.truncate(100)
    return {}


def _other_options(scene: Path, out: Path) -> dict[str, Any]:
    return {"stated": {"nodata": "none"}}


def _record_damaged(scene: Path, out: Path) -> dict[str, Any]:
    (out / ".geomask" / "records" / "s00.json").write_text("{")
    return {}


def _overwrite(scene: Path, out: Path) -> dict[str, Any]:
    return {"overwrite": True}


@pytest.mark.parametrize(
    "change", [_touched, _mask_gone, _mask_cut, _other_options, _record_damaged, _overwrite]
)
def test_what_does_not_hold_any_more_is_done_again_and_nothing_else(
    batch: Batch, tmp_path: Path, change: Callable[[Path, Path], dict[str, Any]]
) -> None:
    scenes = write_scenes(tmp_path / "in", 2)
    batch(tmp_path / "in")
    options = change(scenes[0], tmp_path / "out")
    again = batch(tmp_path / "in", **options)
    all_of_them = change in (_other_options, _overwrite)
    assert len(again.done) == (2 if all_of_them else 1)
    assert (
        len(batch(tmp_path / "in", **{k: v for k, v in options.items() if k == "stated"}).done) == 0
    )


def test_another_model_is_another_batch(batch: Batch, tmp_path: Path, model_file: Path) -> None:
    import torch

    from geomask.checkpoint import save_model
    from geomask.network import build_segmenter
    from tests.conftest import make_card

    scene = write_scenes(tmp_path / "in", 1)[0]
    batch(scene)
    card = make_card(name="tiny", stride=16, margin=16)
    torch.manual_seed(1)
    save_model(model_file, build_segmenter(card), card)
    assert len(batch(scene).done) == 1


def test_readers_and_batch_size_make_no_difference(batch: Batch, tmp_path: Path) -> None:
    scene = write_scenes(tmp_path / "in", 1)[0]
    batch(scene)
    assert len(batch(scene, readers=1, batch=2).skipped) == 1


def test_polygons_of_other_options_do_not_stay_beside_a_newer_mask(
    batch: Batch, tmp_path: Path
) -> None:
    scene = write_scenes(tmp_path / "in", 1)[0]
    batch(scene, polygons=".shp")
    batch(scene, polygons=".gpkg")
    left = sorted(path.name for path in (tmp_path / "out" / "polygons").iterdir())
    assert left == ["s00.gpkg", "s00.qml"]


def test_they_do_not_stay_where_that_took_several_attempts_and_runs(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_scenes(tmp_path / "in", 1)[0]
    batch(scene, polygons=".shp")
    with monkeypatch.context() as patched:
        _fail(patched, KeyboardInterrupt, 1)
        with pytest.raises(KeyboardInterrupt):
            batch(scene, polygons=".gpkg")
    assert records(tmp_path / "out")["s00"]["status"] == "begun"
    status = batch_status(tmp_path / "out")
    assert (status.done, status.failed, list(status.waiting)) == ((), (), ["s00"])
    with monkeypatch.context() as patched:
        _fail(patched, lambda: SceneError("s00.tif: is bad"), 1)
        assert len(batch(scene, polygons=".gpkg").failed) == 1
    assert len(batch(scene, polygons=".gpkg").done) == 1
    left = sorted(path.name for path in (tmp_path / "out" / "polygons").iterdir())
    assert left == ["s00.gpkg", "s00.qml"]


def test_a_file_that_no_batch_made_is_not_replaced(batch: Batch, tmp_path: Path) -> None:
    scene = write_scenes(tmp_path / "in", 1)[0]
    out = tmp_path / "out"
    out.mkdir()
    (out / "s00.tif").write_text("mine")
    with pytest.raises(OutputError, match=r"s00\.tif: exists, and no batch made it"):
        batch(scene)
    assert (out / "s00.tif").read_text() == "mine"
    assert len(batch(scene, overwrite=True).done) == 1


def _faulty(folder: Path) -> dict[str, str]:
    """Four scenes that cannot be done beside two that can, by name, and a part of the reason."""
    scenes = write_scenes(folder, 2)
    whole = write_scene(
        folder / "cut.tif", random_dn(300, 300, seed=9), tiled=True, blockxsize=64, blockysize=64
    )
    with whole.open("r+b") as file:
        file.truncate(whole.stat().st_size // 2)
    (folder / "text.tif").write_text("hello")
    write_scene(folder / "rgb.tif", random_dn(30, 30), bands=("red", "green", "blue"))
    assert len(scenes) == 2
    return {
        "cut": "cut.tif",
        "text": "is not a raster that GDAL can open",
        "rgb": "needs the bands red, green, nir",
    }


def test_each_fault_is_quarantined_with_its_reason_and_the_others_complete(
    batch: Batch, tmp_path: Path
) -> None:
    reasons = _faulty(tmp_path / "in")
    result = batch(tmp_path / "in", polygons=".shp")
    assert sorted(record.name for record in result.done) == ["s00", "s01"]
    found = {record.name: record.reason for record in result.failed}
    assert found.keys() == reasons.keys()
    for name, part in reasons.items():
        assert part in found[name]
        assert records(tmp_path / "out")[name]["error"]["message"] == found[name]
        assert not (tmp_path / "out" / f"{name}.tif").exists()
    assert all(record.attempts == 1 for record in result.failed)
    assert leftovers(tmp_path / "out") == []


def test_what_failed_is_tried_again(batch: Batch, tmp_path: Path) -> None:
    _faulty(tmp_path / "in")
    batch(tmp_path / "in")
    write_scene(tmp_path / "in" / "text.tif", random_dn(30, 30))
    again = batch(tmp_path / "in")
    assert [record.name for record in again.done] == ["text"]
    assert len(again.failed) == 2


def _fail(
    monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException], times: int
) -> list[int]:
    """Have the first `times` predictions fail; every call is counted in what is returned."""
    calls: list[int] = []
    real = job_module.predict_and_trace

    def predict(*given: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise error()
        return real(*given)

    monkeypatch.setattr(job_module, "predict_and_trace", predict)
    monkeypatch.setattr(job_module, "time", _NoSleep())
    return calls


class _NoSleep:
    """`time`, without waiting."""

    def __getattr__(self, name: str) -> Any:
        import time

        return (lambda seconds: None) if name == "sleep" else getattr(time, name)


def _wrapped(cause: Exception) -> Callable[[], Exception]:
    def make() -> Exception:
        error = SceneError("s00.tif: cannot be read")
        error.__cause__ = cause
        return error

    return make


def test_a_fault_of_the_disk_is_tried_again(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _fail(monkeypatch, _wrapped(OSError(errno.EIO, "Input/output error")), 2)
    scene = write_scenes(tmp_path / "in", 1)[0]
    (record,) = batch(scene, retries=2).done
    assert (record.attempts, len(calls)) == (3, 3)


def test_after_the_last_retry_it_is_quarantined(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _fail(monkeypatch, _wrapped(OSError(errno.ESTALE, "Stale file handle")), 9)
    scene = write_scenes(tmp_path / "in", 1)[0]
    (record,) = batch(scene, retries=1).failed
    assert (record.attempts, len(calls)) == (2, 2)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.ENOENT, errno.EACCES])
def test_what_stays_as_it_is_is_not_tried_again(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    calls = _fail(monkeypatch, _wrapped(OSError(number, "x")), 9)
    batch(write_scenes(tmp_path / "in", 1)[0], retries=5)
    assert len(calls) == 1


def test_a_bug_is_in_the_record_with_its_traceback_and_the_others_go_on(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail(monkeypatch, lambda: ZeroDivisionError("a bug"), 1)
    write_scenes(tmp_path / "in", 2)
    result = batch(tmp_path / "in")
    assert (len(result.done), len(result.failed)) == (1, 1)
    error = records(tmp_path / "out")["s00"]["error"]
    assert (error["kind"], error["message"]) == ("ZeroDivisionError", "a bug")
    assert "test_job.py" in error["traceback"]


def test_warnings_of_a_scene_are_in_its_record_and_not_shown(batch: Batch, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "nocrs.tif", random_dn(30, 30), crs=None)
    plain = write_scene(tmp_path / "plain.tif", random_dn(30, 30))
    result = batch(scene, plain)
    told = {record.name: record.warnings for record in result.done}
    assert any("no coordinate reference system" in text for text in told["nocrs"])
    assert told["plain"] == ()


def test_an_interrupt_is_no_fault_of_the_scene(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path / "in", 3)
    with monkeypatch.context() as patched:
        calls: list[int] = []
        real = job_module.predict_and_trace

        def predict(*given: Any) -> Any:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(*given)

        patched.setattr(job_module, "predict_and_trace", predict)
        with pytest.raises(KeyboardInterrupt):
            batch(tmp_path / "in")
    assert list(records(tmp_path / "out")) == ["s00"]
    again = batch(tmp_path / "in")
    assert (len(again.done), len(again.skipped)) == (2, 1)


def test_a_worker_refuses_a_model_that_is_not_the_one_of_the_plan(
    tmp_path: Path, model_file: Path
) -> None:
    from geomask.batch.job import SceneWorker
    from geomask.batch.options import SceneOptions
    from geomask.batch.task import Order

    order = Order(tmp_path, SceneOptions(model=str(model_file)), str(model_file), "0" * 64, "run")
    with pytest.raises(ModelError, match="another file here"):
        SceneWorker(order, "cpu")


FULL = """
import resource, signal, sys
from pathlib import Path
from geomask.batch import SceneOptions, find_scenes, run_batch
scenes, out, model = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run_batch(find_scenes([scenes]), out, SceneOptions(model=model, confidence=True))
"""


def test_a_full_disk_quarantines_the_scene_that_did_not_fit(
    tmp_path: Path, model_file: Path
) -> None:
    """RLIMIT_FSIZE stands in for a full disk: a write beyond it fails with EFBIG."""
    write_scenes(tmp_path / "in", 2)
    write_scene(tmp_path / "in" / "big.tif", random_dn(700, 700))
    command = [sys.executable, "-c", FULL, tmp_path / "in", tmp_path / "out", model_file]
    subprocess.run(command, check=True)
    found = records(tmp_path / "out")
    assert {name: record["status"] for name, record in found.items()} == {
        "big": "failed",
        "s00": "done",
        "s01": "done",
    }
    assert found["big"]["error"]["kind"] == "OutputError"
    assert "is the disk full?" in found["big"]["error"]["message"]
    names = ["s00.tif", "s01.tif"]
    rasters = [name for name in sorted(content(tmp_path / "out")) if name.endswith(".tif")]
    assert rasters == [f"confidence/{name}" for name in names] + names
    assert leftovers(tmp_path / "out") == []


def test_a_scene_whose_record_cannot_be_written_is_not_done(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geomask.batch import outcome

    def full(*given: Any) -> None:
        raise OutputError("s00.json: could not be written (is the disk full?)")

    scene = write_scenes(tmp_path / "in", 1)[0]
    with monkeypatch.context() as patched:
        patched.setattr(outcome, "write_record", full)
        (record,) = batch(scene).failed
    assert "is the disk full?" in record.reason
    assert len(batch(scene).done) == 1


def test_polygons_that_another_process_traces_are_the_same(
    batch: Batch, tmp_path: Path, model_file: Path
) -> None:
    """As with Ray on GPUs: the record is written only once the polygons are there."""
    from geomask.batch.inputs import find_scenes
    from geomask.batch.job import SceneWork
    from geomask.batch.options import SceneOptions
    from geomask.batch.run import plan_batch

    write_scenes(tmp_path / "in", 2)
    batch(tmp_path / "in", polygons=".shp", confidence=True)
    options = SceneOptions(model=str(model_file), polygons=".shp", confidence=True)
    apart = tmp_path / "apart"
    plan = plan_batch(find_scenes([tmp_path / "in"]), apart, options)
    plan.order.places.create(options)
    work = SceneWork(plan.order, apart=True)
    worker = work.worker("cpu", 0)
    for task in plan.todo:
        begun = worker(task)
        assert records(apart).keys() == {t.name for t in plan.todo[: plan.todo.index(task)]}
        assert work.trace(task, begun).done
    assert content(apart) == content(tmp_path / "out")
    ours, theirs = records(apart), records(tmp_path / "out")
    for name, record in ours.items():
        for key in ("outputs", "polygons", "options", "percent"):
            assert record[key] == theirs[name][key]


def test_records_are_plain_json_whatever_the_options(batch: Batch, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(30, 30), bands=(None,) * 3, scale=None)
    stated = {"bands": {"red": 1, "green": 2, "nir": 3}, "scale": 1e-4, "offset": -0.1}
    options: dict[str, Any] = {"polygons": ".shp", "drawn": PolygonOptions(classes=("cloud",))}
    batch(scene, stated=stated, **options)
    assert records(tmp_path / "out")["s"]["options"]["classes"] == ["cloud"]
    assert len(batch(scene, stated=stated, **options).skipped) == 1


def test_a_damaged_model_is_refused_before_a_folder_is_made(
    batch: Batch, tmp_path: Path, model_file: Path
) -> None:
    write_scenes(tmp_path / "in", 1)
    model_file.write_bytes(model_file.read_bytes()[:-1])
    with pytest.raises(ModelError, match="is cut short or damaged"):
        batch(tmp_path / "in")
    assert not (tmp_path / "out").exists()
