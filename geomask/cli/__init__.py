"""The command line: one verb per file; a command parses, calls one library function, prints."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from types import TracebackType
from typing import Any, NoReturn

import click

from geomask.errors import GeomaskError, GeomaskWarning
from geomask.memory import share_freed_memory
from geomask.signals import ENDING, end_if_told, heed
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            from difflib import get_close_matches

            for near in get_close_matches(args[0], COMMANDS, 1):
                ctx.fail(f"No such command {args[0]!r}. (Did you mean {near!r}?)")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.meta.get(DEBUG):
                raise
            end_if_told()
            if not isinstance(error, GeomaskError):
                raise
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            _end_interrupted()

    def make_context(self, *given: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*given, **options)
        except KeyboardInterrupt:  # of which click would make "Aborted!", and 1
            _end_interrupted()


def _end_interrupted() -> NoReturn:
    click.echo("Interrupted; every output is as it was, or whole.", err=True)
    sys.exit(128 + signal.SIGINT)


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
    sys.excepthook = _show_uncaught
    try:
        _run()
    except KeyboardInterrupt:  # before click listens, or after
        _end_interrupted()


def _run() -> None:
    asked = (signal.default_int_handler, signal.SIG_DFL)  # not SIG_IGN, as under nohup
    heed(*(number for number in ENDING if signal.getsignal(number) in asked))
    if not {"--debug", "CPL_DEBUG"} & {*sys.argv, *os.environ}:
        # What GDAL says in threads that rasterio does not listen to, and would go to the terminal;
        # its errors are raised all the same.
        os.environ.setdefault("CPL_LOG", os.devnull)
    share_freed_memory()
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


def _show_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """What Python does, but not of an error without a traceback: so Cython prints what it cannot
    raise, such as rasterio's where GDAL quotes bytes of a damaged file that are no text. What
    matters of that is raised as well."""
    if traceback is not None:
        sys.__excepthook__(kind, error, traceback)
