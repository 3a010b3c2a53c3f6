"""The command line as a user meets it: exit codes, one clear sentence, and nothing heavy early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fiona
import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner, Result

from geomask.cli import cli
from tests.conftest import random_dn, read, write_scene

COMMAND = [sys.executable, "-m", "geomask"]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in tmp_path; words are separated by blanks."""
    monkeypatch.chdir(tmp_path)

    def invoke(line: str) -> Result:
        return CliRunner().invoke(cli, line.split())

    return invoke


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def test_help_imports_nothing_heavy() -> None:
    """What importtime shows: no torch, rasterio, rich, numpy or pydantic on the way to --help."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "geomask", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "predict" in done.stdout
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"torch", "rasterio", "numpy", "rich", "pydantic", "lightning", "shapely"}


def test_a_misspelt_command_is_told_what_it_was_to_be(run: Run) -> None:
    assert "No such command 'predct'. (Did you mean 'predict'?)" in run("predct scene.tif").stderr
    ended = run("sharpen scene.tif")
    assert ended.exit_code == 2
    assert ended.stderr.endswith("No such command 'sharpen'.\n")


def test_predict_never_imports_lightning_or_kornia(scene_file: Path, model_file: Path) -> None:
    code = (
        "import sys; sys.argv[0] = 'geomask'\n"
        "from geomask.cli import cli\n"
        f"cli(['predict', {str(scene_file)!r}, '--out', 'm.tif', '--shp', 'c.shp', '--quiet', "
        f"'--model', {str(model_file)!r}], standalone_mode=False)\n"
        "print(sorted({'lightning', 'kornia', 'torchmetrics'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=scene_file.parent,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("nothing.tif --out m.tif", "nothing.tif: no such file"),
        ("{scene} --out {scene}", "is an input of this run"),
        ("{scene} --out m.tif --model moon", "no model is called 'moon'"),
    ],
)
def test_what_is_mistyped_is_told_before_torch_is_loaded(
    scene_file: Path, options: str, said: str
) -> None:
    arguments = ["predict", *options.format(scene=scene_file).split()]
    code = (
        "import sys; sys.argv = ['geomask', *sys.argv[1:]]\n"
        "from geomask.cli import main\n"
        "try: main()\n"
        "finally: print({'torch', 'segmentation_models_pytorch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=scene_file.parent,
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stdout.strip() == "set()"


def test_predict_writes_a_mask_polygons_and_a_table(
    run: Run, scene_file: Path, model_file: Path, tmp_path: Path
) -> None:
    result = run(f"predict {scene_file} --out mask.tif --shp clouds.shp --model {model_file}")
    assert result.exit_code == 0, result.output
    for word in ("clear", "cloud", "shadow", "nodata", "DN * 0.0001", "peak memory", "time"):
        assert word in result.stdout
    # What is no terminal gets whole lines.
    assert f"scene        {scene_file} (" in result.stdout
    assert "written      mask.tif, clouds.shp\n" in result.stdout
    with rasterio.open(scene_file) as scene, rasterio.open(tmp_path / "mask.tif") as mask:
        assert (mask.crs, mask.transform, mask.shape) == (scene.crs, scene.transform, scene.shape)
    with fiona.open(tmp_path / "clouds.shp") as layer:
        assert list(layer.schema["properties"])[:3] == ["class_id", "class", "area_m2"]
        assert {f.properties["model"] for f in layer} == {"tiny"}
        assert {f.properties["scene"] for f in layer} == {scene_file.name}
    assert hidden(tmp_path) == []


def test_json_is_the_only_thing_on_standard_output(
    run: Run, scene_file: Path, model_file: Path
) -> None:
    result = run(
        f"predict {scene_file} --out mask.tif --shp c.shp --confidence conf.tif --json "
        f"--model {model_file}"
    )
    report = json.loads(result.stdout)
    assert sum(report["pixels"].values()) == 3500
    assert set(report["polygons"]["counts"]) == {"cloud", "shadow"}
    with fiona.open("c.shp") as layer:
        assert all(f.properties["conf_min"] <= f.properties["conf"] for f in layer)


def test_quiet_says_nothing(run: Run, scene_file: Path, model_file: Path) -> None:
    result = run(f"predict {scene_file} --out mask.tif --quiet --model {model_file}")
    assert (result.exit_code, result.output) == (0, "")


def test_programs_get_progress_as_lines(run: Run, scene_file: Path, model_file: Path) -> None:
    result = run(f"predict {scene_file} --out m.tif --json --progress lines --model {model_file}")
    lines = result.stderr.splitlines()
    assert all(line.startswith("progress ") for line in lines)
    percents = [float(line.removeprefix("progress ")) for line in lines]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert json.loads(result.stdout)["model"] == "tiny"


def test_styles_come_unless_they_are_not_wanted(
    run: Run, scene_file: Path, model_file: Path, tmp_path: Path
) -> None:
    line = f"predict {scene_file} --out c.tif --shp c.shp --quiet --overwrite --model {model_file}"
    assert run(f"{line} --no-style").exit_code == 0
    assert not list(tmp_path.glob("*.qml"))
    assert not list(tmp_path.glob("*.aux.xml"))
    assert run(line).exit_code == 0
    assert run("vectorize c.tif d.gpkg --no-style --quiet").exit_code == 0
    assert [path.name for path in tmp_path.glob("*.qml")] == ["c.qml"]
    style = (tmp_path / "c.qml").read_text("utf-8")
    assert "paletteEntry" in style, "of the mask"
    assert "categorizedSymbol" in style, "of the polygons that share its name"


def test_a_dry_run_tells_and_touches_nothing(
    run: Run, scene_file: Path, model_file: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    line = f"predict {scene_file} --out mask.tif --shp c.shp --dry-run --model {model_file}"
    told = run(line)
    assert told.exit_code == 0, told.output
    words = ("DN * 0.0001", "bands        red, green, nir", "patches", "memory", "mask.tif, c.shp")
    for word in words:
        assert word in told.stdout
    about = json.loads(run(line + " --json").stdout)
    assert about["patches"] == 1
    assert about["seconds"] > 0
    assert about["memory"] > 2**20
    assert sorted(tmp_path.iterdir()) == before


def test_bands_by_number_radiometry_and_nodata_from_the_user(
    run: Run, model_file: Path, tmp_path: Path
) -> None:
    values = random_dn(30, 40)
    values[:, :3] = 12_345
    scene = write_scene(tmp_path / "s.tif", values, bands=(None,) * 3, scale=None, nodata=None)
    result = run(
        f"predict {scene} --out mask.tif --bands nir=1,red=2,B03=3 --scale 0.0002 --offset -0.1 "
        f"--nodata 12345 --model {model_file} --json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["radiometry"] == "reflectance = DN * 0.0002 - 0.1 (stated by the user)"
    assert report["nodata"] == "12345, stated by the user"
    assert report["pixels"]["nodata"] == 120


FAULTS = {
    "predict absent.tif --out m.tif": "absent.tif: no such file",
    "predict text.tif --out m.tif": "text.tif: is not a raster",
    "predict folder --out m.tif": "folder: is no product",
    "predict s.tif --out absent/m.tif": "absent does not exist",
    "predict s.tif --out m.png": "name it .tif",
    "predict s.tif --out m.tif --shp c.shp --min-area 5 --dry-run --patch 33": "stride 16",
    "predict s.tif --out m.tif --shp old.shp --dry-run": "old.shp: exists; give --overwrite",
    "predict s.tif --out old.tif": "old.tif: exists; give --overwrite",
    "predict s.tif --out s.tif --overwrite": "s.tif: is an input",
    "predict s.tif --out m.tif --model absent.safetensors": "no such model file",
    "predict s.tif --out m.tif --model text.tif": "not a geomask model",
    "predict s.tif --out m.tif --model m.pth": "pickle",
    "predict s.tif --out m.tif --patch 33": "not a multiple of the network's stride 16; try",
    "predict s.tif --out m.tif --classes clouds --shp c.shp": "unknown class 'clouds'; there are",
    "predict s.tif --out m.tif --shp c.xyz": "c.xyz",
    "predict s.tif --out m.tif --shp absent/c.shp": "absent does not exist",
    "predict s.tif --out m.tif --sensor modis": "unknown sensor 'modis'",
    "predict s.tif --out m.tif --bands red=9": "has bands 1 to 3, so no red=9",
    "predict s.tif --out m.tif --bands red=1,green=2": "needs the bands red, green, nir",
    "predict s.tif --out m.tif --confidence m.tif": "named for two outputs",
    "predict nocrs.tif --out m.tif --shp c.shp --min-area 5": "areas need a CRS",
    "predict nocrs.tif --out m.tif --resolution 10": "leave --resolution out",
    "vectorize absent.tif c.shp": "absent.tif: no such file",
    "vectorize s.tif c.shp": "a mask is one band of uint8",
    "rasterize absent.shp --like s.tif --out m.tif": "absent.shp: cannot be read as polygons",
    "rasterize text.tif --like absent.tif --out m.tif": "absent.tif: no such file",
    "train --recipe default --data folder --out m.pt": "m.pt: is not named as what it will be",
    "models show huge": "no model is called 'huge'",
}


@pytest.fixture
def faulty(tmp_path: Path, model_file: Path) -> Path:
    """A folder with things that can go wrong; the model is called default."""
    write_scene(tmp_path / "s.tif", random_dn(30, 40))
    write_scene(
        tmp_path / "nocrs.tif", random_dn(30, 40), crs=None, transform=Affine(2, 0, 0, 0, 2, 0)
    )
    (tmp_path / "text.tif").write_text("hello")
    (tmp_path / "m.pth").write_bytes(b"PK\3\4 and so on")
    (tmp_path / "old.tif").write_text("old")
    (tmp_path / "old.shp").write_text("old")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.filterwarnings("ignore::geomask.GeomaskWarning")
@pytest.mark.parametrize("line", FAULTS)
def test_a_fault_is_one_sentence_exit_1_and_no_output(
    run: Run, faulty: Path, model_file: Path, line: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in faulty.rglob("*")}
    if line.startswith("predict") and "--model" not in line:
        line += f" --model {model_file}"
    result = run(line)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert FAULTS[line.split(f" --model {model_file}")[0]] in result.stderr
    after = {path: path.stat().st_mtime_ns for path in faulty.rglob("*")}
    assert after == before


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--min-area 5",
        "--per-class",
        "--bands red=²",
        "--bands red",
        "--bands red=1,red=2",
        "--nodata some",
        "--precision fp8",
        "--min-area -1",
    ],
)
def test_a_bad_option_exits_2_with_the_usage(run: Run, options: str) -> None:
    result = run(f"predict s.tif {options}" + (" --out m.tif" if options else ""))
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_debug_shows_the_traceback(run: Run) -> None:
    result = run("predict absent.tif --out m.tif --debug")
    assert result.exception is not None
    assert type(result.exception).__name__ == "SceneError"


def test_models_are_listed_and_shown(
    run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOMASK_MODELS", str(model_file.parent))
    assert "tiny" in run("models").stdout
    names = [entry["name"] for entry in json.loads(run("models list --json").stdout)]
    assert "tiny" in names
    assert "red green nir" in run("models show tiny").stdout
    assert json.loads(run("models show tiny --json").stdout)["stride"] == 16


def test_vectorize_does_the_same_for_any_mask(run: Run, tmp_path: Path) -> None:
    codes = np.zeros((1, 20, 20), dtype=np.uint8)
    codes[0, 2:5, 2:5] = 1
    codes[0, 10:12, 10:12] = 3
    write_scene(tmp_path / "any.tif", codes, bands=(None,), scale=None, nodata=None)
    result = run("vectorize any.tif c.shp --min-area 500 --json")
    assert json.loads(result.stdout)["counts"] == {"cloud": 1, "shadow": 0, "snow": 0}
    assert run("vectorize any.tif c.shp --overwrite").stdout.split()[:2] == ["cloud", "1"]


def test_polygons_are_made_simple_and_come_back_as_a_mask(run: Run, tmp_path: Path) -> None:
    codes = np.zeros((1, 20, 20), dtype=np.uint8)
    codes[0, 2:9, 2:9] = 1
    codes[0, 4, 4] = 0
    write_scene(tmp_path / "any.tif", codes, bands=(None,), scale=None, nodata=255)
    line = "vectorize any.tif c.gpkg --fill-holes 200 --buffer 5 --simplify 3 --smooth --json"
    result = run(line)
    assert json.loads(result.stdout)["mended"] == 0, result.output
    result = run("rasterize c.gpkg --like any.tif --out back.tif --json")
    assert result.exit_code == 0, result.output
    assert 49 <= json.loads(result.stdout)["pixels"]["cloud"] <= 81
    codes[0, 4, 4] = 1
    assert (read(tmp_path / "back.tif")[codes[0] == 1] == 1).all()
    result = run("rasterize c.gpkg --like any.tif --out back.tif --overwrite")
    assert "cloud" in result.stdout
    assert run("predict any.tif --out m.tif --smooth").exit_code == 2


def test_a_scene_that_polygons_go_back_to_may_be_stated(run: Run, tmp_path: Path) -> None:
    write_scene(tmp_path / "s.tif", random_dn(10, 10), bands=(None,) * 3, scale=None, nodata=None)
    codes = np.ones((1, 10, 10), np.uint8)
    write_scene(tmp_path / "any.tif", codes, bands=(None,), scale=None, nodata=255)
    run("vectorize any.tif c.gpkg")
    stated = "--bands red=1,green=2 --scale 0.0001 --nodata none"
    result = run(f"rasterize c.gpkg --like s.tif --out back.tif {stated} --json")
    assert json.loads(result.stdout)["pixels"]["cloud"] == 100, result.output


def _big_job(tmp_path: Path, model_file: Path) -> list[str]:
    scene = write_scene(tmp_path / "s.tif", random_dn(3000, 3000))
    return [*COMMAND, "predict", str(scene), "--out", "m.tif", "--model", str(model_file),
            "--patch", "128", "--quiet"]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, model_file: Path, number: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        _big_job(tmp_path, model_file),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has its children ignore interrupts.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not hidden(tmp_path):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    assert hidden(tmp_path) == []
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.parametrize(
    "limit", [1_000, *(pytest.param(n, marks=pytest.mark.slow) for n in (20_000, 60_000, 100_000))]
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """RLIMIT_FSIZE stands in for a full disk: a write beyond it fails with EFBIG."""
    codes = tmp_path / "make.py"
    codes.write_text(
        "import sys, torch, numpy as np\n"
        "from tests.conftest import identity_model, random_dn, write_scene\n"
        "import signal, resource\n"
        "from geomask import predict_scene\n"
        "from geomask.errors import OutputError\n"
        "write_scene(__import__('pathlib').Path('s.tif'), random_dn(700, 700))\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try:\n"
        "    predict_scene('s.tif', 'm.tif', model=identity_model(), patch=128)\n"
        "except OutputError as error:\n"
        "    print('refused:', error)\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(codes)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("refused: m.tif"), done.stdout + done.stderr
    assert hidden(tmp_path) == []
    assert not (tmp_path / "m.tif").exists()


def ended(code: str) -> tuple[int, str]:
    """What a Python of its own returned that ran the code, and what it said on standard error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15)
    return done.returncode, done.stderr


