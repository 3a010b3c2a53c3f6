"""Landsat: reflectance by hand at both levels, every refusal, and MTL files that were damaged."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from geomask.errors import BandError, GeomaskError, OptionError, SceneError
from geomask.scene.delivery import find_delivery
from geomask.scene.landsat import open_landsat
from geomask.scene.scene import Scene
from geomask.scene.stated import Stated
from tests.conftest import write_scene

COMMON = ("coastal", "blue", "green", "red", "nir", "swir16", "swir22", "pan", "cirrus")
"""Bands 1 to 9."""

L1, L2 = "LC08_L1TP_195028_20200507_20200820_02_T1", "LC08_L2SP_195028_20200507_20200820_02_T1"

DN = np.array([[0, 1, 10_000], [65_535, 25_000, 7273]], dtype=np.uint16)

Groups = dict[str, dict[str, str]]


def level1_groups(product: str = L1) -> Groups:
    """The groups of a level 1 MTL file, shortened; numbers as USGS writes them."""
    files = {f"FILE_NAME_BAND_{n}": f'"{product}_B{n}.TIF"' for n in range(1, 12)}
    return {
        "PRODUCT_CONTENTS": {
            "ORIGIN": '"Image courtesy of the U.S. Geological Survey"',
            "DIGITAL_OBJECT_IDENTIFIER": '"https://doi.org/10.5066/P975CC9B"',
            "LANDSAT_PRODUCT_ID": f'"{product}"',
            "PROCESSING_LEVEL": '"L1TP"',
            "COLLECTION_NUMBER": "02",
            "COLLECTION_CATEGORY": '"T1"',
            "OUTPUT_FORMAT": '"GEOTIFF"',
            **files,
            "FILE_NAME_QUALITY_L1_PIXEL": f'"{product}_QA_PIXEL.TIF"',
            "DATA_TYPE_BAND_1": '"UINT16"',
        },
        "IMAGE_ATTRIBUTES": {
            "SPACECRAFT_ID": '"LANDSAT_8"',
            "SENSOR_ID": '"OLI_TIRS"',
            "DATE_ACQUIRED": "2020-05-07",
            "SCENE_CENTER_TIME": '"10:16:18.4807910Z"',
            "SUN_AZIMUTH": "-39.71362413",
            "SUN_ELEVATION": "30.00000000",
            "EARTH_SUN_DISTANCE": "1.0091337",
        },
        "PROJECTION_ATTRIBUTES": {"MAP_PROJECTION": '"UTM"', "UTM_ZONE": "32"},
        "LEVEL1_PROCESSING_RECORD": {
            "LANDSAT_PRODUCT_ID": f'"{L1}"',
            "PROCESSING_LEVEL": '"L1TP"',
            **{f"FILE_NAME_BAND_{n}": f'"{L1}_B{n}.TIF"' for n in range(1, 12)},
        },
        "LEVEL1_MIN_MAX_REFLECTANCE": {"REFLECTANCE_MAXIMUM_BAND_1": "1.210700"},
        "LEVEL1_RADIOMETRIC_RESCALING": {
            **{f"RADIANCE_MULT_BAND_{n}": "1.2357E-02" for n in range(1, 12)},
            **{f"REFLECTANCE_MULT_BAND_{n}": "2.0000E-05" for n in range(1, 10)},
            **{f"REFLECTANCE_ADD_BAND_{n}": "-0.100000" for n in range(1, 10)},
        },
        "LEVEL1_THERMAL_CONSTANTS": {"K1_CONSTANT_BAND_10": "774.8853"},
    }


def level2_groups() -> Groups:
    """The groups of a level 2 MTL file, which hold those of the level 1 it was made from."""
    groups = level1_groups()
    contents = {
        key: value
        for key, value in groups["PRODUCT_CONTENTS"].items()
        if not key.startswith("FILE_NAME_BAND")
    }
    contents |= {f"FILE_NAME_BAND_{n}": f'"{L2}_SR_B{n}.TIF"' for n in range(1, 8)}
    contents |= {
        "FILE_NAME_BAND_ST_B10": f'"{L2}_ST_B10.TIF"',
        "LANDSAT_PRODUCT_ID": f'"{L2}"',
        "PROCESSING_LEVEL": '"L2SP"',
    }
    return {
        "PRODUCT_CONTENTS": contents,
        "IMAGE_ATTRIBUTES": groups["IMAGE_ATTRIBUTES"],
        "PROJECTION_ATTRIBUTES": groups["PROJECTION_ATTRIBUTES"],
        "LEVEL2_PROCESSING_RECORD": {"PROCESSING_LEVEL": '"L2SP"', "REQUEST_ID": '"L2"'},
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {
            **{f"REFLECTANCE_MAXIMUM_BAND_{n}": "1.602213" for n in range(1, 8)},
            **{f"REFLECTANCE_MULT_BAND_{n}": "2.75e-05" for n in range(1, 8)},
            **{f"REFLECTANCE_ADD_BAND_{n}": "-0.2" for n in range(1, 8)},
        },
        "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS": {
            "TEMPERATURE_MULT_BAND_ST_B10": "0.00341802",
            "TEMPERATURE_ADD_BAND_ST_B10": "149.0",
        },
        **{name: values for name, values in groups.items() if name.startswith("LEVEL1")},
    }


def odl(groups: Groups, root: str = "LANDSAT_METADATA_FILE") -> str:
    lines = [f"GROUP = {root}"]
    for name, values in groups.items():
        lines.append(f"  GROUP = {name}")
        lines += [f"    {key} = {value}" for key, value in values.items()]
        lines.append(f"  END_GROUP = {name}")
    return "\n".join([*lines, f"END_GROUP = {root}", "END\n"])


def write_bands(folder: Path, stem: str, count: int, dn: Any = DN, **profile: Any) -> None:
    """Band files: 30 m pixels, and the panchromatic band's of 15 m, half a 30 m pixel off."""
    for n in range(1, count + 1):
        pan = n == 8
        write_scene(
            folder / f"{stem}B{n}.TIF",
            (np.kron(dn, np.ones((2, 2), dn.dtype)) if pan else dn)[None],
            bands=(None,),
            nodata=None,
            transform=Affine(15, 0, 300_007.5, 0, -15, 4_999_992.5)
            if pan
            else Affine(30, 0, 300_000, 0, -30, 5_000_000),
            **{"scale": None, **profile},
        )


