"""Writing a chip folder: a chip is complete and in the manifest, or it is not there.

A chip's mask and image are written beside, read back, and moved into place before its row is
added to manifest.csv, which is replaced as a whole. So whatever stops a run leaves a folder that
`read_manifest` accepts, and a second run adds what is missing.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS

from geomask.errors import OptionError, OutputError, RecipeError
from geomask.folders import making
from geomask.output import Staged, writing
from geomask.raster import GDAL_ERRORS
from geomask.training.chip_raster import ChipRasters

try:
    import fcntl
except ImportError:  # not on Windows, where two runs must not write to one folder
    fcntl = None  # type: ignore[assignment]

MANIFEST = "manifest.csv"

ID = re.compile(r"\w[\w.-]{0,149}")
"""An id is the name of two files: no separators or blanks, nothing hidden, and short enough that
`_mask.tif` and a note of GDAL's beside it still fit into 255 bytes."""

_FIRST = ("id", "split_group", "split")
_SIDECARS = (".aux.xml", ".ovr", ".msk")

Row = dict[str, str]


class ChipFolder:
    """A chip folder being written or added to, by one run or by several at once.

    folder: made with its first chip. columns: of the manifest, beyond id and split_group; those
    that an existing manifest has are kept.
    Raises OutputError for a folder of other things, RecipeError for a manifest that is damaged.
    What it keeps for itself goes with it, or on leaving it as a context manager.
    """

    def __init__(self, folder: str | Path, *, columns: Iterable[str]) -> None:
        self.folder = Path(folder)
        self._wanted = tuple(columns)
        self._staged: Staged | None = None
        self._made = ExitStack()
        self._rows: dict[str, Row] = {}
        self._complete: set[str] = set()
        self._header: tuple[str, ...] = ()
        self._seen: tuple[int, ...] | None = None
        _check_folder(self.folder)
        self._refresh()

    @property
    def ids(self) -> set[str]:
        """The chips that are complete: in the manifest, and their files there."""
        return set(self._complete)

    @property
    def rows(self) -> list[Row]:
        """The manifest as this run last saw it, row by row, complete or not."""
        return [dict(row) for row in self._rows.values()]

    def add(
        self,
        chip_id: str,
        image: npt.NDArray[Any],
        labels: npt.NDArray[np.uint8],
        *,
        bands: Sequence[str],
        crs: CRS | str | None,
        transform: Affine,
        group: str,
        scale: float = 1e-4,
        offset: float = 0.0,
        nodata: float | None = None,
        fields: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write a chip and its row of the manifest.

        Pixels and what they mean: see `ChipRasters`. fields: of the manifest, by column.
        overwrite: replace the chip of that id; a crash while that is done leaves none.
        Raises OutputError where the chip is there already or cannot be written, OptionError for
        an id or group that names nothing, BandError for a band without a common name, ValueError
        for arrays that do not fit each other.
        """
        fields = dict(fields or {})
        _check_names(self.folder, chip_id, group)
        if unknown := set(fields) - set(self._header) or set(fields) & {"id", "split_group"}:
            raise ValueError(f"no columns for fields {sorted(unknown)}")
        chip = ChipRasters(image, labels, tuple(bands), crs, transform, scale, offset, nodata)
        self._refuse_twice(chip_id, overwrite)
        work = self._work()
        files = work / f"{chip_id}_mask.tif", work / f"{chip_id}.tif"
        with self._writing(f"{chip_id}.tif"):
            try:
                chip.write(files[1], files[0])
                row = {"id": chip_id, "split_group": group, **fields}
                self._place(row, files, overwrite)
            finally:
                for path in files:
                    path.unlink(missing_ok=True)
                    # GDAL's, of what no TIFF can state.
                    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)

    def drop(self, ids: Iterable[str]) -> None:
        """Take chips out of the manifest, then remove their files. Raises OutputError."""
        with self._writing(MANIFEST), self._alone():
            doomed = [chip_id for chip_id in ids if chip_id in self._rows]
            if doomed:
                self._save({k: row for k, row in self._rows.items() if k not in doomed})
            for chip_id in doomed:
                self._unlink(chip_id)

    def close(self) -> None:
        """Remove what is kept for writing; safe to call twice, and before another `add`."""
        if self._staged is not None:
            self._staged.discard()
            self._staged = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
        self._made.__exit__(*exception)

    def _refuse_twice(self, chip_id: str, overwrite: bool) -> None:
        if chip_id in self._complete and not overwrite:
            raise OutputError(
                f"{self.folder / chip_id}.tif: exists in {MANIFEST}; give --overwrite to replace it"
            )

    def _place(self, row: Row, files: Sequence[Path], overwrite: bool) -> None:
        """Move finished files into place, and only then say that they are there."""
        chip_id = row["id"]
        with self._alone():
            self._refuse_twice(chip_id, overwrite)
            if chip_id in self._rows or self._seen is None:
                # With a header alone at first, so that a folder that was begun says what it is.
                self._save({k: v for k, v in self._rows.items() if k != chip_id})
            self._unlink(chip_id)
            for path in files:
                path.replace(self.folder / path.name)
            self._save(self._rows | {chip_id: row})

    def _unlink(self, chip_id: str) -> None:
        """A chip's files, and what other programs keep beside them."""
        for name in (f"{chip_id}.tif", f"{chip_id}_mask.tif"):
            for end in ("", *_SIDECARS):
                (self.folder / (name + end)).unlink(missing_ok=True)

    def _save(self, rows: dict[str, Row]) -> None:
        """Replace the manifest."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
        path = self._work() / MANIFEST
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        path.replace(self.folder / MANIFEST)
        added = rows.keys() - self._rows.keys()
        self._rows = rows
        self._complete = (self._complete & rows.keys()) | added
        self._seen = _signature(self.folder / MANIFEST)

    def _refresh(self) -> None:
        """Read the manifest where it is not what this run wrote last."""
        path = self.folder / MANIFEST
        seen = _signature(path)
        if seen == self._seen and self._header:
            return
        columns, rows = _read(path) if seen else ((), {})
        names = dict.fromkeys((*columns, *_FIRST[:2], *self._wanted))
        first = [name for name in _FIRST if name in names]
        self._header = (*first, *(name for name in names if name not in first))
        self._rows, self._seen = rows, seen
        self._complete = {k for k in rows if k in self._complete or self._is_there(k)}

    def _is_there(self, chip_id: str) -> bool:
        names = (f"{chip_id}.tif", f"{chip_id}_mask.tif")
        return all((self.folder / name).is_file() for name in names)

    def _work(self) -> Path:
        """A hidden folder to write in; the next run sweeps it where this one is killed."""
        if self._staged is None:
            self._made.enter_context(making(self.folder))
            self._staged = Staged(self.folder / MANIFEST)
        return self._staged.folder

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """With the folder locked, and the manifest as the last run left it."""
        self._work()
        file = os.open(self.folder, os.O_RDONLY) if fcntl else None
        try:
            if file is not None:
                with suppress(OSError):  # some network disks have no locks
                    fcntl.flock(file, fcntl.LOCK_EX)
            self._refresh()
            yield
        finally:
            if file is not None:
                os.close(file)

    def _writing(self, name: str) -> AbstractContextManager[None]:
        return writing(self.folder / name, *GDAL_ERRORS)


def _check_folder(folder: Path) -> None:
    """Refuse a path that is no folder, or one that holds other things than chips."""
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; name a folder for the chips")
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
    except OSError as error:
        raise OutputError(f"{folder}: cannot be reached ({error.strerror})") from error
    visible = sorted(name for name in names if not name.startswith("."))
    if visible and MANIFEST not in visible:
        raise OutputError(
            f"{folder}: holds {visible[0]} and no {MANIFEST}, so it is no chip folder; name a new "
            "or an empty one"
        )
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: is not writable; choose another folder")


def _check_names(folder: Path, chip_id: str, group: str) -> None:
    if not ID.fullmatch(chip_id) or chip_id.endswith("_mask") or len(chip_id.encode()) > 200:
        raise OptionError(
            f"{folder}: {chip_id!r} cannot be a chip's id, which names its files; use letters, "
            "digits, - _ and . (at most 150, and no _mask at the end)"
        )
    if not group.strip():
        raise OptionError(f"{folder}: chip {chip_id} has no group; chips of a scene share one")


def _signature(path: Path) -> tuple[int, ...] | None:
    """Changes whenever the file does; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path) -> tuple[tuple[str, ...], dict[str, Row]]:
    """(columns, rows by id) of a manifest."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            columns = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"{path}: cannot be read ({reason})") from error
    by_id = {row.get("id", ""): row for row in rows}
    whole = all(None not in row and None not in row.values() for row in rows)
    if not {"id", "split_group"} <= set(columns) or not whole or len(by_id) < len(rows):
        raise RecipeError(
            f"{path}: is no manifest that can be added to: it needs the columns id and "
            "split_group, as many cells in each row as in the first, and every id once"
        )
    return columns, by_id
