"""All or nothing: outputs are checked before work, written beside their target, then moved.

An output path holds either the complete file or what was there before. What is being written
lives in a hidden folder beside its target, so that the last step is a rename on one file system.
What a killed run left there is swept by the next one that writes to the same target.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from geomask.errors import OutputError
from geomask.signals import undisturbed
from geomask.staging import LOCK, alone_in, claim, drop, hidden, sweep, target_of

_PARTS = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj", ".idm", ".ind")
_SIDECARS = (".aux.xml", ".ovr", ".msk")
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))


def check_output(target: Path, *, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before any work, a target that could not be written or must not be.

    inputs: files that are read for this output and so must not be replaced by it.
    A symbolic link is written through: what counts is the file it names.
    Raises OutputError.
    """
    with _refusals(target):
        place = _place(target)
        folder = place.parent
        if not stat.S_ISDIR(_mode(folder)):
            raise OutputError(f"{target}: folder {folder} does not exist; create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{target}: folder {folder} is not writable; choose another one")
        _mode(hidden(place))  # whose name is longer than the target's
        if stat.S_ISDIR(_mode(target)):
            raise OutputError(f"{target}: is a folder; name a file in it")
        if place != target and target.suffix.lower() == ".shp":
            raise OutputError(
                f"{target}: is a link, and a shapefile is several files; name {place} itself"
            )
        _check_closed(target, place)
        inputs = list(inputs)
        for path in (target, *_companions(target, place)):
            if not (path.is_symlink() or path.exists()):
                continue
            if any(_same(path, other) for other in inputs):
                raise OutputError(f"{path}: is an input of this run; name another output")
            if not overwrite:
                belongs = "" if path == target else f" and would be replaced with {target.name}"
                raise OutputError(f"{path}: exists{belongs}; give --overwrite to replace it")


def check_distinct(targets: Iterable[Path]) -> None:
    """Refuse two outputs of one run that are the same file. Raises OutputError."""
    seen: set[Path] = set()
    for target in targets:
        with _refusals(target):
            resolved = _place(target).resolve()
        if resolved in seen:
            raise OutputError(f"{target}: is named for two outputs; give each its own file")
        seen.add(resolved)


class Staged:
    """A file on its way to `target`: write to `.path`, then `commit()` or `discard()`.

    Other files written to `.folder` come into place with it, `a.dbf` beside `a.shp`; extras, which
    it is whole without, after it, whatever has their names.
    As a context manager it discards on an exception and on leaving without a commit; so it does
    where nobody holds it any more, such as after a signal in the moment in which it was made.
    """

    def __init__(self, target: str | Path) -> None:
        self.target = Path(target)
        try:
            self._place = _place(self.target)
            sweep(self._place.parent, self._place.name)
            with undisturbed():
                self.folder, lock = claim(self._place)
                self._dropped = weakref.finalize(self, drop, self.folder, lock, os.getpid())
        except OSError as error:
            raise OutputError(f"{self.target}: cannot write beside it: {_why(error)}") from error
        except BaseException:  # a signal that waited
            if hasattr(self, "_dropped"):
                self.discard()
            raise
        self.path = self.folder / self.target.name
        self._extras: list[Path] = []

    def extra(self, name: str) -> Path:
        """Where to write what tells of this file, such as its style, under `name`."""
        path = self.folder / name
        self._extras.append(path)
        return path

    def write_extra(self, suffix: str, text: str) -> None:
        """Write a text of this file's name but for the suffix. Raises OutputError."""
        path = self.extra(self.path.with_suffix(suffix).name)
        with writing(self.target.with_suffix(suffix)):
            path.write_text(text, "utf-8")

    def commit(self) -> None:
        """As `commit_all`, of this file alone."""
        commit_all([self])

    def _parts(self) -> list[Path]:
        """What it is not whole without."""
        kept = (self.path, self.folder / LOCK, *self._extras)
        return [path for path in sorted(self.folder.iterdir()) if path not in kept]

    def _make_ready(self) -> None:
        """All that may fail or take long before the first rename."""
        _check_closed(self.target, self._place)
        for path in (*self._parts(), self.path, *self._extras):
            _sync(path)

    def _move(self) -> None:
        """Parts first, then the file that names them, then its extras."""
        place, parts = self._place, self._parts()
        if parts:
            place.unlink(missing_ok=True)
        for path in (*_companions(self.target, place), *_leftovers(self.target, place)):
            path.unlink(missing_ok=True)
        for path in (*parts, self.path, *self._extras):
            path.replace(place.with_name(self._final(path.name)))

    def _final(self, name: str) -> str:
        """A file's name beside the one that a link names: a.tif.ovr and a.qml go by its name."""
        place = self._place
        if name.startswith(self.path.name):
            return name.replace(self.path.name, place.name, 1)
        return name.replace(self.path.stem, place.stem, 1)

    def discard(self) -> None:
        """Remove what was written and not committed; safe to call twice."""
        with undisturbed():
            self._dropped()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.discard()


