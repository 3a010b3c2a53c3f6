"""Styles and class names beside masks and polygons: of their classes, all of them or none."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from geomask import predict_scene, vectorize_mask
from geomask.classes import DEFAULT_CLASSES, ClassTable, MaskClass
from geomask.errors import OutputError
from geomask.grid import Grid
from geomask.mask import mask_layout
from geomask.output import Staged
from geomask.raster_writer import RasterWriter
from geomask.styles import MARK, attribute_table, check_style, style_text
from tests.conftest import TRANSFORM, UTM, identity_model, random_dn, write_scene

PALETTE = [
    ("0", "clear", "#f0f0f0", "0"),
    ("1", "cloud", "#e69f00", "255"),
    ("2", "shadow", "#6a3d9a", "255"),
    ("3", "snow", "#56b4e9", "255"),
]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def table_rows(path: Path) -> list[ET.Element]:
    """Of a TIFF's attribute table, which GDAL 3.12 keeps in the file, and GDAL 3.10 beside it."""
    pam = path.with_name(path.name + ".aux.xml").read_bytes()
    found = re.search(rb"<GDALRasterAttributeTable.*?</GDALRasterAttributeTable>",
                      pam + path.read_bytes(), re.DOTALL)  # fmt: skip
    assert found is not None
    return list(ET.fromstring(found[0]).iter("Row"))


def palette(text: str) -> list[tuple[str | None, ...]]:
    entries = ET.fromstring(text).iter("paletteEntry")
    return [tuple(map(e.get, ("value", "label", "color", "alpha"))) for e in entries]


def categories(text: str) -> dict[str | None, tuple[str | None, str | None]]:
    """Fill and outline by value of the field."""
    renderer = ET.fromstring(text).find("renderer-v2")
    if renderer is None:
        return {}
    assert renderer.get("attr") == "class"
    colors = {
        symbol.get("name"): tuple(
            next(o.get("value") for o in symbol.iter("Option") if o.get("name") == key)
            for key in ("color", "outline_color")
        )
        for symbol in renderer.iter("symbol")
    }
    return {c.get("value"): colors[c.get("symbol")] for c in renderer.iter("category")}


def write_mask(path: Path, table: ClassTable = DEFAULT_CLASSES, *, style: bool = True) -> Path:
    """A mask with a cloud, a shadow and snow."""
    codes = np.zeros((40, 50), np.uint8)
    codes[5:10, 5:20], codes[15:20, 5:20], codes[30:, :9] = 1, 2, 3
    grid = Grid(CRS.from_string(UTM), TRANSFORM, 50, 40)
    with RasterWriter(path, grid, mask_layout(table, {}, style=style)) as writer:
        writer.write(Window(0, 0, 50, 40), codes)
        writer.finish()
        writer.commit()
    return path


class TestText:
    """What stands in a style."""

    def test_clear_is_transparent_and_the_rest_has_its_colour(self) -> None:
        text = style_text(mask=DEFAULT_CLASSES)
        assert palette(text) == PALETTE
        assert categories(text) == {}

    def test_polygons_are_half_transparent_within_their_outline(self) -> None:
        text = style_text(polygons=DEFAULT_CLASSES.select(["cloud", "snow"]))
        assert categories(text) == {
            "cloud": ("230,159,0,128", "230,159,0,255"),
            "snow": ("86,180,233,128", "86,180,233,255"),
        }
        assert palette(text) == []

    def test_names_in_any_script_are_kept(self) -> None:
        table = ClassTable((MaskClass(0, "clear", (0, 0, 0)), MaskClass(7, "nuée-雲", (1, 2, 3))))
        text = style_text(table, table.polygon_classes)
        assert palette(text)[1] == ("7", "nuée-雲", "#010203", "255")
        assert list(categories(text)) == ["nuée-雲"]

    def test_categories_count_from_zero_whatever_the_codes(self) -> None:
        table = ClassTable((MaskClass(4, "b", (4, 4, 4)), MaskClass(1, "a", (1, 1, 1))))
        band = attribute_table(table)
        assert [e.text or "" for e in band.iter("Category")] == ["", "a", "", "", "b"]
        rows = [[f.text for f in row] for row in band.iter("Row")]
        assert rows == [["4", "b", "4", "4", "4", "255"], ["1", "a", "1", "1", "1", "255"]]


