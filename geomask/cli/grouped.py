"""Commands with many options, which `--help` shows in groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

REST = "Options"
"""Heading of options that are in no group; they come last."""


class GroupedCommand(click.Command):
    """A command whose options are shown under headings.

    groups: headings to the names of parameters, in the order in which both are shown.
    """

    def __init__(
        self, *args: Any, groups: Mapping[str, Sequence[str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.groups = dict(groups or {})
        there = {param.name for param in self.params}
        unknown = {name for names in self.groups.values() for name in names} - there
        if unknown:
            raise ValueError(f"{self.name}: no such options: {', '.join(sorted(unknown))}")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every group that has options, then the rest."""
        records = {
            param.name: record
            for param in self.get_params(ctx)
            if (record := param.get_help_record(ctx)) is not None
        }
        for heading, names in self.groups.items():
            with formatter.section(heading):
                formatter.write_dl([records.pop(name) for name in names])
        with formatter.section(REST):
            formatter.write_dl(list(records.values()))
