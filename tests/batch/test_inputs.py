"""Which scenes are meant by files, folders, patterns and lists."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geomask.batch.inputs import SceneInput, find_scenes
from geomask.errors import BatchError, GeomaskWarning
from tests.batch.conftest import write_scenes


def names(*inputs: str | Path) -> list[str]:
    return [Path(scene.address).name for scene in find_scenes(inputs)]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    "address",
    ["https://example.org/items/a", "s3://bucket/scene.tif", "/vsizip/a.zip/b.tif"],
)
def test_addresses_are_scenes_as_they_are(address: str) -> None:
    assert find_scenes([address]) == [SceneInput(address)]


def test_files_are_absolute_and_need_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a scene is missing is that scene's fault, not the batch's."""
    monkeypatch.chdir(tmp_path)
    assert find_scenes(["absent.tif"]) == [SceneInput(str(tmp_path / "absent.tif"))]


def test_a_folder_stands_for_the_scenes_in_it(tmp_path: Path) -> None:
    for name in ("b.tif", "a.jp2", "c.zip", "notes.pdf", "a.jp2.aux.xml", ".hidden.tif"):
        touch(tmp_path / name)
    touch(tmp_path / "S2A.SAFE" / "MTD_MSIL1C.xml")
    touch(tmp_path / "liss" / "BAND_META.txt")
    touch(tmp_path / "bands" / "x_B03.jp2")
    touch(tmp_path / "bands" / "x_B04.jp2")
    touch(tmp_path / "papers" / "paper.pdf")
    with pytest.warns(GeomaskWarning, match="no products are left out: papers"):
        found = names(tmp_path)
    assert found == ["S2A.SAFE", "a.jp2", "b.tif", "bands", "c.zip", "liss"]


@pytest.mark.parametrize(
    "files",
    [
        ["MTD_MSIL2A.xml", "GRANULE/L2A/IMG_DATA/R10m/T_B04_10m.jp2"],
        ["BAND_META.txt", "BAND2.tif", "BAND3.tif"],
        ["LC09_MTL.txt", "LC09_B4.TIF"],
        ["T32TMT_20220101T101101_B03.jp2", "T32TMT_20220101T101101_B04.jp2", "preview.tif"],
        ["red.tif", "nir.tif"],
    ],
)
def test_a_folder_that_is_one_product_is_one_scene(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        touch(tmp_path / "product" / name)
    assert names(tmp_path / "product") == ["product"]


def test_a_folder_of_scenes_of_which_one_is_named_as_a_band_is_no_product(tmp_path: Path) -> None:
    touch(tmp_path / "fields_red.tif")
    touch(tmp_path / "monday.tif")
    assert names(tmp_path) == ["fields_red.tif", "monday.tif"]


def test_products_of_a_folder_are_each_one_scene(tmp_path: Path) -> None:
    touch(tmp_path / "one.SAFE" / "MTD_MSIL1C.xml")
    touch(tmp_path / "two.SAFE" / "MTD_MSIL1C.xml")
    assert names(tmp_path) == ["one.SAFE", "two.SAFE"]


@pytest.mark.parametrize(
    "files",
    [
        ["S2.SAFE/MTD_MSIL2A.xml", "S2.SAFE/GRANULE/L2A/MTD_TL.xml", "other.tif"],
        ["liss4/BAND_META.txt", "liss4/BAND2.tif", "liss4/BAND3.tif", "other.tif"],
        ["one/T33_B02.jp2", "one/T33_B03.jp2", "other.tif"],
        ["S2.SAFE/MTD_MSIL2A.xml"],
    ],
)
def test_one_product_in_a_folder_hides_nothing_beside_it(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        touch(tmp_path / name)
    assert names(tmp_path) == sorted({Path(name).parts[0] for name in files})


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="is no product, and none is in it"):
        find_scenes([tmp_path])


def test_patterns_match_folders_within_folders_in_order(tmp_path: Path) -> None:
    for name in ("2024/b.SAFE", "2023/a.SAFE", "2023/x.zip"):
        touch(tmp_path / name)
    assert names(f"{tmp_path}/**/*.SAFE") == ["a.SAFE", "b.SAFE"]
    with pytest.raises(BatchError, match="nothing matches"):
        find_scenes([f"{tmp_path}/*.tif"])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = touch(tmp_path / "scene[1].tif")
    assert names(path) == ["scene[1].tif"]


def test_a_text_list_has_a_scene_per_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("\ufeff# of June\n\n a.tif \r\nhttps://example.org/items/b\n")
    assert find_scenes(["list.txt"]) == [
        SceneInput(str(tmp_path / "a.tif")),
        SceneInput("https://example.org/items/b"),
    ]


def test_a_csv_list_may_name_the_masks(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("id,scene,name\n1,/data/a.tif,monday.tif\n2,/data/b.tif,\n3,,x\n")
    assert find_scenes([path]) == [
        SceneInput("/data/a.tif", "monday"),
        SceneInput("/data/b.tif", None),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "path\n/a.tif\n", "one must be called scene"),
        ("l.csv", "scene\n", "lists no scene"),
        ("l.csv", "", "has the columns none"),
        ("l.txt", "# nothing\n", "lists no scene"),
        ("absent.txt", None, "cannot be read"),
    ],
)
def test_a_list_that_says_nothing_is_refused(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(BatchError, match=message):
        find_scenes([tmp_path / name])


def test_a_products_metadata_file_is_a_scene_and_no_list(tmp_path: Path) -> None:
    path = touch(tmp_path / "liss" / "BAND_META.txt")
    assert names(path) == ["BAND_META.txt"]


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write_scenes(tmp_path / "in", 1)
    (tmp_path / "in").chmod(0)
    with pytest.raises(BatchError):
        find_scenes([tmp_path / "in"])
