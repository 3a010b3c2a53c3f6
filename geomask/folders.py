"""Folders for outputs: refused before work, and gone again where nothing came into them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geomask.errors import OutputError


def check_folder(folder: Path) -> None:
    """Refuse, before any work, a folder that is none, or could not be made or written to; touches
    nothing. Raises OutputError."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise OutputError(f"{folder}: cannot be reached ({error.strerror})") from error
    if not there.is_dir():
        raise OutputError(f"{folder}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: {there} is not writable; choose another folder")


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """With a folder, made where it is not there yet, its parents too; where the block fails, those
    that it made go again unless something is in them. Raises OutputError."""
    made: list[Path] = []
    try:
        try:
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            for path in reversed(new):
                path.mkdir(exist_ok=True)
                made.append(path)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be made: {error.strerror}; name a folder"
            ) from error
        yield
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()
        raise
