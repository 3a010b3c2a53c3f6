"""A system that refuses: files that may not be read, a full disk, no more file handles."""

from __future__ import annotations

import codecs
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner

from geomask.cli import cli
from tests.faults import oracle
from tests.faults.damage import restore, snapshot
from tests.faults.limits import as_nobody, disk_full, few_handles
from tests.faults.outcome import Outcome
from tests.faults.table import LINES, PAIRS, Line

Archive = Callable[[], Path]

WRITING = [line for line in LINES if line.outputs]

ROOM = (0, 100, 300, 1_000, 2_000, 12_000, 30_000)
"""Bytes that a file may have when the disk is full: less than any, than some, than most outputs."""

FEW = 6
HANDLES = [more for more in range(21) if more != FEW]
"""Files that can still be opened: none, to about as many as a run needs."""


@pytest.fixture(scope="module", autouse=True)
def _imported(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Python must be able to import what a line needs, whoever it is and whatever is full."""
    folder = tmp_path_factory.mktemp("imported") / "archive"
    shutil.copytree(store, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in LINES:
            CliRunner().invoke(cli, line.words.split())
            restore(folder, snapshot(store))
    codecs.lookup("cp437")  # of zips


@pytest.mark.parametrize(("line", "name"), PAIRS, ids=lambda value: getattr(value, "words", value))
def test_what_may_not_be_read_is_one_sentence(
    line: Line, name: str, archive: Archive, outcome: Outcome
) -> None:
    folder = archive()
    (folder / name).chmod(0)
    ended = outcome(line.words, folder, line.outputs, as_nobody(folder))
    (folder / name).chmod(0o644)
    assert not ended.wrong
    assert not ended.done or name.endswith((".cpg", ".prj", ".shx"))


@pytest.mark.parametrize("line", WRITING, ids=lambda line: line.words)
def test_a_folder_that_may_not_be_written_is_one_sentence(
    line: Line, archive: Archive, outcome: Outcome
) -> None:
    folder = archive()
    folder.chmod(0o555)
    ended = outcome(line.words, folder, line.outputs, as_nobody(folder))
    folder.chmod(0o755)
    assert not ended.wrong
    assert not ended.done
    assert "writable" in ended.said or "be made" in ended.said


def wrong_within(
    limit: AbstractContextManager[None], line: Line, folder: Path, outcome: Outcome, store: Path
) -> str:
    """Run a line in a limit, and again without it; what was wrong with either."""
    ended = outcome(line.words, folder, line.outputs, limit)
    found = ended.wrong
    if (ended.done or ended.partly) and not found:
        found = oracle.check(line.words, folder, store)
    if not found and not ended.done:
        again = outcome(line.words, folder, line.outputs)
        found = again.wrong or ("" if again.done else f"then: {again.said}")
        found = found or oracle.check(line.words, folder, store)
    return found


@pytest.mark.parametrize(
    "room", [4_000, *(pytest.param(room, marks=pytest.mark.slow) for room in ROOM)]
)
@pytest.mark.parametrize("line", WRITING, ids=lambda line: line.words)
def test_a_full_disk_is_one_sentence_and_with_room_it_works(
    line: Line, room: int, archive: Archive, outcome: Outcome, store: Path
) -> None:
    assert not wrong_within(disk_full(room), line, archive(), outcome, store)


@pytest.mark.slow
def test_a_full_disk_leaves_no_exported_model(archive: Archive, outcome: Outcome) -> None:
    folder = archive()
    line = "models export model.safetensors --onnx o.onnx --patch 64"
    ended = outcome(line, folder, (), disk_full(1_000))
    assert not ended.wrong
    assert "is the disk full?" in ended.said


@pytest.mark.parametrize(
    "more", [FEW, *(pytest.param(more, marks=pytest.mark.slow) for more in HANDLES)]
)
@pytest.mark.parametrize("line", LINES[:-1], ids=lambda line: line.words)
def test_no_more_handles_is_one_sentence_and_with_some_it_works(
    line: Line, more: int, archive: Archive, outcome: Outcome, store: Path
) -> None:
    assert not wrong_within(few_handles(more), line, archive(), outcome, store)
