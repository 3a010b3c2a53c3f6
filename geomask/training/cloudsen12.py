"""CloudSEN12+ to a chip folder: which samples, in an order that a seed fixes, and their writing."""

from __future__ import annotations

import difflib
import hashlib
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from geomask.errors import GeomaskWarning, OptionError, RecipeError
from geomask.raster import open_raster
from geomask.sensors import SENTINEL2
from geomask.training.chip_folder import ChipFolder
from geomask.training.cloudsen12_sample import (
    ATTRIBUTION,
    GSD,
    NODATA,
    OFFSET,
    SCALE,
    Patch,
    centroid_of,
    chip_id,
    choose_bands,
    date_of,
    decode,
    fact,
    licence_of,
    source_of,
    text,
)
from geomask.training.splits import SPLITS
from geomask.training.taco import FOUNDATION, Content, Sample, SampleError, fetch

SOURCES = {"l1c": f"{FOUNDATION}cloudsen12-l1c", "l2a": f"{FOUNDATION}cloudsen12-l2a"}
"""The published sets, by level."""

PRESENCE = {
    "clear": ("clear",),
    "cloud": ("thick_cloud", "thin_cloud"),
    "thick_cloud": ("thick_cloud",),
    "thin_cloud": ("thin_cloud",),
    "shadow": ("shadow",),
}
"""What a sample can be asked to show, and the set's percentages that say so."""

COLUMNS = (
    "split", "gsd_m", "sensor", "level", "label_type", "country", "acquired", "longitude",
    "latitude", "s2_id", "source", "licence", "attribution",
)  # fmt: skip
"""Of the manifest, beyond id and split_group."""


@dataclass(frozen=True)
class Progress:
    """How many of a run's samples are done, left out or not."""

    done: int
    total: int


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Filters:
    """Which samples. bbox: (west, south, east, north), degrees, west > east across the date line,
    of a sample's centre. country: its name in the set, whatever the case. shows: names of
    `PRESENCE`, all of which a sample must show. size: side in pixels before padding, None for
    any."""

    label_type: str = "high"
    split: str = "all"
    size: int | None = 509
    bbox: tuple[float, float, float, float] | None = None
    country: str | None = None
    shows: Sequence[str] = ()

    def admit(self, sample: Sample) -> bool:
        """Raises RecipeError where the set does not say what is asked of it."""
        return (
            _same(fact(sample, "label_type"), self.label_type)
            and (self.split == "all" or _same(fact(sample, "split"), self.split))
            and (self.size is None or int(fact(sample, "size") or 0) == self.size)
            and (self.country is None or _same(fact(sample, "country"), self.country))
            and (self.bbox is None or _within(centroid_of(sample), self.bbox))
            and all(_shows(sample, name) for name in self.shows)
        )


@dataclass(frozen=True)
class Conversion:
    """What came of it. written: ids; present: how many chips were there before; left_out: why,
    sample by sample."""

    folder: Path
    written: list[str] = field(default_factory=list)
    present: int = 0
    left_out: list[str] = field(default_factory=list)


