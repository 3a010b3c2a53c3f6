"""Sentinel-2 SAFE: the numbers by its XML and nothing else, and every damage said in a sentence."""

from __future__ import annotations

import encodings.aliases
import random
import shutil
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from geomask import open_scene, predict_scene
from geomask.errors import (
    BandError,
    GeomaskError,
    GeomaskWarning,
    OptionError,
    OutputError,
    SceneError,
)
from geomask.inference import prepare
from tests.conftest import identity_model, read
from tests.scene.products import (
    BANDS,
    COMMON,
    CORNER,
    CRS,
    Safe,
    dn_of,
    edit,
    read_bands,
    set_pixels,
    write_jp2,
    write_old_safe,
    write_safe,
)

LEVELS = ["L1C", "L2A"]
RGN = ("red", "green", "nir")
STATED = {"scale": 1e-4, "offset": 0.0}
OFFSET = {"L1C": "RADIO_ADD_OFFSET", "L2A": "BOA_ADD_OFFSET"}
QUANTIFICATION = {"L1C": "QUANTIFICATION_VALUE", "L2A": "BOA_QUANTIFICATION_VALUE"}


@pytest.fixture
def l1c(tmp_path: Path) -> Safe:
    return write_safe(tmp_path, "L1C")


@pytest.fixture
def l2a(tmp_path: Path) -> Safe:
    return write_safe(tmp_path, "L2A")


def only(values: np.ndarray[Any, Any], expected: float) -> bool:
    """Whether all values are one number, to 1e-6."""
    return bool((np.abs(values - expected) < 1e-6).all())


# What the numbers mean


