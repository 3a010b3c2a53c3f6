"""A prediction that is stopped at any moment: nothing touched, or all of it there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from geomask.cli import cli
from geomask.output import Staged
from geomask.staging import sweep
from tests.conftest import write_scene
from tests.faults.conftest import distinct_dn
from tests.faults.damage import snapshot
from tests.faults.table import MODEL

ROOT = str(Path(__file__).parents[2])

OUTPUTS = "--out o.tif --shp o.shp --confidence oc.tif --overwrite"

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
"""How a run ends that was stopped: the shell's convention, and what the system says."""

RUNNER = """
# Everything is imported once; each run is a fork that a signal is sent to, as the system would.
import json, os, signal, sys
import torch
from geomask.cli import main, predict
from geomask import pipeline, together
from geomask.vectors import vectorize
print("ready", flush=True)
for line in sys.stdin:
    words, folder = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.dup2(os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        torch.set_num_threads(2)  # so that there are two lanes
        signal.alarm(60)  # none may hang
        sys.argv = ["geomask", *words]
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        os._exit(code)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass
class Runner:
    """A process that forks one run after another."""

    process: subprocess.Popen[str]

    def begin(self, line: str, folder: Path) -> int:
        """Start a run; its process number."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([line.split(), str(folder)]) + "\n")
        self.process.stdin.flush()
        return self._number()

    def end(self) -> int:
        """The exit code of the run, negative for a signal."""
        return self._number()

    def _number(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ROOT},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Runner(process)
        assert process.stdin is not None
        process.stdin.close()


def visible(folder: Path) -> dict[str, bytes | None]:
    """What is there for anybody to see, and what was not hidden by `Staged`."""
    return {
        name: data
        for name, data in snapshot(folder).items()
        if ".geomask-" not in name and name != "said.txt"
    }


@pytest.fixture
def place(store: Path, tmp_path: Path) -> Path:
    """A folder with a scene of some patches, the model, and nothing else."""
    folder = tmp_path / "place"
    folder.mkdir()
    write_scene(folder / "scene.tif", distinct_dn(48, 64).repeat(4, 1).repeat(4, 2))
    shutil.copy(store / "model.safetensors", folder)
    return folder


def whole_run(runner: Runner, line: str, place: Path) -> float:
    """Seconds of a run that nobody stops."""
    began = time.monotonic()
    runner.begin(line, place)
    assert runner.end() == 0
    return time.monotonic() - began


def stop_at_random(
    runner: Runner, place: Path, number: signal.Signals, times: int, seed: int
) -> list[str]:
    """Stop a run again and again over older outputs; what was wrong with how each ended."""
    line = f"predict scene.tif {OUTPUTS} {MODEL} --patch 80 --quiet"
    seconds = min(whole_run(runner, line, place) for _ in range(3))
    done = visible(place)
    outputs = [name for name in done if name.startswith("o")]
    old = dict(done) | {name: b"old " + name.encode() for name in outputs}
    rng = random.Random(seed)
    wrong, stopped = [], 0
    for _ in range(times):
        sweep(place)
        for name in outputs:
            (place / name).write_bytes(old[name] or b"")
        child = runner.begin(line, place)
        time.sleep(rng.uniform(0.02, 1.0) * seconds)
        with suppress(ProcessLookupError):  # it was done before
            os.kill(child, number)
        code = runner.end()
        stopped += code == CODES[number]
        wrong += [f"{number.name}: {text}" for text in _wrong(place, number, code, old, done)]
    assert stopped >= times // 4
    runner.begin(line, place)
    assert runner.end() == 0
    assert visible(place) == done
    assert not list(place.glob(".*"))  # what was hidden is swept
    return wrong


def _wrong(
    place: Path,
    number: signal.Signals,
    code: int,
    old: dict[str, bytes | None],
    done: dict[str, bytes | None],
) -> Iterator[str]:
    now = visible(place)
    said = (place / "said.txt").read_text()
    if "Traceback" in said or len(said.splitlines()) > 1:
        yield f"said {said!r}"
    if code not in (0, CODES[number]):
        yield f"exit code {code}: {said!r}"
    if number != signal.SIGKILL and list(place.glob(".*")):
        yield "left something hidden"
    if code == 0 and now != done:
        yield "is not whole"
    if code and now != old and number != signal.SIGKILL and now != done:
        yield f"touched {[name for name in {**now, **old} if now.get(name) != old.get(name)]}"
    if number == signal.SIGKILL:
        partial = [
            name
            for name, data in now.items()
            # The mask's style comes first, and then the same with the polygons' in it.
            if data not in (old.get(name), done.get(name))
            and not (name == "o.qml" and (data or b"").rstrip().endswith(b"</qgis>"))
        ]
        if partial:
            yield f"partial: {partial}"


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
    assert stop_at_random(runner, place, number, 6, seed=1) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", list(CODES))
def test_nor_does_one_at_any_other_moment(
    runner: Runner, place: Path, number: signal.Signals
) -> None:
    assert stop_at_random(runner, place, number, 60, seed=2) == []
