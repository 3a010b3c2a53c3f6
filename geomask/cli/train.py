"""`geomask train`: a recipe and chips to a model file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from geomask.cli import options

_EXAMPLE = "geomask train --recipe cloud-rgb --data chips/ --out my.safetensors"


@click.command("train", short_help="A recipe and chips to a model.")
@options.training_options
@options.path_option("--out", help="The model to write, .safetensors.")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Logs and checkpoints. [default: OUT with the suffix .run]",
)
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def command(
    recipe: str | None,
    data: tuple[Path, ...],
    out: Path | None,
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
    if not recipe or not out or not (data or given["clear"]):
        raise click.UsageError(_needs(recipe, out, data or given["clear"]))
    from geomask.cli.card_text import print_card
    from geomask.cli.console import print_json
    from geomask.training.loop import is_first_process
    from geomask.training.recipe import load_recipe
    from geomask.training.train import train

    progress = not (quiet or as_json)
    try:
        result = train(load_recipe(recipe, overrides), data, out, progress=progress, **given)
    except KeyboardInterrupt:
        if is_first_process():
            click.echo("Interrupted; the same command with --resume goes on.", err=True)
        sys.exit(130)
    if as_json and is_first_process():
        print_json({"model": str(result.model), "card": result.card.model_dump()})
    elif not quiet and is_first_process():
        print_card(result.card)


def _needs(recipe: str | None, out: Path | None, chips: tuple[Path, ...]) -> str:
    """What a training lacks, and the recipes if one is lacking."""
    from geomask.training.recipe import list_recipes, recipe_summary

    lacks = [
        text
        for text, there in (
            ("--recipe (a name from below, or a TOML file)", recipe),
            ("--data (a folder of labelled chips) or --clear (of cloud-free ones)", chips),
            ("--out (the model to write, .safetensors)", out),
        )
        if not there
    ]
    lines = [f"geomask train needs {', and '.join(lacks)}."]
    if not recipe:
        names = list_recipes()
        width = max(map(len, names))
        lines += ["", "Recipes:"]
        lines += [f"  {name:{width}}  {recipe_summary(name)}" for name in names]
    return "\n".join([*lines, "", "For example:", "  " + _EXAMPLE])
