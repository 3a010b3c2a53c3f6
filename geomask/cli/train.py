"""`geomask train`: a recipe and chips to a model file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from geomask.cli import options

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("train", short_help="A recipe and chips to a model.")
@click.option(
    "--recipe", required=True, metavar="NAME|FILE", help="A recipe's name, or a TOML file."
)
@click.option(
    "--data", required=True, multiple=True, type=_FOLDER, help="A chip folder; may be repeated."
)
@click.option(
    "--clear",
    multiple=True,
    type=_FOLDER,
    help="A folder of cloud-free chips to simulate clouds over; may be repeated.",
)
@options.path_option("--out", required=True, help="The model to write, .safetensors.")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Logs and checkpoints. [default: OUT with the suffix .run]",
)
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override the recipe, as in optimizer.lr=1e-3; may be repeated.",
)
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def command(
    recipe: str,
    data: tuple[Path, ...],
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a model and write it, card and all, to one .safetensors file.

    A chip folder holds ID.tif, ID_mask.tif and manifest.csv (see docs/training.md).

    \b
    geomask train --recipe default --data chips/ --clear clear-chips/ --out my.safetensors
    """
    from geomask.cli.console import print_card, print_json
    from geomask.training.recipe import load_recipe
    from geomask.training.train import train

    progress = not (quiet or as_json)
    try:
        result = train(load_recipe(recipe, overrides), data, progress=progress, **given)
    except KeyboardInterrupt:
        click.echo("Interrupted; the same command with --resume goes on.", err=True)
        sys.exit(130)
    if as_json:
        print_json({"model": str(result.model), "card": result.card.model_dump()})
    elif not quiet:
        print_card(result.card)
