"""Damaged inputs, for every command: its whole and right output, or one sentence and nothing."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.faults import damage, oracle
from tests.faults.damage import Damage
from tests.faults.outcome import Outcome, as_main
from tests.faults.table import LINES, PAIRS, Line

Archive = Callable[[], Path]

INSTEAD = {
    "gone": damage.gone,
    "folder": damage.folder_instead,
    "text": damage.text_instead,
    "bytes": damage.bytes_instead,
}
CUTS: dict[str, Damage] = {
    f"cut to {place}/{damage.PLACES}": functools.partial(damage.cut, place=place)
    for place in range(damage.PLACES)
}
SEEDS, FEW = 100, 5
"""Flips of a file on the line that it is told of first, and on others."""

FAST = {"gone": damage.gone, "text": damage.text_instead, "half": CUTS["cut to 5/10"]}

_MOMENT = itertools.count(1_000_000_000)


def flips(seeds: Iterable[int]) -> dict[str, Damage]:
    return {f"flip {seed}": functools.partial(damage.flip, seed=seed) for seed in seeds}


def failures(
    line: Line,
    name: str,
    damages: dict[str, Damage],
    archive: Archive,
    outcome: Outcome,
    store: Path,
) -> list[str]:
    """What went wrong, of a line whose file `name` is damaged in turn in each way."""
    wrong = []
    for what, harm in damages.items():
        folder = archive()
        harm(folder / name)
        if (folder / name).exists():  # or GDAL would go by what it knows of a zip of this age
            os.utime(folder / name, (next(_MOMENT),) * 2)
        ended = outcome(line.words, folder, line.outputs)
        found = ended.wrong
        if (ended.done or ended.partly) and not found:
            with as_main():
                found = oracle.check(line.words, folder, store)
        if found:
            wrong.append(f"{name} {what}: {found}")
    return wrong


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.words)
def test_undamaged_all_is_done_and_right(
    line: Line, archive: Archive, outcome: Outcome, store: Path
) -> None:
    folder = archive()
    ended = outcome(line.words, folder, line.outputs)
    assert not ended.wrong
    assert ended.done == (not line.words.startswith("train"))
    assert ended.done is False or not oracle.check(line.words, folder, store)


@pytest.mark.parametrize(("line", "name"), PAIRS, ids=lambda value: getattr(value, "words", value))
def test_a_damaged_file_is_one_sentence_or_a_right_output(
    line: Line, name: str, archive: Archive, outcome: Outcome, store: Path
) -> None:
    number = PAIRS.index((line, name))
    some = flips((number,))
    assert failures(line, name, FAST | some, archive, outcome, store) == []


@pytest.mark.slow
@pytest.mark.parametrize(("line", "name"), PAIRS, ids=lambda value: getattr(value, "words", value))
def test_so_is_one_that_is_cut_or_flipped_anywhere(
    line: Line, name: str, archive: Archive, outcome: Outcome, store: Path
) -> None:
    seeds = range(SEEDS if name in line.main else FEW)
    every = INSTEAD | CUTS | flips(seeds)
    assert failures(line, name, every, archive, outcome, store) == []


@pytest.mark.parametrize("harm", [*INSTEAD.values(), *CUTS.values()])
def test_a_damaged_model_is_not_exported(harm: Damage, archive: Archive, outcome: Outcome) -> None:
    folder = archive()
    harm(folder / "model.safetensors")
    ended = outcome("models export model.safetensors --onnx o.onnx", folder, ())
    assert not ended.done
    assert not ended.wrong
