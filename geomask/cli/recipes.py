"""`geomask recipes`: which recipes there are, what they say, and a copy to change."""

from __future__ import annotations

from pathlib import Path

import click

from geomask.cli import options


@click.group("recipes", invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List the recipes that come with geomask, show one, or copy one to change it.

    \b
    geomask recipes copy cloud-rgb mine.toml
    geomask train --recipe mine.toml --data chips/ --out mine.safetensors
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list")
@options.json_option
@options.debug_option
def list_(as_json: bool = False) -> None:
    """Name, bands and classes of every recipe."""
    from geomask.cli.console import print_json, print_table
    from geomask.training.recipe import list_recipes, load_recipe, recipe_summary

    recipes = {name: load_recipe(name) for name in list_recipes()}
    if as_json:
        print_json([{"name": n, "recipe": r.model_dump()} for n, r in recipes.items()])
        return
    rows = [
        (
            name,
            " ".join(recipe.bands),
            " ".join(entry.name for entry in recipe.classes),
            recipe_summary(name),
        )
        for name, recipe in recipes.items()
    ]
    print_table(("recipe", "bands", "classes", "what it is"), rows)


@command.command("show")
@click.argument("name")
@options.json_option
@options.debug_option
def show(name: str, as_json: bool) -> None:
    """The TOML of a recipe, with its comments; with --json, every key and what it is."""
    from geomask.cli.console import print_json
    from geomask.training.recipe import load_recipe, recipe_text

    text = recipe_text(name)
    if as_json:
        print_json(load_recipe(name).model_dump())
    else:
        click.echo(text, nl=False)


@command.command("copy")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@options.overwrite_option
@options.debug_option
def copy(name: str, file: Path, overwrite: bool) -> None:
    """Write a recipe to FILE, .toml, to be changed and given to `geomask train --recipe`."""
    from geomask.training.recipe import copy_recipe

    copy_recipe(name, file, overwrite=overwrite)
