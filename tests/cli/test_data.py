"""`geomask data` as a user meets it: options, output, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import fiona
import pytest
from click.testing import CliRunner, Result
from shapely.geometry import box, mapping

from geomask.cli.data import command
from geomask.training.chips import read_image, read_manifest
from tests.conftest import UTM, random_dn, write_scene

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `geomask data` in tmp_path; words are separated by blanks."""
    monkeypatch.chdir(tmp_path)

    def invoke(line: str) -> Result:
        return CliRunner().invoke(command, line.split())

    return invoke


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """scene.tif's left half, 20 of 40 columns, is called Wolke in the field what."""
    write_scene(tmp_path / "scene.tif", random_dn(40, 40))
    path = tmp_path / "drawn.shp"
    schema = {"geometry": "Polygon", "properties": {"what": "str"}}
    with fiona.open(path, "w", "ESRI Shapefile", schema, UTM) as layer:
        half = mapping(box(500_000, 4_999_600, 500_200, 5_000_000))
        layer.write({"geometry": half, "properties": {"what": "Wolke"}})
    return path


def test_chips_are_cut_and_a_table_says_so(run, labels, tmp_path) -> None:
    result = run("chips scene.tif drawn.shp --out chips --field what --map Wolke=cloud")
    assert result.exit_code == 0, result.output
    for text in (
        "1 of scene in chips",
        "thick_cloud  50.00 %",
        "ignored      50.00 %",
        "red green",
    ):
        assert text in result.stdout
    (chip,) = read_manifest(tmp_path / "chips")
    assert chip.fields["labels"] == "drawn.shp"


def test_options_reach_the_chips(run, labels, tmp_path) -> None:
    result = run(
        "chips scene.tif drawn.shp --out chips --field WHAT --map wolke=thin_cloud,9=snow --size 32"
        " --stride 4 --background clear --group alps --split val --name day1 --only nir,red"
        " --all-touched --layer drawn --min-labelled 0.5 --json"
    )
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["chips"] == 9
    assert (summary["scene"], summary["group"], summary["split"]) == ("day1", "alps", "val")
    assert summary["bands"] == ["nir", "red"]
    assert summary["pixels"]["clear"] > 0
    assert summary["pixels"]["thin_cloud"] > 0
    chip = read_manifest(tmp_path / "chips")[-1]
    assert (chip.id, chip.group, chip.fields["split"]) == ("day1_00008_00008", "alps", "val")
    result = run("chips scene.tif drawn.shp --out chips --field what --map Wolke=cloud --name day1 "
                 "--overwrite --quiet")  # fmt: skip
    assert (result.exit_code, result.output) == (0, "")
    assert [chip.id for chip in read_manifest(tmp_path / "chips")] == ["day1_00000_00000"]


def test_a_scene_that_says_nothing_of_itself_is_described_as_for_predict(
    run, labels, tmp_path
) -> None:
    dn = random_dn(40, 40)
    write_scene(tmp_path / "bare.tif", dn, bands=(None,) * 3, scale=None, nodata=None)
    line = "chips bare.tif drawn.shp --out chips --field what --map Wolke=cloud --quiet"
    result = run(f"{line} --bands nir=3,red=1 --scale 0.0001 --offset -0.05 --nodata none")
    assert result.exit_code == 0, result.output
    (chip,) = read_manifest(tmp_path / "chips")
    expected = dn[2].astype("float32") * 0.0001 - 0.05
    assert abs(read_image(chip, ("nir",))[0] - expected).max() < 5.1e-5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cloud", "'cloud' is not VALUE=LABEL"),
        ("a=", "'a=' is not VALUE=LABEL"),
        ("a=cloud,a=snow", "'a' is named twice"),
    ],
)
def test_a_map_that_maps_nothing_is_refused(run, labels, text, message) -> None:
    result = run(f"chips scene.tif drawn.shp --out chips --map {text}")
    assert result.exit_code == 2
    assert message in result.output


def test_an_interruption_is_told_with_what_is_there(run, labels, monkeypatch) -> None:
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("geomask.training.cut.cut_chips", interrupted)
    result = run("chips scene.tif drawn.shp --out chips")
    assert result.exit_code == 130
    assert "Interrupted; chips holds the chips cut so far" in result.output


def test_other_sources_are_subcommands_imported_when_they_are_asked_for(run, monkeypatch) -> None:
    module = ModuleType("geomask.cli.data_cloudsen12")
    for name in ("cloudsen12", "subset"):
        setattr(module, name, click.Command(name, callback=lambda: click.echo("here"), help=name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    listed = run("--help").output
    assert [listed.index(f"  {name} ") for name in ("chips", "cloudsen12", "subset")]
    assert run("subset").output == "here\n"
    assert run("simulate").exit_code == 2


def test_help_and_cutting_import_no_torch(labels) -> None:
    code = (
        "import sys\n"
        "from geomask.cli.data import command\n"
        "light = {'numpy', 'rasterio', 'rich', 'pydantic'} & set(sys.modules)\n"
        "line = 'chips scene.tif drawn.shp --out chips --field what --map Wolke=cloud --quiet'\n"
        "command(line.split(), standalone_mode=False)\n"
        "print(light, {'torch', 'lightning', 'kornia'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=labels.parent, check=False
    )
    assert done.stdout.strip() == "set() set()", done.stderr
