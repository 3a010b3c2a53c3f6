"""Invariant 8, at its root: an output path holds the complete file or what was there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geomask.errors import OutputError
from geomask.output import Staged, check_distinct, check_output


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_nothing_is_seen_before_the_commit(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    with Staged(target) as staged:
        staged.path.write_text("new")
        assert not target.exists()
        staged.commit()
    assert target.read_text() == "new"
    assert hidden(tmp_path) == []


def test_without_a_commit_the_old_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    target.write_text("old")
    with pytest.raises(RuntimeError), Staged(target) as staged:  # noqa: PT012
        staged.path.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert hidden(tmp_path) == []


def test_a_shapefile_goes_first_and_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.shp"
    for suffix in (".shp", ".dbf", ".sbn"):
        target.with_suffix(suffix).write_text("old")
    moved: list[str] = []
    replace = Path.replace

    def spy(self: Path, to: Path) -> Path:
        assert target.exists() is False
        moved.append(to.name)
        return replace(self, to)

    with Staged(target) as staged:
        for suffix in (".dbf", ".shp", ".shx", ".cpg"):
            staged.path.with_suffix(suffix).write_text("new")
        monkeypatch.setattr(Path, "replace", spy)
        staged.commit()
    assert moved[-1] == "a.shp"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.cpg", "a.dbf", "a.shp", "a.shx"]
    assert all(path.read_text() == "new" for path in tmp_path.iterdir())


def test_stale_sidecars_of_a_replaced_raster_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    (tmp_path / "a.tif.aux.xml").write_text("old statistics")
    with Staged(target) as staged:
        staged.path.write_text("new")
        staged.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_remains_of_a_killed_run_are_swept_and_of_a_live_one_are_not(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    pid = os.fork()
    if pid == 0:
        Staged(target).path.write_text("half")
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(hidden(tmp_path)) == 1
    live = Staged(target)
    assert hidden(tmp_path) == [live.folder.name]
    other = Staged(target)
    assert len(hidden(tmp_path)) == 2
    live.discard()
    other.discard()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("absent/a.tif", "does not exist"),
        ("folder", "is a folder"),
        ("there.tif", "exists; give --overwrite"),
        ("there.tif/a.tif", "does not exist"),
    ],
)
def test_what_cannot_be_written_is_refused_before_work(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.tif").write_text("old")
    with pytest.raises(OutputError, match=complaint):
        check_output(tmp_path / name, overwrite=False)


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    scene = tmp_path / "scene.tif"
    scene.write_text("precious")
    (tmp_path / "link.tif").symlink_to(scene)
    for target in (scene, tmp_path / "link.tif"):
        with pytest.raises(OutputError, match="is an input"):
            check_output(target, overwrite=True, inputs=[scene])


def test_an_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may write anywhere
    with pytest.raises(OutputError, match="is not writable"):
        check_output(tmp_path / "a.tif", overwrite=False)


def test_two_outputs_need_two_files(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="named for two outputs"):
        check_distinct([tmp_path / "a.tif", tmp_path / "b" / ".." / "a.tif"])
