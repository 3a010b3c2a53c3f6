"""`geomask` as a process: its lines as they come, its result, and its end when nobody wants it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

PROGRESS, WARNING, ERROR = "progress ", "Warning: ", "Error: "
"""How geomask's lines for programs and for people begin (`--progress lines`)."""

NOT_OURS = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONNOUSERSITE",
    "VIRTUAL_ENV",
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "PROJ_LIB",
    "PROJ_DATA",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "QT_PLUGIN_PATH",
)
"""What QGIS's launchers say of its own Python and libraries; geomask has others."""

PATIENCE = 30.0
"""Seconds that geomask has to clear up after being told to stop; it takes a fraction of one, unless
a disk or a server is slow."""

POLL = 0.1
"""Seconds between two looks at whether someone cancelled."""


class RunError(Exception):
    """geomask ended with an error; its message is geomask's own."""


class CancelledError(Exception):
    """geomask was told to stop, and left nothing."""


def clean_environment(given: Mapping[str, str]) -> dict[str, str]:
    """An environment without what belongs to QGIS's Python alone."""
    return {name: value for name, value in given.items() if name not in NOT_OURS}


def run(
    command: Sequence[str],
    *,
    cancelled: Callable[[], bool],
    progress: Callable[[float], None],
    said: Callable[[str, bool], None],
) -> dict[str, Any]:
    """Run geomask with `--json --progress lines` and give back what its JSON says.

    cancelled: asked ten times a second. progress: told percents. said: told other lines, and
    whether they are warnings. Raises RunError or CancelledError; the process has always ended.
    """
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would open a console
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(os.environ),
            encoding="utf-8",
            errors="replace",
            creationflags=hidden,
        )
    except OSError as error:
        raise RunError(f"{command[0]}: cannot be started ({error.strerror or error})") from error
    try:
        out, errors = _follow(process, cancelled, progress, said)
    except BaseException:
        _stop(process)
        raise
    if process.wait() != 0:
        raise RunError(
            "\n".join(errors) or f"geomask ended with {process.returncode}; see its lines"
        )
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError as error:
        raise RunError(f"{command[0]}: did not answer as geomask does; is it that?") from error
    return found


def _follow(
    process: subprocess.Popen[str],
    cancelled: Callable[[], bool],
    progress: Callable[[float], None],
    said: Callable[[str, bool], None],
) -> tuple[str, list[str]]:
    """Standard output as a whole, and the errors on the other one."""
    lines: queue.Queue[tuple[str, str | None]] = queue.Queue()
    readers = [
        threading.Thread(target=_read, args=(name, stream, lines), daemon=True)
        for name, stream in (("out", process.stdout), ("err", process.stderr))
    ]
    for reader in readers:
        reader.start()
    out: list[str] = []
    errors: list[str] = []
    open_streams = len(readers)
    while open_streams:
        if cancelled():
            raise CancelledError
        try:
            name, line = lines.get(timeout=POLL)
        except queue.Empty:
            continue
        if line is None:
            open_streams -= 1
        elif name == "out":
            out.append(line)
        elif line.startswith(PROGRESS):
            progress(float(line[len(PROGRESS) :]))
        elif line.startswith(ERROR):
            errors.append(line[len(ERROR) :].rstrip())
        elif line.strip():
            said(line.rstrip(), line.startswith(WARNING))
    return "".join(out), errors


def _read(name: str, stream: IO[str], lines: queue.Queue[tuple[str, str | None]]) -> None:
    with stream:
        for line in stream:
            lines.put((name, line))
    lines.put((name, None))


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask it to leave, which clears up; make it leave where it does not."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