Changes = Mapping[str, Mapping[str, str | None]]


def changed(groups: Groups, changes: Changes) -> Groups:
    """Groups with some values replaced, or left out where None."""
    merged: dict[str, dict[str, str | None]] = {
        name: {**values, **changes.get(name, {})} for name, values in groups.items()
    }
    return {
        name: {key: value for key, value in values.items() if value is not None}
        for name, values in merged.items()
    }


def write_level1(folder: Path, changes: Changes | None = None, **bands: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_bands(folder, f"{L1}_", 9, **bands)
    (folder / f"{L1}_MTL.txt").write_text(odl(changed(level1_groups(), changes or {})))
    return folder


def write_level2(folder: Path, changes: Changes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_bands(folder, f"{L2}_SR_", 7)
    (folder / f"{L2}_MTL.txt").write_text(odl(changed(level2_groups(), changes or {})))
    return folder


def open_product(path: Path, **stated: Any) -> Scene:
    delivery = find_delivery(str(path))
    assert delivery is not None
    scene = open_landsat(delivery, Stated(**stated))
    assert scene is not None
    return scene


def read_some(path: Path, bands: tuple[str, ...] = ("red",), **stated: Any) -> tuple[Any, Any]:
    """The upper left 3 x 2 pixels on those bands' own grid."""
    with open_product(path, **stated) as scene:
        return scene.for_bands(bands).read(Window(0, 0, 3, 2), bands)


def test_level_1_is_divided_by_the_sine_of_the_suns_elevation(tmp_path: Path) -> None:
    bands = tuple(name for name in COMMON if name != "pan")
    reflectance, valid = read_some(write_level1(tmp_path), bands)
    # (DN * 0.00002 - 0.1) / sin 30 degrees
    expected = [[np.nan, -0.19996, 0.2], [2.4214, 0.8, 0.09092]]
    np.testing.assert_allclose(reflectance, [expected] * 8, atol=1e-6)
    np.testing.assert_array_equal(valid, [[False, True, True], [True, True, True]])


def test_level_2_is_not_and_takes_its_own_rescaling(tmp_path: Path) -> None:
    reflectance, valid = read_some(write_level2(tmp_path), COMMON[:7])
    # DN * 0.0000275 - 0.2
    expected = [[np.nan, -0.1999725, 0.075], [1.6022125, 0.4875, 0.0000075]]
    np.testing.assert_allclose(reflectance, [expected] * 7, atol=1e-6)
    np.testing.assert_array_equal(valid, [[False, True, True], [True, True, True]])


def test_every_band_takes_its_own_numbers(tmp_path: Path) -> None:
    changes = {
        "LEVEL1_RADIOMETRIC_RESCALING": {
            "REFLECTANCE_MULT_BAND_4": "3.0000E-05",
            "REFLECTANCE_ADD_BAND_5": "-0.200000",
        }
    }
    reflectance, _ = read_some(write_level1(tmp_path, changes), ("blue", "red", "nir"))
    # (0.2 - 0.1) / 0.5, (0.3 - 0.1) / 0.5, (0.2 - 0.2) / 0.5
    np.testing.assert_allclose(reflectance[:, 0, 2], [0.2, 0.4, 0.0], atol=1e-6)


def test_the_panchromatic_band_has_a_grid_of_its_own(tmp_path: Path) -> None:
    with open_product(write_level1(tmp_path)) as scene:
        assert scene.band_names == COMMON
        assert scene.grid.transform == Affine(15, 0, 300_007.5, 0, -15, 4_999_992.5)
        assert scene.for_bands(("red",)).grid.transform == Affine(30, 0, 300_000, 0, -30, 5_000_000)
        reflectance, valid = scene.read(Window(2, 2, 2, 2), ("pan",))
        np.testing.assert_allclose(reflectance[0], np.full((2, 2), 0.8), atol=1e-6)
        assert valid.all()
        both, valid = scene.read(Window(2, 2, 2, 2), ("pan", "red"))
        # The first lies in the middle of a red pixel, the second between two of 0.8 and 0.09092.
        np.testing.assert_allclose(both[1, 0], [0.8, 0.44546], atol=1e-6)
        assert valid[0].all()


def test_the_user_says_what_is_nodata(tmp_path: Path) -> None:
    _, valid = read_some(write_level1(tmp_path), nodata="none")
    assert valid.all()


def test_what_was_read_is_said(tmp_path: Path) -> None:
    with open_product(write_level1(tmp_path / "1")) as scene:
        assert scene.kind == "Landsat 8 L1TP"
        assert scene.provenance.radiometry == (
            f"{L1}_MTL.txt: REFLECTANCE_MULT and REFLECTANCE_ADD by band of "
            "LEVEL1_RADIOMETRIC_RESCALING, divided by the sine of SUN_ELEVATION 30"
        )
        assert scene.provenance.nodata == "0, fill of Landsat collection 2"
        assert scene.acquisition.known() == {
            "platform": "Landsat 8",
            "level": "L1TP",
            "product": L1,
            "time": "2020-05-07T10:16:18.4807910Z",
            "sun_elevation": 30.0,
            "sun_azimuth": pytest.approx(320.28637587),
        }
        assert set(scene.files) == {str(path) for path in (tmp_path / "1").iterdir()}
    changes = {"IMAGE_ATTRIBUTES": {"SPACECRAFT_ID": '"LANDSAT_9"'}}
    with open_product(write_level2(tmp_path / "2", changes)) as scene:
        assert scene.kind == "Landsat 9 L2SP"
        assert scene.acquisition.platform == "Landsat 9"
        assert scene.provenance.radiometry == (
            f"{L2}_MTL.txt: REFLECTANCE_MULT and REFLECTANCE_ADD by band of "
            "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"
        )
        assert scene.band_names == COMMON[:7]
        assert [band.source for band in scene.bands.values()] == [f"B{n}" for n in range(1, 8)]


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("2020-05-07", "noon", "2020-05-07"),
        ("yesterday", '"10:16:18.4807910Z"', None),
        (None, '"10:16:18.4807910Z"', None),
    ],
)
def test_a_time_that_cannot_be_read_is_left_out(
    tmp_path: Path, day: str | None, time: str, expected: str | None
) -> None:
    changes = {"IMAGE_ATTRIBUTES": {"DATE_ACQUIRED": day, "SCENE_CENTER_TIME": time}}
    with open_product(write_level1(tmp_path, changes)) as scene:
        assert scene.acquisition.time == expected


