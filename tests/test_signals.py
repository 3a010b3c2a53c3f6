"""Signals wait during imports and while outputs come into place, and come after it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from geomask import signals
from geomask.signals import result_of, undisturbed

ROOT = Path(__file__).parents[1]

IMPORTS = """
import signal
from geomask import signals

signal.signal(signal.{number}, signals.end_run)

try:
    import slow
    assert slow.done
    print("imported", flush=True)
    signal.pause()
finally:
    print("cleaned up")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_comes_after_the_block(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.signal(number, lambda *_: said.append("signal"))
    try:
        with undisturbed():
            with undisturbed():
                signal.raise_signal(number)
                said.append("inner")
            said.append("outer")
        assert said == ["inner", "outer", "signal"]
        signal.raise_signal(number)
        assert said[3:] == ["signal"]
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with undisturbed():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_is_changed() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with undisturbed():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_comes_after_an_import(number: str, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"import signal\nsignal.raise_signal(signal.{number})\nimport inner\ndone = True\n"
    )
    (tmp_path / "inner.py").write_text("import time\ntime.sleep(0.2)\n")
    ended = run_python(IMPORTS.format(number=number), tmp_path)
    assert ended.stdout == "imported\ncleaned up\n"
    assert ended.returncode == (-2 if number == "SIGINT" else 128 + signal.Signals[number])


def test_a_run_that_an_import_began_can_be_ended(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import os\nfrom geomask import cli\n"
        "cli.share_freed_memory = lambda: os.kill(os.getpid(), 15)\ncli.main()\n"
    )
    assert run_python("import script", tmp_path).returncode == 143


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


SWALLOWED = """
import os, signal, time
from geomask import signals

signals.heed(signal.SIGTERM)

class Clearing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

try:
    Clearing()
    time.sleep(20)
finally:
    os.kill(os.getpid(), signal.SIGTERM)
    print("cleaned up")
"""


def test_a_signal_where_nothing_can_be_raised_comes_again_and_once(tmp_path: Path) -> None:
    ended = run_python(SWALLOWED, tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "cleaned up\n", "")


LOCK = """
import os, signal, threading, time
from concurrent.futures import ThreadPoolExecutor
from geomask import signals

signals.heed(signal.SIGTERM)
{locked}

class Lock:
    # A signal in the moment in which the lock is taken.
    def __init__(self):
        self.lock = threading.Lock()
        self.acquire, self.release = self.lock.acquire, self.lock.release

    def __enter__(self):
        self.acquire()
        signal.raise_signal(signal.SIGTERM)

    def __exit__(self, *exception):
        self.release()

lock = Lock()
condition = threading.Condition(lock)
try:
    with condition:
        print("taken")
        {inside}
    print("given back")
    time.sleep(20)
finally:
    print("free" if not lock.lock.locked() else "locked")
"""


@pytest.mark.parametrize(
    ("locked", "inside", "said"),
    [
        ("", "pass", "taken\ngiven back\nfree\n"),
        # Some libraries do their work inside: then it is not put off for ever.
        ("signals.LOCKED = 0.3", "threading.Event().wait(20)", "taken\nfree\n"),
    ],
)
def test_a_signal_as_a_lock_is_taken_leaves_none_taken(
    tmp_path: Path, locked: str, inside: str, said: str
) -> None:
    ended = run_python(LOCK.format(locked=locked, inside=inside), tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, said, "")


RESULT = """
import os, signal, threading, time
from concurrent.futures import Future
from geomask import signals

signals.heed(signal.SIGTERM)
signals.LOCKED = 60
future = Future()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
signals.result_of(future)
"""


def test_waiting_for_a_result_is_ended_at_once(tmp_path: Path) -> None:
    assert run_python(RESULT, tmp_path).returncode == 143


def test_a_result_is_the_futures_own() -> None:
    future: Future[int] = Future()
    threading.Timer(0.05, future.set_result, (5,)).start()
    assert result_of(future) == 5
    assert result_of(future) == 5
    bad: Future[int] = Future()
    bad.set_exception(KeyError("a"))
    with pytest.raises(KeyError, match="a"):
        result_of(bad)


def test_a_signal_while_handlers_are_put_back_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    handle, calls = signals._handle, []

    def interrupted(handlers: dict[int, object]) -> None:
        calls.append(handlers)
        if len(calls) == 2:  # the first installs
            handle(dict(list(handlers.items())[:1]))
            raise KeyboardInterrupt
        handle(handlers)

    monkeypatch.setattr(signals, "_handle", interrupted)
    with pytest.raises(KeyboardInterrupt), undisturbed():
        pass
    assert {number: signal.getsignal(number) for number in signals.ENDING} == before


@pytest.mark.parametrize(
    "interrupt",
    [
        "cli.share_freed_memory = lambda: os.kill(os.getpid(), 2)",  # before it
        "cli.cli.parse_args = lambda *given: (os.kill(os.getpid(), 2), time.sleep(5))",
    ],
)
def test_ctrl_c_while_the_command_line_is_read(tmp_path: Path, interrupt: str) -> None:
    code = (
        f"import os, sys, time\nfrom geomask import cli\n{interrupt}\n"
        "sys.argv = ['geomask', 'models']\ncli.main()\n"
    )
    ended = run_python(code, tmp_path)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr.splitlines() == ["Interrupted; every output is as it was, or whole."]
