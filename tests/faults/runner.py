"""Runs of geomask in processes that can be stopped, one after another, each in a moment's time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.faults.steps import Step

ROOT = str(Path(__file__).parents[2])

LONGEST = 60
"""Seconds after which a run is ended by SIGALRM: none may hang."""

_RUNNER = f"""
# Everything is imported once; each run is a fork that a signal is sent to, as the system would.
import faulthandler, json, os, signal, sys
from pathlib import Path
import torch
from geomask.cli import main, predict
from geomask import pipeline, together
from geomask.signals import ENDING, heed
from geomask.vectors import vectorize
from tests.faults.steps import list_steps, stop_at
print("ready", flush=True)
for line in sys.stdin:
    words, folder, notes, step, number = json.loads(line)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # until the child heeds them
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        notes = Path(notes)
        os.dup2(os.open(notes / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        torch.set_num_threads(2)  # so that there are two lanes
        faulthandler.dump_traceback_later({LONGEST - 5})  # where it hangs
        signal.alarm({LONGEST})
        sys.argv = ["geomask", *words]
        code, steps = 0, []
        if step == "list":
            list_steps(steps)
        elif step is not None:
            stop_at(tuple(step), number, notes / "reached")
        try:
            heed(*ENDING)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            main()
        except SystemExit as error:
            code = error.code
        except KeyboardInterrupt:  # before that
            code = 130
        sys.settrace(None)
        if steps:
            (notes / "steps.json").write_text(json.dumps(steps))
        os._exit(code)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass
class Runner:
    """A process that forks one run after another. notes: a folder for what is told of them."""

    process: subprocess.Popen[str]
    notes: Path

    def begin(self, line: str, folder: Path) -> int:
        """Start a run; its process number."""
        return self._begin(line, folder, None, 0)

    def end(self) -> int:
        """The exit code of the run, negative for a signal."""
        return self._number()

    def steps(self, line: str, folder: Path) -> list[Step]:
        """Those of the main thread of a run that is well."""
        self._begin(line, folder, "list", 0)
        assert self.end() == 0, self.said
        found = json.loads((self.notes / "steps.json").read_text())
        return [(file, name, at, times) for file, name, at, times in found]

    def stop_at(self, line: str, folder: Path, step: Step, number: signal.Signals) -> int | None:
        """The exit code of a run that a signal came to at one step; None where it did not get
        there."""
        reached = self.notes / "reached"
        reached.unlink(missing_ok=True)
        self._begin(line, folder, step, number)
        code = self.end()
        return code if reached.exists() else None

    @property
    def said(self) -> str:
        """What the last run wrote to the terminal."""
        return (self.notes / "said.txt").read_text()

    def _begin(self, line: str, folder: Path, step: Step | str | None, number: int) -> int:
        assert self.process.stdin is not None
        order = [line.split(), str(folder), str(self.notes), step, number]
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._number()

    def _number(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


def start_runner(notes: Path) -> Runner:
    """A runner, ready, once everything is imported."""
    process = subprocess.Popen(
        [sys.executable, "-c", _RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ROOT},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return Runner(process, notes)