def commit_all(outputs: Iterable[Staged]) -> None:
    """Move what was written into place, all of it together: what can be found to stand in the way
    is found before the first rename, and from there to the last a signal that ends the run waits.

    Of two runs that do so in one folder the one waits for the other, and what is there is the last
    one's. Nothing hidden remains of any of them, whether they came into place or not. Raises
    OutputError.
    """
    staged = list(outputs)
    try:
        with ExitStack() as locks:
            folders: dict[tuple[int, int], Staged] = {}
            for item in staged:
                with _moving(item):
                    item._make_ready()
                    found = item._place.parent.stat()
                folders.setdefault((found.st_dev, found.st_ino), item)
            for _, item in sorted(folders.items()):  # in an order that all runs have in common
                with _moving(item):
                    locks.enter_context(alone_in(item._place.parent))
            with undisturbed():
                for item in staged:
                    with _moving(item):
                        item._move()
    finally:
        with undisturbed():
            for item in staged:
                item.discard()


@contextmanager
def writing(path: str | Path, *also: type[Exception]) -> Iterator[None]:
    """What the system says while a file is written, as OutputError; and errors of the types in
    `also`, of the library that writes it. path: the file, or where it is staged."""
    errors: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except errors as error:
        raise OutputError(
            f"{target_of(path)}: could not be written: {_why(error)}{_way_out(error)}"
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text; `path` holds all of it or what was there before. Raises OutputError."""
    with Staged(path) as staged:
        with writing(path):
            staged.path.write_text(text, "utf-8")
        staged.commit()


@contextmanager
def _refusals(target: Path) -> Iterator[None]:
    """What the system says of a path that cannot even be looked at, as OutputError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise OutputError(f"{target}: the name is too long; choose a shorter one") from error
        raise OutputError(
            f"{target}: cannot be reached ({_why(error)}); choose another place"
        ) from error


@contextmanager
def _moving(item: Staged) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{item.target}: could not be moved into place: {_why(error)}") from error


def _way_out(error: Exception) -> str:
    """What to look at first. Libraries, and writes that were cut short, do not say."""
    known = isinstance(error, OSError) and error.errno not in (None, *_FULL)
    return "" if known else " (is the disk full?)"


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _place(target: Path) -> Path:
    """Where the bytes go: a link's file, even one that is not there yet. Raises OSError for links
    that go in a circle, of which `resolve` raises what depends on Python."""
    _mode(target)
    return target.resolve() if target.is_symlink() else target


def _mode(path: Path) -> int:
    """As `os.stat`'s; 0 where there is no such file."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _same(path: Path, other: str | Path) -> bool:
    """False for an input that is no file of this system, such as a URL."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _companions(target: Path, place: Path) -> list[Path]:
    """Files that belong to this one, there or not; stale ones would be read with the new file.

    With a TIFF's, GDAL goes by the name it was given, the link's or the file's.
    """
    suffix = target.suffix.lower()
    if suffix == ".shp":
        names = [target.stem + part for part in _PARTS] + [target.name + ".xml"]
        names += [target.stem + part.upper() for part in _PARTS]
        return [target.with_name(name) for name in names]
    if suffix in (".tif", ".tiff"):
        return [
            path.with_name(path.name + end)
            for path in dict.fromkeys((target, place))
            for part in _SIDECARS
            for end in (part, part.upper())
        ]
    return []


def _leftovers(target: Path, place: Path) -> list[Path]:
    """What SQLite keeps beside a GeoPackage in use, there or not; it goes by a link's file."""
    if target.suffix.lower() != ".gpkg":
        return []
    return [place.with_name(place.name + end) for end in ("-wal", "-journal", "-shm")]


def _check_closed(target: Path, place: Path) -> None:
    """Refuse a GeoPackage with changes pending: they would be played into the new file."""
    for path in _leftovers(target, place)[:2]:
        if _mode(path) and path.stat().st_size > 0:
            raise OutputError(
                f"{target}: is open in another program, whose changes are in {path.name}; "
                "close it there"
            )


def _sync(path: Path) -> None:
    """Ask the disk to have the bytes before the name points at them."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
