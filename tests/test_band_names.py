from __future__ import annotations

import pytest

from geomask.band_names import common_names
from geomask.errors import OptionError
from geomask.sensors import find_sensor


@pytest.mark.parametrize(
    ("text", "common"),
    [
        ("blue", "blue"),
        ("B02", "blue"),
        ("B2", "blue"),
        ("b08", "nir"),
        ("NIR", "nir"),
        ("Near Infrared", "nir"),
        ("B8A", "nir08"),
        ("B12", "swir22"),
        ("SWIR 1", "swir16"),
        ("B4 (red)", "red"),
        ("T31UFS_20190411_B04", "red"),
        ("SR_B5", None),
        ("LC08_L2SP_044034_20140318_20200820_02_T1_SR_B4", None),
        ("Band 1", None),
        ("Band 4", None),
        ("", None),
        (None, None),
        ("elevation", None),
    ],
)
def test_one_description(text: str | None, common: str | None) -> None:
    assert common_names([text]) == (common,)


def test_sensors_that_disagree_leave_a_band_unnamed() -> None:
    assert common_names(["B2", "B3", "B4", "B8"]) == ("blue", "green", "red", None)


def test_a_name_only_one_sensor_knows_settles_the_others() -> None:
    assert common_names(["B2", "B8", "B8A"]) == ("blue", "nir", "nir08")
    assert common_names(["B5", "SR_B4"]) == (None, None)


def test_a_sensor_settles_everything() -> None:
    assert common_names(["B2", "B8"], "sentinel2") == ("blue", "nir")
    assert common_names(["BAND2", "BAND3", "BAND4"], "liss4") == ("green", "red", "nir")
    assert common_names(["Band 5"], "landsat") == ("nir",)
    assert common_names(["SR_B4", "SR_B5"], "landsat") == ("red", "nir")
    assert common_names(["LC08_L2SP_044034_20140318_20200820_02_T1_SR_B4"], "landsat") == ("red",)


@pytest.mark.parametrize(
    ("text", "common"),
    [
        ("red (665 nm)", "red"),
        ("red reflectance 0.665 µm", "red"),
        ("B4, central wavelength 665 nm", "red"),
        ("Surface reflectance, band 4 (red)", "red"),
        ("near-infrared (842 nm)", "nir"),
        ("B8 (nir)", "nir"),
        ("Red edge 1 (B5)", "rededge071"),
        ("NIR 2 (B8A)", "nir08"),
        ("B04_10m", "red"),
        ("T31UFS_20190411T105029_B04_10m", "red"),
        ("T31UFS_20190411T105029_B04_10m.jp2", "red"),
        ("S2A_MSIL1C_20170102T111442_N0204_R137_T30TXT_20170102T111441_B04", "red"),
        ("LC08_L1TP_044034_20140318_20170425_01_T1_B4", "red"),
        ("20190411_nir", "nir"),
    ],
)
def test_a_longer_text_counts_where_the_rest_is_harmless(text: str, common: str) -> None:
    assert common_names([text]) == (common,)


@pytest.mark.parametrize(
    "text",
    [
        "Thermal Infrared 1",
        "Shortwave infrared 1610",
        "Mid infrared",
        "infrared",
        "Red edge",
        "Red edge 740",
        "Vegetation Red Edge",
        "red_mask",
        "20190411_red_mask",
        "T31UFS_20190411_red_edge",
        "cloud_red",
        "NDVI (nir red)",
        "not red",
        "~red",
        "nir/red",
        "B4_mean",
        "scene_B4",
        "B4 (nir)",
        "B3-B4",
        "red, green",
        "LT05_L1TP_044034_20100318_20160902_01_T1_B4",
    ],
)
def test_a_text_that_may_mean_another_band_is_not_guessed_at(text: str) -> None:
    assert common_names([text]) == (None,)


def test_the_count_of_a_files_bands_does_not_contradict_a_common_name() -> None:
    assert common_names(["Band 1 (blue)", "Band 2 (nir)"], "sentinel2") == ("blue", "nir")


def test_an_unknown_sensor_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="unknown sensor 'modis'; there are: sentinel2, liss4"):
        find_sensor("modis")
