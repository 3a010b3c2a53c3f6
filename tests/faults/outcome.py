"""How a command ended: with its whole output, or with one sentence and nothing touched."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from geomask.cli import _show_uncaught, cli
from geomask.cli.batch import PARTIAL
from geomask.signals import show_unraisable
from tests.faults.damage import snapshot

NOISE = re.compile(r"Error: Key |_tiff")
"""What libgeotiff and libtiff print themselves, which nobody can catch: of a JPEG 2000 file's
damaged box, and of a disk that is full."""


OF_A_BATCH = {"out", "out/.geomask", "out/.geomask/records", "out/.geomask/scenes.json"}
"""What a batch keeps for the next run, where its model's weights turn out damaged: no output."""


@dataclass(frozen=True)
class Attempt:
    """done: whether it ended with exit code 0. partly: whether it was a batch that did some of its
    scenes. wrong: what is wrong with how it ended, "" for nothing. said: its standard error.
    output: its standard output."""

    done: bool
    partly: bool
    wrong: str
    said: str
    output: str


class Outcome(Protocol):
    """As `attempt`, for a test that takes the fixture."""

    def __call__(
        self,
        line: str,
        folder: Path,
        outputs: tuple[str, ...],
        limit: AbstractContextManager[None] | None = None,
    ) -> Attempt: ...


@contextmanager
def as_main() -> Iterator[None]:
    """What `main` silences: warnings but our own, and what rasterio's log cannot decode."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(sys, "unraisablehook", show_unraisable)
        patch.setattr(sys, "excepthook", _show_uncaught)
        yield


def attempt(
    line: str,
    folder: Path,
    outputs: tuple[str, ...],
    capfd: pytest.CaptureFixture[str],
    limit: AbstractContextManager[None] | None,
) -> Attempt:
    """Run a command line in a limit, and hold it against the rule: done, and all `outputs` are
    there and no hidden file is; or one sentence, and the folder is what it was, to the byte."""
    before = snapshot(folder)
    capfd.readouterr()
    with as_main(), limit or nullcontext():
        result = CliRunner().invoke(cli, line.split())
    noise = "".join(
        text for text in capfd.readouterr().err.splitlines(True) if not NOISE.match(text)
    )
    after = snapshot(folder)
    done = result.exit_code == 0
    wrong = []
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        wrong.append(f"escaped: {result.exception!r}")
    elif result.exit_code == PARTIAL:
        wrong += [f"{name} was left" for name in after if ".geomask-" in name]
        wrong += [] if ": failed: " in result.stderr else [f"said: {result.stderr!r}"]
    elif done:
        wrong += [f"{name} is not there" for name in outputs if not (folder / name).exists()]
        wrong += [f"{name} was left" for name in after if ".geomask-" in name]
    else:
        lines = [text for text in result.stderr.splitlines() if text.startswith("Error: ")]
        told = result.stderr.splitlines()[-1:] == lines if result.exit_code == 2 else True
        if len(lines) != 1 or not told:
            wrong.append(f"said: {result.stderr!r}")
        if result.exit_code == 1 and len(result.stderr.splitlines()) != 1:
            wrong.append(f"said more than a sentence: {result.stderr!r}")
        if after != before:
            names = {**before, **after}
            touched = [name for name in names if before.get(name, 0) != after.get(name, 0)]
            wrong += [f"touched {touched}"] if set(touched) - OF_A_BATCH else []
    if noise.strip():
        wrong.append(f"noise: {noise.strip()[:300]!r}")
    return Attempt(
        done, result.exit_code == PARTIAL, "; ".join(wrong), result.stderr, result.stdout
    )
