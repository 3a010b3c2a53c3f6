"""Some samples of a set as a small TACO file, of either generation."""

from __future__ import annotations

import importlib
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely

from geomask.errors import OptionError, OutputError, RecipeError
from geomask.output import Staged, check_output, writing
from geomask.training.cloudsen12 import Conversion, Report, checked
from geomask.training.cloudsen12_sample import (
    ATTRIBUTION,
    LICENCE_COLUMN,
    SOURCE_COLUMN,
    centroid_of,
    chip_id,
    choose_bands,
    licence_of,
    source_of,
    text,
)
from geomask.training.taco import Content, Sample, list_samples, quiet
from geomask.training.tortilla import TortillaWriter, pack, table_of

KINDS = (".tortilla", ".tacozip")


def write_subset(
    samples: Sequence[Sample],
    target: str | Path,
    *,
    level: str = "l1c",
    overwrite: bool = False,
    report: Report | None = None,
) -> Conversion:
    """Write samples, each checked as for a chip, to a `.tortilla` or a `.tacozip`.

    Files and metadata are the set's own; two columns are added, of source and licence. The result
    is read back with tacoreader before it comes into place.
    A damaged sample is left out and told. Raises OptionError for another kind of file, or where
    tacotoolbox is missing, which writes `.tacozip`; OutputError; RecipeError where a source
    cannot be reached.
    """
    target = Path(target)
    if target.suffix not in KINDS:
        raise OptionError(
            f"{target}: is neither {' nor '.join(KINDS)}; name one of them with --out"
        )
    if target.suffix == ".tacozip":
        _toolbox()
    check_output(target, overwrite=overwrite, inputs={sample.source for sample in samples})
    result = Conversion(target)
    checksums: dict[str, int] = {}
    write = _write_tortilla if target.suffix == ".tortilla" else _write_tacozip
    with Staged(target) as staged:
        names = choose_bands(level, None)
        with writing(target):
            with closing(checked(samples, level, names, result.left_out, report)) as stream:
                kept = ((sample, content) for sample, content, _ in stream)
                write(staged, _noted(kept, result.written, checksums))
            if not result.written:
                raise OutputError(f"{target}: not written, since every sample is damaged")
            _read_back(staged.path, target, checksums)
        staged.commit()
    return result


def _noted(
    kept: Iterable[tuple[Sample, Content]], written: list[str], checksums: dict[str, int]
) -> Iterator[tuple[Sample, Content]]:
    """The same, with ids and checksums of what went through written down."""
    for sample, content in kept:
        yield sample, content
        written.append(chip_id(sample))
        checksums[chip_id(sample)] = _checksum(content)


def _checksum(content: Content) -> int:
    return zlib.crc32(b"".join(content.files[name] for name in sorted(content.files)))


def _write_tortilla(staged: Staged, kept: Iterable[tuple[Sample, Content]]) -> None:
    with staged.path.open("wb") as file:
        writer = TortillaWriter(file)
        for sample, content in kept:
            row = {
                "tortilla:id": chip_id(sample),
                "tortilla:file_format": "TORTILLA",
                "tortilla:data_split": text(sample, "split") or None,
            }
            writer.add(row | _metadata(sample), content.blob or pack(content.files))
        writer.finish()


def _write_tacozip(staged: Staged, kept: Iterable[tuple[Sample, Content]]) -> None:
    toolbox = _toolbox()
    model = toolbox.datamodel
    # Not left in the staged file's folder, all of which comes into place with it.
    with tempfile.TemporaryDirectory(dir=staged.folder) as scratch, quiet():
        rows, samples, licences = [], [], set()
        for sample, content in kept:
            files = [
                model.Sample(id=name, path=data, temp_dir=Path(scratch))
                for name, data in sorted(content.files.items())
            ]
            rows.append(
                _typed(_metadata(sample) | {"split": text(sample, "split") or None}, sample)
            )
            licences.add(licence_of(sample))
            samples.append(model.Sample(id=chip_id(sample), path=model.Tortilla(files)))
        if not samples:
            return
        table = table_of(rows)
        table = table.select([n for n in table.column_names if table[n].null_count < len(rows)])
        for index, made in enumerate(samples):
            made.extend_with(table.slice(index, 1))
        try:
            taco = model.Taco(
                tortilla=model.Tortilla(samples),
                id="cloudsen12-subset",
                dataset_version="1",
                description="Samples of CloudSEN12+, chosen with geomask data subset",
                licenses=sorted(licences),
                providers=[{"name": ATTRIBUTION}],
                tasks=["semantic-segmentation"],
            )
            toolbox.create(taco, staged.path, output_format="zip", split_size=None)
        except Exception as error:  # tacotoolbox's, which hide the system's
            raise OutputError(f"{staged.target}: could not be written: {error}") from error


def _metadata(sample: Sample) -> dict[str, Any]:
    """A sample's row without what belongs to its own set's layout."""
    own = {"id", "type", "split", "geometry"}
    row = {
        re.sub(r"[^\w:]", "_", name): value
        for name, value in sample.row.items()
        if name not in own and not name.startswith(("internal:", "tortilla:"))
    }
    return row | {SOURCE_COLUMN: source_of(sample), LICENCE_COLUMN: licence_of(sample)}


def _typed(row: dict[str, Any], sample: Sample) -> dict[str, Any]:
    """Point and time as the second generation has them: WKB, and a time."""
    if isinstance(row.get("stac:centroid"), str):
        row["stac:centroid"] = shapely.to_wkb(shapely.Point(centroid_of(sample)))
    for name in ("stac:time_start", "stac:time_end"):
        if isinstance(row.get(name), (int, float)):
            row[name] = datetime.fromtimestamp(row[name], UTC).replace(tzinfo=None)
    return row


def _toolbox() -> Any:
    try:
        with quiet():
            return importlib.import_module("tacotoolbox")
    except ImportError as error:
        raise OptionError(
            f".tacozip is written with tacotoolbox, which cannot be imported ({error}); "
            "pip install 'geomask[taco]', or write a .tortilla"
        ) from error


def _read_back(path: Path, target: Path, checksums: dict[str, int]) -> None:
    """Raises OutputError where tacoreader does not find in the file what was written to it."""
    try:
        found = {sample.id: _checksum(sample.read()) for sample in list_samples([path])}
    except RecipeError as error:
        raise OutputError(f"{target}: what was written does not read back ({error})") from error
    if found != checksums:
        raise OutputError(f"{target}: what was written does not read back")
