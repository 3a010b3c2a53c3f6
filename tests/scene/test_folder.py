"""Folders of band files: which file is which band, what its numbers mean, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from geomask import open_scene, predict_scene
from geomask.band_names import common_names, split_file_name
from geomask.errors import (
    BandError,
    GeomaskError,
    GeomaskWarning,
    OptionError,
    OutputError,
    SceneError,
)
from geomask.inference import prepare
from geomask.scene import Scene
from tests.conftest import identity_model, read
from tests.scene.products import read_bands, write_bands, write_jp2, write_safe, zip_folder

STATED: dict[str, Any] = {"scale": 1e-4, "offset": 0.0, "nodata": 0}
T31 = "T31UFS_20190411T105029"


def opened(path: Path, **stated: Any) -> Scene:
    """The scene, with the radiometry stated unless told otherwise."""
    return open_scene(path, **(STATED | stated))


def sources(path: Path, **stated: Any) -> dict[str, str]:
    """Which file each band is read from."""
    with opened(path, **stated) as scene:
        return {name: Path(band.path).name for name, band in scene.bands.items()}


# Names


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("x_B02.jp2", "x_B8A.jp2"), {"blue": "x_B02.jp2", "nir08": "x_B8A.jp2"}),
        (("B04.tif", "B03.TIF"), {"red": "B04.tif", "green": "B03.TIF"}),
        (("x_red.tif", "x_nir.tiff"), {"red": "x_red.tif", "nir": "x_nir.tiff"}),
        (("red.tif", "swir16.tif"), {"red": "red.tif", "swir16": "swir16.tif"}),
        ((f"{T31}_B04.jp2",), {"red": f"{T31}_B04.jp2"}),
        (("B04_10m.jp2", "B11_20m.jp2"), {"red": "B04_10m.jp2", "swir16": "B11_20m.jp2"}),
        (("L2A_T31UFS_20170411_B02_60m.tif",), {"blue": "L2A_T31UFS_20170411_B02_60m.tif"}),
        (("a b_B04.tif", "a b_B03.tif"), {"red": "a b_B04.tif", "green": "a b_B03.tif"}),
        (("S2.v2-B04.tif",), {"red": "S2.v2-B04.tif"}),
        (("x_b4.tif", "x_b3.tif"), {"red": "x_b4.tif", "green": "x_b3.tif"}),
        (
            ("R10m/x_B04_10m.tif", "R20m/x_B12_20m.tif"),
            {"red": "x_B04_10m.tif", "swir22": "x_B12_20m.tif"},
        ),
        (
            ("LC08_L2SP_1_20190411_SR_B4.TIF", "LC08_L2SP_1_20190411_SR_B5.TIF"),
            {"red": "LC08_L2SP_1_20190411_SR_B4.TIF", "nir": "LC08_L2SP_1_20190411_SR_B5.TIF"},
        ),
        (
            ("LC09_L1TP_1_20220411_B2.TIF", "LC09_L1TP_1_20220411_B8.TIF"),
            {"blue": "LC09_L1TP_1_20220411_B2.TIF", "pan": "LC09_L1TP_1_20220411_B8.TIF"},
        ),
        (
            (
                "HLS.S30.T31UFS.2019101T105029.v2.0.B8A.tif",
                "HLS.S30.T31UFS.2019101T105029.v2.0.B04.tif",
            ),
            {
                "nir08": "HLS.S30.T31UFS.2019101T105029.v2.0.B8A.tif",
                "red": "HLS.S30.T31UFS.2019101T105029.v2.0.B04.tif",
            },
        ),
    ],
)
def test_files_are_bands_by_their_names(
    tmp_path: Path, files: tuple[str, ...], expected: dict[str, str]
) -> None:
    folder = write_bands(tmp_path / "x", dict.fromkeys(files, 1000))
    found = sources(folder)
    assert {name: found[name] for name in expected} == expected
    assert set(found) - set(expected) <= {"nir"}, "a stand-in"


NOT_BANDS = (
    "x_SCL_20m.jp2",
    "x_AOT.tif",
    "x_TCI.tif",
    "x_WVP_10m.tif",
    "mask.tif",
    "x_clouds.tif",
    "x_NDVI.tif",
    "x_red_edge_1.tif",
    "x_rededge.tif",
    "x_band_4.tif",
    "x_4.tif",
    "x_B99.tif",
    "x_B4-B3.tif",
    "x_QA60.tif",
    "x_MSK_CLDPRB.tif",
    "x_infrared.tif",
    "x_SAA.tif",
    "x_B04.png",
    "x_B03.vrt",
    "x_B02.tif.aux.xml",
    "x_B02.tif.ovr",
    "x_B04.tif.part",
    "x_red.txt",
    "other/x_red.tif",
    "R10m/deeper/x_red.tif",
)


def test_files_that_are_no_bands_are_not_opened(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_green.tif": 1000, "x_nir.tif": 2000})
    for name in NOT_BANDS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no raster at all")
    assert sources(folder) == {"green": "x_green.tif", "nir": "x_nir.tif"}


@pytest.mark.parametrize(
    "names",
    [
        ("LT05_L1TP_1_20100411_B4.TIF", "LT05_L1TP_1_20100411_B3.TIF"),
        ("LE07_L2SP_1_20100411_SR_B4.TIF", "LE07_L2SP_1_20100411_SR_B3.TIF"),
        (
            "HLS.L30.T31UFS.2019101T105029.v2.0.B05.tif",
            "HLS.L30.T31UFS.2019101T105029.v2.0.B04.tif",
        ),
        ("mask.tif", "x_NDVI.tif"),
        ("x_SR_B4.tif",),
    ],
)
def test_names_of_other_numberings_give_no_band(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = write_bands(tmp_path / "x", dict.fromkeys(names, 1000))
    with pytest.raises(BandError, match=r"no product that geomask knows.*--sensor") as error:
        opened(folder)
    assert names[0] in str(error.value)


def test_thermal_and_quality_files_do_not_make_a_landsat_folder_two_scenes(tmp_path: Path) -> None:
    stem = "LC08_L2SP_198025_20190411_20200829_02_T1"
    files = [f"{stem}_{end}.TIF" for end in ("SR_B4", "SR_B5", "ST_B10", "QA_PIXEL", "ST_QA")]
    folder = write_bands(tmp_path / "x", dict.fromkeys(files, 1000))
    assert sources(folder) == {"red": files[0], "nir": files[1]}


def test_b8_alone_among_b2_b3_and_b4_is_not_guessed(tmp_path: Path) -> None:
    names = ("x_B2.tif", "x_B3.tif", "x_B4.tif", "x_B8.tif")
    folder = write_bands(tmp_path / "x", dict.fromkeys(names, 1000))
    assert set(sources(folder)) == {"blue", "green", "red"}
    assert sources(folder, sensor="sentinel2")["nir"] == "x_B8.tif"
    assert sources(folder, sensor="landsat")["pan"] == "x_B8.tif"
    write_bands(folder, {"x_B8A.tif": 1000})
    assert sources(folder)["nir"] == "x_B8.tif", "which only Sentinel-2 has"


def test_a_stand_in_for_nir_says_so(tmp_path: Path) -> None:
    folder = write_bands(
        tmp_path / "x", {"x_B04.tif": 1000, "x_B8A.tif": 2000}, size={"x_B8A.tif": 20}
    )
    with opened(folder) as scene:
        assert scene.bands["nir"].source == "B8A standing in for nir, which is absent"


@pytest.mark.parametrize(
    ("name", "rest", "band"),
    [
        ("T31_B04_10m.jp2", "T31", "B04"),
        ("B04.tif", "", "B04"),
        ("_B04.tif", "", "B04"),
        ("LC08_SR_B4.TIF", "LC08", "SR_B4"),
        ("LC08_L2SP_ST_B10.TIF", "LC08_L2SP", "ST_B10"),
        ("SR_B4.TIF", "", "SR_B4"),
        ("T31_S2_SR_B4.tif", "T31_S2_SR", "B4"),
        ("LT05_L1TP_B4.TIF", "LT05_L1TP_B4", ""),
        ("HLS.L30.T31UFS.v2.0.B05.tif", "HLS.L30.T31UFS.v2.0.B05", ""),
        ("x_B4_red.tif", "x", "B4_red"),
        ("x_B4-B3.tif", "x", "B4-B3"),
        ("red.nir.tif", "", "red.nir"),
        ("x_infrared.tif", "x", "infrared"),
        ("x_.tif", "x_", ""),
    ],
)
def test_a_files_name_is_its_scenes_and_its_bands(name: str, rest: str, band: str) -> None:
    assert split_file_name(name) == (rest, band)


@given(
    st.from_regex(r"[A-Za-z0-9_.\- ]{0,12}", fullmatch=True),
    st.sampled_from(["B04", "B8A", "B11", "red", "nir"]),
    st.sampled_from(["", "_10m", "_60m"]),
    st.sampled_from([".tif", ".TIFF", ".jp2"]),
)
@settings(max_examples=300, deadline=None)
def test_splitting_a_name_loses_nothing(rest: str, band: str, size: str, end: str) -> None:
    found = split_file_name(f"{rest}_{band}{size}{end}")
    assert f"{rest}_{band}".startswith(found[0])
    assert f"{rest}_{band}".endswith(found[1])
    own = {"B04": "red", "B8A": "nir08", "B11": "swir16"}.get(band, band)
    assert common_names([found[1]])[0] in (None, own)


# Which files go together


def test_files_of_two_scenes_are_refused_naming_them(tmp_path: Path) -> None:
    names = (f"{T31}_B04.tif", "T31UFS_20190416T105029_B03.tif")
    folder = write_bands(tmp_path / "x", dict.fromkeys(names, 1000))
    with pytest.raises(BandError, match=f"several scenes, named '{T31}', 'T31UFS_20190416T"):
        opened(folder)


@pytest.mark.parametrize(
    "names",
    [
        ("x_B04.tif", "x_B04.jp2"),
        ("x_B04.tif", "x_B4.tif"),
        ("x_B04.tif", "x_red.tif"),
        ("x_B04.tif", "R10m/x_B04_10m.tif"),
    ],
)
def test_one_band_in_two_files_of_one_resolution_is_refused_naming_both(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    folder = write_bands(tmp_path / "x", dict.fromkeys(names, 1000))
    with pytest.raises(BandError, match="both red; give a folder with one file per band") as error:
        opened(folder)
    assert all(name in str(error.value) for name in names)


def test_the_finest_file_of_a_band_is_read_unless_a_grid_is_given(tmp_path: Path) -> None:
    files = {"x_B04_10m.tif": 1000, "x_B04_20m.tif": 2000, "x_B04_60m.tif": 3000}
    sizes = {"x_B04_20m.tif": 20, "x_B04_60m.tif": 60}
    folder = write_bands(tmp_path / "x", files, size=sizes)
    assert sources(folder) == {"red": "x_B04_10m.tif"}
    assert sources(folder, grid=60) == {"red": "x_B04_60m.tif"}
    with pytest.raises(OptionError, match="no spectral band at 30 m, only at 10, 20, 60 m"):
        opened(folder, grid=30)


def test_another_coordinate_reference_system_is_refused_naming_both_files(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000})
    write_bands(folder, {"x_B03.tif": 1000}, crs="EPSG:32644")
    with pytest.raises(
        SceneError, match=r"x_B03\.tif is in EPSG:32644 and .*x_B04\.tif in EPSG:32645"
    ):
        opened(folder)
    write_bands(folder, {"x_B03.tif": 1000}, crs=None)
    with pytest.raises(SceneError, match=r"x_B03\.tif is in no CRS and .*x_B04\.tif in EPSG:32645"):
        opened(folder)


def test_a_folder_without_any_crs_is_warned_of(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000, "x_B03.tif": 2000}, crs=None)
    with pytest.warns(GeomaskWarning, match="has no coordinate reference system"):
        opened(folder).close()


def test_files_without_georeferencing_and_of_different_sizes_are_refused(tmp_path: Path) -> None:
    """Nothing says that a pixel of one is four of the other."""
    folder = tmp_path / "x"
    folder.mkdir()
    for name, side in (("x_B04.tif", 36), ("x_B11.tif", 18)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with rasterio.open(
                folder / name, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint16"
            ) as dataset:
                dataset.write(np.ones((1, side, side), np.uint16))
    with pytest.raises(SceneError, match="not north-up, and differs"):
        opened(folder)


def test_a_file_of_several_bands_that_is_named_as_one_is_refused(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000})
    write_jp2(folder / "x_B03.jp2", np.ones((3, 36, 36), np.uint8), 10, crs="EPSG:32645")
    with pytest.raises(
        SceneError, match=r"x_B03\.jp2: has 3 bands, and is named as if it were B03"
    ):
        opened(folder)


def test_a_vrt_is_not_looked_at_whatever_it_is_called(tmp_path: Path) -> None:
    secret = write_bands(tmp_path / "elsewhere", {"secret.tif": 1000}) / "secret.tif"
    text = (
        '<VRTDataset rasterXSize="36" rasterYSize="36"><VRTRasterBand dataType="UInt16" band="1">'
        f"<SimpleSource><SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000})
    (folder / "x_B03.vrt").write_text(text)
    assert set(sources(folder)) == {"red"}
    (folder / "x_B03.tif").write_text(text)
    with pytest.raises(SceneError, match=r"x_B03\.tif: is not a raster that GDAL can open as"):
        opened(folder)


def test_a_file_that_is_no_raster_is_named(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000})
    (folder / "x_B03.tif").write_bytes(b"")
    with pytest.raises(SceneError, match=r"x_B03\.tif: is not a raster that GDAL can open"):
        opened(folder)


def test_bands_by_number_are_refused(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000})
    with pytest.raises(OptionError, match="--bands has nothing to number"):
        opened(folder, bands={"red": 1})


def test_a_folder_with_one_band_says_what_a_model_needs(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000})
    with (
        opened(folder) as scene,
        pytest.raises(BandError, match=r"needs the bands red, green, nir"),
    ):
        prepare(scene, identity_model())


# Grids


def test_native_resolutions_are_brought_together(tmp_path: Path) -> None:
    ramp = np.tile(1000 + 100 * np.arange(18, dtype=np.uint16), (18, 1))
    folder = write_bands(
        tmp_path / "x",
        {"x_B04.tif": 1000, "x_B11.tif": ramp, "x_B09.jp2": 4000},
        size={"x_B11.tif": 20, "x_B09.jp2": 60},
    )
    with opened(folder) as scene:
        assert scene.grid.shape == (36, 36)
        values, valid = scene.read(Window(0, 0, 36, 36), ("red", "swir16", "nir09"))
        assert valid.all()
        # Bilinear: column 4 lies a quarter of a pixel left of the centre of B11's column 2.
        np.testing.assert_allclose(values[1, 7, 3:6], [0.1125, 0.1175, 0.1225], atol=1e-6)
        np.testing.assert_allclose(values[2], 0.4, atol=1e-6)
        assert scene.for_bands(("swir16", "nir09")).grid.shape == (18, 18)


def test_a_coarse_band_that_ends_earlier_is_nodata_beyond_its_end(tmp_path: Path) -> None:
    folder = write_bands(
        tmp_path / "x",
        {"x_B04.tif": 1000, "x_B11.tif": np.full((18, 10), 2000, np.uint16)},
        size={"x_B11.tif": 20},
    )
    _, valid = read_bands(folder, ("red", "swir16"), **STATED)
    expected = np.zeros((36, 36), dtype=bool)
    expected[:, :20] = True
    np.testing.assert_array_equal(valid, expected)
    assert read_bands(folder, ("red",), **STATED)[1].all()


def test_a_mask_of_a_folder_and_of_its_zip(tmp_path: Path) -> None:
    green = np.full((36, 36), 500, np.uint16)
    green[:6] = 9000
    green[35, 35] = 0
    folder = write_bands(tmp_path / "x", {"B04.jp2": 1000, "B03.tif": green, "B08.tif": 2000})
    expected = np.full((36, 36), 2, np.uint8)
    expected[:6] = 1
    expected[35, 35] = 255
    for path in (folder, zip_folder(folder, tmp_path / "x.zip")):
        with opened(path) as scene:
            predict_scene(scene, tmp_path / "m.tif", model=identity_model(), overwrite=True)
        np.testing.assert_array_equal(read(tmp_path / "m.tif"), expected)


def test_a_mask_among_the_bands_can_be_made_again_and_replaces_none(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"B04.tif": 1000, "B03.tif": 3000, "B08.tif": 2000})
    for out in (folder / "mask.tif", folder / "mask.tif"):
        with opened(folder) as scene:
            predict_scene(scene, out, model=identity_model(), overwrite=True)
    with opened(folder) as scene, pytest.raises(OutputError, match=r"B04\.tif: is an input"):
        predict_scene(scene, folder / "B04.tif", model=identity_model(), overwrite=True)


# What the numbers mean


def test_defaults_are_warned_of_and_stand_in_the_radiometry(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000, "x_B8A.tif": 2000})
    with (
        pytest.warns(GeomaskWarning, match="need --scale 0.0001 --offset -0.1"),
        pytest.warns(GeomaskWarning, match="0 in every band"),
    ):
        scene = open_scene(folder)
    with scene:
        assert scene.kind == "folder of band files"
        assert scene.radiometry(("red",)) == (
            "reflectance = DN * 0.0001 + 0 "
            "(default: DN * 0.0001, no offset; the file states nothing)"
        )
        values, _ = scene.read(Window(0, 0, 36, 36), ("red", "nir08"))
        np.testing.assert_allclose(values[:, 0, 0], [0.1, 0.2], atol=1e-6)


def test_names_of_sentinel_2_bring_its_nodata(tmp_path: Path) -> None:
    red = np.full((36, 36), 1000, np.uint16)
    red[1, 1] = 0
    folder = write_bands(tmp_path / "x", {f"{T31}_B04.tif": red, f"{T31}_B03.tif": 1000})
    with pytest.warns(GeomaskWarning, match="states no scale or offset"):
        scene = open_scene(folder)
    with scene:
        assert scene.provenance.nodata == "0, convention of Sentinel-2 MSI"
        assert not scene.read(Window(0, 0, 36, 36), ("red", "green"))[1][1, 1]


def test_what_the_files_state_is_taken(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000, "x_B03.tif": 2000}, nodata=7)
    for name, offset in (("x_B04.tif", -0.05), ("x_B03.tif", -0.1)):
        with rasterio.open(folder / name, "r+") as dataset:
            dataset.scales, dataset.offsets = [2e-4], [offset]
    values, valid = read_bands(folder, ("red", "green"))
    np.testing.assert_allclose(values[:, 0, 0], [0.15, 0.3], atol=1e-6)
    assert valid.all()
    with open_scene(folder) as scene:
        assert scene.provenance.nodata == "7, stated by the file"


def test_files_that_only_partly_say_what_they_are_are_refused(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B04.tif": 1000, "x_B03.tif": 2000})
    with rasterio.open(folder / "x_B04.tif", "r+") as dataset:
        dataset.scales = [2e-4]
    with pytest.raises(SceneError, match="for red and none for green"):
        open_scene(folder)


def _files_of_different_nodata(folder: Path, names: str, nodata: dict[str, int]) -> Path:
    """Constant band files, some of which say that a value is nodata."""
    write_bands(folder, {names.format(band): 1000 for band in ("B02", "B03", "B04")})
    for band, value in nodata.items():
        with rasterio.open(folder / names.format(band), "r+") as dataset:
            dataset.nodata = value
    return folder


def test_a_band_that_states_no_nodata_follows_the_others(tmp_path: Path) -> None:
    folder = _files_of_different_nodata(tmp_path / "x", "x_{}.tif", {"B03": 7, "B04": 7})
    write_bands(folder, {"x_B02.tif": 7})
    _, valid = read_bands(folder, ("blue",), scale=1e-4, offset=0)
    assert not valid.any()
    with opened(folder, nodata=None) as scene:
        assert scene.provenance.nodata == "7, stated by the file, for blue too"


def test_a_sensors_convention_holds_for_a_band_that_states_no_nodata(tmp_path: Path) -> None:
    folder = _files_of_different_nodata(tmp_path / "x", T31 + "_{}.tif", {"B03": 7, "B04": 8})
    write_bands(folder, {T31 + "_B02.tif": 0})
    assert not read_bands(folder, ("blue",), scale=1e-4, offset=0)[1].any()


def test_a_band_without_nodata_beside_others_that_disagree_is_refused(tmp_path: Path) -> None:
    folder = _files_of_different_nodata(tmp_path / "x", "x_{}.tif", {"B03": 7, "B04": 8})
    with pytest.raises(SceneError, match=r"no nodata for blue, and for other bands 7, 8.*--nodata"):
        opened(folder, nodata=None)
    assert read_bands(folder, ("blue",), **STATED)[1].all()


def test_integers_beside_floats_are_not_guessed_at(tmp_path: Path) -> None:
    write_bands(
        tmp_path / "x", {"x_B03.tif": 1000, "x_B04.tif": np.full((72, 72), 0.1, np.float32)}
    )
    with pytest.raises(SceneError, match=r"green is uint16 but red float32.*scale and offset"):
        open_scene(tmp_path / "x")


def test_bands_without_ground_in_common_are_of_two_scenes(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"x_B03.tif": 1000, "x_B04.tif": 2000})
    with rasterio.open(folder / "x_B04.tif", "r+") as dataset:
        side = dataset.width * dataset.transform.a
        dataset.transform = Affine.translation(side, 0) @ dataset.transform
    with pytest.raises(SceneError, match=r"x_B0[34]\.tif and .*x_B0[34]\.tif cover no ground"):
        opened(folder)
    with rasterio.open(folder / "x_B04.tif", "r+") as dataset:
        dataset.transform = Affine.translation(-10, 0) @ dataset.transform
    assert opened(folder).bands


def test_landsat_numbers_are_not_guessed_at(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / "x", {"LC08_L1TP_1_20190411_B4.TIF": 9000})
    with pytest.raises(SceneError, match=r"Landsat 8/9 OLI digital numbers.*--scale and --offset"):
        open_scene(folder)
    values, _ = read_bands(folder, ("red",), scale=2e-5, offset=-0.1)
    np.testing.assert_allclose(values, 0.08, atol=1e-6)


def dated(folder: Path, name: str = "B04.tif") -> Path:
    return write_bands(folder, {name: 1000, name.replace("B04", "B03"): 2000})


RECENT = [
    "T31UFS_20220125T105029_B04.tif",
    "T31UFS_20230101T105029_B04_10m.jp2",
    "S2B_MSIL1C_20220125T105029_N0301_R051_T31UFS_20220125T120000_B04.tif",
    "S2B_52SFA_20220126_0_L2A_B04.tif",
    "s2c_20990101_B04.tif",
]
OLD = [
    "T31UFS_20220124T105029_B04.tif",
    "S2A_MSIL1C_20190411T105031_N0207_R051_T31UFS_20190411T130806_B04.tif",
    "x_20230101_B04.tif",
    "LC12_20230101_B04.tif",
]


@pytest.mark.parametrize("name", RECENT)
def test_files_named_as_sentinel_2_since_2022_01_25_are_refused(tmp_path: Path, name: str) -> None:
    folder = dated(tmp_path / "x", name)
    with pytest.raises(
        SceneError, match=r"since 2022-01-25.*--scale 0.0001 --offset -0.1.*--offset 0"
    ) as e:
        open_scene(folder)
    assert "named as Sentinel-2 MSI" in str(e.value)
    with pytest.raises(SceneError, match="since 2022-01-25"):
        open_scene(folder, scale=1e-4)
    np.testing.assert_allclose(
        read_bands(folder, ("red",), scale=1e-4, offset=-0.1)[0], 0.0, atol=1e-6
    )


@pytest.mark.parametrize("name", OLD)
@pytest.mark.filterwarnings("ignore::geomask.errors.GeomaskWarning")
def test_files_named_as_before_are_not(tmp_path: Path, name: str) -> None:
    folder = dated(tmp_path / "x", name)
    np.testing.assert_allclose(read_bands(folder, ("red",))[0], 0.1, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["S2B_MSIL1C_20230101T105339_N0509_R051", "S2B_52SFA_20220126_0_L2A"]
)
@pytest.mark.parametrize("given_as", ["folder", "slash", "zip"])
def test_the_date_in_a_folders_own_name_counts(tmp_path: Path, name: str, given_as: str) -> None:
    folder = dated(tmp_path / name)
    path = zip_folder(folder, tmp_path / f"{name}.zip", within="") if given_as == "zip" else folder
    with pytest.raises(SceneError, match="since 2022-01-25"):
        open_scene(f"{path}/" if given_as == "slash" else path)


@pytest.mark.filterwarnings("ignore::geomask.errors.GeomaskWarning")
@pytest.mark.parametrize("given_as", ["dot", "inside a zip", "parent"])
def test_the_date_in_a_folders_name_counts_however_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_as: str
) -> None:
    folder = dated(tmp_path / "S2B_MSIL1C_20230101T105339_N0509_R051")
    path: str | Path = "."
    if given_as == "dot":
        monkeypatch.chdir(folder)
    elif given_as == "parent":
        path = dated(folder / "bands")
    else:
        path = zip_folder(folder, tmp_path / "download.zip")
    with pytest.raises(SceneError, match="since 2022-01-25"):
        open_scene(path)


@pytest.mark.filterwarnings("ignore::geomask.errors.GeomaskWarning")
@pytest.mark.parametrize(
    "name",
    [
        "S2A_MSIL1C_20190411T105031_N0500_R051_T31UFS_20230601T120000",  # Collection 1
        "20230301T105029_20230301T105030_T31UFS",  # Earth Engine
    ],
)
def test_other_names_that_mean_an_offset_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SceneError, match="offset"):
        open_scene(dated(tmp_path / name))


def test_the_images_of_a_product_alone_are_not_guessed_at(tmp_path: Path) -> None:
    safe = write_safe(tmp_path, "L2A")
    folder = safe.granule / "IMG_DATA"
    with pytest.raises(SceneError, match="since 2022-01-25"):
        open_scene(folder)
    with open_scene(folder, scale=1e-4, offset=-0.1, grid=20) as scene:
        assert scene.grid.shape == (18, 18)
        values, _ = scene.read(Window(0, 0, 18, 18), ("red", "nir"))
        np.testing.assert_allclose(values[:, 9, 9], [0.0320, 0.0710], atol=1e-6)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_names_are_a_scene_or_one_of_our_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    words = st.sampled_from(
        ["B04", "B8", "B8A", "red", "T31UFS", "LC08", "LT05", "SR", "10m", "x", ""]
    )
    joined = st.lists(words, min_size=1, max_size=4).map("_".join)
    ends = st.sampled_from([".tif", ".jp2", ".TIF", ".tiff"])
    names = data.draw(
        st.lists(st.tuples(joined, ends).map("".join), min_size=1, max_size=4, unique=True)
    )
    folder = write_bands(tmp_path_factory.mktemp("names"), dict.fromkeys(names, 1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        try:
            with open_scene(folder) as scene:
                shape = scene.read(Window(0, 0, 36, 36), scene.band_names)[1].shape
        except GeomaskError:
            return
    assert shape == (36, 36)
