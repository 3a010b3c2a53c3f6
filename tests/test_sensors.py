from __future__ import annotations

import pytest

from geomask.errors import OptionError
from geomask.sensors import common_names, find_sensor


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
        ("SR_B5", "nir"),
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
    assert common_names(["B5", "SR_B4"]) == ("nir", "red")


def test_a_sensor_settles_everything() -> None:
    assert common_names(["B2", "B8"], "sentinel2") == ("blue", "nir")
    assert common_names(["BAND2", "BAND3", "BAND4"], "liss4") == ("green", "red", "nir")
    assert common_names(["Band 5"], "landsat") == ("nir",)


def test_an_unknown_sensor_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="unknown sensor 'modis'; there are: sentinel2, liss4"):
        find_sensor("modis")
