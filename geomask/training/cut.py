"""Cutting chips from a scene and from the labels that somebody made of it: `cut_chips`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window

from geomask.errors import OptionError
from geomask.raster import GDAL_OPTIONS
from geomask.scene import Scene, open_scene
from geomask.scene.plausibility import Histogram, check_possible, warn_of_doubt
from geomask.scene.sample import survey
from geomask.training.chip_folder import ChipFolder
from geomask.training.chips import CHIP_LABELS, IGNORE
from geomask.training.cut_plan import COLUMNS, Naming, Plan, choose_bands, present
from geomask.training.drawn import Background, Drawn, background_code, open_labels
from geomask.training.drawn_polygons import Drawing
from geomask.training.label_names import meanings
from geomask.training.splits import Split
from geomask.vectors.bringing import transform_of

SCALE, OFFSET, NODATA = 1e-4, -0.1, 0
"""How reflectance is stored: uint16, DN = (reflectance + 0.1) * 10000, 1 to 65535, 0 where nothing
was measured. So -0.0999 to 6.4535 survive, to half of 1e-4, and numbers of Sentinel-2's products
as they are; what is darker or brighter becomes the nearest of these."""


@dataclass(frozen=True)
class Cutting:
    """How far it is: pixels of the scene looked at, of all."""

    done: int
    total: int


@dataclass(frozen=True)
class CutSummary:
    """What was cut.

    folder: of the chips. scene: what they are named after. group, split: theirs; split None
    where it was left open. chips: how many. unlabelled: windows that had too few labels.
    replaced: chips of this scene that were there before and are not any more, or anew.
    bands: of the chips. pixels: labelled as what, by name, and "ignored".
    """

    folder: str
    scene: str
    group: str
    split: Split | None
    chips: int
    unlabelled: int
    replaced: int
    bands: tuple[str, ...]
    pixels: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)


def cut_chips(
    scene: str | Path | Scene,
    labels: str | Path,
    out: str | Path,
    *,
    size: int = 256,
    stride: int | None = None,
    bands: Sequence[str] | None = None,
    field: str = "class",
    layer: str | None = None,
    mapping: Mapping[str, str] | None = None,
    background: Background = "ignore",
    all_touched: bool = False,
    name: str | None = None,
    group: str | None = None,
    split: str | None = None,
    min_labelled: float = 0.05,
    overwrite: bool = False,
    progress: Callable[[Cutting], None] | None = None,
) -> CutSummary:
    """Cut chips from a scene and its labels, and add them to the chip folder `out`.

    scene: what `open_scene` takes, or gave. bands: common names, all but `cut_plan.NOT_COLOURS` by
    default, brought to the grid of the finest of them.
    labels: a raster on that grid, or polygons in any CRS and any format of OGR (see `DrawnRaster`,
    `DrawnPolygons`); a polygon's class is in `field`. mapping: what values mean, as in
    {"wolke": "cloud", "9": "ignore"}, beside the names that are known (`label_names`).
    background: of what no polygon covers; nobody has said that it is clear, so it is ignored.
    size: pixels, of a chip's sides; smaller at the scene's right and lower ends. stride: from
    chip to chip, `size` by default; less makes chips that share pixels.
    name: what the chips are named after, the product or the file by default. group: of all the
    chips, `name` by default: chips of a scene, or of scenes of one place, must not part.
    split: "train", "val" or "test" for all of them. min_labelled: share of a chip's pixels that
    must be labelled and measured; a chip with none is never cut.
    overwrite: replace all chips of that name; refused otherwise.

    Pixels that the scene did not measure are not labelled. Raises SceneError, BandError,
    MaskError, OptionError, RecipeError or OutputError; what was cut until then stays, complete.
    """
    drawing = Drawing(
        meanings(mapping), field, layer, background_code(background), all_touched=all_touched
    )
    plan = Plan(size, size if stride is None else stride, min_labelled)
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**GDAL_OPTIONS))
        if not isinstance(scene, Scene):
            scene = stack.enter_context(open_scene(scene))
        chosen = choose_bands(scene, bands)
        scene = scene.for_bands(chosen)
        naming = Naming.of(scene, labels, name, group, split)
        folder = stack.enter_context(ChipFolder(out, columns=(*COLUMNS, *naming.fields)))
        before = present(folder, naming, overwrite=overwrite)
        drawn = stack.enter_context(closing(open_labels(labels, scene.grid, drawing)))
        check_possible(scene.path, survey(scene, chosen).histogram)
        tally = _cut(scene, chosen, drawn, folder, plan, naming, before, progress)
        drawn.finish()
        if not tally.ids:
            raise OptionError(_nothing(labels, scene, plan, tally))
        folder.drop(before - tally.ids)
        warn_of_doubt(scene.path, tally.histogram)
    return CutSummary(
        str(out), naming.name, naming.group, naming.split, len(tally.ids), tally.unlabelled,
        len(before), chosen, tally.by_name(),
    )  # fmt: skip


@dataclass
class _Tally:
    """What was cut so far. counts: int64 (256,), pixels by chip code."""

    histogram: Histogram
    ids: set[str] = dataclasses.field(default_factory=set)
    unlabelled: int = 0
    windows: int = 0
    counts: npt.NDArray[np.int64] = dataclasses.field(
        default_factory=lambda: np.zeros(256, np.int64)
    )

    def by_name(self) -> dict[str, int]:
        """Pixels by label, and those of none."""
        named = {name: int(self.counts[code]) for name, code in CHIP_LABELS.items()}
        return {**named, "ignored": int(self.counts.sum()) - sum(named.values())}


def _cut(
    scene: Scene,
    bands: tuple[str, ...],
    drawn: Drawn,
    folder: ChipFolder,
    plan: Plan,
    naming: Naming,
    before: set[str],
    progress: Callable[[Cutting], None] | None,
) -> _Tally:
    """Every window that has labels becomes a chip. before: those that it may replace."""
    tally = _Tally(Histogram([scene.bands[band] for band in bands]))
    about = naming.fields | {"radiometry": scene.radiometry(bands)}
    total, done = scene.grid.width * scene.grid.height, 0
    for window in plan.windows(scene.grid):
        chip = _read(scene, bands, drawn, window, plan)
        tally.windows += 1
        if chip is None:
            tally.unlabelled += 1
        else:
            image, codes = chip
            row, column = int(window.row_off), int(window.col_off)
            chip_id = f"{naming.name}_{row:05}_{column:05}"
            folder.add(
                chip_id,
                to_dn(image),
                codes,
                bands=bands,
                crs=scene.grid.crs,
                transform=transform_of(scene.grid, window),
                group=naming.group,
                scale=SCALE,
                offset=OFFSET,
                nodata=NODATA,
                fields=about | {"row": str(row), "column": str(column)},
                overwrite=chip_id in before,
            )
            tally.ids.add(chip_id)
            tally.counts += np.bincount(codes.ravel(), minlength=256)
            tally.histogram.add(image)
        done += int(window.width * window.height)
        if progress is not None:
            progress(Cutting(min(done, total), total))
    return tally


def _read(
    scene: Scene, bands: tuple[str, ...], drawn: Drawn, window: Window, plan: Plan
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]] | None:
    """Reflectance and chip codes of a window; None where too little is labelled."""
    codes = drawn.read(window)
    if not plan.enough(codes):
        return None
    image, valid = scene.read(window, bands)
    codes[~valid] = IGNORE
    return (image, codes) if plan.enough(codes) else None


def to_dn(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """uint16 of its shape: reflectance as chips store it, NaN as `NODATA`."""
    measured = np.isfinite(image)
    dn = np.rint((np.where(measured, image, 0.0) - np.float64(OFFSET)) / SCALE)
    return np.where(measured, np.clip(dn, 1, 65535), NODATA).astype(np.uint16)


def _nothing(labels: str | Path, scene: Scene, plan: Plan, tally: _Tally) -> str:
    return (
        f"{labels}: none of the {tally.windows} windows of {scene.path} is labelled and measured "
        f"to {plan.min_labelled:.0%}; check that the labels lie on the scene, or give a smaller "
        "--min-labelled"
    )
