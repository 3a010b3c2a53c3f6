"""Quicklooks: a mask drawn over its scene, with its legend and a true scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from geomask import write_quicklook
from geomask.cli import cli
from geomask.errors import GeomaskWarning, OptionError, OutputError
from geomask.quicklook import LEAST, OVER, bar_length
from tests.conftest import UTM, write_scene

SIDE = 500


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Even ground, of which 0.3 is shown as white."""
    dn = np.full((3, SIDE, SIDE), 1000, np.uint16)
    return write_scene(tmp_path / "scene.tif", dn, bands=("red", "green", "blue"))


def write_mask(path: Path, crs: str | None = UTM) -> Path:
    codes = np.zeros((1, SIDE, SIDE), np.uint8)
    codes[0, :100], codes[0, 400:] = 1, 255
    return write_scene(path, codes, bands=(None,), scale=None, nodata=255, crs=crs)


def test_classes_are_mixed_into_the_scene_and_clear_is_not(scene: Path, tmp_path: Path) -> None:
    write_quicklook(scene, write_mask(tmp_path / "m.tif"), tmp_path / "q.png")
    picture = np.array(Image.open(tmp_path / "q.png")).astype(float)
    ground = round(255 * (0.1 / 0.3) ** (1 / 1.5))
    assert (picture[100:400, :SIDE] == ground).all()
    cloud = (1 - OVER) * ground + OVER * np.array([230, 159, 0])
    assert abs(picture[:100, :SIDE] - cloud).max() <= 1
    assert (picture[400:SIDE, :SIDE] == ground).all(), "nodata of the mask has no colour"


def test_the_scale_bar_is_as_long_as_it_says(scene: Path, tmp_path: Path) -> None:
    """500 pixels of 10 m: a quarter is 1250 m, so the bar is 1 km, 100 pixels."""
    write_quicklook(scene, write_mask(tmp_path / "m.tif"), tmp_path / "q.png")
    below = np.array(Image.open(tmp_path / "q.png").convert("L"))[SIDE:]
    longest = max(_longest_run(row == 0) for row in below)
    assert abs(longest - 101) <= 2
    write_quicklook(scene, tmp_path / "m.tif", tmp_path / "half.png", size=250)
    below = np.array(Image.open(tmp_path / "half.png").convert("L"))[250:]
    assert below.shape[1] == LEAST, "the legend has its room"
    assert abs(max(_longest_run(row == 0) for row in below) - 101) <= 2, "2 km in 20 m"


def _longest_run(flags: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return int(max(np.diff(edges)[::2], default=0))


@pytest.mark.parametrize(
    ("metres", "length"), [(1250, 1000), (999, 500), (5.1, 5), (4.9, 2), (2, 2), (1, 1), (0.3, 0.2)]
)
def test_bars_are_of_round_lengths(metres: float, length: float) -> None:
    assert bar_length(metres) == pytest.approx(length)


def test_without_a_crs_there_is_no_scale(tmp_path: Path) -> None:
    dn = np.full((3, SIDE, SIDE), 1000, np.uint16)
    scene = write_scene(tmp_path / "s.tif", dn, bands=("red", "green", "blue"), crs=None)
    mask = write_mask(tmp_path / "m.tif", crs=None)
    with pytest.warns(GeomaskWarning, match="no coordinate reference system"):
        write_quicklook(scene, mask, tmp_path / "q.png")
    below = np.array(Image.open(tmp_path / "q.png").convert("L"))[SIDE:]
    assert max(_longest_run(row == 0) for row in below) < 50


def test_the_legend_names_every_class_whatever_the_width(scene: Path, tmp_path: Path) -> None:
    """Read by its colours: a swatch of each class but clear stands below the picture."""
    write_quicklook(scene, write_mask(tmp_path / "m.tif"), tmp_path / "q.png", size=100)
    below = np.array(Image.open(tmp_path / "q.png"))[100:].reshape(-1, 3)
    for color in ((230, 159, 0), (106, 61, 154), (86, 180, 233)):
        assert (below == color).all(axis=1).sum() > 100


def test_what_cannot_be_written_is_refused(scene: Path, tmp_path: Path) -> None:
    mask = write_mask(tmp_path / "m.tif")
    with pytest.raises(OptionError, match=r"q\.jpg: a quicklook is a PNG"):
        write_quicklook(scene, mask, tmp_path / "q.jpg")
    (tmp_path / "q.png").write_text("old")
    with pytest.raises(OutputError, match=r"q\.png: exists"):
        write_quicklook(scene, mask, tmp_path / "q.png")
    with pytest.raises(OptionError, match="size is 0"):
        write_quicklook(scene, mask, tmp_path / "r.png", size=0)


def test_it_comes_with_the_mask_or_not_at_all(
    scene_file: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["predict", str(scene_file), "--model", str(model_file), "--quiet"]
    command += ["--out", str(tmp_path / "m.tif"), "--quicklook"]
    assert CliRunner().invoke(cli, [*command, str(tmp_path / "q.jpg")]).exit_code == 1
    assert not (tmp_path / "m.tif").exists()
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", _full)
        failed = CliRunner().invoke(cli, [*command, str(tmp_path / "q.png")])
    assert failed.exit_code == 1
    assert "q.png: could not be written: No space left" in failed.output
    assert not (tmp_path / "m.tif").exists()
    done = CliRunner().invoke(cli, [*command, str(tmp_path / "q.png")])
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "q.png") as picture:
        assert picture.width == LEAST
        assert picture.height > 50


def _full(*given: object, **how: object) -> None:
    raise OSError(28, "No space left on device")
