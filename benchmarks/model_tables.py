"""The tables of docs/model.md: masks of several tools on the same chips, by the same rules.

    python -m benchmarks.held_out default no-alberta.safetensors --out masks/ours \\
        --data chips/ --clear clear-chips/
    python -m benchmarks.peer_masks ukis-csmask --data chips/ --out masks/ukis   # and so on
    python -m benchmarks.model_tables --data chips/ --clear clear-chips/ \\
        "geomask=masks/ours:0=clear,1=cloud,2=shadow,3=snow" \\
        "ukis-csmask=masks/ukis:0=clear,1=cloud,2=shadow"

A subject is NAME=FOLDER, with the meaning of its codes after a colon.
Labels that a tool has no class for count as clear; chips that a subject has no mask of are left out
for all of them. Chips are told apart by manifest columns as
`../shared/data` has them: `sensor`, and the provenance of shadow labels, `prov_shadow`.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import rasterio

from geomask import Evaluation, evaluate
from geomask.errors import GeomaskWarning
from geomask.evaluation.mappings import parse_codes
from geomask.training.chips import cloud_free_chips

PAINTED, EXPERT, DERIVED = "manual paint", "expert", "derived"
"""How `prov_shadow` begins."""

HEAD = (
    "masks", "Landsat cloud", "clear", "shadow", "snow", "snow flagged", "thin cloud found",
    "painted cloud", "painted shadow", "derived cloud", "derived shadow",
    "cloud-free flagged", "chips > 5 %",
)  # fmt: skip


class Subject(NamedTuple):
    """name: for the table. masks: a folder. codes: what its codes mean."""

    name: str
    masks: Path
    codes: str


def subject_of(text: str) -> Subject:
    """NAME=FOLDER[:CODES], as on the command line."""
    name, _, rest = text.partition("=")
    folder, _, codes = rest.partition(":")
    return Subject(name, Path(folder), codes)


def scored(subject: Subject, data: Path, clear: Path) -> Evaluation:
    """All chips; labels without a class are clear."""
    classes = parse_codes(subject.codes).values()
    labels = {label: "clear" for label in ("shadow", "snow") if label not in classes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        return evaluate(
            masks=subject.masks,
            data=[data],
            clear=[clear],
            split="all",
            mapping=subject.codes,
            labels=labels or None,
            by=["sensor", "prov_shadow", "prov_snow"],
        )


def row(name: str, found: Evaluation) -> list[str]:
    """One line of the table."""

    def part(column: str, start: str) -> Mapping[str, float | None]:
        rows = [r for r in found.group_rows if r.column == column and r.value.startswith(start)]
        return rows[0].scores.iou if rows else {}

    landsat = part("sensor", "Landsat")
    cells = [*(landsat.get(label) for label in ("cloud", "clear", "shadow", "snow"))]
    cells += [snow_flagged(found), found.thin_cloud.recall.value if found.thin_cloud else None]
    for provenance in (PAINTED, DERIVED):
        cells += [part("prov_shadow", provenance).get(label) for label in ("cloud", "shadow")]
    free = found.cloud_free
    text = [name, *("-" if cell is None else f"{cell:.3f}" for cell in cells)]
    if free is None or free.flagged.value is None:
        return [*text, "-", "-"]
    return [*text, f"{free.flagged.value:.1%}", f"{free.alarms} of {free.chips}"]


def link_common(source: Path, target: Path, subjects: Sequence[Subject]) -> None:
    """A chip folder of links to those chips that all subjects have a mask of."""
    target.mkdir()
    common = set.intersection(
        *({path.stem.removesuffix("_mask") for path in its.masks.glob("*.tif")} for its in subjects)
    )
    with (source / "manifest.csv").open(newline="") as file:
        rows = [line for line in csv.DictReader(file) if line["id"] in common]
    with (target / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for line in rows:
        for path in source.glob(f"{line['id']}*.tif"):
            if path.stem.removesuffix("_mask") == line["id"]:
                (target / path.name).symlink_to(path.resolve())


def snow_flagged(found: Evaluation) -> float | None:
    """Share of snow that is called cloud or shadow."""
    names = [item.name for item in found.classes]
    if "snow" in names:
        line = found.confusion[names.index("snow")]
        wrong = sum(line[names.index(name)] for name in ("cloud", "shadow") if name in names)
        return wrong / max(1, sum(line))
    # Snow counts as clear here, and is all that these chips have.
    rows = [r for r in found.group_rows if r.column == "prov_snow" and r.value != "none"]
    recall = rows[0].scores.recall.get("clear") if rows else None
    return None if recall is None else 1 - recall


def landsat_shadow(found: Evaluation) -> str:
    """IoU of shadow on each chip that experts labelled it on."""
    values = [
        (chip.id, chip.scores.iou["shadow"], chip.scores.pixels)
        for chip in found.chip_rows
        if chip.fields["prov_shadow"].startswith(EXPERT)
    ]
    return ", ".join(f"{name} {value or 0:.2f}" for name, value, _ in values)


def surfaces(evaluations: Sequence[tuple[str, Evaluation]], clear: Path) -> list[list[str]]:
    """Share flagged on cloud-free chips by what lies on the ground, a column for each subject."""
    chips = cloud_free_chips(clear)
    kinds = sorted({kind for chip in chips for kind in kinds_of(chip.fields)})
    lines = []
    for kind in kinds:
        having = [chip.id for chip in chips if kind in kinds_of(chip.fields)]
        line = [kind, str(len(having))]
        for _, found in evaluations:
            shares = found.cloud_free.by_chip if found.cloud_free else {}
            line.append(f"{sum(shares[name] for name in having) / len(having):.1%}")
        lines.append(line)
    return lines


def kinds_of(fields: Mapping[str, str]) -> set[str]:
    """The column `surfaces`: "fields; woodland"."""
    return {kind.strip() for kind in fields.get("surfaces", "").split(";") if kind.strip()}


def print_markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table."""
    for line in (head, ["---"] * len(head), *lines):
        print(f"| {' | '.join(line)} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subjects", nargs="+", type=subject_of, metavar="NAME=FOLDER[:CODES]")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clear", type=Path, required=True)
    given = parser.parse_args()
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    with tempfile.TemporaryDirectory() as name:
        data, clear = Path(name) / "data", Path(name) / "clear"
        link_common(given.data, data, given.subjects)
        link_common(given.clear, clear, given.subjects)
        found = [(s.name, scored(s, data, clear)) for s in given.subjects]
        places = surfaces(found, clear)
    print_markdown(HEAD, [row(*pair) for pair in found])
    print_markdown(
        ["masks", "IoU of shadow by Landsat chip"],
        [[name, landsat_shadow(its)] for name, its in found if "shadow" in its.labels.values()],
    )
    head = ["cloud-free chips with", "chips", *(name for name, _ in found)]
    print_markdown(head, places)


if __name__ == "__main__":
    main()
