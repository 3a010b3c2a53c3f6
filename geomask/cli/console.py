"""What commands print: results on standard output, everything for eyes on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from geomask.errors import shown

if TYPE_CHECKING:
    from geomask.predict import Progress as Done

Report = Callable[["Done"], None]

_ENDLESS = 100_000
"""Columns of what is no terminal: lines for a file or another program stay whole."""


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output; on a terminal, what is too wide for its column goes on below."""
    columns = (Column(shown(name), overflow="fold") for name in header)
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(shown, row))
    _print(table)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line, on standard output."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    for name, value in facts:
        table.add_row(shown(name), shown(value))
    _print(table)


def _print(table: Table) -> None:
    """Broken to fit a terminal; elsewhere every line is whole, without blanks at its end."""
    if sys.stdout.isatty():
        Console(markup=False).print(table)
        return
    console = Console(markup=False, width=_ENDLESS)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


@contextmanager
def progress_bar(label: str, *, quiet: bool, lines: bool = False) -> Iterator[Report | None]:
    """A bar with rate and time left, on a terminal's standard error; nothing elsewhere.

    lines: in its place, and whatever `quiet`, lines `progress 12.5` of percents there.
    """
    if lines:
        yield lambda done: click.echo(f"progress {100 * done.done / done.total:.1f}", err=True)
        return
    if quiet or not sys.stderr.isatty():
        yield None
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=None, rate="")

        def report(done: Done) -> None:
            speed = bar.tasks[task].speed
            rate = f"{speed / 1e6:.1f} Mpx/s" if speed else ""
            bar.update(task, completed=done.done, total=done.total, rate=rate)

        yield report


def megabytes(count: int | None) -> str:
    """A number of bytes for people."""
    return "unknown" if count is None else f"{count / 2**20:.0f} MB"