def test_a_signal_that_a_library_makes_an_error_of_is_still_a_signal() -> None:
    code = (
        "import signal\n"
        "from geomask import cli\n"
        "import click\n"
        "def work(self, ctx, name):\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    except SystemExit:\n"
        "        raise ValueError('could not determine the shape') from None\n"
        "cli._Verbs.get_command = work\n"
        "import sys; sys.argv = ['geomask', 'predict']\n"
        "cli.main()\n"
    )
    assert ended(code) == (143, "")


def test_a_signal_that_python_would_swallow_comes_again() -> None:
    """It comes in a `__del__`, from where nothing is raised."""
    code = (
        "import os, signal, time\n"
        "from geomask import cli\n"
        "class Dying:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0)\n"
        "def work():\n"
        "    Dying()\n"
        "    time.sleep(20)\n"
        "cli.cli = work\n"
        "cli.main()\n"
    )
    assert ended(code) == (143, "")


def test_what_gdal_quotes_of_a_damaged_file_does_not_hide_the_sentence(
    tmp_path: Path, model_file: Path
) -> None:
    """rasterio cannot decode it for its log, and Python would show that as a traceback."""
    scene = write_scene(tmp_path / "s.tif", random_dn(30, 40))
    data = scene.read_bytes()
    assert data.count(b"<GDALMetadata>") == 1
    scene.write_bytes(data.replace(b"<GDALMetadata>", b"<GDALMeta\xceata>"))
    done = subprocess.run(
        [*COMMAND, "predict", "s.tif", "--out", "m.tif", "--model", str(model_file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
    assert len(lines) == 1, done.stderr
    assert "needs the bands red, green, nir" in lines[0]


def test_the_mask_of_the_command_is_the_mask_of_the_library(
    run: Run, scene_file: Path, model_file: Path, tmp_path: Path
) -> None:
    from geomask import predict_scene

    run(f"predict {scene_file} --out a.tif --quiet --model {model_file}")
    predict_scene(scene_file, tmp_path / "b.tif", model=model_file)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "b.tif"))
