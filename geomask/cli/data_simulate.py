"""`geomask data simulate`: clouds drawn over cloud-free chips, to a chip folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from geomask.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomask.training.simulated_chips import Simulated

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("simulate", short_help="Clouds drawn over cloud-free chips.")
@click.argument("clear", nargs=-1, required=True, type=_FOLDER)
@options.path_option("--out", required=True, help="The chip folder to make, or to add to.")
@click.option(
    "--count", type=click.IntRange(min=1), default=100, show_default=True, help="How many chips."
)
@click.option(
    "--size",
    type=click.IntRange(min=32),
    default=256,
    show_default=True,
    help="Pixels, a chip's side.",
)
@click.option("--gsd", type=float, default=10.0, show_default=True, help="Metres of a pixel.")
@click.option(
    "--only",
    "bands",
    callback=options.names,
    metavar="NAME,…",
    help="Bands to draw. [default: all that clouds are known in]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@options.overwrite_option
@options.json_option
@options.quiet_option
@options.debug_option
def simulate(clear: tuple[Path, ...], out: Path, as_json: bool, quiet: bool, **given: Any) -> None:
    """Draw clouds, thin clouds and shadows over the cloud-free chips of folders CLEAR.

    Those are the chips whose manifest says `yes` in the column `cloud_free`. Snow, water, roofs and
    mountains are drawn into some of them first. Training does the same on the fly (`geomask train
    --clear`); this is to look at it, and to use it elsewhere.

    \b
    geomask data simulate clear-chips/ --out simulated/ --count 500 --gsd 20
    """
    from geomask.cli.console import print_facts, print_json, progress_bar
    from geomask.training.simulated_chips import simulate_chips

    try:
        with progress_bar("simulating", quiet=quiet or as_json) as report:
            # The bar asks for no more than `done` and `total`.
            progress = cast("Callable[[Simulated], None] | None", report)
            summary = simulate_chips(clear, out, progress=progress, **given)
    except KeyboardInterrupt:
        click.echo(f"Interrupted; {out} holds the chips drawn so far, each complete.", err=True)
        sys.exit(130)
    if as_json:
        print_json(summary.to_json())
    elif not quiet:
        total = sum(summary.pixels.values())
        shares = ((name, f"{100 * n / total:.2f} %") for name, n in summary.pixels.items())
        facts = [
            ("chips", f"{summary.done} in {summary.folder}"),
            ("bands", " ".join(summary.bands)),
        ]
        print_facts([*facts, *shares])
