"""`geomask rasterize`: polygons back to a class mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geomask.cli import options


@click.command("rasterize", short_help="Polygons back to a mask.")
@click.argument("polygons", type=click.Path(path_type=Path))
@click.option("--like", required=True, metavar="MASK|SCENE", help="What the mask is to lie on.")
@options.path_option("--out", required=True, help="The mask to write, a GeoTIFF.")
@click.option("--layer", help="Which layer of POLYGONS, where there are several.")
@options.scene_options
@options.compress_option
@options.style_option
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def command(
    polygons: Path,
    like: str,
    out: Path,
    layer: str | None,
    compress: str,
    style: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **stated: Any,
) -> None:
    """Turn POLYGONS (.shp, .gpkg, .fgb, .geojson, .parquet) into a mask again, after they were
    edited in QGIS, say.

    Each needs a class_id or a class. What --like calls nodata is nodata in the mask, and what no
    polygon covers is clear. Options from --bands to --grid are about a scene, as for predict.

    \b
    geomask rasterize clouds.shp --like mask.tif --out edited.tif
    geomask rasterize clouds.gpkg --like S2A_MSIL1C_….SAFE --out mask.tif
    """
    from contextlib import ExitStack

    from geomask.cli.console import print_facts, print_json
    from geomask.scene import open_scene
    from geomask.vectors.rasterize import rasterize_polygons

    with ExitStack() as stack:
        given = any(value is not None for value in stated.values())
        on = stack.enter_context(open_scene(like, **stated)) if given else like
        done = rasterize_polygons(
            polygons,
            out,
            on,
            layer=layer,
            compress=compress,
            style=style,
            overwrite=overwrite,
        )
    if as_json:
        print_json(done.to_json())
    elif not quiet:
        print_facts((name, f"{count} pixels") for name, count in done.pixels.items())