@pytest.mark.parametrize("tile", ["T45RTJ", "T60HXD"])
@pytest.mark.parametrize(
    ("baseline", "red", "blue", "swir22"),
    [
        ("02.05", 0.1310, 0.1110, 0.2220),
        ("04.00", 0.0310, 0.0110, 0.1220),
        ("05.09", 0.0310, 0.0110, 0.1220),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_reflectance_of_every_level_baseline_and_tile(
    tmp_path: Path, level: str, baseline: str, red: float, blue: float, swir22: float, tile: str
) -> None:
    safe = write_safe(tmp_path, level, baseline, tile)
    reflectance, valid = read_bands(safe.root, ("red", "blue", "swir22"))
    assert reflectance.dtype == np.float32
    assert reflectance.shape == (3, 36, 36)
    for values, expected in zip(reflectance, (red, blue, swir22), strict=True):
        assert only(values, expected)
    assert valid.all()
    with open_scene(safe.root) as scene:
        assert scene.kind == f"Sentinel-2 {level} SAFE"
        assert scene.grid.crs == rasterio.CRS.from_user_input(CRS[tile])
        assert tuple(scene.grid.transform)[:6] == (10, 0, CORNER[0], 0, -10, CORNER[1])
        assert baseline in scene.radiometry(("red",))
        assert safe.xml.name in scene.radiometry(("red",))


@pytest.mark.parametrize("level", LEVELS)
def test_every_band_is_the_one_of_its_name(tmp_path: Path, level: str) -> None:
    safe = write_safe(tmp_path, level)
    with open_scene(safe.root) as scene:
        assert set(scene.band_names) == set(COMMON) - ({"cirrus"} if level == "L2A" else set())
        for common in scene.band_names:
            own = scene.for_bands((common,))
            values, _ = own.read(Window(0, 0, own.grid.width, own.grid.height), (common,))
            dn = dn_of(COMMON[common], round(own.grid.transform.a))
            assert only(values, (dn - 1000) / 10000), common
            assert scene.bands[common].source == COMMON[common]


@pytest.mark.parametrize("level", LEVELS)
def test_offsets_go_by_band_id(tmp_path: Path, level: str) -> None:
    """Fourteen hundred and so on: each band's own, in an order that is not the files'."""
    offsets = {index: -1000.0 - 10 * index for index in reversed(range(13))}
    safe = write_safe(tmp_path, level, offsets=offsets)
    reflectance, _ = read_bands(safe.root, ("blue", "red", "nir08", "swir22"))
    # B02: (1110 - 1010) / 10000, B04: (1310 - 1030), B8A: (1820 - 1080), B12: (2220 - 1120)
    for values, expected in zip(reflectance, (0.0100, 0.0280, 0.0740, 0.1100), strict=True):
        assert only(values, expected)


def test_band_ids_are_those_of_the_file(l1c: Safe) -> None:
    """A file that numbers its bands otherwise is taken at its word."""
    text = l1c.xml.read_text("utf-8")
    for band, own in (("3", "x"), ("2", "3"), ("x", "2")):
        text = text.replace(
            f'<Spectral_Information bandId="{band}"', f'<Spectral_Information bandId="{own}"'
        )
    text = text.replace(
        '<RADIO_ADD_OFFSET band_id="3">-1000<', '<RADIO_ADD_OFFSET band_id="3">-500<'
    )
    l1c.xml.write_text(text, "utf-8")
    reflectance, _ = read_bands(l1c.root, ("green", "red"))
    assert only(reflectance[0], 0.0710), "id 3 is B3 there: (1210 - 500) / 10000"
    assert only(reflectance[1], 0.0310)


@pytest.mark.parametrize(
    ("stated", "named", "red"), [("05.09", "02.05", 0.0310), ("02.05", "05.09", 0.1310)]
)
@pytest.mark.parametrize("level", LEVELS)
def test_names_say_nothing_of_the_offset(
    tmp_path: Path, level: str, stated: str, named: str, red: float
) -> None:
    safe = write_safe(tmp_path, level, stated, "T45RTJ", named=named)
    assert only(read_bands(safe.root, ("red",))[0], red)


def test_a_baseline_before_offsets_that_states_some_has_them(tmp_path: Path) -> None:
    safe = write_safe(tmp_path, "L1C", "03.01", offsets=dict.fromkeys(range(13), -200))
    assert only(read_bands(safe.root, ("red",))[0], 0.1110)


def test_another_quantification_value_is_applied(l1c: Safe) -> None:
    edit(l1c.xml, ">10000<", ">5000<")
    assert only(read_bands(l1c.root, ("red",))[0], 0.0620)


def test_level_2a_takes_its_own_quantification_value(l2a: Safe) -> None:
    edit(l2a.xml, ">1000.0<", ">77.0<")  # of aerosol and water vapour
    assert only(read_bands(l2a.root, ("red",))[0], 0.0310)


@pytest.mark.parametrize(
    ("stated", "red", "words"),
    [
        ({"scale": 2e-4}, 1310 * 2e-4 - 0.1, "scale stated by the user, offset: QUANTIFICATION"),
        ({"offset": 0.0}, 0.1310, "offset stated by the user, scale: QUANTIFICATION"),
        ({"scale": 1e-3, "offset": 0.5}, 1.81, "(stated by the user)"),
    ],
)
def test_the_user_overrules_the_xml(
    l1c: Safe, stated: dict[str, float], red: float, words: str
) -> None:
    assert only(read_bands(l1c.root, ("red",), **stated)[0], red)
    with open_scene(l1c.root, **stated) as scene:
        assert words in scene.radiometry(("red",))


# Nodata


@pytest.mark.parametrize("level", LEVELS)
def test_zero_is_not_measured_and_saturated_is(tmp_path: Path, level: str) -> None:
    safe = write_safe(tmp_path, level)
    set_pixels(safe.image("B04"), {(0, 0): 0, (1, 1): 65535, (2, 2): 1, (3, 3): 999})
    reflectance, valid = read_bands(safe.root, RGN)
    expected = np.ones((36, 36), dtype=bool)
    expected[0, 0] = False
    np.testing.assert_array_equal(valid, expected)
    assert np.isnan(reflectance[:, 0, 0]).all()
    assert reflectance[0, 1, 1] == pytest.approx(6.4535, abs=1e-6)
    assert reflectance[0, 2, 2] == pytest.approx(-0.0999, abs=1e-6), "dark, below the offset"
    assert reflectance[0, 3, 3] == pytest.approx(-0.0001, abs=1e-6)


def test_nodata_of_a_band_counts_only_where_it_is_read(l1c: Safe) -> None:
    set_pixels(l1c.image("B11"), {(1, 1): 0})
    _, valid = read_bands(l1c.root, RGN)
    assert valid.all()
    _, valid = read_bands(l1c.root, (*RGN, "swir16"))
    expected = np.ones((36, 36), dtype=bool)
    expected[2:4, 2:4] = False  # four pixels of 10 m in one of 20 m
    np.testing.assert_array_equal(valid, expected)


def test_nodata_masks_and_classes_of_the_product_are_not_asked(l2a: Safe) -> None:
    write_jp2(l2a.image("SCL", 20), np.zeros((18, 18), np.uint8), 20, crs="EPSG:32645")
    assert read_bands(l2a.root, RGN)[1].all()


def test_the_xml_says_which_number_is_nodata(l1c: Safe) -> None:
    special = "<SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>"
    edit(l1c.xml, f"{special}0", f"{special}7")
    set_pixels(l1c.image("B04"), {(0, 0): 0, (1, 1): 7})
    _, valid = read_bands(l1c.root, RGN)
    assert valid[0, 0]
    assert not valid[1, 1]
    with open_scene(l1c.root) as scene:
        assert scene.provenance.nodata == "7, NODATA of MTD_MSIL1C.xml"
    assert read_bands(l1c.root, RGN, nodata="none")[1].all()
    assert not read_bands(l1c.root, RGN, nodata=0)[1][0, 0]


def test_nodata_that_is_left_out_is_not_said_to_be_the_xmls(l1c: Safe) -> None:
    edit(l1c.xml, "NODATA", "SOMETHING")
    set_pixels(l1c.image("B04"), {(0, 0): 0})
    assert not read_bands(l1c.root, RGN)[1][0, 0]
    with open_scene(l1c.root) as scene:
        assert scene.provenance.nodata == "0, convention of Sentinel-2 MSI"


@pytest.mark.parametrize("text", ["70000", "-1", "0.5", "1e300", "nan", "none", ""])
def test_a_nodata_that_no_pixel_can_be_is_refused_with_the_way_out(l1c: Safe, text: str) -> None:
    special = "<SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>"
    edit(l1c.xml, f"{special}0", f"{special}{text}")
    with pytest.raises(SceneError, match=r"MTD_MSIL1C\.xml.*SPECIAL_VALUE_INDEX.*--nodata"):
        open_scene(l1c.root)
    assert read_bands(l1c.root, RGN, nodata=0)[1].all()


# The grid


def test_the_grid_is_that_of_the_finest_band_that_is_read(l2a: Safe) -> None:
    """AOT and TCI are there at 10 m, and have no say."""
    with open_scene(l2a.root) as scene:
        sizes = {
            bands: scene.for_bands(bands).grid.transform.a
            for bands in (RGN, ("swir16", "swir22"), ("swir16", "red"), ("nir09",))
        }
    assert sizes == {RGN: 10, ("swir16", "swir22"): 20, ("swir16", "red"): 10, ("nir09",): 60}


@pytest.mark.parametrize(
    ("grid", "files"),
    [
        (10, {"red": 10, "nir": 10, "nir08": 20, "swir16": 20, "coastal": 20, "nir09": 60}),
        (20, {"red": 20, "nir": 10, "nir08": 20, "swir16": 20, "coastal": 20, "nir09": 60}),
        (60, {"red": 60, "nir": 10, "nir08": 60, "swir16": 60, "coastal": 60, "nir09": 60}),
    ],
)
def test_grid_chooses_among_the_files_of_level_2a(
    l2a: Safe, grid: int, files: dict[str, int]
) -> None:
    """B08 is there at 10 m only, so that is brought to the grid."""
    with open_scene(l2a.root, grid=grid) as scene:
        assert scene.grid.shape == (360 // grid, 360 // grid)
        assert scene.for_bands(("nir09",)).grid == scene.grid, "given, so bands change nothing"
        window = Window(0, 0, scene.grid.width, scene.grid.height)
        reflectance, valid = scene.read(window, tuple(files))
    for values, (common, size) in zip(reflectance, files.items(), strict=True):
        assert only(values, (dn_of(COMMON[common], size) - 1000) / 10000), common
    assert valid.all()


def test_grid_resamples_level_1c(l1c: Safe) -> None:
    """A ramp of 10 DN a column; bilinear with antialiasing weighs four columns 1, 3, 3 and 1."""
    ramp = np.tile(2000 + 10 * np.arange(36, dtype=np.uint16), (36, 1))
    write_jp2(l1c.image("B04"), ramp, 10, crs="EPSG:32645")
    set_pixels(l1c.image("B04"), {(35, 35): 0})
    reflectance, valid = read_bands(l1c.root, ("red", "swir16"), grid=20)
    assert reflectance.shape == (2, 18, 18)
    assert reflectance[0, 5, 1] == pytest.approx(0.1025, abs=1e-6), "columns 2 and 3: 2020, 2030"
    assert reflectance[0, 5, 16] == pytest.approx(0.1325, abs=1e-6)
    assert only(reflectance[1, :17], 0.1120)
    expected = np.ones((18, 18), dtype=bool)
    expected[17, 17] = False  # one of its four was not measured
    np.testing.assert_array_equal(valid, expected)


@pytest.mark.parametrize("level", LEVELS)
def test_a_grid_that_no_band_has_is_refused(tmp_path: Path, level: str) -> None:
    safe = write_safe(tmp_path, level)
    with pytest.raises(
        OptionError, match=r"no spectral band at 30 m, only at 10, 20, 60 m.*--grid"
    ):
        open_scene(safe.root, grid=30)


def test_bands_by_number_are_refused(l1c: Safe) -> None:
    with pytest.raises(OptionError, match="--bands has nothing to number"):
        open_scene(l1c.root, bands={"red": 1})


# What else it says


@pytest.mark.parametrize(
    ("level", "baseline"), [("L1C", "05.09"), ("L2A", "05.09"), ("L2A", "02.05")]
)
def test_what_the_product_says_of_itself(tmp_path: Path, level: str, baseline: str) -> None:
    safe = write_safe(tmp_path, level, baseline)
    with open_scene(safe.root) as scene:
        said = scene.acquisition
    assert said.platform == "Sentinel-2A"
    assert said.level == level
    assert said.baseline == baseline
    assert said.product == safe.root.name
    assert said.time == "2023-03-01T04:47:31.024Z"
    assert (said.sun_elevation, said.sun_azimuth) == (64.0, 135.0)


def test_a_product_without_its_granules_metadata_has_no_sun(l1c: Safe) -> None:
    l1c.tile_xml.unlink()
    with open_scene(l1c.root) as scene:
        assert scene.acquisition.sun_elevation is None
        assert "sun_azimuth" not in scene.acquisition.known()


def test_nir_that_is_absent_has_a_stand_in_that_says_so(l2a: Safe) -> None:
    l2a.image("B08").unlink()
    with pytest.warns(GeomaskWarning, match="B08 at 10 m"):
        scene = open_scene(l2a.root)
    with scene:
        assert scene.bands["nir"].source == "B8A standing in for nir, which is absent"
        values, _ = scene.read(Window(0, 0, 36, 36), ("nir",))
        assert only(values, 0.0820)
        assert scene.for_bands(("nir",)).grid.transform.a == 20


def test_all_files_of_the_product_are_kept_from_outputs(l1c: Safe) -> None:
    with open_scene(l1c.root) as scene:
        assert {str(l1c.xml), str(l1c.tile_xml), str(l1c.image("B10"))} <= set(scene.files)


def test_a_mask_beside_a_product_can_be_made_again(l1c: Safe, tmp_path: Path) -> None:
    """The folder around a product is no part of it."""
    for _ in range(2):
        predict_scene(tmp_path, tmp_path / "m.tif", model=identity_model(), overwrite=True)
    with pytest.raises(OutputError, match=r"B01\.jp2"):
        predict_scene(tmp_path, l1c.image("B01"), model=identity_model(), overwrite=True)


def test_a_mask_of_a_product(l2a: Safe, tmp_path: Path) -> None:
    set_pixels(l2a.image("B03"), {(0, 0): 9000, (1, 1): 0})
    done = predict_scene(l2a.root, tmp_path / "m.tif", model=identity_model())
    mask = read(tmp_path / "m.tif")
    assert mask.shape == (36, 36)
    assert (mask[0, 0], mask[1, 1], mask[2, 2]) == (1, 255, 2), "green, nodata, nir"
    assert done.radiometry == (
        "reflectance = DN * 0.0001 - 0.1 (BOA_QUANTIFICATION_VALUE 10000 and BOA_ADD_OFFSET by "
        "band of MTD_MSIL2A.xml, processing baseline 05.09)"
    )


# What is missing


@pytest.mark.parametrize(
    ("level", "baseline"), [("L1C", "05.09"), ("L2A", "05.09"), ("L2A", "02.05")]
)
def test_a_band_that_is_wholly_missing_stops_a_model_that_needs_it(
    tmp_path: Path, level: str, baseline: str
) -> None:
    safe = write_safe(tmp_path, level, baseline)
    for file in safe.granule.glob("IMG_DATA/**/*_B04*.jp2"):
        file.unlink()
    with pytest.warns(GeomaskWarning, match=r"MTD_MSIL.*B04 at 10 m"):
        scene = open_scene(safe.root)
    with scene, pytest.raises(BandError, match=r"lists B04, but its file is not there; download"):
        prepare(scene, identity_model())
    with (
        pytest.warns(GeomaskWarning, match="B04"),
        pytest.raises(BandError, match=r"lists B04.*IMG_DATA folder with --scale and --offset"),
    ):
        predict_scene(safe.root, tmp_path / "m.tif", model=identity_model())
    assert not (tmp_path / "m.tif").exists()


def test_the_way_round_a_missing_band_is_one(l2a: Safe) -> None:
    for file in l2a.granule.glob("IMG_DATA/**/*_B04*.jp2"):
        file.unlink()
    with open_scene(l2a.granule / "IMG_DATA", scale=1e-4, offset=-0.1) as scene:
        assert "red" not in scene.band_names
        assert not scene.missing
        values, _ = scene.read(Window(0, 0, 36, 36), ("green", "swir16"))
        assert only(values[0], 0.0210)
        assert only(values[1], 0.1120)


def test_a_band_missing_at_one_resolution_is_read_at_another(l2a: Safe) -> None:
    l2a.image("B04").unlink()
    with pytest.warns(GeomaskWarning, match=r"not there: B04 at 10 m; other resolutions"):
        scene = open_scene(l2a.root)
    with scene:
        inference = prepare(scene, identity_model())
        assert inference.scene.grid.transform.a == 10
        values, _ = scene.read(Window(0, 0, 36, 36), ("red",))
        assert only(values, 0.0320)


def test_a_grid_whose_files_are_all_missing_is_refused_with_what_is_there(l2a: Safe) -> None:
    shutil.rmtree(l2a.image("B04").parent)
    with pytest.raises(OptionError, match=r"none of its 10 m bands.*B02.*--grid 20 or 60"):
        open_scene(l2a.root, grid=10)


def test_no_band_at_all_is_refused(l1c: Safe) -> None:
    shutil.rmtree(l1c.granule / "IMG_DATA")
    with pytest.raises(SceneError, match="IMG_DATA: holds no band of the product; download"):
        open_scene(l1c.root)
    shutil.rmtree(l1c.granule)
    with pytest.raises(SceneError, match="GRANULE: is not there; download"):
        open_scene(l1c.root)


def test_two_files_for_one_band_are_refused_naming_both(l1c: Safe) -> None:
    other = l1c.image("B04").with_name("old_B04.jp2")
    shutil.copy(l1c.image("B04"), other)
    with pytest.raises(SceneError) as error:
        open_scene(l1c.root)
    assert other.name in str(error.value)
    assert l1c.image("B04").name in str(error.value)


# Which product


def test_a_folder_with_two_products_is_refused_naming_both(tmp_path: Path) -> None:
    names = [write_safe(tmp_path, "L2A", day=day).root.name for day in ("20230301", "20230306")]
    with pytest.raises(SceneError, match="holds several products") as error:
        open_scene(tmp_path)
    assert all(name in str(error.value) for name in names)


def test_levels_1c_and_2a_of_one_scene_are_two_products(tmp_path: Path) -> None:
    for level in LEVELS:
        write_safe(tmp_path, level)
    with pytest.raises(SceneError, match=r"several products.*MTD_MSIL1C\.xml.*MTD_MSIL2A\.xml"):
        open_scene(tmp_path)


def test_products_of_different_sensors_are_two_products(l1c: Safe) -> None:
    (l1c.root.parent / "LC08_L1TP_1_20190411_MTL.txt").write_text("")
    with pytest.raises(SceneError, match=r"several products \(LC08.*_MTL\.txt, .*MTD_MSIL1C\.xml"):
        open_scene(l1c.root.parent)


def test_several_granules_are_refused_naming_them(l1c: Safe) -> None:
    other = "L1C_T45RUJ_A041234_20230301T044729"
    shutil.copytree(l1c.granule, l1c.granule.parent / other)
    with pytest.raises(SceneError, match="has 2 granules") as error:
        open_scene(l1c.root)
    assert other in str(error.value)
    assert l1c.granule.name in str(error.value)


@pytest.mark.parametrize("given", ["folder", "xml", "parent"])
def test_a_product_in_the_format_before_2016_12(tmp_path: Path, given: str) -> None:
    safe = write_old_safe(tmp_path)
    path = {"folder": safe.root, "xml": safe.xml, "parent": tmp_path}[given]
    with open_scene(path) as scene:
        assert scene.kind == "Sentinel-2 L1C SAFE"
        assert scene.acquisition.sun_elevation == 64.0
        assert not scene.missing
        assert only(scene.read(Window(0, 0, 36, 36), ("red",))[0], 0.1310)


def test_several_granules_of_the_old_format_are_refused_with_a_way_that_works(
    tmp_path: Path,
) -> None:
    safe = write_old_safe(tmp_path, ("T45RTJ", "T60HXD"))
    with pytest.raises(SceneError, match=r"has 2 granules.*T45RTJ.*T60HXD.*IMG_DATA folder"):
        open_scene(safe.root)
    reflectance, _ = read_bands(safe.granule / "IMG_DATA", ("red", "swir16"), **STATED)
    assert only(reflectance[0], 0.1310)
    assert only(reflectance[1], 0.2120)


def test_a_missing_band_of_the_old_format_is_noticed(tmp_path: Path) -> None:
    safe = write_old_safe(tmp_path)
    safe.image("B04").unlink()
    with pytest.warns(GeomaskWarning, match="B04 at 10 m"):
        scene = open_scene(safe.root)
    with scene, pytest.raises(BandError, match="lists B04"):
        prepare(scene, identity_model())


# What it does not state


def unstated(safe: Safe, match: str) -> None:
    """Refused in one sentence with the way out, which works."""
    with pytest.raises(SceneError, match=match) as error:
        open_scene(safe.root)
    text = str(error.value)
    assert safe.xml.name in text
    assert "--scale and --offset" in text
    assert "\n" not in text
    assert only(read_bands(safe.root, ("red",), **STATED)[0], 0.1310)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("baseline", "match"),
    [
        ("07.00", "07.00, newer than 05.xx"),
        ("99.99", "99.99, newer"),
        ("", "nowhere"),
        ("5.09", "5.09"),
        ("latest", "latest"),
        ("05.09.1", r"05\.09\.1"),
        ("\u0660\u0665.\u0660\u0669", "the processing baseline"),  # Arabic digits
    ],
)
def test_a_baseline_that_is_not_known_is_refused(
    tmp_path: Path, level: str, baseline: str, match: str
) -> None:
    safe = write_safe(tmp_path, level)
    edit(safe.xml, "BASELINE>05.09<", f"BASELINE>{baseline}<")
    unstated(safe, match)


@pytest.mark.parametrize("level", LEVELS)
def test_a_baseline_that_is_missing_is_refused(tmp_path: Path, level: str) -> None:
    safe = write_safe(tmp_path, level)
    edit(safe.xml, "<PROCESSING_BASELINE>05.09</PROCESSING_BASELINE>", "")
    unstated(safe, "baseline nowhere")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("baseline", ["04.00", "05.09"])
def test_a_baseline_with_offsets_that_states_none_is_refused(
    tmp_path: Path, level: str, baseline: str
) -> None:
    safe = write_safe(tmp_path, level, baseline, offsets={})
    unstated(safe, f"baseline {baseline} and no {OFFSET[level]}, which it has")


@pytest.mark.parametrize("level", LEVELS)
def test_offsets_of_some_bands_only_are_refused_naming_the_others(
    tmp_path: Path, level: str
) -> None:
    safe = write_safe(
        tmp_path, level, offsets=dict.fromkeys((0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11), -1000)
    )
    unstated(safe, r"some bands and none for (B04, B12|B12, B04)")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("text", ["", "text", "nan", "inf", "-1000,5", "1e300"])
def test_an_offset_that_is_no_number_is_refused(tmp_path: Path, level: str, text: str) -> None:
    safe = write_safe(tmp_path, level)
    edit(safe.xml, 'band_id="3">-1000<', f'band_id="3">{text}<')
    unstated(safe, OFFSET[level])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("baseline", ["03.01", "05.09"])
def test_offsets_that_cannot_be_told_apart_are_refused(
    tmp_path: Path, level: str, baseline: str
) -> None:
    safe = write_safe(tmp_path, level, baseline, offsets={3: -1000.0, 33: -900.0})
    whole = safe.xml.read_text("utf-8")
    edit(safe.xml, 'band_id="33"', 'band_id="3"')
    unstated(safe, f"{OFFSET[level]} -900 for B04")
    safe.xml.write_text(whole.replace('band_id="3', 'number="'), "utf-8")
    unstated(safe, f"{OFFSET[level]} for no band")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "text", ["0", "-10000", "nan", "inf", "1e-320", "1e400", "text", "", "10.000,0"]
)
def test_a_quantification_value_that_means_nothing_is_refused(
    tmp_path: Path, level: str, text: str
) -> None:
    safe = write_safe(tmp_path, level)
    edit(safe.xml, ">10000<", f">{text}<")
    unstated(safe, QUANTIFICATION[level])


@pytest.mark.parametrize("level", LEVELS)
def test_a_missing_quantification_value_is_refused(tmp_path: Path, level: str) -> None:
    safe = write_safe(tmp_path, level)
    edit(safe.xml, QUANTIFICATION[level], "SOME_OTHER_VALUE")
    unstated(safe, f"no {QUANTIFICATION[level]}")


@pytest.mark.parametrize("text", ["Level-1B", "Level-3A", "", "nonsense"])
def test_another_level_is_refused(l1c: Safe, text: str) -> None:
    edit(l1c.xml, "LEVEL>Level-1C<", f"LEVEL>{text}<")
    with pytest.raises(SceneError, match=r"MTD_MSIL1C\.xml: states .*Level-1C and Level-2A"):
        open_scene(l1c.root)


# XML from strangers


def refused(safe: Safe, match: str) -> None:
    """One sentence that names the file; nothing else is raised, nor warned."""
    with pytest.raises(SceneError, match=match) as error:
        open_scene(safe.root)
    assert "MTD_" in str(error.value)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
DOCTYPES = {
    "entity expansion": f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>',
    "external entity": '<!DOCTYPE x [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
    "external DTD": '<!DOCTYPE x SYSTEM "http://localhost:9/x.dtd">',
    "parameter entity": '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    "bare DTD": "<!DOCTYPE x>",
}


@pytest.mark.parametrize("which", ["product", "granule"])
@pytest.mark.parametrize("kind", DOCTYPES)
def test_a_document_type_is_refused(l1c: Safe, kind: str, which: str) -> None:
    file = l1c.xml if which == "product" else l1c.tile_xml
    head, _, body = file.read_text("utf-8").partition("\n")
    body = body.replace("Sentinel-2A", "&l11;") if "ENTITY l" in DOCTYPES[kind] else body
    file.write_text(f"{head}\n{DOCTYPES[kind]}\n{body}", "utf-8")
    refused(l1c, "declares a DTD or entities")


@pytest.mark.parametrize("which", ["product", "granule"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"\x00" * 100,
        b"<a>",
        b"<a></b>",
        b"<a>&nothing;</a>",
        b"not XML at all",
        b'<?xml version="1.0" encoding="no-such-code"?><a/>',
        b'<?xml version="1.0" encoding="UTF-16"?><a/>',
        b'<?xml version="1.0" encoding="utf-8"?><a>\xff\xfe</a>',
        b"\xff\xfe<\x00a\x00",
        b"\x1f\x8b\x08\x00 gzip",
        b"<a/><b/>",
        b"<a " + b"x='1' " * 2 + b"/>",
    ],
)
def test_xml_that_is_none_is_refused(l1c: Safe, content: bytes, which: str) -> None:
    (l1c.xml if which == "product" else l1c.tile_xml).write_bytes(content)
    refused(l1c, "is not well-formed XML")


@pytest.mark.parametrize("seed", range(20))
def test_truncated_xml_is_refused(l1c: Safe, seed: int) -> None:
    data = l1c.xml.read_bytes()
    # The last byte is a newline.
    l1c.xml.write_bytes(data[: random.Random(seed).randrange(len(data) - 1)])
    refused(l1c, "is not well-formed XML")


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig", "iso-8859-1", "cp1252"])
def test_xml_in_another_encoding_is_read(l1c: Safe, code: str) -> None:
    text = l1c.xml.read_text("utf-8").replace('"UTF-8"', f'"{code.replace("-sig", "")}"')
    l1c.xml.write_bytes(text.encode(code))
    assert only(read_bands(l1c.root, ("red",))[0], 0.0310)


def test_whatever_encoding_is_declared_nothing_else_is_raised(l1c: Safe) -> None:
    text = l1c.xml.read_text("utf-8").encode("ascii", "ignore")
    for code in sorted({*encodings.aliases.aliases.values(), "utf_32", "undefined", "idna", ""}):
        l1c.xml.write_bytes(text.replace(b'"UTF-8"', f'"{code}"'.encode()))
        with suppress(GeomaskError):
            open_scene(l1c.root).close()


def test_elements_nested_without_end_are_no_crash(l1c: Safe) -> None:
    deep = 200_000
    edit(l1c.xml, "</n1:General_Info>", "<a>" * deep + "</a>" * deep + "</n1:General_Info>")
    assert only(read_bands(l1c.root, ("red",))[0], 0.0310)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Safe:
    return write_safe(tmp_path_factory.mktemp("patient"), "L2A")


@pytest.fixture(scope="module")
def healthy(patient: Safe) -> Iterator[dict[Path, bytes]]:
    files = {path: path.read_bytes() for path in (patient.xml, patient.tile_xml)}
    yield files
    for path, data in files.items():
        path.write_bytes(data)


JUNK = st.one_of(
    st.sampled_from(
        ["", " ", "0", "-1", "nan", "1e999", "1e300", "70000", "10000", "05.09", "NODATA", "B4"]
    ),
    st.sampled_from(
        ["Level-1C", "Level-2A", "3", "IMG_DATA/R10m/x_B04_10m", "GRANULE/../..", "1_0"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20),
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_mutated_xml_is_a_scene_or_one_of_our_errors(
    patient: Safe, healthy: dict[Path, bytes], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(sorted(healthy)))
    root = ET.fromstring(healthy[path])
    for _ in range(data.draw(st.integers(1, 4))):
        parents = [element for element in root.iter() if len(element)]
        if not parents:
            break
        parent = parents[data.draw(st.integers(0, len(parents) - 1))]
        child = parent[data.draw(st.integers(0, len(parent) - 1))]
        how = data.draw(st.sampled_from(["drop", "text", "attribute", "tag", "twice", "move"]))
        if how == "drop":
            parent.remove(child)
        elif how == "text":
            child.text = data.draw(JUNK)
        elif how == "attribute":
            child.set(
                data.draw(st.sampled_from(["band_id", "bandId", "physicalBand"])), data.draw(JUNK)
            )
        elif how == "tag":
            child.tag = data.draw(st.sampled_from(["BOA_ADD_OFFSET", "IMAGE_FILE", "x"]))
        elif how == "twice":
            parent.append(child)
        else:
            parent.remove(child)
            root.append(child)
    for file, content in healthy.items():
        file.write_bytes(ET.tostring(root, "utf-8") if file == path else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        scene, said = None, ""
        try:
            scene = open_scene(patient.root)
        except GeomaskError as error:
            said = str(error)
    if scene is None:
        assert str(patient.root) in said
        return
    with scene:
        for name in scene.band_names:
            assert np.isfinite(scene.bands[name].scale)
            assert scene.bands[name].scale > 0
        with suppress(BandError):
            scene.read(Window(0, 0, 6, 6), RGN)


# Damaged rasters


def truncated(safe: Safe, share: float, size: int, **options: int) -> None:
    """Opening and reading a red band that is cut short is an error that names it."""
    values = np.random.default_rng(0).integers(1, 20_000, (size, size), dtype=np.uint16)
    file = write_jp2(safe.image("B04"), values, 360 / size, crs="EPSG:32645", **options)
    data = file.read_bytes()
    file.write_bytes(data[: min(int(len(data) * share), len(data) - 3)])
    with pytest.raises(SceneError, match=r"_B04\.jp2"), open_scene(safe.root) as scene:
        scene.for_bands(("red",)).read(Window(0, 0, size, size), ("red",))


SHARES = [0.0, 0.001, 0.01, 0.05, 0.3, 0.6, 0.9, 0.99, 0.9999]


@pytest.mark.parametrize("share", SHARES)
def test_a_truncated_band_is_an_error_that_names_it(l1c: Safe, share: float) -> None:
    truncated(l1c, share, 36)


def test_a_truncated_band_of_many_tiles_is_one_too(l1c: Safe) -> None:
    """GDAL decodes several tiles in threads of its own, whose errors rasterio does not see."""
    for share in SHARES:
        truncated(l1c, share, 360, BLOCKXSIZE=64, BLOCKYSIZE=64)


def test_a_band_that_is_no_raster_is_an_error_that_names_it(l1c: Safe) -> None:
    l1c.image("B04").write_text("<html>Session expired</html>")
    with pytest.raises(SceneError, match=r"_B04\.jp2: is not a raster that GDAL can open"):
        open_scene(l1c.root)


@pytest.mark.parametrize("kind", ["vrt", "png", "three bands"])
def test_a_band_that_is_another_kind_of_raster_is_refused(l1c: Safe, kind: str) -> None:
    file = l1c.image("B04")
    if kind == "vrt":
        other = l1c.image("B03").resolve()
        file.write_text(
            '<VRTDataset rasterXSize="36" rasterYSize="36"><VRTRasterBand dataType="UInt16" '
            f'band="1"><SimpleSource><SourceFilename>{other}</SourceFilename>'
            "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
        )
        match = r"_B04\.jp2: is not a raster that GDAL can open as GeoTIFF"
    elif kind == "png":
        with rasterio.open(l1c.image("TCI")) as source, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with rasterio.open(
                file, "w", driver="PNG", width=36, height=36, count=1, dtype="uint8"
            ) as target:
                target.write(source.read(1), 1)
        match = r"_B04\.jp2: is not a raster that GDAL can open as GeoTIFF"
    else:
        shutil.copy(l1c.image("TCI"), file)
        match = r"_B04\.jp2: has 3 bands"
    with pytest.raises(SceneError, match=match):
        open_scene(l1c.root)


def test_a_band_that_is_not_as_delivered_is_not_scaled_as_if_it_were(l1c: Safe) -> None:
    path = l1c.image("B04")
    with rasterio.open(path) as dataset:
        eight, crs = np.full(dataset.shape, 200, np.uint8), dataset.crs
    write_jp2(path, eight, 10, crs=crs)
    with pytest.raises(SceneError, match=r"uint8.*16-bit digital numbers that ESA delivers"):
        open_scene(l1c.root)
    assert read_bands(l1c.root, RGN, **STATED)[1].all()


def test_a_band_on_another_utm_zone_is_refused(l1c: Safe) -> None:
    write_jp2(l1c.image("B04"), np.ones((36, 36), np.uint16), 10, crs="EPSG:32644")
    with pytest.raises(SceneError, match=r"EPSG:32645.*_B04\.jp2 in EPSG:32644"):
        open_scene(l1c.root)


def test_the_factory_writes_without_loss(tmp_path: Path) -> None:
    for high in (2**15, 2**16):
        values = np.random.default_rng(0).integers(0, high, (36, 36)).astype(np.uint16)
        with rasterio.open(write_jp2(tmp_path / f"{high}.jp2", values, 10, crs="EPSG:32645")) as d:
            assert d.driver == "JP2OpenJPEG"
            np.testing.assert_array_equal(d.read(1), values)
    assert dn_of("B04", 10) == 1310
    assert BANDS.index("B8A") == 8
