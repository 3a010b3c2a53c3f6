"""All or nothing: outputs are checked before work, written beside their target, then moved.

An output path holds either the complete file or what was there before. What is being written
lives in a hidden folder beside its target, `.NAME.geomask-HOST-PID-N`, so that the last step is
a rename on one file system. After a SIGKILL that folder remains; the next run that writes to
the same target sweeps it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from geomask.errors import OutputError

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_COUNTER = itertools.count()

_COMPANIONS = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj", ".shp.xml"),
    ".tif": (".tif.aux.xml", ".tif.ovr", ".tif.msk"),
    ".tiff": (".tiff.aux.xml", ".tiff.ovr", ".tiff.msk"),
}
"""Files that belong to the one with this suffix; a stale one would be read with the new file."""


def check_output(target: Path, *, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before any work, a target that could not be written or must not be.

    inputs: files that are read for this output and so must not be replaced by it.
    Raises OutputError.
    """
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"{target}: folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: folder {folder} is not writable; choose another one")
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; name a file in it")
    if not target.exists():
        return
    for other in inputs:
        if Path(other).exists() and target.samefile(other):
            raise OutputError(f"{target}: is an input of this run; name another output")
    if not overwrite:
        raise OutputError(f"{target}: exists; give --overwrite to replace it")


def check_distinct(targets: Iterable[Path]) -> None:
    """Refuse two outputs of one run that are the same file. Raises OutputError."""
    seen: set[Path] = set()
    for target in targets:
        resolved = target.resolve()
        if resolved in seen:
            raise OutputError(f"{target}: is named for two outputs; give each its own file")
        seen.add(resolved)


class Staged:
    """A file on its way to `target`: write to `.path`, then `commit()` or `discard()`.

    As a context manager it discards on an exception and on leaving without a commit.
    """

    def __init__(self, target: str | Path) -> None:
        self.target = Path(target)
        _sweep(self.target)
        name = f".{self.target.name}.geomask-{_HOST}-{os.getpid()}-{next(_COUNTER)}"
        self.folder = self.target.parent / name
        self.path = self.folder / self.target.name
        try:
            self.folder.mkdir()
        except OSError as error:
            raise OutputError(f"{self.target}: cannot write beside it: {error.strerror}") from error

    def commit(self) -> None:
        """Move what was written into place: companions first, the file that names them last."""
        written = [path for path in sorted(self.folder.iterdir()) if path != self.path]
        stale = [self.target.with_suffix(s) for s in _COMPANIONS.get(self.target.suffix, ())]
        try:
            _sync(self.path)
            if written:
                self.target.unlink(missing_ok=True)
            for path in stale:
                path.unlink(missing_ok=True)
            for path in written:
                path.replace(self.target.with_name(path.name))
            self.path.replace(self.target)
        except OSError as error:
            raise OutputError(
                f"{self.target}: could not be moved into place: {error.strerror}"
            ) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written and not committed; safe to call twice."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()


def _sync(path: Path) -> None:
    """Ask the disk to have the bytes before the name points at them."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sweep(target: Path) -> None:
    """Remove what a killed run of this machine left beside `target`."""
    prefix = f".{target.name}.geomask-{_HOST}-"
    try:
        remains = [p for p in target.parent.iterdir() if p.name.startswith(prefix)]
    except OSError:
        return
    for path in remains:
        pid = path.name.removeprefix(prefix).split("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
