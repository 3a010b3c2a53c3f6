"""`geomask evaluate` as a user meets it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

from geomask.cli.evaluate import command
from tests.conftest import make_card, random_dn, write_scene

SCL = {0: "nodata", 1: "nodata", 3: "shadow", 8: "cloud", 9: "cloud", 10: "cloud", 11: "snow"}
SCL |= dict.fromkeys((2, 4, 5, 6, 7), "clear")


@pytest.fixture
def chips(tmp_path: Path) -> Path:
    """Two chips of 40 x 50 pixels in two groups, codes 0 to 4 and 255."""
    folder = tmp_path / "chips"
    folder.mkdir()
    labels = np.random.default_rng(0).choice([0, 1, 2, 3, 4, 255], (2, 40, 50)).astype(np.uint8)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split_group", "split", "surface"])
        for number, codes in enumerate(labels):
            write_scene(folder / f"c{number}.tif", random_dn(40, 50, seed=number))
            profile = {"bands": (), "scale": None, "nodata": None}
            write_scene(folder / f"c{number}_mask.tif", codes[None], **profile)
            writer.writerow([f"c{number}", f"g{number}", "test", "sea"])
    return folder


@pytest.fixture
def masks(chips: Path, tmp_path: Path) -> Path:
    """Masks in Sen2Cor's codes that are right everywhere but on thin cloud."""
    folder = tmp_path / "masks"
    folder.mkdir()
    to_scl = np.zeros(256, np.uint8)
    to_scl[[0, 1, 2, 3, 4]] = 4, 9, 6, 3, 11
    for number in range(2):
        with rasterio.open(chips / f"c{number}_mask.tif") as source:
            codes = to_scl[source.read()]
        write_scene(folder / f"c{number}.tif", codes, bands=(), scale=None, nodata=None)
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


def test_a_model_is_scored_and_reported(chips: Path, model_file: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    result = run("--model", model_file, "--data", chips, "--report", reports, "--by", "surface")
    assert result.exit_code == 0, result.output
    for text in ("class", "shadow", "macro", "thin cloud called cloud", "sea", "not scored"):
        assert text in result.output
    assert "2 of 2 groups, split test" in " ".join(result.output.split())
    assert max(map(len, result.output.splitlines())) <= 80
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["subject"]["name"] == "tiny"
    assert len((reports / "per_chip.csv").read_text().splitlines()) == 3


def test_masks_are_scored_by_the_same_numbers(chips: Path, masks: Path) -> None:
    result = run("--masks", masks, "--map", "scl", "--data", chips, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["subject"] == {
        "kind": "masks",
        "name": str(masks),
        "codes": {str(code): name for code, name in sorted(SCL.items())},
    }
    assert found["thin_cloud"]["recall"]["value"] == 0
    by_name = {item["name"]: item for item in found["classes"]}
    assert by_name["snow"]["iou"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert by_name["cloud"]["precision"]["value"] == 1
    thick = by_name["cloud"]["pixels"] - found["thin_cloud"]["pixels"]
    assert by_name["cloud"]["predicted"] == thick


def test_a_model_that_has_seen_the_chips_is_said_to_have(chips: Path, tmp_path: Path) -> None:
    from geomask.checkpoint import save_model
    from geomask.errors import GeomaskWarning
    from geomask.network import build_segmenter

    card = make_card(name="seen", stride=16, provenance={"validation_groups": ["g0"]})
    path = tmp_path / "seen.safetensors"
    save_model(path, build_segmenter(card), card)
    with pytest.warns(GeomaskWarning, match="trained on 1 of the 2 groups"):
        result = run("--model", path, "--data", chips)
    assert "1 of these groups" in result.output
    assert "trained on" not in run("--model", path, "--data", chips, "--split", "held-out").output


def test_quiet_prints_nothing(chips: Path, masks: Path) -> None:
    assert run("--masks", masks, "--map", "scl", "--data", chips, "--quiet").output == ""


def test_a_report_that_exists_is_refused_before_any_work(
    chips: Path, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geomask.errors import OutputError

    reports = tmp_path / "reports"
    words = ("--masks", masks, "--map", "scl", "--data", chips, "--report", reports, "--quiet")
    assert run(*words).exit_code == 0
    monkeypatch.setattr("geomask.evaluation.plan_evaluation", None)
    with pytest.raises(OutputError, match="give --overwrite"):
        run(*words)
    monkeypatch.undo()
    assert run(*words, "--overwrite").exit_code == 0


def test_a_report_that_comes_to_nothing_leaves_no_folder(chips: Path, tmp_path: Path) -> None:
    from geomask.errors import ModelError

    reports = tmp_path / "a" / "reports"
    words = ("--data", chips, "--report", reports, "--model", "absent.safetensors")
    with pytest.raises(ModelError):
        run(*words)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "give one of --model and --masks"),
        ("--model default --masks MASKS", "give one of --model and --masks"),
        ("--model default --map scl", "--map goes with --masks"),
        ("--masks MASKS --map scl:0", "'scl:0' in 'scl:0' is not as in 0=clear"),
        ("--masks MASKS --labels fog=clear", "chips have no label fog"),
        ("--model default --split dev", "'dev' is not one of"),
    ],
)
def test_options_that_contradict_each_other(
    chips: Path, masks: Path, words: str, message: str
) -> None:
    given = words.replace("MASKS", str(masks)).split()
    result = run("--data", chips, *given)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_help_says_what_there_is() -> None:
    result = run("--help")
    for word in ("--masks", "--map", "--split", "--report", "held-out", "scl|fmask"):
        assert word in result.output
