"""Chip folders: what is read from them, and how they are split."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio

from geomask.errors import RecipeError
from geomask.training.chips import fingerprint, read_image, read_labels, read_manifest


def test_a_chip_folder_is_read(chip_folder) -> None:
    folder = chip_folder(gsd_m="29.5 (EPSG:4326 grid)")
    chips = read_manifest(folder)
    assert [chip.id for chip in chips] == ["chips0", "chips1", "chips2", "chips3"]
    chip = chips[0]
    assert chip.group == "place0"
    assert chip.shape == (64, 64)
    assert chip.gsd == 29.5
    assert chip.bands == ("blue", "green", "red", "nir", "swir16", "swir22")
    assert set(np.unique(read_labels(chip))) == {0, 1, 3, 255}


def test_pixel_size_of_the_grid_where_the_manifest_has_none(chip_folder) -> None:
    assert read_manifest(chip_folder())[0].gsd == pytest.approx(30)


def test_bands_by_product_name_scale_offset_and_nodata(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1, labelled=False, bands=("B04", "B08"))
    dn = np.array([[[0, 1000], [2000, 3000]]] * 2, np.uint16)
    path = write_raster(folder / "chips0.tif", dn, ("B04", "B08"), nodata=0)
    (chip,) = read_manifest(folder, labelled=False)
    image = read_image(chip, ("nir", "blue", "red"))
    np.testing.assert_allclose(image[0], [[np.nan, 0.1], [0.2, 0.3]], rtol=1e-6)
    assert np.isnan(image[1]).all(), "a band that is absent"
    import rasterio

    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (1e-4, 1e-4), (-0.1, -0.1)
    (chip,) = read_manifest(folder, labelled=False)
    np.testing.assert_allclose(read_image(chip, ("red",))[0, 1], [0.1, 0.2], rtol=1e-6)
    with rasterio.open(path, "r+") as target:
        target.scales = (1e-4, 1e308)
    with pytest.raises(RecipeError, match="make no reflectance; mend them"):
        read_manifest(folder, labelled=False)


def test_float_chips_are_reflectance_as_they_are(tmp_path, write_raster) -> None:
    values = np.array([[[0.5, np.inf]]], np.float32)
    write_raster(tmp_path / "a.tif", values, ("red",))
    (tmp_path / "manifest.csv").write_text("id,split_group\na,g\n")
    (chip,) = read_manifest(tmp_path, labelled=False)
    np.testing.assert_array_equal(read_image(chip, ("red",))[0, 0], [0.5, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"manifest\.csv: cannot be read \(No such file"),
        ("", "has no column id and split_group; found: nothing"),
        ("id,place\na,b\n", "has no column split_group; found: id, place"),
        ("id,split_group\n", "lists no chips"),
        ("id,split_group\n../chips0,g\n", "is no chip"),
        ("id,split_group\nchips0,\n", "is no chip"),
        ("id,split_group\nchips9,g\n", r"chips9\.tif: no such file"),
        ("id,split_group,gsd_m\nchips0,g,about 10\n", "gsd_m of chips0 is 'about 10'"),
    ],
)
def test_a_wrong_manifest_is_named(chip_folder, text: str | None, message: str) -> None:
    folder = chip_folder(count=1)
    (folder / "manifest.csv").unlink()
    if text is not None:
        (folder / "manifest.csv").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_manifest(folder)


def test_wrong_rasters_are_named(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1)
    write_raster(folder / "chips0_mask.tif", np.zeros((1, 9, 7), np.uint8))
    with pytest.raises(RecipeError, match=r"_mask\.tif: is 7 x 9 pixels, its image 64 x 64"):
        read_manifest(folder)
    write_raster(folder / "chips0.tif", np.zeros((2, 9, 7), np.uint16))
    with pytest.raises(RecipeError, match="no band is named"):
        read_manifest(folder)


def test_damaged_pixels_are_told_with_their_file(chip_folder, write_raster) -> None:
    chip = read_manifest(chip_folder(count=1, bands=("red",)))[0]
    values = np.random.default_rng(0).integers(0, 5000, (1, 64, 64)).astype(np.uint16)
    for path in (chip.image, chip.mask):
        write_raster(path, values, compress="deflate")
        content = path.read_bytes()
        path.write_bytes(content[:2000] + b"\xff" * 2000 + content[4000:])
    with pytest.raises(RecipeError, match=r"chips0\.tif: its pixels cannot be read \(.+\); make"):
        read_image(chip, chip.bands)
    with pytest.raises(RecipeError, match=r"chips0_mask\.tif: its pixels cannot be read \(.+\)"):
        read_labels(chip)


def test_fingerprint_changes_with_the_folder(chip_folder) -> None:
    folder = chip_folder()
    before = fingerprint([folder])
    assert fingerprint([folder]) == before
    shutil.copy(folder / "chips0.tif", folder / "more.tif")
    assert fingerprint([folder]) != before


def test_fingerprint_changes_with_the_labels(chip_folder) -> None:
    folder = chip_folder()
    before = fingerprint([folder])
    mask = folder / "chips0_mask.tif"
    size = mask.stat().st_size
    mask.write_bytes(mask.read_bytes()[:-1] + b"!")
    assert mask.stat().st_size == size
    assert fingerprint([folder]) != before


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.float32])
def test_a_label_that_is_no_byte_is_no_other_label(chip_folder, kind) -> None:
    folder = chip_folder()
    chip = read_manifest(folder)[0]
    assert chip.mask is not None
    with rasterio.open(chip.mask) as dataset:
        profile = dataset.profile | {"dtype": kind, "nodata": None}
    codes = np.zeros(chip.shape, kind)
    codes[0, :4] = (3, 256, 259, 2.5 if kind is np.float32 else -1 if kind is np.int16 else 65_535)
    with rasterio.open(chip.mask, "w", **profile) as dataset:
        dataset.write(codes, 1)
    assert read_labels(chip)[0, :5].tolist() == [3, 255, 255, 255, 0]