def test_level_2_needs_no_sun(tmp_path: Path) -> None:
    changes = {"IMAGE_ATTRIBUTES": {"SUN_ELEVATION": "low", "SUN_AZIMUTH": None}}
    with open_product(write_level2(tmp_path, changes)) as scene:
        assert scene.acquisition.sun_elevation is None
        assert scene.acquisition.sun_azimuth is None


@pytest.mark.parametrize("level", ["L1TP", "L1GT", "L1GS"])
def test_all_of_level_1_is_read_alike(tmp_path: Path, level: str) -> None:
    changes = {"PRODUCT_CONTENTS": {"PROCESSING_LEVEL": f'"{level}"'}}
    reflectance, _ = read_some(write_level1(tmp_path, changes))
    assert reflectance[0, 0, 2] == pytest.approx(0.2, abs=1e-6)


def test_surface_reflectance_alone_is_level_2_as_well(tmp_path: Path) -> None:
    changes = {"PRODUCT_CONTENTS": {"PROCESSING_LEVEL": '"L2SR"'}}
    reflectance, _ = read_some(write_level2(tmp_path, changes))
    assert reflectance[0, 0, 2] == pytest.approx(0.075, abs=1e-6)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace('"', ""),
        lambda text: text.replace(" = ", "="),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("    ", "\t") + "GROUP = WHAT_FOLLOWS_END\n",
        lambda text: text.replace("\n", " \n\n"),
        lambda text: text.removesuffix("END\n"),
    ],
)
def test_how_the_file_is_written_changes_nothing(tmp_path: Path, rewrite: Any) -> None:
    path = write_level2(tmp_path)
    text = rewrite(odl(level2_groups()))
    (path / f"{L2}_MTL.txt").write_bytes(text.encode())
    reflectance, _ = read_some(path)
    assert reflectance[0, 0, 2] == pytest.approx(0.075, abs=1e-6)


