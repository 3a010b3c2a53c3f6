"""The Processing plugin: packed, installed and run in QGIS; and its process, without QGIS."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geomask import open_mask
from geomask.qgis import process
from geomask.qgis.__main__ import PARTS, PLUGIN, pack
from geomask.version import __version__
from tests.conftest import random_dn, write_scene
from tests.qgis.conftest import Run, Window

PROGRAM = Path(sys.executable).with_name("geomask")
SOURCE = Path(process.__file__).parent
OLDEST = (3, 9)
"""Python of the oldest QGIS that the plugin says it runs in, on Windows."""


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "geomask-qgis.zip"
    subprocess.run([sys.executable, "-m", "geomask.qgis", path], check=True)
    return path


def codes(path: Path) -> np.ndarray:
    with open_mask(path) as mask:
        return np.concatenate(list(mask.strips()))


class TestZip:
    """What is packed."""

    def test_it_holds_the_plugin_and_nothing_else(self, archive: Path) -> None:
        with zipfile.ZipFile(archive) as packed:
            assert packed.namelist() == [f"{PLUGIN}/{part}" for part in PARTS]
        others = {"__main__.py"}
        assert {p.name for p in SOURCE.iterdir() if p.is_file()} == {*PARTS, *others}

    def test_it_is_the_same_every_time(self, archive: Path, tmp_path: Path) -> None:
        pack(tmp_path / "again.zip")
        assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()

    def test_it_is_replaced_only_when_told(self, tmp_path: Path) -> None:
        (tmp_path / "p.zip").write_text("old")
        command = [sys.executable, "-m", "geomask.qgis", str(tmp_path / "p.zip")]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "p.zip: exists; give --overwrite" in refused.stderr
        assert subprocess.run([*command, "--overwrite"], check=False).returncode == 0

    def test_it_says_the_packages_version(self) -> None:
        assert f"\nversion={__version__}\n" in (SOURCE / "metadata.txt").read_text()

    @pytest.mark.parametrize("part", [part for part in PARTS if part.endswith(".py")])
    def test_an_old_python_reads_it_and_it_imports_nothing_of_ours(self, part: str) -> None:
        tree = ast.parse((SOURCE / part).read_text("utf-8"), feature_version=OLDEST)
        imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 0]
        names = {str(n.module).partition(".")[0] for n in imported}
        assert names <= {"__future__", "collections", "pathlib", "processing", "qgis", "typing"}


class TestProcess:
    """The program's lines and end."""

    def run(self, tmp_path: Path, script: str, **how: Any) -> tuple[Any, list[float], list[Any]]:
        path = tmp_path / "program.py"
        path.write_text(script)
        percents: list[float] = []
        lines: list[Any] = []
        told = process.run(
            [sys.executable, str(path)],
            cancelled=how.get("cancelled", lambda: False),
            progress=percents.append,
            said=lambda *line: lines.append(line),
        )
        return told, percents, lines

    def test_lines_are_sorted(self, tmp_path: Path) -> None:
        script = """
import sys
sys.stderr.write("progress 12.5\\nWarning: so so\\n\\nplain\\nprogress 100.0\\n")
print('{"a":')
print('1}')
"""
        told, percents, lines = self.run(tmp_path, script)
        assert told == {"a": 1}
        assert percents == [12.5, 100.0]
        assert lines == [("Warning: so so", True), ("plain", False)]

    def test_more_than_a_pipe_holds_does_not_stop_it(self, tmp_path: Path) -> None:
        script = """
import sys
for _ in range(20000):
    sys.stderr.write("progress 1.0\\n")
print('"' + 1_000_000 * "x" + '"')
"""
        told, percents, _ = self.run(tmp_path, script)
        assert len(told) == 1_000_000
        assert len(percents) == 20_000

    @pytest.mark.parametrize(
        ("script", "message"),
        [
            (
                "import sys; sys.stderr.write('Error: no such scene\\n'); sys.exit(1)",
                "no such scene",
            ),
            ("import sys; sys.exit(3)", "ended with 3"),
            ("print('hello')", "did not answer as geomask does"),
        ],
    )
    def test_failures_are_told(self, tmp_path: Path, script: str, message: str) -> None:
        with pytest.raises(process.RunError, match=message):
            self.run(tmp_path, script)

    def test_a_program_that_is_none_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(process.RunError, match=r"absent: cannot be started \(No such file"):
            process.run(
                [str(tmp_path / "absent")],
                cancelled=lambda: False,
                progress=lambda _: None,
                said=lambda *_: None,
            )

    @pytest.mark.parametrize("deaf", [False, True])
    def test_it_ends_when_cancelled_even_where_it_does_not_listen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool
    ) -> None:
        monkeypatch.setattr(process, "PATIENCE", 0.5)
        ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if deaf else ""
        script = f"""
import os, pathlib, signal, time
{ignore}
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
time.sleep(60)
"""

        def cancelled() -> bool:
            return (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != ""

        started = time.monotonic()
        with pytest.raises(process.CancelledError):
            self.run(tmp_path, script, cancelled=cancelled)
        assert time.monotonic() - started < 20
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGCONT)

    def test_what_is_qgiss_is_not_passed_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROJ_LIB", "/usr/share/qgis/proj")
        monkeypatch.setenv("PYTHONPATH", "/usr/share/qgis/python")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
        told, *_ = self.run(tmp_path, "import json, os; print(json.dumps(dict(os.environ)))")
        assert told["HTTPS_PROXY"] == "http://proxy"
        assert not told.keys() & {"PROJ_LIB", "PYTHONPATH"}


