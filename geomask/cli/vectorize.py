"""`geomask vectorize`: a class mask to polygons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geomask.cli import options

if TYPE_CHECKING:
    from geomask.vectors.options import PolygonOptions


@click.command("vectorize", short_help="A mask to polygons.")
@click.argument("mask", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@options.path_option("--confidence", help="A confidence raster: its mean becomes field conf.")
@options.polygon_options
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def command(
    mask: Path, out: Path, polygons: PolygonOptions, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Turn the connected components of MASK into polygons in OUT (.shp,
    .gpkg, .fgb, .geojson or .parquet).

    MASK is any single-band uint8 raster of class codes; clear (0) and nodata (255) stay out.

    What the options do is done in the order in which they are listed, to whole polygons. Those
    marked * look at neighbours: then all polygons are held in memory.

    \b
    geomask vectorize mask.tif clouds.shp --min-area 900
    geomask vectorize mask.tif clouds.gpkg --min-area 2500 --fill-holes 2500 --buffer 50
    geomask vectorize mask.tif smooth.gpkg --simplify 15 --smooth --crs EPSG:4326
    """
    from geomask.cli.console import print_facts, print_json
    from geomask.vectors.vectorize import tracing

    with tracing(mask, out, polygons, **given) as traced:
        traced.commit()
    summary = traced.summary
    if as_json:
        print_json(summary.to_json())
    elif not quiet:
        print_facts((name, f"{count} polygons") for name, count in summary.counts.items())