class TestMask:
    """What lies beside a mask."""

    def test_a_mask_comes_with_style_and_class_names(self, tmp_path: Path) -> None:
        write_mask(tmp_path / "mask.tif")
        assert files(tmp_path) == ["mask.qml", "mask.tif", "mask.tif.aux.xml"]
        assert palette((tmp_path / "mask.qml").read_text("utf-8")) == PALETTE
        band = ET.parse(tmp_path / "mask.tif.aux.xml").getroot().find("PAMRasterBand")
        assert band is not None
        names = [e.text for e in band.iter("Category")]
        rows = table_rows(tmp_path / "mask.tif")
        assert names == [row[1].text for row in rows] == list(DEFAULT_CLASSES.names)

    def test_a_mask_can_come_alone(self, tmp_path: Path) -> None:
        write_mask(tmp_path / "mask.tif", style=False)
        assert files(tmp_path) == ["mask.tif"]

    def test_the_raster_is_the_same_with_and_without(self, tmp_path: Path) -> None:
        one = write_mask(tmp_path / "a.tif")
        other = write_mask(tmp_path / "b.tif", style=False)
        with rasterio.open(one) as with_style, rasterio.open(other) as without:
            assert with_style.profile == without.profile
            assert with_style.tags() == without.tags()
            assert with_style.colormap(1) == without.colormap(1)
            np.testing.assert_array_equal(with_style.read(), without.read())
        assert b"AttributeTable" in one.read_bytes() or one.read_bytes() == other.read_bytes()

    def test_a_crs_that_no_tiff_can_state_is_kept_with_them(self, tmp_path: Path) -> None:
        rotated_pole = "+proj=ob_tran +o_proj=longlat +o_lat_p=40 +lon_0=10 +to_meter=0.0174532925"
        grid = Grid(CRS.from_string(rotated_pole), Affine.scale(0.1), 16, 16)
        layout = mask_layout(DEFAULT_CLASSES, {}, style=True)
        with RasterWriter(tmp_path / "mask.tif", grid, layout) as writer:
            writer.write(Window(0, 0, 16, 16), np.zeros((16, 16), np.uint8))
            writer.finish()
            writer.commit()
        with rasterio.open(tmp_path / "mask.tif") as dataset:
            assert dataset.crs == grid.crs
        assert "<Category>cloud</Category>" in (tmp_path / "mask.tif.aux.xml").read_text()

    def test_gdal_may_have_been_told_to_keep_none(self, tmp_path: Path) -> None:
        with rasterio.Env(GDAL_PAM_ENABLED=False):
            write_mask(tmp_path / "mask.tif")
        assert "<Category>snow</Category>" in (tmp_path / "mask.tif.aux.xml").read_text()

    def test_a_table_that_is_cut_short_is_noticed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = rasterio.shutil.copy

        def cut(source: Path, target: Path, **how: object) -> None:
            copy(source, target, **how)
            Path(f"{target}.aux.xml").write_text("<PAMDataset>")

        monkeypatch.setattr(rasterio.shutil, "copy", cut)
        with pytest.raises(OutputError, match=r"mask\.tif: could not be written: .*not whole"):
            write_mask(tmp_path / "mask.tif")
        assert files(tmp_path) == []

    def test_prediction_writes_the_models_classes(self, scene_file: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        predict_scene(scene_file, out / "mask.tif", model=identity_model())
        assert [label for _, label, *_ in palette((out / "mask.qml").read_text())] == [
            "clear",
            "cloud",
            "shadow",
        ]
        predict_scene(
            scene_file,
            out / "plain.tif",
            model=identity_model(),
            style=False,
            confidence=out / "c.tif",
        )
        assert files(out) == ["c.tif", "mask.qml", "mask.tif", "mask.tif.aux.xml", "plain.tif"]


class TestPolygons:
    """What lies beside polygons."""

    @pytest.mark.parametrize("suffix", [".shp", ".gpkg", ".fgb", ".geojson", ".parquet"])
    def test_every_format_has_its_style(self, tmp_path: Path, suffix: str) -> None:
        mask = write_mask(tmp_path / "mask.tif", style=False)
        vectorize_mask(mask, tmp_path / f"clouds{suffix}", classes=["cloud", "snow"])
        text = (tmp_path / "clouds.qml").read_text("utf-8")
        assert list(categories(text)) == ["cloud", "snow"]
        assert palette(text) == []

    def test_each_class_apart_has_its_own(self, tmp_path: Path) -> None:
        mask = write_mask(tmp_path / "mask.tif")
        vectorize_mask(mask, tmp_path / "c.gpkg", per_class=True)
        for name in ("cloud", "shadow", "snow"):
            assert list(categories((tmp_path / f"c_{name}.qml").read_text())) == [name]

    def test_none_where_none_is_wanted(self, tmp_path: Path) -> None:
        mask = write_mask(tmp_path / "mask.tif", style=False)
        vectorize_mask(mask, tmp_path / "clouds.gpkg", style=False)
        assert files(tmp_path) == ["clouds.gpkg", "mask.tif"]

    def test_a_mask_and_its_polygons_may_share_a_name(self, tmp_path: Path) -> None:
        mask = write_mask(tmp_path / "clouds.tif")
        vectorize_mask(mask, tmp_path / "clouds.gpkg", classes=["cloud"])
        text = (tmp_path / "clouds.qml").read_text("utf-8")
        assert palette(text) == PALETTE
        assert list(categories(text)) == ["cloud"]


class TestOwn:
    """A style that somebody made is theirs."""

    def test_it_is_replaced_only_when_told(self, tmp_path: Path) -> None:
        mask = write_mask(tmp_path / "mask.tif")
        own = tmp_path / "clouds.qml"
        own.write_text("mine")
        with pytest.raises(OutputError, match=r"clouds\.qml: exists .*--overwrite.*--no-style"):
            vectorize_mask(mask, tmp_path / "clouds.gpkg")
        assert files(tmp_path) == ["clouds.qml", "mask.qml", "mask.tif", "mask.tif.aux.xml"]
        vectorize_mask(mask, tmp_path / "clouds.gpkg", style=False)
        assert own.read_text() == "mine"
        vectorize_mask(mask, tmp_path / "clouds.gpkg", overwrite=True)
        assert MARK in own.read_text("utf-8")

    def test_a_prediction_asks_too(self, scene_file: Path, tmp_path: Path) -> None:
        (tmp_path / "mask.qml").write_text("mine")
        with pytest.raises(OutputError, match=r"mask\.qml: exists"):
            predict_scene(scene_file, tmp_path / "mask.tif", model=identity_model())
        assert files(tmp_path) == ["mask.qml", "scene.tif"]

    def test_ours_is_no_obstacle(self, tmp_path: Path) -> None:
        write_mask(tmp_path / "a.tif")
        check_style(tmp_path / "a.gpkg", overwrite=False)

    def test_a_folder_of_that_name_is(self, tmp_path: Path) -> None:
        (tmp_path / "a.qml").mkdir()
        with pytest.raises(OutputError, match=r"a\.qml: is a folder"):
            check_style(tmp_path / "a.tif", overwrite=True)

    def test_a_scene_never_looks_like_its_mask(self, tmp_path: Path) -> None:
        scene = write_scene(tmp_path / "s.tiff", random_dn(20, 20))
        with pytest.raises(
            OutputError, match=r"s\.tif: its style, s\.qml, would also be .*s\.tiff"
        ):
            predict_scene(scene, tmp_path / "s.tif", model=identity_model())
        predict_scene(scene, tmp_path / "s.tif", model=identity_model(), style=False)
        assert files(tmp_path) == ["s.tif", "s.tiff"]


class TestExtras:
    """How they come into place."""

    def test_a_file_is_never_away_for_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "a.tif"
        target.write_text("old")
        moved: list[str] = []
        replace = Path.replace

        def spy(self: Path, to: Path) -> Path:
            assert target.read_text() == ("new" if moved else "old")
            moved.append(to.name)
            return replace(self, to)

        with Staged(target) as staged:
            staged.path.write_text("new")
            staged.write_extra(".qml", "style")
            monkeypatch.setattr(Path, "replace", spy)
            staged.commit()
        assert moved == ["a.tif", "a.qml"]
        assert files(tmp_path) == ["a.qml", "a.tif"]

    def test_they_lie_beside_the_file_that_a_link_names(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "a.tif").symlink_to(Path("disk") / "b.tif")
        write_mask(tmp_path / "a.tif")
        assert files(tmp_path / "disk") == ["b.qml", "b.tif", "b.tif.aux.xml"]

    def test_without_a_commit_there_are_none(self, tmp_path: Path) -> None:
        with Staged(tmp_path / "a.tif") as staged:
            staged.path.write_text("new")
            staged.write_extra(".qml", "style")
        assert files(tmp_path) == []

    def test_a_full_disk_is_told_of(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*given: object) -> int:
            raise OSError(28, "No space left on device")

        mask = write_mask(tmp_path / "mask.tif", style=False)
        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(OutputError, match=r"clouds\.qml: could not be written: No space left"):
            vectorize_mask(mask, tmp_path / "clouds.gpkg")
        with pytest.raises(OutputError, match=r"m\.qml: could not be written: No space left"):
            write_mask(tmp_path / "m.tif")
        assert files(tmp_path) == ["mask.tif"]
