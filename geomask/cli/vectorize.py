"""`geomask vectorize`: a class mask to polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geomask.cli import options


@click.command("vectorize", short_help="A mask to polygons.")
@click.argument("mask", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@options.path_option("--confidence", help="A confidence raster: its mean becomes field conf.")
@options.classes_option
@options.min_area_option
@options.connectivity_option
@options.crs_option
@options.per_class_option
@options.style_option
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def command(mask: Path, out: Path, as_json: bool, quiet: bool, **given: Any) -> None:
    """Turn the connected components of MASK into polygons in OUT (.shp,
    .gpkg, .fgb, .geojson or .parquet).

    MASK is any single-band uint8 raster of class codes; clear (0) and nodata (255) stay out.

    \b
    geomask vectorize mask.tif clouds.shp --min-area 900
    """
    from geomask.cli.console import print_facts, print_json
    from geomask.vectorize import vectorize_mask

    summary = vectorize_mask(mask, out, **given)
    if as_json:
        print_json(summary.to_json())
    elif not quiet:
        print_facts((name, f"{count} polygons") for name, count in summary.counts.items())