def test_the_metadata_file_stands_for_its_folder(tmp_path: Path) -> None:
    reflectance, _ = read_some(write_level1(tmp_path) / f"{L1}_MTL.txt")
    assert reflectance[0, 0, 2] == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("inner", ["", f"{L2}/"])
def test_a_zip_is_read_in_place(tmp_path: Path, inner: str) -> None:
    folder = write_level2(tmp_path / "product")
    path = tmp_path / "product.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, inner + file.name)
    reflectance, _ = read_some(path)
    assert reflectance[0, 0, 2] == pytest.approx(0.075, abs=1e-6)
    with open_product(path) as scene:
        assert scene.kind == "Landsat 8 L2SP in a zip"
        assert scene.files == (str(path),)


def test_anything_else_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "LC08_B4.TIF").touch()
    delivery = find_delivery(str(tmp_path))
    assert delivery is not None
    assert open_landsat(delivery, Stated()) is None


RESCALING = "LEVEL1_RADIOMETRIC_RESCALING"


@pytest.mark.parametrize(
    ("group", "key", "value", "words"),
    [
        (RESCALING, "REFLECTANCE_MULT_BAND_4", None, f"gives no .*_MULT_BAND_4 in {RESCALING}"),
        (RESCALING, "REFLECTANCE_ADD_BAND_9", None, f"gives no .*_ADD_BAND_9 in {RESCALING}"),
        (RESCALING, "REFLECTANCE_ADD_BAND_9", '""', f"gives no .*_ADD_BAND_9 in {RESCALING}"),
        (RESCALING, "REFLECTANCE_ADD_BAND_9", "?", r"gives '\?' and no number as .*_ADD_BAND_9"),
        (RESCALING, "REFLECTANCE_MULT_BAND_1", "nan", "gives 'nan' and no number as"),
        (RESCALING, "REFLECTANCE_MULT_BAND_1", "0", "gives MULT 0 and ADD -0.1 of band 1"),
        (RESCALING, "REFLECTANCE_MULT_BAND_1", "-2e-5", "gives MULT -2e-05 and ADD -0.1 of"),
        (RESCALING, "REFLECTANCE_MULT_BAND_1", "0.012", "gives MULT 0.012 and ADD -0.1 of"),
        (RESCALING, "REFLECTANCE_ADD_BAND_1", "-61.8", "gives MULT 2e-05 and ADD -61.8 of"),
        ("IMAGE_ATTRIBUTES", "SUN_ELEVATION", None, "gives no SUN_ELEVATION in IMAGE_ATTRIBUTES"),
        ("IMAGE_ATTRIBUTES", "SUN_ELEVATION", "high", "gives 'high' and no number as SUN_ELEV"),
        *(
            ("IMAGE_ATTRIBUTES", "SUN_ELEVATION", sun, f"elevation of {sun} is not between 0 and")
            for sun in ("0", "-41.4623", "91", "1e-40")
        ),
    ],
)
def test_what_leaves_the_numbers_open_is_refused(
    tmp_path: Path, group: str, key: str, value: str | None, words: str
) -> None:
    path = write_level1(tmp_path, {group: {key: value}})
    with pytest.raises(SceneError, match=words) as caught:
        open_product(path)
    assert str(caught.value).startswith(str(tmp_path / f"{L1}_MTL.txt"))
    assert "state it with --scale and --offset" in str(caught.value)
    reflectance, _ = read_some(path, scale=1e-4, offset=0.01)
    assert reflectance[0, 0, 2] == pytest.approx(1.01, abs=1e-6)


