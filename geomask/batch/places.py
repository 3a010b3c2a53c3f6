"""Where everything of a batch is in its output folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geomask.batch.options import SceneOptions
from geomask.errors import OutputError
from geomask.raster_writer import PAM
from geomask.staging import sweep
from geomask.styles import STYLE

SHAPEFILE = (".shx", ".dbf", ".prj", ".cpg")
"""Files that geomask writes beside a .shp."""


@dataclass(frozen=True)
class Places:
    """An output folder. root: absolute. At its top masks alone are *.tif; what else is asked for
    lies below, under the mask's name; what geomask must know lies in `.geomask`."""

    root: Path

    def mask(self, name: str) -> Path:
        """The mask of that name."""
        return self.root / f"{name}.tif"

    def confidence(self, name: str) -> Path:
        """The confidence raster of that mask."""
        return self.root / "confidence" / f"{name}.tif"

    def polygons(self, name: str, suffix: str) -> Path:
        """The polygons of that mask."""
        return self.root / "polygons" / f"{name}{suffix}"

    def record(self, name: str) -> Path:
        """What became of that scene."""
        return self.records / f"{name}.json"

    @property
    def records(self) -> Path:
        """The folder of all records."""
        return self.root / ".geomask" / "records"

    @property
    def items(self) -> Path:
        """STAC items that came in a collection or from a search."""
        return self.root / ".geomask" / "items"

    @property
    def plan(self) -> Path:
        """Every scene that was ever asked for here."""
        return self.root / ".geomask" / "scenes.json"

    @property
    def table(self) -> Path:
        """What became of every scene."""
        return self.root / "summary.csv"

    @property
    def footprints(self) -> Path:
        """Where the scenes that are done lie."""
        return self.root / "footprints.parquet"

    @property
    def stac(self) -> Path:
        """The masks as a STAC collection."""
        return self.root / "stac"

    def targets(self, name: str, options: SceneOptions) -> list[Path]:
        """What a scene of that name would be written to; of polygons per class, their stem."""
        found = [self.mask(name)]
        if options.confidence:
            found.append(self.confidence(name))
        if options.polygons is not None:
            found.append(self.polygons(name, options.polygons))
        return found

    def create(self, options: SceneOptions) -> None:
        """Make the folders that are needed, and sweep what killed runs left in them. Raises
        OutputError."""
        for folder in self._folders(options):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"{folder}: cannot be made ({error.strerror}); choose another --out-dir"
                ) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise OutputError(f"{folder}: is not writable; choose another --out-dir")
        self.sweep(options)

    def sweep(self, options: SceneOptions) -> None:
        """Remove what killed runs left in the folders that these options write to."""
        for folder in self._folders(options):
            sweep(folder)

    def _folders(self, options: SceneOptions) -> list[Path]:
        targets = (target.parent for target in self.targets("x", options))
        return list(dict.fromkeys([self.records.parent, self.records, *targets]))

    def relative(self, path: Path) -> str:
        """A path as records name it: relative to the folder, with forward slashes."""
        return path.relative_to(self.root).as_posix()


def with_companions(path: Path) -> Iterator[Path]:
    """A file, its style and attribute table, and what a shapefile has beside it."""
    yield path
    yield path.with_suffix(STYLE)
    yield path.with_name(path.name + PAM)
    if path.suffix.lower() == ".shp":
        yield from (path.with_suffix(suffix) for suffix in SHAPEFILE)
