"""Invariant 8, at its root: an output path holds the complete file or what was there before."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from geomask import output, staging
from geomask.errors import OutputError
from geomask.output import Staged, check_distinct, check_output, commit_all, writing
from geomask.staging import target_of


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
        killed = Staged(target)
        killed.path.write_text("half")
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(hidden(tmp_path)) == 1
    live = Staged(target)
    assert hidden(tmp_path) == [live.folder.name]
    other = Staged(target)
    assert len(hidden(tmp_path)) == 2
    live.discard()
    other.discard()


def test_a_forked_process_leaves_it_alone(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom geomask.output import Staged\n"
        "with Staged('a.txt') as staged:\n"
        "    staged.path.write_text('all')\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        del staged\n"
        "        sys.exit()\n"
        "    os.waitpid(child, 0)\n"
        "    staged.commit()\n"
    )
    root = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": root}, check=True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["all"]


def test_what_nobody_holds_any_more_is_gone(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "a.tif")
    staged.path.write_text("half")
    assert len(hidden(tmp_path)) == 1
    del staged
    assert hidden(tmp_path) == []


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


@pytest.mark.parametrize(
    ("target", "companion"),
    [
        ("data.shp", "data.dbf"),
        ("data.shp", "data.cpg"),
        ("data.shp", "data.PRJ"),
        ("data.shp", "data.shp.xml"),
        ("a.tif", "a.tif.aux.xml"),
        ("a.TIF", "a.TIF.ovr"),
        ("a.tiff", "a.tiff.msk"),
    ],
)
def test_a_companion_is_replaced_only_when_told(
    tmp_path: Path, target: str, companion: str
) -> None:
    (tmp_path / companion).write_text("mine")
    with pytest.raises(OutputError, match=rf"{companion}: exists .*--overwrite"):
        check_output(tmp_path / target, overwrite=False)
    check_output(tmp_path / target, overwrite=True)
    with pytest.raises(OutputError, match=rf"{companion}: is an input"):
        check_output(tmp_path / target, overwrite=True, inputs=[tmp_path / companion])
    with Staged(tmp_path / target) as staged:
        staged.path.write_text("new")
        staged.commit()
    assert [path.name for path in tmp_path.iterdir()] == [target]


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_geopackage_in_use_is_refused(tmp_path: Path, ending: str) -> None:
    target = tmp_path / "a.gpkg"
    target.write_text("old")
    beside = tmp_path / f"a.gpkg{ending}"
    beside.write_text("changes")
    with pytest.raises(OutputError, match=r"open in another program.*close it there"):
        check_output(target, overwrite=True)
    with Staged(target) as staged:
        staged.path.write_text("new")
        with pytest.raises(OutputError, match="open in another program"):
            staged.commit()
    assert (target.read_text(), beside.read_text()) == ("old", "changes")
    assert hidden(tmp_path) == []


def test_empty_leftovers_of_a_geopackage_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "a.gpkg"
    for ending in ("-wal", "-journal"):
        (tmp_path / f"a.gpkg{ending}").touch()
    (tmp_path / "a.gpkg-shm").write_text("an index of the changes")
    check_output(target, overwrite=False)
    with Staged(target) as staged:
        staged.path.write_text("new")
        staged.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["a.gpkg"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through_when_told(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    real = tmp_path / "disk" / "blob"
    if there:
        real.write_text("old")
    link = tmp_path / "a.tif"
    link.symlink_to(Path("disk") / "blob")
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        check_output(link, overwrite=False)
    check_output(link, overwrite=True)
    with Staged(link) as staged:
        assert staged.folder.parent.samefile(tmp_path / "disk")
        staged.path.write_text("new")
        (staged.folder / "a.tif.aux.xml").write_text("new")
        staged.commit()
    assert link.is_symlink()
    assert real.read_text() == link.read_text() == "new"
    assert sorted(path.name for path in real.parent.iterdir()) == ["blob", "blob.aux.xml"]


def test_links_that_cannot_be_written_through_are_refused(tmp_path: Path) -> None:
    (tmp_path / "away.tif").symlink_to(tmp_path / "absent" / "a.tif")
    with pytest.raises(OutputError, match=r"absent does not exist"):
        check_output(tmp_path / "away.tif", overwrite=True)
    (tmp_path / "circle.tif").symlink_to(tmp_path / "circle.tif")
    with pytest.raises(OutputError, match=r"circle\.tif: "):
        check_output(tmp_path / "circle.tif", overwrite=True)
    with pytest.raises(OutputError, match=r"circle\.tif: "):
        check_distinct([tmp_path / "circle.tif"])
    with pytest.raises(OutputError, match=r"circle\.tif: "):
        Staged(tmp_path / "circle.tif")
    (tmp_path / "a.shp").symlink_to(tmp_path / "b.shp")
    with pytest.raises(OutputError, match=r"a\.shp: is a link, and a shapefile is several"):
        check_output(tmp_path / "a.shp", overwrite=True)


@pytest.mark.parametrize("length", [230, 300])
def test_a_name_that_is_too_long_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(OutputError, match="name is too long"):
        check_output(tmp_path / ("a" * length + ".tif"), overwrite=False)
    with pytest.raises(OutputError, match="cannot write beside it"):
        Staged(tmp_path / ("a" * length + ".tif"))


def test_an_input_that_is_a_long_url_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    check_output(tmp_path / "a.tif", overwrite=True, inputs=["https://host/a?" + "s" * 999])


def test_a_folder_that_may_not_be_searched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "lstat", refuse)  # root may search anywhere
    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(OutputError, match=r"a\.tif: cannot be reached \(Permission denied\)"):
        check_output(tmp_path / "a.tif", overwrite=False)


def test_the_lock_and_not_the_process_number_says_who_is_alive(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    live = Staged(target)
    # As another container sees it: same host name, and no process of that number.
    elsewhere = live.folder.with_name(".a.tif.geomask-01234567-999999999-0")
    live.folder.rename(elsewhere)
    dead = tmp_path / f".a.tif.geomask-89abcdef-{os.getpid()}-0"
    dead.mkdir()
    (dead / "a.tif").write_text("half")
    kept = {".a.tif.geomask-mine", ".b.tif.geomask-01234567-1-0"}
    for name in kept:
        (tmp_path / name).mkdir()
    Staged(target).discard()
    assert set(hidden(tmp_path)) == {elsewhere.name} | kept
    live.discard()
    Staged(target).discard()
    assert set(hidden(tmp_path)) == kept


def test_a_killed_run_is_swept(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        killed = Staged(target)
        killed.path.write_text("half")
        os.write(write, b"x")
        signal.pause()
    os.read(read, 1)
    assert len(hidden(tmp_path)) == 1
    Staged(target).discard()
    assert len(hidden(tmp_path)) == 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    Staged(target).discard()
    assert hidden(tmp_path) == []
    os.close(read)
    os.close(write)


def test_a_folder_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([BlockingIOError, FileNotFoundError])
    lock = staging._lock

    def late(folder: Path) -> int | None:
        for problem in taken:
            raise problem
        return lock(folder)

    monkeypatch.setattr(staging, "_lock", late)
    with Staged(tmp_path / "a.tif") as staged:
        staged.path.write_text("new")
        staged.commit()
    assert (tmp_path / "a.tif").read_text() == "new"


def test_without_locks_it_works_and_sweeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(staging.fcntl, "flock", no_locks)
    first = Staged(tmp_path / "a.tif")
    with Staged(tmp_path / "a.tif") as second:
        second.path.write_text("new")
        second.commit()
    assert hidden(tmp_path) == [first.folder.name]
    first.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_staged_file_is_called_by_its_target(tmp_path: Path) -> None:
    with Staged(tmp_path / "a.tif") as staged:
        assert target_of(staged.path) == tmp_path / "a.tif"
    for path in (tmp_path / "a.tif", "https://host//a.tif"):
        assert target_of(path) == path


def test_a_run_waits_for_another_that_moves_its_files_and_says_so_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PATIENCE", 0.05)
    target = tmp_path / "a.tif"
    target.write_text("old")
    with Staged(target) as staged:
        staged.path.write_text("new")
        with (
            staging.alone_in(tmp_path),
            pytest.raises(OutputError, match="another program has the folder locked"),
        ):
            staged.commit()
    assert target.read_text() == "old"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("step", ["claim", "drop"])
def test_ctrl_c_while_the_hidden_folder_is_made_or_removed_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    done = getattr(output, step)

    def interrupted(*given: object, **options: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return done(*given, **options)

    monkeypatch.setattr(output, step, interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Staged(tmp_path / "a.txt"):
            pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(tmp_path.iterdir()) == []


def staged_pair(folder: Path) -> list[Staged]:
    """a.txt and b.txt, in a folder each, on their way; older ones are there."""
    made = []
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "o.txt").write_text("old")
        made.append(Staged(folder / name / "o.txt"))
        made[-1].path.write_text("new")
    return made


def test_files_that_belong_together_wait_for_every_folder_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PATIENCE", 0.05)
    pair = staged_pair(tmp_path)
    with (
        staging.alone_in(tmp_path / "b"),
        pytest.raises(OutputError, match=r"b/o\.txt: could not be moved into place: another"),
    ):
        commit_all(pair)
    assert [item.target.read_text() for item in pair] == ["old", "old"]
    assert hidden(tmp_path / "a") == hidden(tmp_path / "b") == []


def test_a_signal_between_two_of_them_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Staged._move

    def interrupted(staged: Staged) -> None:
        move(staged)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Staged, "_move", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pair = staged_pair(tmp_path)
    try:
        with pytest.raises(KeyboardInterrupt):
            commit_all(pair)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [item.target.read_text() for item in pair] == ["new", "new"]
    assert hidden(tmp_path / "a") == hidden(tmp_path / "b") == []


def test_a_signal_ends_the_wait_for_another_run(tmp_path: Path) -> None:
    pair = staged_pair(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        with staging.alone_in(tmp_path / "b"), pytest.raises(KeyboardInterrupt):
            commit_all(pair)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert [item.target.read_text() for item in pair] == ["old", "old"]
    assert hidden(tmp_path / "a") == hidden(tmp_path / "b") == []


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (OSError(errno.ENOSPC, "No space left"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (OSError("GDAL says no more"), True),
        (ValueError("of a library"), True),
    ],
)
def test_a_full_disk_is_asked_about_where_it_may_be_that(error: Exception, asked: bool) -> None:
    with pytest.raises(OutputError) as caught, writing("a.tif", ValueError):
        raise error
    assert ("is the disk full?" in str(caught.value)) == asked
