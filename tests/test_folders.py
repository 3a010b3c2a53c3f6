"""Folders for outputs: what is refused, what is made, and what goes again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from geomask.errors import OutputError
from geomask.folders import check_folder, making


def test_a_check_touches_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(OutputError, match="is a file; name a folder"):
            check_folder(folder)


def test_what_was_made_goes_again_where_the_block_fails(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with suppress(KeyboardInterrupt), making(tmp_path / "a" / "b" / "c"):
        assert (tmp_path / "a" / "b" / "c").is_dir()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]
    with making(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b").is_dir()


def test_what_holds_something_stays(tmp_path: Path) -> None:
    with suppress(OutputError), making(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").write_text("whose")
        raise OutputError("x")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_what_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"), making(tmp_path / "file" / "b"):
        pass
