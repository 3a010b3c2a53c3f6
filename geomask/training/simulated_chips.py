"""A chip folder of clouds drawn over clear chips, with the truth known at every pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from geomask.errors import BandError, OptionError, OutputError
from geomask.training.chip_folder import ChipFolder
from geomask.training.chips import CHIP_LABELS, Chip, cloud_free_chips
from geomask.training.clouds import OPTICS
from geomask.training.crops import simulated_crop
from geomask.training.cut import NODATA, OFFSET, SCALE, to_dn

COLUMNS = ("gsd_m", "source")
"""Of the manifest: metres of a pixel; the file that clouds were drawn over."""


@dataclass(frozen=True)
class Simulated:
    """What was written. pixels: by label, and "ignored". done, total: chips, while it goes on."""

    folder: str
    done: int
    total: int
    bands: tuple[str, ...]
    pixels: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)


def simulate_chips(
    clear: Sequence[str | Path],
    out: str | Path,
    *,
    count: int = 100,
    size: int = 256,
    gsd: float = 10.0,
    bands: Sequence[str] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[Simulated], None] | None = None,
) -> Simulated:
    """Draw clouds, shadows and changes of the ground over clear chips, and write what comes out.

    clear: chip folders, whose chips of manifest column `cloud_free` "yes" are taken in turn.
    out: the chip folder to write or to add to. size: pixels, of a chip's sides. gsd: metres; a
    chip that is coarser keeps its own. bands: common names; by default those that all clear chips
    have and that clouds can be drawn in. seed: of everything; the same chips come out again.
    overwrite: replace chips of the same names; refused otherwise.

    The chips lie nowhere (no CRS); `gsd_m` says how large their pixels are. Each is in the
    split_group of the chip below it.
    Raises RecipeError, BandError, OptionError or OutputError; what was written stays, complete.
    """
    if count < 1 or size < 32 or not gsd > 0:
        raise OptionError(
            f"count {count} is below 1, size {size} below 32, or gsd {gsd} not metres"
        )
    chips = [chip for folder in clear for chip in cloud_free_chips(folder)]
    chosen = _choose_bands(chips, bands)
    counts = np.zeros(256, np.int64)
    with ChipFolder(out, columns=COLUMNS) as folder:
        names = [f"{chips[n % len(chips)].id}_clouds{n:05}" for n in range(count)]
        there = folder.ids.intersection(names)
        if there and not overwrite:
            raise OutputError(
                f"{out}: has {len(there)} of these chips already, as {min(there)}; give "
                "--overwrite, or another folder"
            )
        for number, name in enumerate(names):
            chip = chips[number % len(chips)]
            rng = np.random.default_rng((seed, number))
            image, codes = simulated_crop(chip, chosen, size, (gsd, gsd), rng)
            metres = max(gsd, chip.gsd or gsd)
            folder.add(
                name,
                to_dn(image),
                codes,
                bands=chosen,
                crs=None,
                transform=Affine(metres, 0, 0, 0, -metres, 0),
                group=chip.group,
                scale=SCALE,
                offset=OFFSET,
                nodata=NODATA,
                fields={"gsd_m": f"{metres:g}", "source": chip.image.name},
                overwrite=overwrite,
            )
            counts += np.bincount(codes.ravel(), minlength=256)
            summary = Simulated(str(out), number + 1, count, chosen, _by_name(counts))
            if progress is not None:
                progress(summary)
    return summary


def _choose_bands(chips: Sequence[Chip], wanted: Sequence[str] | None) -> tuple[str, ...]:
    shared = [name for name in chips[0].bands if all(name in chip.bands for chip in chips)]
    able = tuple(name for name in shared if name in OPTICS)
    chosen = able if wanted is None else tuple(wanted)
    missing = [name for name in chosen if name not in able]
    if missing or not chosen:
        raise BandError(
            f"{chips[0].image}: clouds cannot be drawn in {', '.join(missing) or 'no band'}; all "
            f"clear chips have {', '.join(able) or 'none in common that clouds are known in'}"
        )
    return chosen


def _by_name(counts: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, int]:
    named = {name: int(counts[code]) for name, code in CHIP_LABELS.items()}
    return {**named, "ignored": int(counts.sum()) - sum(named.values())}
