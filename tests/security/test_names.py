"""Names that come from files: nothing that reads them takes them for anything but names."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from geomask import open_scene
from geomask.batch.job import _remove_old
from geomask.batch.places import Places
from geomask.batch.record import Record, Written
from geomask.checkpoint import save_model
from geomask.classes import MaskClass
from geomask.cli import cli
from geomask.cli.console import print_facts, print_table
from geomask.errors import GeomaskError, MaskError, SceneError, shown
from geomask.mask import CLASSES_TAG, open_mask
from geomask.network import build_segmenter
from geomask.vectors.vectorize import vectorize_mask
from tests.conftest import make_card, random_dn, write_scene

EVIL = (
    *("../../evil", "/etc/passwd", "a/b", "a\\b", "a b", "a.b", "a\0b", "a\nb", "a\x1b[2J", ""),
    *('a"; DROP TABLE clouds; --', "a'b", "<script>", "a\u202eb", "$(id)", "%s", "{a}", "a;b"),
)


@pytest.mark.parametrize("name", EVIL)
def test_no_class_is_called_so(name: str) -> None:
    """So no layer, no field, no file of polygons (`--per-class`) and no style is, either."""
    with pytest.raises(ValueError, match="class name"):
        MaskClass(1, name, (0, 0, 0))


@pytest.mark.parametrize("name", EVIL)
def test_nor_does_a_masks_tag_bring_one(tmp_path: Path, name: str) -> None:
    path = write_scene(tmp_path / "m.tif", np.zeros((1, 2, 2), np.uint8), scale=None, bands=())
    with rasterio.open(path, "r+") as dataset:
        tag = [{"code": 1, "name": name, "color": [0, 0, 0]}]
        dataset.update_tags(**{CLASSES_TAG: json.dumps(tag)})
    with pytest.raises(MaskError, match="tag is damaged"), open_mask(path):
        pass


def test_what_a_tag_says_is_a_value_in_a_geopackage_and_no_sql(tmp_path: Path) -> None:
    evil = 'x\'); DROP TABLE "clouds"; --'
    path = write_scene(
        tmp_path / "m.tif", np.ones((1, 4, 4), np.uint8), scale=None, bands=(), nodata=None
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(GEOMASK_SCENE=evil, GEOMASK_MODEL=evil)
    out = tmp_path / "clouds.gpkg"
    vectorize_mask(path, out)
    with closing(sqlite3.connect(out)) as database:
        (layer,) = database.execute("SELECT table_name FROM gpkg_contents").fetchone()
        quoted = layer.replace('"', '""')
        rows = database.execute(f'SELECT scene, model FROM "{quoted}"').fetchall()
    assert rows == [(evil, evil)]


def test_a_link_within_a_zip_leads_nowhere(tmp_path: Path) -> None:
    """Neither Python nor GDAL follows one: it is a file that holds a path."""
    secret = write_scene(tmp_path / "secret.tif", random_dn(4, 4, bands=1), bands=("red",))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("x_red.tif")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, str(secret))
    with pytest.raises(SceneError, match=r"x_red\.tif.* is not a raster"):
        open_scene(tmp_path / "a.zip")


def test_a_record_removes_nothing_by_way_of_a_link(tmp_path: Path) -> None:
    root, other = tmp_path / "masks", tmp_path / "other"
    for folder in (root, other):
        folder.mkdir()
        (folder / "a.tif").touch()
    (root / "link").symlink_to(other)
    earlier = Record("done", "s", "a", outputs=(Written("link/a.tif", 0), Written("a.tif", 0)))
    _remove_old(earlier, [], Places(root))
    assert (other / "a.tif").exists()
    assert not (root / "a.tif").exists()


# Terminals

CONTROL = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202e"


def test_tables_write_control_characters_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a" + CONTROL,), [("b" + CONTROL,)])
    print_facts([("c" + CONTROL, "d" + CONTROL)])
    out = capsys.readouterr().out
    assert not set(out) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}
    assert "\\x1b]0;owned\\x07" in out


def test_a_card_that_is_shown_moves_no_cursor(tmp_path: Path) -> None:
    card = make_card(
        description=CONTROL, licence=CONTROL, stride=16, provenance={CONTROL: CONTROL},
        metrics={CONTROL: {"iou": {CONTROL: 1}}},
    )  # fmt: skip
    path = tmp_path / "m.safetensors"
    save_model(path, build_segmenter(card), card)
    shown_card = CliRunner().invoke(cli, ["models", "show", str(path)])
    assert shown_card.exit_code == 0
    assert not set(shown_card.output) & {"\x1b", "\x07", "\x9b", "\u202e"}
    as_json = CliRunner().invoke(cli, ["models", "show", str(path), "--json"])
    assert "\x1b" not in as_json.output
    assert json.loads(as_json.output)["description"] == CONTROL


def test_a_scene_that_is_told_of_moves_no_cursor(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(4, 4, bands=2), bands=("red", "a" + CONTROL))
    told = CliRunner().invoke(cli, ["info", str(path)])
    assert told.exit_code == 0
    assert not set(told.output) & {"\x1b", "\x07", "\x9b", "\u202e"}


def test_warnings_and_errors_do_not_either(tmp_path: Path) -> None:
    name = tmp_path / "a\x1b[2Jb.tif"
    command = [sys.executable, "-m", "geomask", "info", str(name)]
    absent = subprocess.run(command, capture_output=True, check=False)
    assert absent.returncode == 1
    write_scene(name, random_dn(4, 4, bands=1), bands=("red",), crs=None)
    warned = subprocess.run(command, capture_output=True, check=True)
    for said in (absent.stderr, warned.stderr, warned.stdout):
        assert b"\x1b" not in said
    assert b"a\\x1b[2Jb.tif: no such file" in absent.stderr


def test_what_is_shown_is_what_was_said() -> None:
    assert shown("a\tb\u2028c") == "a\\tb\\u2028c"
    assert shown("Größe 10 m · 日本") == "Größe 10 m · 日本"
    assert str(GeomaskError("a\nb")) == "a\\nb"