def test_what_the_user_leaves_out_stays_the_files(tmp_path: Path) -> None:
    path = write_level1(tmp_path)
    reflectance, _ = read_some(path, offset=0.0)
    assert reflectance[0, 0, 2] == pytest.approx(0.4, abs=1e-6)  # 0.2 / sin 30 degrees
    reflectance, _ = read_some(path, scale=1e-4)
    assert reflectance[0, 0, 2] == pytest.approx(0.8, abs=1e-6)  # 1 - 0.1 / sin 30 degrees
    with open_product(path, scale=1e-4, offset=0.0) as scene:
        assert scene.provenance.radiometry == "stated by the user"


@pytest.mark.parametrize(
    ("bands", "words"),
    [
        ({"dn": (DN // 256).astype("uint8")}, "is uint8, unlike the 16-bit"),
        ({"dn": DN.astype("float32") * 1e-4}, "is float32, unlike the 16-bit"),
        ({"scale": 1e-4}, r"states scale 0\.0001 and offset 0, unlike the 16-bit"),
    ],
)
def test_band_files_that_somebody_changed_are_refused(
    tmp_path: Path, bands: dict[str, Any], words: str
) -> None:
    path = write_level1(tmp_path, **bands)
    with pytest.raises(SceneError, match=f"{words}.*with --scale and --offset") as caught:
        open_product(path)
    assert str(caught.value).startswith(str(tmp_path / f"{L1}_B1.TIF"))
    open_product(path, scale=1e-4, offset=0.0).close()


@pytest.mark.parametrize(
    ("group", "key", "value", "words"),
    [
        ("PRODUCT_CONTENTS", "COLLECTION_NUMBER", "01", "is of Landsat collection 01, and geomask"),
        ("PRODUCT_CONTENTS", "COLLECTION_NUMBER", "03", "is of Landsat collection 03, and geomask"),
        ("PRODUCT_CONTENTS", "PROCESSING_LEVEL", '"L3"', "level L3, and geomask reads L1TP, L1GT"),
        (
            "IMAGE_ATTRIBUTES",
            "SPACECRAFT_ID",
            '"LANDSAT_7"',
            "is of LANDSAT_7, and geomask reads Landsat 8 and Landsat 9, whose bands others",
        ),
    ],
)
def test_other_products_are_refused_whatever_is_stated(
    tmp_path: Path, group: str, key: str, value: str, words: str
) -> None:
    path = write_level1(tmp_path, {group: {key: value}})
    with pytest.raises(SceneError, match=f"{words}.*stack its bands.*with --bands"):
        open_product(path, scale=1e-4, offset=0.0)


def test_collection_1_is_refused_by_its_root(tmp_path: Path) -> None:
    text = odl({"METADATA_FILE_INFO": {"COLLECTION_NUMBER": "01"}}, "L1_METADATA_FILE")
    (tmp_path / "LC08_L1TP_195028_20200507_20200509_01_T1_MTL.txt").write_text(text)
    with pytest.raises(SceneError, match=r"Landsat collection 1, and geomask reads collection 2;"):
        open_product(tmp_path)


@pytest.mark.parametrize(
    ("group", "key"),
    [
        ("PRODUCT_CONTENTS", "COLLECTION_NUMBER"),
        ("PRODUCT_CONTENTS", "PROCESSING_LEVEL"),
        ("IMAGE_ATTRIBUTES", "SPACECRAFT_ID"),
    ],
)
def test_what_says_which_product_it_is_must_be_there(tmp_path: Path, group: str, key: str) -> None:
    path = write_level2(tmp_path, {group: {key: None}})
    with pytest.raises(SceneError, match=f"gives no {key} in {group}; download"):
        open_product(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  END_GROUP = IMAGE_ATTRIBUTES\n", "", "ends the group .* where it is not open"),
        ("  GROUP = IMAGE_ATTRIBUTES\n", "", "ends the group IMAGE_ATTRIBUTES where it is not"),
        ("END_GROUP = LANDSAT_METADATA_FILE\n", "", "does not end its group LANDSAT_METADATA"),
        ("GROUP = LANDSAT_METADATA_FILE\n", "", "opens with the group PRODUCT_CONTENTS and not"),
        ("    UTM_ZONE = 32", "    UTM_ZONE = 32\n    UTM_ZONE = 33", "UTM_ZONE of .* two values"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = write_level2(tmp_path)
    (path / f"{L2}_MTL.txt").write_text(odl(level2_groups()).replace(old, new, 1))
    with pytest.raises(SceneError, match=f"{words}.*download it again"):
        open_product(path)


def test_a_file_without_groups_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x_MTL.txt").write_text("")
    with pytest.raises(SceneError, match="has no group, as no MTL file of Landsat does"):
        open_product(tmp_path)


def test_a_band_that_is_absent_is_missed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    path = write_level1(tmp_path, {"PRODUCT_CONTENTS": {"FILE_NAME_BAND_9": None}})
    (path / f"{L1}_B5.TIF").unlink()
    assert read_some(path)[1][1].all()
    with open_product(path) as scene:
        with pytest.raises(BandError, match=rf"lists {L1}_B5\.TIF, which is not there; download"):
            scene.read(Window(0, 0, 1, 1), ("nir",))
        with pytest.raises(BandError, match=r"MTL\.txt gives no FILE_NAME_BAND_9; download"):
            scene.read(Window(0, 0, 1, 1), ("cirrus",))


def test_file_names_may_have_another_case(tmp_path: Path) -> None:
    path = write_level2(tmp_path)
    (path / f"{L2}_SR_B4.TIF").rename(path / f"{L2}_SR_B4.tif")
    assert read_some(path)[0][0, 0, 2] == pytest.approx(0.075, abs=1e-6)


def test_metadata_alone_are_no_scene(tmp_path: Path) -> None:
    (tmp_path / f"{L1}_MTL.txt").write_text(odl(level1_groups()))
    write_scene(tmp_path / f"{L1}_B10.TIF", DN[None], bands=(None,), scale=None)
    with pytest.raises(SceneError, match="none of the reflective bands that it lists is there"):
        open_product(tmp_path)


@pytest.mark.parametrize("name", ["../other.TIF", "/etc/passwd", "sub/b.TIF", "..\\\\other.TIF"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_level1(
        tmp_path / "product", {"PRODUCT_CONTENTS": {"FILE_NAME_BAND_4": f'"{name}"'}}
    )
    write_scene(tmp_path / "other.TIF", DN[None], bands=(None,), scale=None)
    with pytest.raises(SceneError, match=r"gives FILE_NAME_BAND_4 as .*, which leads elsewhere"):
        open_product(folder)


def test_one_file_cannot_be_two_bands(tmp_path: Path) -> None:
    path = write_level1(tmp_path, {"PRODUCT_CONTENTS": {"FILE_NAME_BAND_4": f'"{L1}_B3.TIF"'}})
    with pytest.raises(SceneError, match=rf"lists {L1}_B3\.TIF for two bands"):
        open_product(path)


def test_band_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--bands has nothing to number"):
        open_product(write_level2(tmp_path), bands={"red": 1})


def test_the_grid_of_a_resolution_can_be_asked_for(tmp_path: Path) -> None:
    path = write_level1(tmp_path)
    with open_product(path, grid=30) as scene:
        assert scene.grid.transform.a == 30
    with pytest.raises(OptionError, match="no spectral band at 20 m"):
        open_product(path, grid=20)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A level 2 product, whose metadata file has both levels' numbers."""
    return write_level2(tmp_path_factory.mktemp("landsat"))


LINES = odl(level2_groups()).splitlines()


@settings(deadline=None, max_examples=150)
@given(lost=st.sets(st.integers(0, len(LINES) - 1), max_size=12))
def test_lines_that_are_lost_never_change_a_number(product: Path, lost: set[int]) -> None:
    text = "\n".join(line for i, line in enumerate(LINES) if i not in lost)
    (product / f"{L2}_MTL.txt").write_text(text)
    try:
        reflectance, _ = read_some(product)
    except SceneError:
        assert lost
    else:
        assert reflectance[0, 0, 2] == pytest.approx(0.075, abs=1e-6)


@settings(deadline=None, max_examples=300)
@given(
    start=st.integers(0, len(LINES)),
    length=st.integers(0, len(LINES)),
)
def test_a_stretch_that_is_lost_never_changes_a_number(
    product: Path, start: int, length: int
) -> None:
    text = "\n".join(LINES[:start] + LINES[start + length :])
    (product / f"{L2}_MTL.txt").write_text(text)
    try:
        reflectance, _ = read_some(product)
    except SceneError:
        assert length
    else:
        assert reflectance[0, 0, 2] == pytest.approx(0.075, abs=1e-6)


@settings(deadline=None, max_examples=150)
@given(
    junk=st.lists(
        st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 60), st.binary(max_size=8)),
        min_size=1,
        max_size=4,
    ),
    stated=st.sampled_from([{}, {"scale": 0.001, "offset": 0.0}]),
)
def test_junk_in_the_metadata_is_a_scene_or_an_error_of_ours(
    product: Path, junk: list[tuple[int, int, bytes]], stated: dict[str, float]
) -> None:
    lines = [line.encode() for line in LINES]
    for number, place, text in junk:
        lines[number] = lines[number][:place] + text + lines[number][place + len(text) :]
    (product / f"{L2}_MTL.txt").write_bytes(b"\n".join(lines))
    try:
        reflectance, _ = read_some(product, **stated)
    except GeomaskError:
        return
    assert np.isfinite(reflectance[:, 1]).all()