def select(
    samples: Iterable[Sample], filters: Filters, *, limit: int | None = None, seed: int = 0
) -> list[Sample]:
    """Those that pass, each id once, in the order of a digest of seed and id; the first `limit`.

    So a larger limit adds to a smaller one's, and the order of sources changes nothing.
    Raises OptionError where none passes.
    """
    samples = list(samples)
    passed: dict[str, Sample] = {}
    for sample in samples:
        if filters.admit(sample):
            passed.setdefault(chip_id(sample), sample)
    if not passed:
        raise OptionError(_nothing(samples, filters))
    order = sorted(passed, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    return [passed[name] for name in order[:limit]]


def convert(
    samples: Sequence[Sample],
    folder: str | Path,
    *,
    level: str = "l1c",
    bands: Sequence[str] | None = None,
    report: Report | None = None,
) -> Conversion:
    """Write samples as chips of 512 or 2048 pixels; those that the folder has are skipped.

    level: "l1c" or "l2a", what the samples are. bands: to take, by common name or Sentinel-2's;
    all if None. report: called after each sample.
    A damaged sample is left out and told. Raises OptionError, as where the folder has a sample
    at another level or with other bands; OutputError, and RecipeError where a source cannot be
    reached any more; the same call goes on from there.
    """
    names = choose_bands(level, bands)
    result = Conversion(Path(folder))
    with ChipFolder(folder, columns=COLUMNS) as chips:
        there = chips.ids
        _check_alike(chips, [s for s in samples if chip_id(s) in there], level, names)
        todo = [sample for sample in samples if chip_id(sample) not in there]
        result = Conversion(Path(folder), present=len(samples) - len(todo))
        with closing(checked(todo, level, names, result.left_out, report)) as stream:
            for sample, _, patch in stream:
                chips.add(
                    chip_id(sample), patch.image, patch.labels, bands=patch.bands, crs=patch.crs,
                    transform=patch.transform, group=patch.place, scale=SCALE, offset=OFFSET,
                    nodata=NODATA, fields=_fields(sample, level),
                )  # fmt: skip
                result.written.append(chip_id(sample))
        _warn_of_shared_places(chips)
    return result


def checked(
    samples: Sequence[Sample],
    level: str,
    bands: Sequence[str],
    left_out: list[str],
    report: Report | None = None,
) -> Generator[tuple[Sample, Content, Patch], None, None]:
    """Samples with their files and what these hold; why others are not among them is added to
    `left_out`."""
    with closing(fetch(samples)) as stream:
        for done, (sample, content) in enumerate(stream, 1):
            try:
                if isinstance(content, SampleError):
                    raise content
                patch = decode(sample, content, level, bands)
            except SampleError as error:
                left_out.append(str(error))
            else:
                yield sample, content, patch
            if report is not None:
                report(Progress(done, len(samples)))


def _check_alike(
    chips: ChipFolder, present: Sequence[Sample], level: str, bands: tuple[str, ...]
) -> None:
    """Refuse to pass over chips that are there and are not what is asked for."""
    rows = {row["id"]: row for row in chips.rows}
    other = {rows[chip_id(sample)].get("level") or level for sample in present} - {level}
    if other:
        raise OptionError(
            f"{chips.folder}: has some of these samples at level {', '.join(sorted(other))}, not "
            f"{level}; give another --out"
        )
    for sample in present:
        image = chips.folder / f"{chip_id(sample)}.tif"
        with open_raster(image, RecipeError) as dataset:
            found = dataset.descriptions
        if found != bands:
            raise OptionError(
                f"{image}: is there with the bands {', '.join(map(str, found))}, not "
                f"{', '.join(bands)}; give --bands as before, or another --out"
            )


def _same(value: object, wanted: str) -> bool:
    return str(value).strip().casefold() == wanted.strip().casefold()


def _within(point: tuple[float, float], bbox: tuple[float, float, float, float]) -> bool:
    west, south, east, north = bbox
    longitude, latitude = point
    inside = west <= longitude <= east if west <= east else longitude >= west or longitude <= east
    return inside and south <= latitude <= north


def _shows(sample: Sample, name: str) -> bool:
    return sum(float(fact(sample, part) or 0) for part in PRESENCE[name]) > 0


def _nothing(samples: Sequence[Sample], filters: Filters) -> str:
    """Why none is left, as far as can be told."""
    if not samples:
        return "the sources hold no sample; name others with --source"
    if filters.country is not None:
        countries = {text(sample, "country") for sample in samples} - {""}
        by_fold = {name.casefold(): name for name in countries}
        wanted = filters.country.strip().casefold()
        if wanted not in by_fold:
            close = difflib.get_close_matches(wanted, by_fold, 3) or sorted(by_fold)[:20]
            return (
                f"--country {filters.country}: none of the {len(samples)} samples is there; there "
                f"are: {', '.join(by_fold[name] for name in close)}"
            )
    asked = [f"--label-type {filters.label_type}", f"--split {filters.split}"]
    asked += [f"--size {filters.size}"] if filters.size is not None else []
    asked += [f"--country {filters.country}"] if filters.country is not None else []
    asked += [f"--bbox {','.join(f'{v:g}' for v in filters.bbox)}"] if filters.bbox else []
    asked += [f"--with {','.join(filters.shows)}"] if filters.shows else []
    return f"none of the {len(samples)} samples fits {' and '.join(asked)}; ask for less"


def _fields(sample: Sample, level: str) -> dict[str, str]:
    """A chip's row of the manifest."""
    try:
        longitude, latitude = (f"{value:.5f}" for value in centroid_of(sample))
    except RecipeError:
        longitude = latitude = ""
    return {
        "split": SPLITS.get(text(sample, "split"), ""),
        "gsd_m": f"{GSD:g}",
        "sensor": SENTINEL2.title,
        "level": level,
        "label_type": text(sample, "label_type"),
        "country": text(sample, "country"),
        "acquired": date_of(sample),
        "longitude": longitude,
        "latitude": latitude,
        "s2_id": text(sample, "s2_id"),
        "source": source_of(sample),
        "licence": licence_of(sample),
        "attribution": ATTRIBUTION,
    }


def _warn_of_shared_places(chips: ChipFolder) -> None:
    splits: dict[str, set[str]] = {}
    for row in chips.rows:
        splits.setdefault(row["split_group"], set()).add(row.get("split", ""))
    shared = sum(len(found) > 1 for found in splits.values())
    if shared:
        warnings.warn(
            f"{chips.folder}: the set's own split has {shared} of {len(splits)} places in more "
            "than one part; scores on them will flatter",
            GeomaskWarning,
            stacklevel=3,
        )
