"""QGIS as Debian packages it: headless, in a Python and a profile of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SCRIPTS = Path(__file__).parent / "scripts"

Run = Callable[..., Any]


def environment(home: Path) -> dict[str, str]:
    """Of a program that knows nothing of ours, without a screen, at home in a folder."""
    home.mkdir(mode=0o700, exist_ok=True)
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(home),
    }


@cache
def python_of_qgis() -> str | None:
    """A Python that has QGIS; None where there is none."""
    program = os.environ.get("GEOMASK_QGIS_PYTHON", "/usr/bin/python3")
    if shutil.which(program) is None:
        return None
    asked = [program, "-c", "import qgis.core"]
    found = subprocess.run(asked, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    return program if found.returncode == 0 else None


@pytest.fixture(scope="session")
def in_qgis(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a script of `scripts/` in QGIS's Python: what it prints last, from JSON."""
    program = python_of_qgis()
    if program is None:
        pytest.skip("no QGIS here (apt-get install qgis python3-qgis, or GEOMASK_QGIS_PYTHON)")
    home = tmp_path_factory.mktemp("qgis") / "home"

    def run(script: str, *given: object) -> Any:
        done = subprocess.run(
            [program, str(SCRIPTS / script), *map(str, given)],
            env=environment(home),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


Window = Callable[..., Any]


@pytest.fixture
def window(tmp_path: Path) -> Window:
    """Opens QGIS's own window on files, runs a script of `scripts/` in it, which pictures it and
    leaves, and gives back the JSON that the script wrote."""
    if shutil.which("qgis") is None or shutil.which("xvfb-run") is None:
        pytest.skip("no QGIS here, or no screen to show it on (apt-get install qgis xvfb xauth)")

    def show(script: str, picture: Path, *opened: Path, profiles: Path | None = None) -> Any:
        told = tmp_path / "told.json"
        screen = environment(tmp_path / "home")
        del screen["QT_QPA_PLATFORM"]
        screen |= {"GEOMASK_WINDOW": str(picture), "GEOMASK_TOLD": str(told)}
        how = ["--noplugins"] if profiles is None else ["--profiles-path", str(profiles)]
        command = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", "qgis", "--nologo", *how]
        command += ["--noversioncheck", "--code", str(SCRIPTS / script), *map(str, opened)]
        shown = subprocess.Popen(command, env=screen, start_new_session=True)
        try:
            assert shown.wait(120) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shown.pid, signal.SIGKILL)
        with Image.open(picture) as image:
            assert len(image.getcolors(2**24) or ()) > 100
        return json.loads(told.read_text())

    return show


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example scene where QGIS may write its statistics beside it."""
    source = Path(__file__).parents[2] / "examples" / "scene.tif"
    return shutil.copy(source, tmp_path_factory.mktemp("example") / "scene.tif")


@pytest.fixture(scope="session")
def results(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `geomask predict` makes of the example: mask.tif, clouds.shp, …"""
    folder = tmp_path_factory.mktemp("results")
    program = Path(sys.executable).with_name("geomask")
    for suffix in ("shp", "gpkg", "fgb", "geojson"):
        out = ["--shp", folder / f"clouds.{suffix}", "--quiet", "--overwrite"]
        if suffix == "shp":
            command = [program, "predict", example, "--out", folder / "mask.tif", *out]
        else:
            command = [program, "vectorize", folder / "mask.tif", *out[1:]]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: GEOMASK_PICTURES, as for docs/, or a folder that is forgotten."""
    named = os.environ.get("GEOMASK_PICTURES")
    return Path(named).resolve() if named else tmp_path_factory.mktemp("pictures")
