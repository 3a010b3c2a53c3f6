"""`geomask completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click

from geomask.cli import options


@click.command("completion", short_help="Completion for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.debug_option
def command(shell: str) -> None:
    """Print the script that completes geomask's commands and options in SHELL.

    \b
    eval "$(geomask completion bash)"      # in ~/.bashrc
    eval "$(geomask completion zsh)"       # in ~/.zshrc
    geomask completion fish > ~/.config/fish/completions/geomask.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "geomask", "_GEOMASK_COMPLETE").source())
