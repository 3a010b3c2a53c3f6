"""Options that several commands share; each checks its own value."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from geomask.cli import DEBUG

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _band_numbers(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> dict[str, int] | None:
    """red=1,green=2,nir=4 as a mapping from band names to 1-based band numbers."""
    if text is None:
        return None
    bands: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not number.isdecimal():
            raise click.BadParameter(f"{part!r} is not NAME=NUMBER, as in red=1,green=2,nir=4")
        if name in bands:
            raise click.BadParameter(f"{name!r} is named twice")
        bands[name] = int(number)
    return bands


def _nodata(ctx: click.Context, param: click.Parameter, text: str | None) -> float | str | None:
    """A number, or the word none."""
    if text is None or text == "none":
        return text
    try:
        return float(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is neither a number nor none") from error


def names(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """cloud,shadow as a tuple of names."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def path_option(*names: str, **attributes: Any) -> Callable[[_Function], _Function]:
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
devices_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|cuda:N,…|all|mps",
    help="Where the network runs; patches are spread over several. all: every CUDA GPU.",
)
bands_option = click.option(
    "--bands",
    callback=_band_numbers,
    metavar="NAME=N,…",
    help="Which band is which, as in red=1,green=2,nir=4, where the file does not say.",
)
sensor_option = click.option(
    "--sensor", help="sentinel2, liss4 or landsat: whose band names these are."
)
scale_option = click.option(
    "--scale", type=float, help="reflectance = DN * SCALE + OFFSET, if not in the file."
)
offset_option = click.option("--offset", type=float, help="See --scale.")
nodata_option = click.option(
    "--nodata",
    callback=_nodata,
    metavar="VALUE|none",
    help="The digital number of pixels that were not measured.",
)
grid_option = click.option(
    "--grid",
    type=float,
    metavar="M",
    help="Pixel size of the mask, metres, where a product has several. [default: the finest]",
)
_SCENE_OPTIONS = (
    bands_option,
    sensor_option,
    scale_option,
    offset_option,
    nodata_option,
    grid_option,
)
_NETWORK_OPTIONS = (
    click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16"]),
        default="auto",
        show_default=True,
        help="auto is bf16 where the processor computes in it.",
    ),
    click.option(
        "--patch",
        type=click.IntRange(min=1),
        help="Side the network reads at most, pixels; smaller takes less memory.",
    ),
    click.option(
        "--margin",
        type=click.IntRange(min=0),
        help="Pixels around a patch's core that are thrown away. [default: the card's]",
    ),
    click.option("--batch", type=click.IntRange(min=1), help="Patches per forward pass."),
    click.option(
        "--readers",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        help="Threads that read the scene ahead of the network.",
    ),
    click.option(
        "--resolution",
        type=float,
        metavar="M",
        help="Pixel size of inference, metres. "
        "[default: the scene's, or the nearest the model knows]",
    ),
)
compress_option = click.option(
    "--compress",
    type=click.Choice(["deflate", "zstd"]),
    default="deflate",
    show_default=True,
    help="Of the rasters that are written.",
)
_classes_option = click.option(
    "--classes",
    callback=names,
    metavar="NAME,…",
    help="Classes to turn into polygons. [default: all but clear]",
)


def _size_option(name: str, metavar: str, text: str) -> Callable[[_Function], _Function]:
    return click.option(name, type=click.FloatRange(min=0), default=0.0, metavar=metavar, help=text)


_connectivity_option = click.option(
    "--connectivity",
    type=click.Choice(["4", "8"]),
    default="4",
    show_default=True,
    callback=lambda ctx, param, value: int(value),
    help="Whether pixels that touch only at a corner are one component (8).",
)
_crs_option = click.option(
    "--crs", metavar="EPSG:…", help="Of the polygons, if not the mask's; GeoJSON is in WGS 84."
)
_per_class_option = click.option(
    "--per-class",
    is_flag=True,
    help="One file per class: clouds_cloud.shp, clouds_shadow.shp, …",
)

style_option = click.option(
    "--style/--no-style",
    default=True,
    help="Write QGIS's style (.qml) beside mask and polygons. [default: style]",
)

_POLYGON_OPTIONS = (
    _classes_option,
    _connectivity_option,
    _size_option("--min-area", "M2", "Leave out polygons smaller than this, in square metres."),
    _size_option(
        "--fill-holes",
        "M2",
        "Fill holes smaller than this, in square metres, around polygons that lie in them. *",
    ),
    _size_option(
        "--buffer",
        "M",
        "Grow polygons by metres; where classes meet, cloud goes before shadow before snow. *",
    ),
    _size_option(
        "--simplify", "M", "Straighten outlines, about metres; neighbours keep their edges. *"
    ),
    click.option("--smooth", is_flag=True, help="Cut the corners of outlines. *"),
    _crs_option,
    _per_class_option,
    style_option,
)

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_TRAINING_OPTIONS = (
    click.option(
        "--recipe", metavar="NAME|FILE", help="A name that `geomask recipes` lists, or a TOML file."
    ),
    click.option("--data", multiple=True, type=_FOLDER, help="A chip folder; may be repeated."),
    click.option(
        "--clear",
        multiple=True,
        type=_FOLDER,
        help="A folder of cloud-free chips to simulate clouds over, beside --data or instead; may "
        "be repeated.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override the recipe, as in optimizer.lr=1e-3; may be repeated.",
    ),
)


def _all(command: _Function, options: Sequence[Callable[[Any], Any]]) -> _Function:
    """A command with those options, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def scene_options(command: _Function) -> _Function:
    """What is stated of a scene, as `open_scene` takes it."""
    return _all(command, _SCENE_OPTIONS)


def training_options(command: _Function) -> _Function:
    """A recipe and the chips for it, as `load_recipe` and `gather_chips` take them."""
    return _all(command, _TRAINING_OPTIONS)


def network_options(command: _Function) -> _Function:
    """How the network runs: for `make_engines`, `prepare` and `predicting`."""
    return _all(command, _NETWORK_OPTIONS)


def polygon_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what polygons are asked for; the command gets them as one, `polygons`.

    They are listed in the order in which they are applied.
    """

    @functools.wraps(command)
    def packed(**given: Any) -> Any:
        from geomask.vectors.options import PolygonOptions

        own = {field.name: given.pop(field.name) for field in dataclasses.fields(PolygonOptions)}
        return command(polygons=PolygonOptions(**own), **given)

    return _all(packed, _POLYGON_OPTIONS)
