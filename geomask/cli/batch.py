"""`geomask batch`: many scenes into one folder, and what that folder says of itself."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geomask.cli import options

if TYPE_CHECKING:
    from geomask.batch.inputs import SceneInput
    from geomask.batch.options import SceneOptions
    from geomask.batch.run import BatchResult, EngineOptions, Plan
    from geomask.vectors.options import PolygonOptions

PARTIAL = 3
"""Exit code where scenes were quarantined and the others are done."""

SEARCH = ("bbox", "datetime", "collection", "limit")
"""Options that would do nothing without --stac-search."""


class _RunUnlessNamed(click.Group):
    """Its own commands by name; anything else is an input of the first of them, `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("batch", cls=_RunUnlessNamed, short_help="Many scenes to masks, in one folder.")
def command() -> None:
    """Mask many scenes into one folder, or say what is in it."""


def _shard(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """3/64 as (3, 64)."""
    if text is None:
        return None
    first, slash, second = text.partition("/")
    if not (slash and first.isascii() and second.isascii() and first.isdigit()):
        raise click.BadParameter(f"{text!r} is not I/N, as in 3/64")
    if not second.isdigit() or not 1 <= int(first) <= int(second):
        raise click.BadParameter(f"{text!r}: the first number is 1 to the second")
    return int(first), int(second)


def _bbox(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> tuple[float, float, float, float] | None:
    """west,south,east,north as numbers."""
    if text is None:
        return None
    from geomask.batch.stac_inputs import bbox_of
    from geomask.errors import BatchError

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not W,S,E,N in degrees") from error
    if len(numbers) != 4:
        raise click.BadParameter(f"{text!r} is not W,S,E,N in degrees")
    try:
        return bbox_of(numbers)
    except BatchError as error:
        raise click.BadParameter(str(error)) from error


@command.command("run", short_help="Mask scenes (may be left out).")
@click.argument("inputs", nargs=-1)
@options.path_option("--out-dir", required=True, help="The folder of the masks; made if need be.")
@click.option("--shp", is_flag=True, help="Also write polygons, to OUT_DIR/polygons.")
@click.option(
    "--shp-format",
    type=click.Choice(["shp", "gpkg", "fgb", "geojson", "parquet"]),
    default="shp",
    show_default=True,
    help="Of the polygons.",
)
@click.option("--confidence", is_flag=True, help="Also write percent, to OUT_DIR/confidence.")
@click.option(
    "--name",
    "template",
    default="{stem}.tif",
    show_default=True,
    help="What masks are called; {parent} is the scene's folder.",
)
@click.option("--stac-search", metavar="URL", help="Take the scenes that this STAC API finds.")
@click.option("--collection", multiple=True, help="With --stac-search; may be repeated.")
@click.option("--bbox", callback=_bbox, metavar="W,S,E,N", help="With --stac-search, degrees.")
@click.option("--datetime", metavar="FROM/TO", help="With --stac-search.")
@click.option("--limit", type=click.IntRange(min=1), help="With --stac-search: items at most.")
@click.option(
    "--shard", callback=_shard, metavar="I/N", help="Do the I-th of N equal parts, for job arrays."
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or a Ray cluster.",
)
@click.option(
    "--address",
    default="local",
    show_default=True,
    metavar="local|auto|ray://…",
    help="Of the Ray cluster; local starts one on this machine.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Scenes at once. [default: one; with GPUs two per GPU; with Ray what there is room for]",
)
@click.option("--cores", type=click.IntRange(min=1), help="Processor cores per worker.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Begin a scene again so often after a fault of disk or network.",
)
@options.model_option
@options.scene_options
@options.devices_option
@options.network_options
@options.compress_option
@options.polygon_options
@click.option("--overwrite", is_flag=True, help="Do scenes again that are done.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what is done; stop.")
@options.json_option
@options.quiet_option
@options.debug_option
def run(**given: Any) -> None:
    """Mask every scene of INPUTS into OUT_DIR.

    INPUTS are scenes as `geomask predict` takes them, folders of them, patterns such as
    'archive/**/*.SAFE', lists (.txt with a scene per line, .csv with a column scene) and STAC
    ItemCollections. A scene that is done is not done again, so a run that was interrupted goes on
    where it stopped; one that cannot be done is put aside with its reason (exit code 3).

    \b
    geomask batch scenes/ --out-dir masks/ --shp
    geomask batch scenes.txt --out-dir masks/ --shard 3/64
    geomask batch status masks/         what is done, failed and waiting
    geomask batch summary masks/        table, footprints and STAC, after --shard
    """
    from geomask.batch.run import execute
    from geomask.cli.batch_table import print_plan, print_result
    from geomask.cli.console import print_json

    plan = _plan(given)
    if given["dry_run"]:
        print_plan(plan, as_json=given["as_json"])
        return
    with _told(plan, quiet=given["quiet"] or given["as_json"]) as progress:
        result = execute(plan, _engine(given), progress)
    _summarise(result, given)
    if given["as_json"]:
        print_json(result.to_json())
    elif not given["quiet"]:
        print_result(result)
    if result.failed:
        sys.exit(PARTIAL)


@command.command("status", short_help="What is done, failed and waiting.")
@click.argument("folder", type=click.Path(path_type=Path))
@options.json_option
@options.debug_option
def status(folder: Path, as_json: bool) -> None:
    """Say what is in FOLDER: how many scenes are done, which failed and why, which are waiting."""
    from geomask.batch.status import batch_status
    from geomask.cli.batch_table import print_status
    from geomask.cli.console import print_json

    found = batch_status(folder)
    if as_json:
        print_json(found.to_json())
    else:
        print_status(found)


@command.command("summary", short_help="Table, footprints and STAC of all records.")
@click.argument("folder", type=click.Path(path_type=Path))
@options.debug_option
def summary(folder: Path) -> None:
    """Write summary.csv, footprints.parquet and stac/ of what is in FOLDER.

    A run writes them itself, but for one with --shard, which knows of its own part alone.
    """
    from geomask.batch.summary import write_summary

    for path in write_summary(folder):
        click.echo(str(path))


def _plan(given: dict[str, Any]) -> Plan:
    from geomask.batch.run import plan_batch

    return plan_batch(
        _scenes(given),
        given["out_dir"],
        _options(given),
        template=given["template"],
        shard=given["shard"],
        retries=given["retries"],
        overwrite=given["overwrite"],
    )


def _scenes(given: dict[str, Any]) -> list[SceneInput]:
    from geomask.batch.inputs import SceneInput, find_scenes
    from geomask.batch.places import Places
    from geomask.batch.stac_inputs import Search, search_items

    items = Places(given["out_dir"].absolute()).items
    url = given["stac_search"]
    if url is None and any(given[name] for name in SEARCH):
        raise click.UsageError(f"{', '.join('--' + name for name in SEARCH)} go with --stac-search")
    if not given["inputs"] and url is None:
        raise click.UsageError("name some scenes, or a STAC API with --stac-search")
    found = find_scenes(given["inputs"], items=items)
    if url is not None:
        search = Search(url, given["collection"], given["bbox"], given["datetime"], given["limit"])
        found += [SceneInput(path) for path in search_items(search, items)]
    return found


def _options(given: dict[str, Any]) -> SceneOptions:
    from geomask.batch.options import SceneOptions

    def take(*names: str) -> dict[str, Any]:
        return {name: given[name] for name in names}

    drawn: PolygonOptions = given["polygons"]
    if not given["shp"] and not drawn.are_default:
        raise click.UsageError("options of polygons, --classes to --per-class, go with --shp")
    return SceneOptions(
        **take("model", "precision", "batch", "readers", "compress", "confidence"),
        stated=take("bands", "sensor", "scale", "offset", "nodata", "grid"),
        plan=take("patch", "margin", "resolution"),
        polygons=f".{given['shp_format']}" if given["shp"] else None,
        drawn=drawn,
    )


def _engine(given: dict[str, Any]) -> EngineOptions:
    from geomask.batch.run import EngineOptions

    return EngineOptions(
        given["engine"], given["device"], given["workers"], given["cores"], given["address"]
    )


def _summarise(result: BatchResult, given: dict[str, Any]) -> None:
    """Table, footprints and collection; where the disk is full the scenes count all the same."""
    if given["shard"] is not None:
        return
    from geomask.batch.summary import write_summary
    from geomask.errors import GeomaskWarning, OutputError

    try:
        write_summary(result.folder)
    except OutputError as error:
        warnings.warn(f"{error}; try again: geomask batch summary", GeomaskWarning, stacklevel=2)


@contextmanager
def _told(plan: Plan, *, quiet: bool) -> Iterator[Any]:
    """Progress for eyes, and what to say where the run is interrupted."""
    from geomask.cli.batch_table import progress_of

    try:
        with progress_of(plan, quiet=quiet) as progress:
            yield progress
    except KeyboardInterrupt:
        click.echo("Interrupted; the same command goes on with what is not done.", err=True)
        sys.exit(130)
