"""docs/cli.md, made from the commands themselves.

python docs/make_cli.py            # write it
python docs/make_cli.py --check    # fail where it is not what the commands say
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from geomask.cli import cli

PAGE = Path(__file__).with_name("cli.md")

HEAD = """# Commands

What `geomask COMMAND --help` prints, made by `python docs/make_cli.py`.
"""

WIDTH = 80


def commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """("geomask models show", its help) of a command and all below it."""
    with click.Context(command, info_name=" ".join(words)) as ctx:
        ctx.max_content_width = ctx.terminal_width = WIDTH
        ctx.help_option_names = ["-h", "--help"]
        yield " ".join(words), command.get_help(ctx)
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                below = command.get_command(ctx, name)
                assert below is not None, name
                yield from commands(below, (*words, name))


def page() -> str:
    """The whole page."""
    parts = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in commands(cli, ("geomask",))]
    return "\n".join([HEAD, *parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is not what the commands say; run python docs/make_cli.py")


if __name__ == "__main__":
    main()
