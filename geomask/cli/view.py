"""`geomask view`: a page to look at a mask with, over its scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geomask.cli import options


@click.command("view", short_help="A page to look at a mask with.")
@click.argument("scene")
@click.argument("mask", type=click.Path(path_type=Path))
@options.path_option("--out", required=True, help="The page to write, .html.")
@click.option(
    "--size",
    type=click.IntRange(min=1),
    default=1600,
    show_default=True,
    help="Pixels of the picture's longer side, at most.",
)
@options.bands_option
@options.sensor_option
@options.scale_option
@options.offset_option
@options.nodata_option
@options.overwrite_option
@options.debug_option
def command(scene: str, mask: Path, out: Path, size: int, overwrite: bool, **stated: Any) -> None:
    """Write a page that shows MASK over SCENE: a slider between both, classes
    to switch on and off, how much there is of each. It is one file and loads
    nothing.

    \b
    geomask view scene.tif mask.tif --out view.html
    """
    from geomask.scene import open_scene
    from geomask.view import write_view

    with open_scene(scene, **stated) as opened:
        write_view(opened, mask, out, size=size, overwrite=overwrite)
