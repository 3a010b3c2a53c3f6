"""Options that several commands share; each checks its own value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geomask.cli import DEBUG


class BandNumbers(click.ParamType):
    """red=1,green=2,nir=4: band names to 1-based band numbers."""

    name = "NAME=N,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        """The mapping; a usage error where the text is no such list."""
        if isinstance(value, dict):
            return value
        bands: dict[str, int] = {}
        for part in value.split(","):
            name, equals, number = part.partition("=")
            if not equals or not name.strip() or not number.strip().isdigit():
                self.fail(f"{part!r} is not NAME=NUMBER, as in red=1,green=2,nir=4", param, ctx)
            if name.strip() in bands:
                self.fail(f"{name.strip()!r} is named twice", param, ctx)
            bands[name.strip()] = int(number)
        return bands


class Nodata(click.ParamType):
    """A number, nan, or the word none."""

    name = "VALUE|none"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """The number or "none"; a usage error for anything else."""
        if isinstance(value, float) or value == "none":
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor none", param, ctx)


class Names(click.ParamType):
    """cloud,shadow: names, separated by commas."""

    name = "NAME,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names, without blanks."""
        if isinstance(value, tuple):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())


def path_option(*names: str, **attributes: Any) -> Any:
    """An option that holds the path of a file."""
    return click.option(*names, type=click.Path(path_type=Path), **attributes)


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.find_root().meta[DEBUG] = True


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress and no table.")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."
)
debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    is_eager=True,
    help="Show the traceback of an error.",
)
model_option = click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="A model that `geomask models` lists, or a .safetensors file.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|cuda:N|mps",
    help="Where the network runs.",
)
classes_option = click.option(
    "--classes", type=Names(), help="Classes to turn into polygons. [default: all but clear]"
)
min_area_option = click.option(
    "--min-area",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="M2",
    help="Leave out polygons smaller than this, in square metres.",
)
connectivity_option = click.option(
    "--connectivity",
    type=click.Choice(["4", "8"]),
    default="4",
    show_default=True,
    callback=lambda ctx, param, value: int(value),
    help="Whether pixels that touch only at a corner are one component (8).",
)
per_class_option = click.option(
    "--per-class",
    is_flag=True,
    help="One file per class: clouds_cloud.shp, clouds_shadow.shp, …",
)
