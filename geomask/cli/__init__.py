"""The command line: one verb per file; a command parses, calls one library function, prints."""

from __future__ import annotations

import importlib
import signal
import sys
import warnings
from types import FrameType
from typing import Any

import click

from geomask.errors import GeomaskError, GeomaskWarning
from geomask.version import __version__

COMMANDS = (
    "predict",
    "batch",
    "info",
    "vectorize",
    "rasterize",
    "view",
    "models",
    "recipes",
    "data",
    "train",
    "evaluate",
    "completion",
)
DEBUG = "geomask.debug"
"""Key of the context's `meta` that `--debug` sets."""


class _Verbs(click.Group):
    """Commands by name, imported when they are asked for; errors told once, here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"geomask.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GeomaskError as error:
            if ctx.meta.get(DEBUG):
                raise
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted; no output was touched.", err=True)
            sys.exit(130)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="geomask")
def cli() -> None:
    """Mask cloud, cloud shadow and snow in Sentinel-2 and LISS-4 scenes.

    \b
    geomask predict scene.tif --out mask.tif --shp clouds.shp
    """


def main() -> None:
    """The console script `geomask`."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", GeomaskWarning)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as it is under nohup
            signal.signal(number, _terminate)
    cli()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    click.echo(f"Warning: {message}", err=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally`, as Ctrl-C does; 128 + signal is the shell's convention."""
    sys.exit(128 + number)
