"""A prediction that is stopped at any moment: nothing touched, or all of it there."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from geomask.cli import cli
from geomask.output import Staged
from geomask.staging import sweep
from tests.conftest import write_scene
from tests.faults.conftest import distinct_dn
from tests.faults.damage import snapshot
from tests.faults.runner import Runner, start_runner
from tests.faults.table import MODEL

OUTPUTS = "--out o.tif --shp o.shp --confidence oc.tif --overwrite"

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
"""How a run ends that was stopped: the shell's convention, and what the system says."""

SHARE = int(os.environ.get("GEOMASK_STEPS_SHARE", "80"))
"""Every so many steps of a run are tried; 1 for all of them, which takes three hours."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    runner = start_runner(tmp_path_factory.mktemp("notes"))
    with runner.process:
        yield runner
        assert runner.process.stdin is not None
        runner.process.stdin.close()


def visible(folder: Path) -> dict[str, bytes | None]:
    """What is there for anybody to see, and what was not hidden by `Staged`."""
    return {name: data for name, data in snapshot(folder).items() if ".geomask-" not in name}


@pytest.fixture
def place(store: Path, tmp_path: Path) -> Path:
    """A folder with a scene of some patches, the model, and nothing else."""
    folder = tmp_path / "place"
    folder.mkdir()
    write_scene(folder / "scene.tif", distinct_dn(48, 64).repeat(4, 1).repeat(4, 2))
    shutil.copy(store / "model.safetensors", folder)
    return folder


class Stopping:
    """One command that is stopped again and again, over older outputs.

    seconds: that it takes. done: what is there after it, and `old` before.
    """

    line = f"predict scene.tif {OUTPUTS} {MODEL} --patch 80 --quiet"

    def __init__(self, runner: Runner, place: Path, number: signal.Signals) -> None:
        self.runner, self.place, self.number = runner, place, number
        self.seconds = min(self._whole_run() for _ in range(3))
        self.done = visible(place)
        self.outputs = {n: b"old " + n.encode() for n in self.done if n.startswith("o")}
        self.old = {**self.done, **self.outputs}

    def _whole_run(self) -> float:
        began = time.monotonic()
        self.runner.begin(self.line, self.place)
        assert self.runner.end() == 0, self.runner.said
        return time.monotonic() - began

    def begin_again(self) -> None:
        """Have the older outputs there, and nothing hidden."""
        sweep(self.place)
        for name, data in self.outputs.items():
            (self.place / name).write_bytes(data)

    def wrong(self, code: int) -> Iterator[str]:
        """What is wrong with how a run ended."""
        now, said = visible(self.place), self.runner.said
        killed = self.number == signal.SIGKILL
        if "Traceback" in said or len(said.splitlines()) > 1:
            yield f"said {said!r}"
        if code not in (0, CODES[self.number]):
            yield f"exit code {code}: {said!r}"
        if not killed and list(self.place.glob(".*")):
            yield "left something hidden"
        if code == 0 and now != self.done:
            yield "is not whole"
        changed = [name for name in {**now, **self.old} if now.get(name) != self.old.get(name)]
        if code and changed and not killed and now != self.done:
            yield f"touched {changed}"
        if killed and (partial := [name for name in now if self._partial(name, now[name])]):
            yield f"partial: {partial}"

    def _partial(self, name: str, data: bytes | None) -> bool:
        # The mask's style comes first, and then the same with the polygons' in it.
        styled = name == "o.qml" and (data or b"").rstrip().endswith(b"</qgis>")
        return data not in (self.old.get(name), self.done.get(name)) and not styled

    def end(self) -> None:
        """After all that, a run that nobody stops is as it was before."""
        self._whole_run()
        assert visible(self.place) == self.done
        assert not list(self.place.glob(".*"))  # what was hidden is swept


def stop_at_random(stopping: Stopping, times: int, seed: int) -> list[str]:
    """Stop a run again and again; what was wrong with how each ended."""
    rng = random.Random(seed)
    wrong, stopped = [], 0
    for _ in range(times):
        stopping.begin_again()
        child = stopping.runner.begin(stopping.line, stopping.place)
        time.sleep(rng.uniform(0.02, 1.0) * stopping.seconds)
        with suppress(ProcessLookupError):  # it was done before
            os.kill(child, stopping.number)
        code = stopping.runner.end()
        stopped += code == CODES[stopping.number]
        wrong += stopping.wrong(code)
    assert stopped >= times // 4
    stopping.end()
    return wrong


def test_a_signal_between_two_outputs_waits_for_the_last(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    move = Staged._move

    def interrupted(staged: Staged) -> None:
        move(staged)
        moved.append(staged.target.name)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.chdir(place)
    monkeypatch.setattr(Staged, "_move", interrupted)
    # A shell that starts the tests in the background has them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ended = CliRunner().invoke(cli, f"predict scene.tif {OUTPUTS} {MODEL} --quiet".split())
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.exit_code == 130
    assert sorted(moved) == ["o.shp", "o.tif", "oc.tif"]
    assert all((place / name).exists() for name in moved)


@pytest.mark.parametrize(
    "number",
    [
        number if number == signal.SIGINT else pytest.param(number, marks=pytest.mark.slow)
        for number in CODES
    ],
)
def test_a_run_that_is_stopped_touches_nothing(
    runner: Runner, place: Path, number: signal.Signals
) -> None:
    assert stop_at_random(Stopping(runner, place, number), 6, seed=1) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", list(CODES))
def test_nor_does_one_at_any_other_moment(
    runner: Runner, place: Path, number: signal.Signals
) -> None:
    assert stop_at_random(Stopping(runner, place, number), 60, seed=2) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nor_does_one_at_any_step(runner: Runner, place: Path, number: signal.Signals) -> None:
    stopping = Stopping(runner, place, number)
    steps = runner.steps(stopping.line, place)
    assert len(steps) > 2000
    heeded = [Path(step[0]).parts[-2:] for step in steps].index(("cli", "predict.py"))
    tried = steps[heeded + number :: SHARE]
    wrong, stopped = [], 0
    for step in tried:
        stopping.begin_again()
        code = runner.stop_at(stopping.line, place, step, number)
        stopped += code == CODES[number]
        wrong += [f"{step}: {text}" for text in stopping.wrong(code or 0)]
    assert wrong == []
    # Not all: what a step is, and which there are, depends on how threads take turns.
    assert stopped > len(tried) / 2
    stopping.end()
