"""What is cut from a scene, and what it is called: windows, bands, names, the manifest's fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.errors import BandError, OptionError, OutputError
from geomask.grid import Grid
from geomask.scene import Scene
from geomask.training.chip_folder import ChipFolder
from geomask.training.chips import CHIP_LABELS
from geomask.training.splits import SPLITS, Split

NOT_COLOURS = frozenset({"pan", "lwir11", "lwir12"})
"""Bands that are left out unless named: one that spans the others, on a grid of its own, and those
that measure heat."""

LEAST_SIDE = 32
"""Pixels; what remains at a scene's end and is narrower goes with the chip beside it."""

COLUMNS = (
    "gsd_m", "scene", "source", "labels", "sensor", "level", "acquired", "radiometry", "row",
    "column",
)  # fmt: skip
"""Of the manifest. scene: what its chips are named after. source, labels: names of the files.
radiometry: what was applied to the source. row, column: of a chip's first pixel in the scene."""

_SUFFIXES = re.compile(r"(\.(SAFE|zip|tiff?|vrt|jp2|json|xml|txt))+$", re.IGNORECASE)


@dataclass(frozen=True)
class Plan:
    """Which windows become chips. Raises OptionError for numbers that make none."""

    size: int
    stride: int
    min_labelled: float

    def __post_init__(self) -> None:
        if self.size < LEAST_SIDE:
            raise OptionError(f"size {self.size}: chips have at least {LEAST_SIDE} pixels a side")
        if self.stride < 1:
            raise OptionError(f"stride {self.stride}: the next chip is at least one pixel on")
        if not 0 <= self.min_labelled <= 1:
            raise OptionError(f"min_labelled {self.min_labelled}: a share is 0 to 1")

    def windows(self, grid: Grid) -> Iterator[Window]:
        """Row by row; where stride is size, they partition the grid."""
        for row, height in spans(grid.height, self.size, self.stride):
            for column, width in spans(grid.width, self.size, self.stride):
                yield Window(column, row, width, height)

    def enough(self, codes: npt.NDArray[np.uint8]) -> bool:
        """Whether a chip with these labels is worth cutting."""
        labelled = np.count_nonzero(codes <= max(CHIP_LABELS.values()))
        return bool(labelled and labelled >= self.min_labelled * codes.size)


def spans(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """(start, size) of chips along an axis: starts are multiples of `stride`, and the last ends
    where the axis does, unless stride leaves gaps. What is narrower than `LEAST_SIDE` joins the
    chip beside it, or falls into the gap."""
    starts = range(0, max(1, length - max(0, size - stride)), stride)
    found = [(start, min(size, length - start)) for start in starts]
    if len(found) > 1 and found[-1][1] < LEAST_SIDE:
        last, _ = found.pop()
        start, width = found[-1]
        if last <= start + width:
            found[-1] = start, length - start
    return found


@dataclass(frozen=True)
class Naming:
    """What chips of a scene are called, and what the manifest says of all of them."""

    name: str
    group: str
    split: Split | None
    fields: dict[str, str]

    @classmethod
    def of(
        cls,
        scene: Scene,
        labels: str | Path,
        name: str | None,
        group: str | None,
        split: str | None,
    ) -> Naming:
        """Raises OptionError for a split that there is not."""
        if split is not None and split not in SPLITS:
            raise OptionError(f"split {split!r}; there are: {', '.join(SPLITS)}")
        known, source = scene.acquisition, _file_name(scene.path)
        name = known.product or _SUFFIXES.sub("", source) if name is None else name
        # Of a product or a file that nobody named for this, what an id can hold.
        name = re.sub(r"[^\w.-]+", "_", name).strip("._-")[:120] or "scene"
        size = scene.grid.pixel_size
        fields = {
            "gsd_m": "" if size is None else f"{(size[0] * size[1]) ** 0.5:.6g}",
            "scene": name,
            "source": source,
            "labels": _file_name(str(labels)),
            "sensor": known.platform or "",
            "level": known.level or "",
            "acquired": known.time or "",
        }
        word = None if split is None else SPLITS[split]
        return cls(name, group or name, word, fields | ({"split": word} if word else {}))


def choose_bands(scene: Scene, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Common names of the bands to cut: those wanted, else all but `NOT_COLOURS`.

    Raises BandError where that leaves none, or one twice.
    """
    if wanted is not None and (not wanted or len(set(wanted)) < len(wanted)):
        raise BandError(f"{', '.join(wanted) or 'no band'}: name one band or more, each once")
    chosen = wanted or [name for name in scene.band_names if name not in NOT_COLOURS]
    if not chosen:
        raise BandError(
            f"{scene.path}: there is {scene.describe_bands()}; say which band is which with --bands"
        )
    return tuple(chosen)


def present(folder: ChipFolder, naming: Naming, *, overwrite: bool) -> set[str]:
    """The chips of this scene that the folder has. Raises OutputError where there are some and
    they must stay, OptionError where others of the group are in another split."""
    rows = folder.rows
    own = {row["id"] for row in rows if row.get("scene") == naming.name}
    if own and not overwrite:
        raise OutputError(
            f"{folder.folder}: has {len(own)} chips of {naming.name} already; give --overwrite to "
            "replace them, or --name where this is another scene"
        )
    kin = [r for r in rows if r["split_group"] == naming.group and r["id"] not in own]
    for split in {SPLITS.get(row.get("split", "")) for row in kin}:
        if None not in (split, naming.split) and split != naming.split:
            raise OptionError(
                f"{folder.folder}: group {naming.group} is in split {split} already, and must not "
                f"part; give --split {split}, or another --group"
            )
    return own


def _file_name(path: str) -> str:
    """Without folders, and without what a URL may tell of its user."""
    name = PurePath(path.partition("?")[0]).name
    return name if name or "://" in path else Path(path).resolve().name
