"""What `geomask batch` shows while it runs, and of what failed."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from geomask.batch.run import Progress
from geomask.cli.console import print_facts, print_json, print_table

if TYPE_CHECKING:
    from geomask.batch.record import Record
    from geomask.batch.run import BatchResult, Plan
    from geomask.batch.status import Status
    from geomask.batch.task import Task

RECENT = 6
"""Scenes that the live table shows after they ended."""


@contextmanager
def progress_of(plan: Plan, *, quiet: bool) -> Iterator[Progress]:
    """A live table on a terminal's standard error; elsewhere a line per scene; quiet: nothing."""
    if quiet:
        yield Progress()
        return
    board = _Board(len(plan.todo), len(plan.done))
    if not sys.stderr.isatty():
        yield Progress(board.begin, lambda record: click.echo(board.end(record), err=True))
        return
    console = Console(stderr=True)
    with Live(get_renderable=board.table, console=console, refresh_per_second=2, transient=True):
        yield Progress(board.begin, board.end)


def print_failed(records: Sequence[Record]) -> None:
    """Which scenes failed, and why; nothing where none did."""
    if records:
        print_table(("failed", "why"), [(record.name, record.reason) for record in records])


def _print_warnings(records: Sequence[Record]) -> None:
    """What was warned of, and of how many scenes."""
    counts = Counter(
        text.removeprefix(f"{record.scene}: ") for record in records for text in record.warnings
    )
    if counts:
        print_table(("scenes", "warning"), [(str(n), text) for text, n in counts.most_common()])


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """What would be done, and what is."""
    places = plan.order.places
    rows = [(task, "to do") for task in plan.todo] + [(record, "done") for record in plan.done]
    rows.sort(key=lambda row: row[0].name)
    if as_json:
        print_json(
            [
                {"scene": item.scene, "mask": str(places.mask(item.name)), "state": state}
                for item, state in rows
            ]
        )
        return
    cells = [(item.scene, places.relative(places.mask(item.name)), what) for item, what in rows]
    print_table(("scene", "mask", "state"), cells)


def print_result(result: BatchResult) -> None:
    """What a run did."""
    print_facts(
        [
            ("done", str(len(result.done))),
            ("done before", str(len(result.skipped))),
            ("failed", str(len(result.failed))),
            ("masks", result.folder),
        ]
    )
    _print_warnings(result.done)
    print_failed(result.failed)


def print_status(found: Status) -> None:
    """What a folder says of itself."""
    facts = [
        ("done", str(len(found.done))),
        ("failed", str(len(found.failed))),
        ("waiting", str(len(found.waiting))),
    ]
    if found.done:
        seconds = sum(record.seconds["total"] for record in found.done) / len(found.done)
        facts.append(("per scene", f"{seconds:.1f} s on average"))
    print_facts(facts)
    _print_warnings(found.done)
    print_failed(found.failed)


class _Board:
    """What is known while a run goes on."""

    def __init__(self, todo: int, skipped: int) -> None:
        self.todo, self.skipped = todo, skipped
        self.done = self.failed = 0
        self.since = time.monotonic()
        self.running: dict[str, float] = {}
        self.recent: deque[tuple[str, str]] = deque(maxlen=RECENT)

    def begin(self, task: Task) -> None:
        """A scene is given to a worker."""
        self.running[task.name] = time.monotonic()

    def end(self, record: Record) -> str:
        """A scene ended; the line that says so."""
        self.running.pop(record.name, None)
        if record.done:
            self.done += 1
            shares = [f"{name} {share:.1f} %" for name, share in record.percent.items()]
            said = f"{record.seconds['total']:.1f} s, " + ", ".join(shares)
        else:
            self.failed += 1
            said = f"failed: {record.reason}"
        self.recent.append((record.name, said))
        return f"[{self.done + self.failed}/{self.todo}] {record.name}: {said}"

    def table(self) -> RenderableType:
        """Counts, what is running, and what ended last."""
        ended = self.done + self.failed
        passed = time.monotonic() - self.since
        left = f", {passed / ended * (self.todo - ended) / 60:.0f} min left" if ended else ""
        head = (
            f"{ended} of {self.todo} scenes, {self.failed} failed, {self.skipped} done before; "
            f"{passed / 60:.0f} min{left}"
        )
        rows = Table(box=None, pad_edge=False, show_header=False)
        for name, said in self.recent:
            rows.add_row(name, said)
        for name, began in list(self.running.items())[:16]:
            rows.add_row(name, f"running, {time.monotonic() - began:.0f} s")
        return Group(head, rows)
