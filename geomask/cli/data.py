"""`geomask data`: chip folders to train on, from a user's own labels or from published ones."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from geomask.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomask.training.cut import CutSummary, Cutting

ELSEWHERE = {
    "cloudsen12": "data_cloudsen12",
    "subset": "data_cloudsen12",
    "simulate": "data_simulate",
    "statistics": "data_statistics",
}
"""Subcommands that are in a file of their own, imported when they are asked for."""


class _Sources(click.Group):
    """Subcommands by name, some of them of other files."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"geomask.cli.{ELSEWHERE[cmd_name]}")
        found: click.Command = getattr(module, cmd_name)
        return found


@click.group("data", cls=_Sources, short_help="Labels to chips that a model trains on.")
def command() -> None:
    """Make chip folders, which `geomask train` and `geomask evaluate` read.

    \b
    geomask data chips scene.tif drawn_in_qgis.shp --out chips/
    """


def _mapping(ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, str] | None:
    """wolke=cloud,9=ignore as a mapping; nothing before the = stands for an empty field."""
    if text is None:
        return None
    mapping: dict[str, str] = {}
    for part in text.split(","):
        value, equals, label = (piece.strip() for piece in part.rpartition("="))
        if not equals or not label:
            raise click.BadParameter(f"{part!r} is not VALUE=LABEL, as in wolke=cloud,9=ignore")
        if value in mapping:
            raise click.BadParameter(f"{value!r} is named twice")
        mapping[value] = label
    return mapping


@command.command("chips", short_help="Chips from a scene and labels of your own.")
@click.argument("scene")
@click.argument("labels")
@options.path_option("--out", required=True, help="The chip folder to make, or to add to.")
@click.option("--size", type=int, default=256, show_default=True, help="Pixels, a chip's side.")
@click.option("--stride", type=int, help="Pixels from chip to chip. [default: the size]")
@click.option(
    "--field",
    default="class",
    show_default=True,
    help="The polygons' field that says what they are.",
)
@click.option("--layer", help="The layer to read, of a file that has several.")
@click.option(
    "--map",
    "mapping",
    callback=_mapping,
    metavar="VALUE=LABEL,…",
    help="What names or codes mean: clear, cloud, thin_cloud, shadow, snow or ignore.",
)
@click.option(
    "--background",
    type=click.Choice(["ignore", "clear"]),
    default="ignore",
    show_default=True,
    help="What the pixels are that no polygon covers.",
)
@click.option("--all-touched", is_flag=True, help="Polygons have every pixel that they touch.")
@click.option("--name", help="What the chips are named after. [default: the product or file]")
@click.option("--group", help="What must not part in training: scene or place. [default: the name]")
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="What all of this scene's chips are for. [default: left to train]",
)
@click.option(
    "--min-labelled",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of a chip's pixels that must be labelled.",
)
@click.option(
    "--only",
    callback=options.names,
    metavar="NAME,…",
    help="Bands to put into the chips. [default: all but panchromatic and thermal]",
)
@options.scene_options
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def chips(scene: str, labels: str, out: Path, as_json: bool, quiet: bool, **given: Any) -> None:
    """Cut chips from SCENE where LABELS say what it shows.

    SCENE is what `geomask predict` takes. LABELS are polygons of any format and CRS, as drawn in
    QGIS, with a field that holds cloud, thin cloud, shadow, snow or clear; or a raster on the
    scene's grid. What no polygon covers is not labelled, unless --background clear says that
    everything else is clear. All chips of a scene have one group, so that training and validation
    never share a scene.

    \b
    geomask data chips scene.tif drawn_in_qgis.shp --out chips/
    geomask data chips S2A_….SAFE labels.gpkg --field type --map "Wolke=cloud" --out chips/
    """
    from geomask.cli.console import print_json, progress_bar
    from geomask.scene import open_scene
    from geomask.training.cut import cut_chips

    stated = ("bands", "sensor", "scale", "offset", "nodata", "grid")
    about = {name: given.pop(name) for name in stated}
    try:
        with (
            open_scene(scene, **about) as opened,
            progress_bar(scene, quiet=quiet or as_json) as report,
        ):
            # The bar asks for no more than `done` and `total`.
            progress = cast("Callable[[Cutting], None] | None", report)
            only = given.pop("only")
            summary = cut_chips(opened, labels, out, bands=only, progress=progress, **given)
    except KeyboardInterrupt:
        click.echo(f"Interrupted; {out} holds the chips cut so far, each complete.", err=True)
        sys.exit(130)
    if as_json:
        print_json(summary.to_json())
    elif not quiet:
        _print(summary)


def _print(summary: CutSummary) -> None:
    from geomask.cli.console import print_facts

    total = sum(summary.pixels.values())
    facts = [
        ("chips", f"{summary.chips} of {summary.scene} in {summary.folder}"),
        ("left out", f"{summary.unlabelled} windows with too few labels"),
        ("group", summary.group),
        ("split", summary.split or "left to train"),
        ("bands", " ".join(summary.bands)),
        *((name, f"{100 * count / total:.2f} %") for name, count in summary.pixels.items()),
    ]
    if summary.replaced:
        facts.insert(1, ("replaced", f"{summary.replaced} chips of that name"))
    print_facts(facts)
