"""`geomask data cloudsen12` and `geomask data subset`: samples of CloudSEN12+ to a chip folder, or
to a small TACO file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from geomask.cli import options
from geomask.errors import shown

if TYPE_CHECKING:
    from geomask.training.cloudsen12 import Conversion, Report
    from geomask.training.taco import Sample

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LEFT_OUT_SHOWN = 20
"""Damaged samples told one by one; --json has them all."""


def _bbox(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> tuple[float, float, float, float] | None:
    """W,S,E,N as four degrees."""
    if text is None:
        return None
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not W,S,E,N, as in -118,14,-86,33") from error
    if not (abs(west) <= 180 and abs(east) <= 180 and -90 <= south < north <= 90):
        raise click.BadParameter(
            f"{text!r}: longitudes are -180 to 180, latitudes -90 to 90, south below north"
        )
    return west, south, east, north


def _shows(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...]:
    from geomask.training.cloudsen12 import PRESENCE

    names = options.names(ctx, param, text) or ()
    for name in names:
        if name not in PRESENCE:
            raise click.BadParameter(f"{name!r} is none of {', '.join(PRESENCE)}")
    return names


_FILTERS = (
    click.option(
        "--source",
        "sources",
        multiple=True,
        metavar="SET|FILE|FOLDER|URL",
        help="tacofoundation:NAME, or .taco, .tortilla, .tacozip; may be repeated. "
        "[default: the published set of the level]",
    ),
    click.option(
        "--level",
        type=click.Choice(["l1c", "l2a"]),
        default="l1c",
        show_default=True,
        help="Top-of-atmosphere (l1c) or surface reflectance (l2a).",
    ),
    click.option(
        "--bbox",
        callback=_bbox,
        metavar="W,S,E,N",
        help="Samples whose centre is within, degrees; W > E crosses the date line.",
    ),
    click.option("--country", metavar="NAME", help="Samples in a country, by its English name."),
    click.option(
        "--with",
        "shows",
        callback=_shows,
        metavar="NAME,…",
        help="Samples that show all of these: cloud, thick_cloud, thin_cloud, shadow, clear.",
    ),
    click.option(
        "--label-type",
        type=click.Choice(["high", "scribble"]),
        default="high",
        show_default=True,
        help="Samples whose every pixel is labelled (high), or strokes of them.",
    ),
    click.option(
        "--split",
        type=click.Choice(["train", "validation", "test", "all"]),
        default="all",
        show_default=True,
        help="A part of the set's own split.",
    ),
    click.option(
        "--size",
        type=click.Choice(["509", "2000", "all"]),
        default="509",
        show_default=True,
        callback=lambda ctx, param, value: None if value == "all" else int(value),
        help="Side of the samples, pixels of 10 m; padded to 512 and 2048.",
    ),
    click.option(
        "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many samples."
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Of the order that --limit takes the first of.",
    ),
)


def _filters(function: _Function) -> _Function:
    for option in reversed(_FILTERS):
        function = option(function)
    return function


@click.command("cloudsen12", short_help="CloudSEN12+ to a chip folder.")
@options.path_option("--out", required=True, help="The chip folder to write or to add to.")
@_filters
@click.option(
    "--bands",
    callback=options.names,
    metavar="NAME,…",
    help="Bands to take, as in blue,green,red or B02,B03,B04. [default: all]",
)
@options.json_option
@options.quiet_option
@options.debug_option
def cloudsen12(
    out: Path,
    level: str,
    bands: tuple[str, ...] | None,
    as_json: bool,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Write samples of CloudSEN12+ as chips, all dates of a place in one split_group.

    A run that was stopped goes on where it was when the same command is given again. Damaged
    samples are left out and told, and the exit code is then 1.

    \b
    geomask data cloudsen12 --out chips/ --limit 3000
    geomask data cloudsen12 --out chips/ --source cloudsen12-l1c.0000.part.taco --country Mexico
    """
    from geomask.training.cloudsen12 import convert

    with _resumable(), _bar("reading", quiet=quiet or as_json) as report:
        selected = _select(level, **chosen)
        result = convert(selected, out, level=level, bands=bands, report=report)
    _tell(result, "chips", as_json=as_json, quiet=quiet)


@click.command("subset", short_help="Samples of CloudSEN12+ to a small TACO file.")
@options.path_option("--out", required=True, help="The file to write: .tortilla or .tacozip.")
@_filters
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def subset(
    out: Path, level: str, overwrite: bool, as_json: bool, quiet: bool, **chosen: Any
) -> None:
    """Copy samples of CloudSEN12+ to one small file, which --source takes, and so does tacoreader.

    \b
    geomask data subset --out mexico.tortilla --country Mexico --with cloud,shadow
    """
    from geomask.training.cloudsen12_subset import write_subset

    with _bar("reading", quiet=quiet or as_json) as report:
        selected = _select(level, **chosen)
        result = write_subset(selected, out, level=level, overwrite=overwrite, report=report)
    _tell(result, "samples", as_json=as_json, quiet=quiet)


def _select(
    level: str, *, sources: tuple[str, ...], limit: int | None, seed: int, **filters: Any
) -> list[Sample]:
    from geomask.training.cloudsen12 import SOURCES, Filters, select
    from geomask.training.taco import list_samples

    samples = list_samples(sources or (SOURCES[level],))
    return select(samples, Filters(**filters), limit=limit, seed=seed)


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted; the same command goes on from here.", err=True)
        sys.exit(130)


@contextmanager
def _bar(label: str, *, quiet: bool) -> Iterator[Report | None]:
    """A bar of samples with time left, on a terminal's standard error; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda progress: bar.update(task, completed=progress.done, total=progress.total)


def _tell(result: Conversion, what: str, *, as_json: bool, quiet: bool) -> None:
    """What came of it; leaves with exit code 1 where a sample was left out."""
    from geomask.cli.console import print_facts, print_json

    if as_json:
        print_json(
            {
                "out": str(result.folder),
                "written": result.written,
                "present": result.present,
                "left_out": result.left_out,
            }
        )
    elif not quiet:
        counts = [(f"{what} written", f"{len(result.written)}")]
        counts += [("there before", f"{result.present}")] if result.present else []
        counts += [("left out", f"{len(result.left_out)}")] if result.left_out else []
        print_facts([*counts, ("to", str(result.folder))])
    for reason in result.left_out[:_LEFT_OUT_SHOWN]:
        click.echo(f"Left out: {shown(reason)}", err=True)
    if len(result.left_out) > _LEFT_OUT_SHOWN:
        click.echo(f"… and {len(result.left_out) - _LEFT_OUT_SHOWN} more (--json)", err=True)
    if result.left_out:
        raise click.exceptions.Exit(1)