@pytest.mark.qgis
class TestInQgis:
    """From the zip to layers."""

    def test_it_makes_styled_layers(
        self, in_qgis: Run, archive: Path, example: Path, tmp_path: Path
    ) -> None:
        mask, polygons = tmp_path / "m.tif", tmp_path / "c.gpkg"
        given = {"SCENE": str(example), "MASK": str(mask), "POLYGONS": str(polygons)}
        given |= {"CLASSES": "cloud", "OPTIONS": "--patch 512"}
        told = in_qgis("plugin.py", archive, PROGRAM, json.dumps(given))
        assert "error" not in told, told
        assert told["name"] == "Cloud mask (geomask)"
        assert told["icon"]
        assert told["version"] == __version__
        assert told["layers"] == {
            "Mask": [["clear", "cloud", "shadow", "snow"], str(mask)],
            "Polygons": [["cloud"], str(polygons)],
        }
        assert told["percents"] == sorted(told["percents"])
        assert len(set(told["percents"])) > 3
        assert 90 in told["percents"]
        assert told["percents"][-1] == 100
        assert any(line.startswith("cloud: ") for line in told["lines"])
        assert told["unloaded"]
        assert set(np.unique(codes(mask))) == {0, 1, 2, 3, 255}

    def test_polygons_may_be_left_out(
        self, in_qgis: Run, archive: Path, tmp_path: Path, model_file: Path
    ) -> None:
        folder = tmp_path / "a folder's"
        folder.mkdir()
        write_scene(folder / "red.tif", random_dn(40, 40, bands=1), bands=("red",))
        for band in ("green", "nir"):
            write_scene(folder / f"{band}.tif", random_dn(40, 40, bands=1), bands=(band,))
        given = {"PRODUCT": str(folder), "MASK": str(tmp_path / "m.tif"), "MODEL": str(model_file)}
        told = in_qgis("plugin.py", archive, PROGRAM, json.dumps(given | {"POLYGONS": None}))
        assert "error" not in told, told
        labels, _ = told["layers"].pop("Mask")
        assert labels == ["clear", "cloud", "shadow"]
        assert told["layers"] == {}
        assert told["percents"][-1] == 100

    def test_geomasks_own_words_say_what_is_wrong(
        self, in_qgis: Run, archive: Path, example: Path, tmp_path: Path
    ) -> None:
        given = {"SCENE": str(example), "MASK": str(tmp_path / "m.tif"), "MODEL": "absent"}
        told = in_qgis("plugin.py", archive, PROGRAM, json.dumps(given))
        assert "absent" in told["error"]
        assert "layers" not in told
        assert list(tmp_path.glob("*.tif")) == []

    def test_it_has_a_dialog_in_the_window(
        self, window: Window, archive: Path, example: Path, pictures: Path, tmp_path: Path
    ) -> None:
        profile = tmp_path / "profiles" / "default"
        (profile / "QGIS").mkdir(parents=True)
        enabled = f"[PythonPlugins]\n{PLUGIN}=true\nprocessing=true\n"
        (profile / "QGIS" / "QGIS3.ini").write_text(enabled)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(profile / "python" / "plugins")
        told = window("dialog.py", pictures / "qgis-plugin.jpg", example, profiles=tmp_path)
        assert told["active"]
        assert told["title"] == "Cloud mask (geomask)"
        assert told["algorithms"] == ["geomask:cloudmask"]

    def test_cancelled_it_leaves_nothing(
        self, in_qgis: Run, archive: Path, tmp_path: Path, model_file: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        scene = write_scene(tmp_path / "scene.tif", random_dn(800, 800))
        given = {"SCENE": str(scene), "MASK": str(out / "m.tif"), "MODEL": str(model_file)}
        given |= {"POLYGONS": str(out / "c.shp"), "OPTIONS": "--patch 64 --batch 1"}
        told = in_qgis("plugin.py", archive, PROGRAM, json.dumps(given), "cancel")
        assert told["percents"]
        assert told["percents"][-1] < 90
        assert "Cancelled; no output was touched." in told["lines"]
        assert told["layers"] == {}
        assert list(out.iterdir()) == []

    def test_a_program_that_is_not_there_is_said_before(
        self, in_qgis: Run, archive: Path, example: Path, tmp_path: Path
    ) -> None:
        given = {"SCENE": str(example), "MASK": str(tmp_path / "m.tif")}
        told = in_qgis("plugin.py", archive, "", json.dumps(given))
        assert told["executable"] is False
        assert "geomask was not found" in told["error"]
