"""Invariants 6 and 9 in the reader: nodata is not clear, radiometry is stated, not guessed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from geomask import open_scene
from geomask.errors import BandError, GeomaskWarning, OptionError, SceneError
from tests.conftest import random_dn, write_scene

ALL = ("red", "green", "nir")


def read_all(path: Path, bands: tuple[str, ...] = ALL, **stated: Any) -> tuple[Any, Any]:
    with open_scene(path, **stated) as scene:
        return scene.read(Window(0, 0, scene.grid.width, scene.grid.height), bands)


def test_scale_and_offset_of_the_file_are_applied(tmp_path: Path) -> None:
    values = random_dn(5, 7)
    path = write_scene(tmp_path / "a.tif", values, scale=1e-4, offset=-0.1)
    reflectance, valid = read_all(path)
    np.testing.assert_allclose(reflectance, values * 1e-4 - 0.1, atol=1e-6)
    assert reflectance.dtype == np.float32
    assert valid.all()
    with open_scene(path) as scene:
        assert scene.radiometry(ALL) == (
            "reflectance = DN * 0.0001 - 0.1 (GDAL scale and offset of the file)"
        )


def test_the_user_overrules_the_file(tmp_path: Path) -> None:
    values = random_dn(5, 7)
    path = write_scene(tmp_path / "a.tif", values, scale=1e-4, offset=-0.1)
    reflectance, _ = read_all(path, scale=2e-4, offset=0.5)
    np.testing.assert_allclose(reflectance, values * 2e-4 + 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("stated", "scale", "offset", "words"),
    [
        ({"scale": 2e-4}, 2e-4, -0.1, "scale stated by the user, offset: GDAL scale and offset"),
        ({"offset": 0.0}, 1e-4, 0.0, "offset stated by the user, scale: GDAL scale and offset"),
    ],
)
def test_what_the_user_leaves_out_stays_the_files(
    tmp_path: Path, stated: dict[str, float], scale: float, offset: float, words: str
) -> None:
    values = random_dn(5, 7)
    path = write_scene(tmp_path / "a.tif", values, scale=1e-4, offset=-0.1)
    reflectance, _ = read_all(path, **stated)
    np.testing.assert_allclose(reflectance, values * scale + offset, atol=1e-6)
    with open_scene(path, **stated) as scene:
        assert words in scene.radiometry(ALL)


def set_radiometry(path: Path, scales: list[float], offsets: list[float]) -> None:
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = scales, offsets


def test_bands_that_only_partly_say_what_they_are_are_refused(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", random_dn(5, 7))
    set_radiometry(path, [1e-4, 1, 1], [0, 0, 0])
    with pytest.raises(SceneError, match="for red and none for green, nir"):
        open_scene(path)


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf"), 1e308, 1e-50])
def test_a_scale_that_makes_no_reflectance_is_refused(tmp_path: Path, scale: float) -> None:
    values = random_dn(5, 7)
    path = write_scene(tmp_path / "a.tif", values)
    set_radiometry(path, [scale] * 3, [0.1] * 3)
    with pytest.raises(SceneError, match=r"make no reflectance; state them with --scale"):
        open_scene(path, offset=0.0)
    with open_scene(path, scale=1e-4, offset=0.0) as scene:  # without a warning of the file's
        reflectance, _ = scene.read(Window(0, 0, 7, 5), ALL)
    np.testing.assert_allclose(reflectance, values * 1e-4, atol=1e-6)


def test_an_offset_that_makes_no_reflectance_is_refused(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", random_dn(5, 7))
    set_radiometry(path, [1e-4] * 3, [-1e300] * 3)
    with pytest.raises(SceneError, match="make no reflectance"):
        open_scene(path)
    open_scene(path, offset=0.0).close()


def test_what_float32_cannot_hold_was_not_measured(tmp_path: Path) -> None:
    values = np.ones((3, 4, 4), np.float32)
    values[1, 2, 3] = 3e38
    path = write_scene(tmp_path / "a.tif", values, scale=1000.0)
    with open_scene(path) as scene:
        reflectance, valid = scene.read(Window(0, 0, 4, 4), ALL)
    assert not valid[2, 3]
    assert valid.sum() == 15
    assert np.isfinite(reflectance[:, valid]).all()
    assert np.isnan(reflectance[:, 2, 3]).all()


def test_an_unlikely_scale_is_doubted(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", random_dn(5, 7))
    set_radiometry(path, [1] * 3, [-1000] * 3)
    with pytest.warns(GeomaskWarning, match=r"more than 0\.01 of reflectance"):
        open_scene(path).close()


def test_nothing_stated_is_a_named_default_and_a_warning(tmp_path: Path) -> None:
    values = random_dn(5, 7)
    path = write_scene(tmp_path / "a.tif", values, scale=None)
    with pytest.warns(GeomaskWarning, match="need --scale 0.0001 --offset -0.1"):
        scene = open_scene(path)
    reflectance, _ = scene.read(Window(0, 0, 7, 5), ALL)
    np.testing.assert_allclose(reflectance, values * 1e-4, atol=1e-6)
    assert "default: DN * 0.0001" in scene.radiometry(ALL)
    scene.close()


def test_an_offset_alone_is_added_to_the_default_scale(tmp_path: Path) -> None:
    values = random_dn(5, 7)
    path = write_scene(tmp_path / "a.tif", values, scale=None)
    with pytest.warns(GeomaskWarning, match=r"DN \* 0\.0001 .*, plus the offset -0\.1 that you"):
        reflectance, _ = read_all(path, offset=-0.1)
    np.testing.assert_allclose(reflectance, values * 1e-4 - 0.1, atol=1e-6)


def test_eight_bit_values_are_not_guessed_at(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", (random_dn(5, 7) // 50).astype("uint8"), scale=None)
    with pytest.raises(SceneError, match="state it with --scale and --offset"):
        open_scene(path)
    assert read_all(path, scale=1 / 255)[1].any()


def test_liss4_digital_numbers_are_not_guessed_at(tmp_path: Path) -> None:
    path = write_scene(
        tmp_path / "a.tif", random_dn(5, 7), bands=("BAND3", "BAND2", "BAND4"), scale=None
    )
    with pytest.raises(SceneError, match="LISS-4 digital numbers"):
        open_scene(path, sensor="liss4")


def test_a_pixel_missing_in_any_band_is_not_valid_and_only_those(tmp_path: Path) -> None:
    values = random_dn(6, 6)
    values[0, 1, 1] = values[1, 2, 2] = values[:, 3, 3] = 0
    path = write_scene(tmp_path / "a.tif", values, nodata=0)
    reflectance, valid = read_all(path)
    expected = np.ones((6, 6), dtype=bool)
    expected[[1, 2, 3], [1, 2, 3]] = False
    np.testing.assert_array_equal(valid, expected)
    np.testing.assert_array_equal(np.isnan(reflectance).any(axis=0), ~expected)
    _, valid = read_all(path, bands=("green", "nir"))
    assert valid[1, 1], "a band that is not read has no say"


def test_saturated_pixels_are_measured(tmp_path: Path) -> None:
    values = np.full((3, 4, 4), 65535, dtype=np.uint16)
    assert read_all(write_scene(tmp_path / "a.tif", values))[1].all()


@pytest.mark.parametrize("nodata", [np.nan, -9999.0, -3.4028234663852886e38, None])
def test_float_nodata_nan_and_infinity_are_not_measured(
    tmp_path: Path, nodata: float | None
) -> None:
    values = (random_dn(4, 4) / 1e4).astype(np.float32)
    values[0, 0, 0] = np.nan
    values[1, 1, 1] = np.inf
    values[2, 2, 2] = -np.inf
    if nodata is not None:
        values[2, 3, 3] = nodata
    path = write_scene(tmp_path / "a.tif", values, nodata=nodata, scale=0.5)
    _, valid = read_all(path)
    assert (~valid).sum() == (3 if nodata is None else 4)


def test_zero_everywhere_is_nodata_where_the_file_is_silent(tmp_path: Path) -> None:
    values = random_dn(4, 4)
    values[:, 0, 0] = 0
    values[0, 1, 1] = 0
    path = write_scene(tmp_path / "a.tif", values, nodata=None)
    with pytest.warns(GeomaskWarning, match="0 in every band"):
        scene = open_scene(path)
    _, valid = scene.read(Window(0, 0, 4, 4), ALL)
    assert not valid[0, 0]
    assert valid[1, 1]
    assert "default" in scene.provenance.nodata
    scene.close()
    assert read_all(path, nodata="none")[1].all()
    assert not read_all(path, nodata=0)[1][1, 1]


def test_a_sensor_brings_its_nodata_where_the_file_is_silent(tmp_path: Path) -> None:
    values = random_dn(4, 4)
    values[0, 1, 1] = 0
    path = write_scene(tmp_path / "a.tif", values, nodata=None)
    with open_scene(path, sensor="sentinel2") as scene:
        assert scene.provenance.nodata == "0, convention of Sentinel-2 MSI"
        assert not scene.read(Window(0, 0, 4, 4), ALL)[1][1, 1]


def test_a_closed_scene_reads_nothing(scene_file: Path) -> None:
    with open_scene(scene_file) as scene:
        pass
    with pytest.raises(SceneError, match="is closed"):
        scene.read(Window(0, 0, 4, 4), ALL)


def test_an_internal_mask_is_obeyed(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", random_dn(4, 4), nodata=None)
    keep = np.ones((4, 4), dtype=np.uint8)
    keep[2, 1] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(keep * 255)
    _, valid = read_all(path)
    np.testing.assert_array_equal(valid, keep == 1)


def test_an_alpha_band_is_obeyed_beside_any_number_of_bands(tmp_path: Path) -> None:
    values = random_dn(4, 4, bands=5)
    values[4] = 65535
    values[4, 2, 1] = 0
    path = write_scene(
        tmp_path / "a.tif", values, bands=("red", "green", "blue", "nir", None), nodata=None
    )
    with rasterio.open(path, "r+") as dataset:
        names = ("red", "green", "blue", "undefined", "alpha")
        dataset.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
    _, valid = read_all(path)
    expected = np.ones((4, 4), dtype=bool)
    expected[2, 1] = False
    np.testing.assert_array_equal(valid, expected)
    for nodata in ("none", 12_345):
        assert read_all(path, nodata=nodata)[1].all(), "the user overrules the file"


@pytest.mark.parametrize("nodata", [-1, 65536, 0.5, 1e10, float("inf")])
def test_a_nodata_that_no_pixel_can_be_is_refused(scene_file: Path, nodata: float) -> None:
    with pytest.raises(OptionError, match="since its bands are uint16"):
        open_scene(scene_file, nodata=nodata)


def test_an_impossible_nodata_of_a_file_is_ignored_aloud(tmp_path: Path, scene_file: Path) -> None:
    vrt = tmp_path / "odd.vrt"
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{index}"><Description>{name}</Description>'
        f"<NoDataValue>-9999</NoDataValue><Scale>0.0001</Scale><SimpleSource><SourceFilename>"
        f"{scene_file}</SourceFilename><SourceBand>{index}</SourceBand></SimpleSource>"
        "</VRTRasterBand>"
        for index, name in enumerate(ALL, 1)
    )
    vrt.write_text(
        '<VRTDataset rasterXSize="70" rasterYSize="50"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>500000,10,0,5000000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, valid = read_all(vrt)
    assert valid.all()
    told = " ".join(str(warning.message) for warning in caught)
    assert "cannot hold" in told or "0 in every band" in told


def test_a_vrt_of_different_types_is_read_in_one_that_holds_all(
    tmp_path: Path, scene_file: Path
) -> None:
    floats = (random_dn(50, 70, bands=1, seed=3) / 1e4).astype(np.float32)
    other = write_scene(tmp_path / "f.tif", floats, bands=("swir16",), scale=0.5)
    vrt = tmp_path / "mixed.vrt"
    sources = [("red", "UInt16", scene_file, "0.0001"), ("swir16", "Float32", other, "0.5")]
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{index}"><Description>{name}</Description>'
        f"<NoDataValue>0</NoDataValue><Scale>{scale}</Scale><SimpleSource><SourceFilename>{file}"
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for index, (name, kind, file, scale) in enumerate(sources, 1)
    )
    vrt.write_text(
        '<VRTDataset rasterXSize="70" rasterYSize="50"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>500000,10,0,5000000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    reflectance, _ = read_all(vrt, ("red", "swir16"))
    np.testing.assert_allclose(reflectance[0], random_dn(50, 70)[0] * 1e-4, atol=1e-6)
    np.testing.assert_allclose(reflectance[1], floats[0] * 0.5, atol=1e-6)
    with open_scene(vrt) as scene:
        assert {str(vrt), str(scene_file), str(other)} <= set(scene.files)


def test_control_points_are_not_a_grid(tmp_path: Path) -> None:
    point = rasterio.control.GroundControlPoint
    path = tmp_path / "a.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_scene(path, random_dn(4, 4), crs=None, transform=rasterio.Affine.identity())
        with rasterio.open(path, "r+") as dataset:
            corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
            dataset.gcps = [point(r, c, 10 * c, -10 * r) for r, c in corners], "EPSG:32633"
    with pytest.warns(GeomaskWarning, match="only control points"):
        open_scene(path).close()


def test_complex_data_are_refused(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", random_dn(4, 4).astype("complex64"), nodata=None)
    with pytest.raises(SceneError, match="complex64"):
        open_scene(path)


def test_bands_can_be_named_by_number(tmp_path: Path) -> None:
    values = random_dn(4, 4)
    path = write_scene(tmp_path / "a.tif", values, bands=(None, None, None))
    with open_scene(path, bands={"B08": 1, "green": 2, "red": 3}) as scene:
        reflectance, _ = scene.read(Window(0, 0, 4, 4), ("nir", "red"))
    np.testing.assert_allclose(reflectance, values[[0, 2]] * 1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("bands", "complaint"),
    [
        ({"red": 4}, "has bands 1 to 3, so no red=4"),
        ({"red": 0}, "no red=0"),
        ({"red": 2, "green": 2}, "gives a number twice"),
        ({"mauve": 1}, "'mauve' names no band"),
        ({"red": 1, "B04": 2}, "more than one band is called red"),
    ],
)
def test_wrong_band_numbers_are_refused(
    scene_file: Path, bands: dict[str, int], complaint: str
) -> None:
    with pytest.raises(BandError, match=complaint):
        open_scene(scene_file, bands=bands)


def test_names_that_contradict_the_file_s_own_are_told(scene_file: Path) -> None:
    told = r"band 2 calls itself green and is taken as red, band 1 calls itself red and is taken as"
    with pytest.warns(GeomaskWarning, match=told):
        open_scene(scene_file, bands={"red": 2, "green": 1, "nir": 3}).close()
    open_scene(scene_file, bands={"B04": 1, "nir": 3}).close()


def test_without_a_named_band_nothing_is_said_of_nodata(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(8, 8), bands=(None,) * 3, nodata=7)
    with open_scene(path) as scene:
        assert scene.provenance.nodata == "not known until bands are named"
    with open_scene(path, bands={"red": 1}) as scene:
        assert scene.provenance.nodata == "7, stated by the file"


def test_two_bands_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", random_dn(4, 4), bands=("red", "B04", "nir"))
    with pytest.raises(BandError, match="more than one band is called red"):
        open_scene(path)


def test_a_band_that_is_not_there_is_told_with_those_that_are(scene_file: Path) -> None:
    with open_scene(scene_file) as scene, pytest.raises(BandError, match=r"no band 'swir16'.*red"):
        scene.read(Window(0, 0, 1, 1), ("swir16",))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("absent.tif", "no such file"),
        ("", "is no product"),
        ("text.tif", "not a raster"),
    ],
)
def test_what_is_no_raster_is_refused(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "text.tif").write_text("hello")
    with pytest.raises(SceneError, match=complaint):
        open_scene(tmp_path / name)


def test_no_crs_is_a_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_scene(
            tmp_path / "a.tif", random_dn(4, 4), crs=None, transform=rasterio.Affine.identity()
        )
    with pytest.warns(GeomaskWarning, match="native pixels"):
        open_scene(path).close()


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"sensor": "modis"}, "unknown sensor"),
        ({"scale": 0.0}, "scale 0"),
        ({"scale": 1e-50}, "same reflectance"),
        ({"scale": float("nan")}, "not a finite number"),
        ({"offset": 1e39}, "not a finite number, or not in float32"),
        ({"nodata": "maybe"}, "neither a number nor"),
    ],
)
def test_what_the_user_states_is_checked(
    scene_file: Path, stated: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(OptionError, match=complaint):
        open_scene(scene_file, **stated)
