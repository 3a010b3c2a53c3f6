"""`geomask data statistics`: mean and spread of chips, for a recipe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from geomask.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomask.training.statistics import Measuring


@click.command("statistics", short_help="Mean and spread of chips, for a recipe.")
@options.training_options
@options.json_option
@options.quiet_option
@options.debug_option
def statistics(
    recipe: str | None,
    data: tuple[Path, ...],
    clear: tuple[Path, ...],
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Print what belongs under [normalisation] in a recipe: mean and std of each of its bands.

    They are of the chips that `geomask train` would train on with the same options, after the
    recipe's clip and knee. A recipe of your own needs them for its bands; what it says of them
    until then does not matter.

    \b
    geomask recipes copy default mine.toml
    geomask data statistics --recipe mine.toml --data chips/
    """
    if not recipe or not (data or clear):
        raise click.UsageError("--recipe and --data (or --clear) say what to measure; give both.")
    from geomask.cli.console import print_json, progress_bar
    from geomask.training.recipe import load_recipe
    from geomask.training.statistics import measure_bands

    with progress_bar("chips", quiet=quiet or as_json) as report:
        # The bar asks for no more than `done` and `total`.
        progress = cast("Callable[[Measuring], None] | None", report)
        asked = load_recipe(recipe, overrides, measured=False)
        found = measure_bands(asked, data, clear, progress=progress)
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(f"# {found.chips} chips of {found.groups} groups: {', '.join(found.bands)}")
        click.echo(found.to_toml())
