"""`geomask info` as a user meets it: facts, bands, models, one sentence for a fault; no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from geomask.cli import cli
from tests.conftest import random_dn, write_scene

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `geomask info` in tmp_path, where a model called tiny is; words by blanks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMASK_MODELS", str(model_file.parent))

    def invoke(line: str) -> Result:
        return CliRunner().invoke(cli, ["info", *line.split()])

    return invoke


def test_facts_bands_and_models_are_printed(run: Run, scene_file: Path) -> None:
    result = run("scene.tif")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["scene", "scene.tif", "(GTiff", "raster)"] in rows
    assert ["grid", "70", "x", "50", "pixels", "of", "10", "m,", "EPSG:32633"] in rows
    assert ["nodata", "0,", "stated", "by", "the", "file"] in rows
    assert [
        "without",
        "data",
        "about",
        "0.0",
        "%",
        "of",
        "the",
        "scene,",
        "in",
        "some",
        "band",
    ] in rows
    assert ["red", "red", "10", "m", "scene.tif"] in rows
    assert ["tiny", "yes", "red", "green", "nir", "10", "m"] in rows
    assert "reflectance = DN * 0.0001 + 0" in result.stdout


def test_a_model_that_cannot_run_says_why(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "s.tif", random_dn(20, 20), bands=("red", "nir", "strange"))
    result = run("s.tif")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "tiny no see below" in words
    assert "model 'tiny' needs the bands red, green, nir;" in words
    assert "unnamed band 3 'strange'" in words


def test_json_is_the_only_thing_on_standard_output(run: Run, scene_file: Path) -> None:
    about = json.loads(run("scene.tif --json").stdout)
    assert (about["width"], about["height"]) == (70, 50)
    assert [band["name"] for band in about["bands"]] == ["red", "green", "nir"]
    assert {"default", "tiny"} <= {model["name"] for model in about["models"]}


def test_what_the_user_states_counts(run: Run, tmp_path: Path) -> None:
    values = random_dn(30, 40)
    values[:, :3] = 12_345
    write_scene(tmp_path / "s.tif", values, bands=(None,) * 3, scale=None, nodata=None)
    line = "s.tif --bands nir=1,red=2,B03=3 --scale 0.0002 --offset -0.1 --nodata 12345 --json"
    about = json.loads(run(line).stdout)
    assert {band["name"]: band["source"] for band in about["bands"]} == {
        "nir": "band 1",
        "red": "band 2",
        "green": "band 3",
    }
    assert about["radiometry"].startswith("reflectance = DN * 0.0002 - 0.1")
    assert about["nodata_percent"] == pytest.approx(10)
    assert "--grid chooses" in run(f"{line} --grid 20").stderr


def test_a_doubt_is_a_warning_and_no_error(tmp_path: Path) -> None:
    values = np.full((3, 200, 100), 4000, dtype=np.uint16)
    values[:, :10] = 1000
    write_scene(tmp_path / "s.tif", values, bands=("blue", "green", "red"))
    done = subprocess.run(
        [sys.executable, "-m", "geomask", "info", "s.tif", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.startswith("Warning: s.tif: no band shows much that is darker than 0.1")
    assert json.loads(done.stdout)["doubt"] in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("absent.tif", "absent.tif: no such file"),
        ("text.tif", "text.tif: is not a raster"),
        ("scene.tif --bands red=9", "has bands 1 to 3, so no red=9"),
        ("scene.tif --sensor modis", "unknown sensor 'modis'"),
    ],
)
def test_a_fault_is_one_sentence_and_exit_1(
    run: Run, scene_file: Path, tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "text.tif").write_text("hello")
    result = run(line)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr


def test_debug_shows_the_traceback(run: Run) -> None:
    assert type(run("absent.tif --debug").exception).__name__ == "SceneError"


def test_torch_is_not_imported(scene_file: Path) -> None:
    code = (
        "import sys\n"
        "from geomask.cli import cli\n"
        f"cli(['info', {str(scene_file)!r}], standalone_mode=False)\n"
        "print(sorted({'torch', 'lightning', 'kornia', 'segmentation_models_pytorch'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "default" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_gdal_says_nothing_of_tags_that_disagree(tmp_path: Path) -> None:
    scene = tmp_path / "scene.tif"
    names = ("blue", "green", "red", "nir")
    write_scene(scene, random_dn(40, 40, bands=4), bands=names, photometric="RGB", alpha="NO")
    data = bytearray(scene.read_bytes())
    directory = int.from_bytes(data[4:8], "little")
    tags = range(directory + 2, directory + 2 + 12 * data[directory], 12)
    (extra,) = (at for at in tags if int.from_bytes(data[at : at + 2], "little") == 338)
    data[extra] -= 1  # no ExtraSamples any more, for four bands in a picture of three colours
    scene.write_bytes(data)
    code = "from geomask.cli import main; main()"

    def said(*options: str) -> str:
        words = [sys.executable, "-c", code, "info", str(scene), *options]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        return done.stderr

    assert said() == ""
    assert "TIFFReadDirectory" in said("--debug")
