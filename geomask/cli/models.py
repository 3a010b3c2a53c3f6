"""`geomask models`: which models there are, and what each says of itself."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from geomask.cli.options import debug_option, json_option, overwrite_option, path_option


@click.group("models", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the models that can be named, or show one.

    Bundled models come first, then those in the folders that GEOMASK_MODELS names.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list")
@json_option
@debug_option
def list_(as_json: bool = False) -> None:
    """Name, bands and classes of every model; a damaged file is left out with a warning."""
    from geomask.card import read_card
    from geomask.cli.console import print_json, print_table
    from geomask.errors import GeomaskWarning, ModelError
    from geomask.model_files import list_models

    cards = []
    for name, path in list_models():
        try:
            cards.append((name, path, read_card(path)))
        except ModelError as error:
            warnings.warn(f"left out: {error}", GeomaskWarning, stacklevel=2)
    if as_json:
        print_json([{"name": n, "path": str(p), "card": c.model_dump()} for n, p, c in cards])
        return
    rows = [
        (
            name,
            " ".join(card.bands),
            " ".join(c.name for c in card.classes),
            card.description.partition(". ")[0],
        )
        for name, path, card in cards
    ]
    print_table(("model", "bands", "classes", "what it is"), rows)


@command.command("show")
@click.argument("model", default="default")
@json_option
@click.option("--stac", is_flag=True, help="Print it as a STAC item of the MLM extension.")
@debug_option
def show(model: str, as_json: bool, stac: bool) -> None:
    """The card of a model: bands, classes, licence, scores, provenance."""
    from geomask.card import read_card
    from geomask.cli.card_text import print_card
    from geomask.cli.console import print_json
    from geomask.model_files import find_model

    path = find_model(model)
    card = read_card(path)
    if stac:
        from geomask.model_item import model_item

        print_json(model_item(card, path).to_dict())
    elif as_json:
        print_json(card.model_dump())
    else:
        print_card(card)


@command.command("export")
@click.argument("model", default="default")
@path_option("--onnx", "out", required=True, help="The ONNX file to write.")
@click.option("--patch", type=click.IntRange(min=1), help="Pixels a side of its input.  [512]")
@click.option("--scale", type=float, help="For Deepness: reflectance = DN * scale + offset.")
@click.option("--offset", type=float, default=0.0, show_default=True, help="See --scale.")
@overwrite_option
@debug_option
def export(
    model: str, out: Path, patch: int | None, scale: float | None, offset: float, overwrite: bool
) -> None:
    """Write a model for programs without torch, such as the QGIS plugin Deepness.

    The file takes reflectance and gives probabilities; docs/onnx.md says how to use it.

    \b
    geomask models export default --onnx default.onnx --scale 0.0001
    """
    from geomask.checkpoint import load_model
    from geomask.export import EXPORT_PATCH, export_onnx

    export_onnx(
        load_model(model),
        out,
        patch=patch or EXPORT_PATCH,
        scale=scale,
        offset=offset,
        overwrite=overwrite,
    )
