"""`geomask info`: what a scene is, and which models can run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from geomask.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geomask.info import ModelInfo, SceneInfo


@click.command("info", short_help="What a scene is, and which models can run on it.")
@click.argument("scene")
@options.scene_options
@options.json_option
@options.debug_option
def command(scene: str, as_json: bool, **stated: Any) -> None:
    """Say what SCENE is: acquisition, grid, bands, radiometry, nodata, and models that fit.

    SCENE is what `geomask predict` takes, and so are the options. Nothing is written.

    \b
    geomask info S2A_MSIL1C_20221005T115411_N0400_R023_T29UNU_20221005T164454.SAFE
    """
    from geomask.cli.console import print_facts, print_json, print_table
    from geomask.info import scene_info
    from geomask.scene import open_scene

    with open_scene(scene, **stated) as opened:
        about = scene_info(opened)
    if as_json:
        print_json(about.to_json())
        return
    print_facts(_facts(about))
    click.echo()
    if about.bands:
        bands = ((b.name, b.source, _metres(b.resolution), b.file) for b in about.bands)
        print_table(("band", "its own name", "pixels", "file"), bands)
        click.echo()
    print_table(("model", "runs", "on", "at"), map(_model_row, about.models))
    for model in about.models:
        if model.why_not:
            click.echo(f"\n{model.why_not}")


def _facts(about: SceneInfo) -> Iterator[tuple[str, str]]:
    known = about.acquisition
    size = "unknown size" if about.resolution is None else _metres(about.resolution)
    yield "scene", f"{about.scene} ({about.kind})"
    for name in ("product", "platform", "level", "baseline", "time"):
        if name in known:
            yield name, known[name]
    if "sun_elevation" in known:
        azimuth = f", azimuth {known['sun_azimuth']:.1f}°" if "sun_azimuth" in known else ""
        yield "sun", f"elevation {known['sun_elevation']:.1f}°{azimuth}"
    several = len({band.resolution for band in about.bands}) > 1
    yield (
        "finest grid" if several else "grid",
        f"{about.width} x {about.height} pixels of {size}, {about.crs or 'no CRS'}",
    )
    yield "radiometry", about.radiometry
    yield "nodata", about.nodata
    if about.nodata_percent is not None:
        yield "without data", f"about {about.nodata_percent:.1f} % of the scene, in some band"
    for name, why in about.missing.items():
        yield f"no {name}", why
    if about.unnamed:
        yield "unnamed", ", ".join(about.unnamed)


def _model_row(model: ModelInfo) -> tuple[str, str, str, str]:
    if model.bands is None:
        return model.name, "no", "see below", ""
    at = "native pixels" if model.resolution is None else _metres(model.resolution)
    return model.name, "yes", " ".join(model.bands), at


def _metres(resolution: tuple[float, float] | None) -> str:
    """A pixel's size for people."""
    if resolution is None:
        return "unknown"
    rows, columns = (f"{size:.4g}" for size in resolution)
    return f"{rows} m" if rows == columns else f"{rows} x {columns} m"
