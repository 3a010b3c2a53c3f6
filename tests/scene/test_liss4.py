"""LISS-4: reflectance by hand, every refusal, and metadata that a stranger may have touched."""

from __future__ import annotations

import math
import random
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
from geomask.scene.liss4 import open_liss4
from geomask.scene.scene import Scene
from geomask.scene.stated import Stated
from tests.conftest import write_scene

ALL = ("green", "red", "nir")

META = {
    "ProductID": "2552459121",
    "OTSProductID": "RAF04MAR2023043798010000060SSANSTUC00GTDC",
    "SatID": "IRS-R2A",
    "Sensor": "L4FX",
    "SegmentNumber": "-NA-",
    "StripNumber": "",
    "DateOfPass": "04-MAR-2023",
    "BandNumbers": "234",
    "BytesPerPixel": "2",
    "BitsPerPixel": "10",
    "SceneCenterTime": "04-MAR-2023 05:12:05.800191",
    "SunAziumthAtCenter": "142.426782",
    "SunElevationAtCenter": "30.000000",
    "B2_Lmin": "0.0000",
    "B3_Lmin": "0.0000",
    "B4_Lmin": "0.0000",
    "B2_Lmax": "52.0000",
    "B3_Lmax": "47.0000",
    "B4_Lmax": "31.5000",
    "JpegNoRows": "569",
}
"""Keys and values as NRSC writes them, shortened; its azimuth is misspelt."""

DN = np.array([[[0, 1, 512], [1023, 200, 300]]] * 3, dtype=np.uint16)

ANOMALY = math.radians(58.66416964)  # 357.529 + 0.98560028 * 8463 days since 2000-01-01, mod 360
DISTANCE_SQUARED = (1.00014 - 0.01671 * math.cos(ANOMALY) - 0.00014 * math.cos(2 * ANOMALY)) ** 2
"""Square astronomical units of 2023-03-04, by the Astronomical Almanac."""


def meta_text(changes: Mapping[str, str | None]) -> str:
    """The metadata with some values replaced, or left out where None."""
    values = {**META, **changes}
    return "".join(f"{key}= {value}\n" for key, value in values.items() if value is not None)


def write_product(
    folder: Path,
    changes: Mapping[str, str | None] | None = None,
    *,
    values: Any = DN,
    names: tuple[str, ...] = ("BAND2.tif", "BAND3.tif", "BAND4.tif"),
    text: str | bytes | None = None,
    scale: float | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, plane in zip(names, values, strict=False):
        write_scene(
            folder / name,
            plane[None],
            bands=(None,),
            scale=scale,
            nodata=None,
            transform=Affine(5, 0, 218_140, 0, -5, 1_994_800),
        )
    content = meta_text(changes or {}) if text is None else text
    (folder / "BAND_META.txt").write_bytes(
        content.encode() if isinstance(content, str) else content
    )
    return folder


def open_product(path: Path, **stated: Any) -> Scene:
    delivery = find_delivery(str(path))
    assert delivery is not None
    scene = open_liss4(delivery, Stated(**stated))
    assert scene is not None
    return scene


def read_all(path: Path, bands: tuple[str, ...] = ALL, **stated: Any) -> tuple[Any, Any]:
    with open_product(path, **stated) as scene:
        return scene.read(Window(0, 0, 3, 2), bands)


@pytest.mark.parametrize(
    ("satellite", "irradiance"),
    [("IRS-R2", (185.33, 157.766, 111.359)), ("IRS-R2A", (185.347, 158.262, 110.81))],
)
def test_reflectance_is_that_of_the_formula(
    tmp_path: Path, satellite: str, irradiance: tuple[float, ...]
) -> None:
    reflectance, valid = read_all(write_product(tmp_path, {"SatID": satellite}))
    for plane, lmax, esun in zip(reflectance, (52.0, 47.0, 31.5), irradiance, strict=True):
        for row, column, number in [(0, 1, 1), (0, 2, 512), (1, 0, 1023)]:
            radiance = number * lmax / 1024
            expected = math.pi * radiance * DISTANCE_SQUARED / (esun * 0.5)  # sin 30 degrees
            assert plane[row, column] == pytest.approx(expected, abs=1e-6)
    assert valid[1].all()


def test_a_number_worked_out_on_paper(tmp_path: Path) -> None:
    # d² = 0.9831004; L = 512 * 52 / 1024 = 26; pi * 26 * 0.9831004 / (185.347 * 0.5)
    reflectance, _ = read_all(write_product(tmp_path))
    assert reflectance[0, 0, 2] == pytest.approx(0.866494, abs=1e-6)


def test_zero_was_not_measured(tmp_path: Path) -> None:
    values = DN.copy()
    values[2, 1, 1] = 0  # in one band only
    reflectance, valid = read_all(write_product(tmp_path, values=values))
    np.testing.assert_array_equal(valid, [[False, True, True], [True, False, True]])
    assert np.isnan(reflectance[:, 0, 0]).all()
    _, valid = read_all(write_product(tmp_path), nodata="none")
    assert valid.all()


def test_tags_say_where_the_numbers_come_from(tmp_path: Path) -> None:
    with open_product(write_product(tmp_path)) as scene:
        assert scene.kind == "LISS-4 product"
        assert scene.provenance.radiometry == (
            "BAND_META.txt: Lmax by band, SunElevationAtCenter 30, ESUN of Resourcesat-2A, "
            "Earth-Sun distance 0.9915 AU of 2023-03-04 (Astronomical Almanac)"
        )
        assert scene.provenance.nodata == "0, fill of LISS-4 products"
        assert [band.source for band in scene.bands.values()] == ["BAND2", "BAND3", "BAND4"]
        assert set(scene.files) == {str(path) for path in tmp_path.iterdir()}


@pytest.mark.parametrize("azimuth", ["SunAzimuthAtCenter", "SunAziumthAtCenter"])
def test_the_acquisition_is_that_of_the_file(tmp_path: Path, azimuth: str) -> None:
    changes = {"SunAziumthAtCenter": None, azimuth: "142.4"}
    with open_product(write_product(tmp_path, changes)) as scene:
        assert scene.acquisition.known() == {
            "platform": "Resourcesat-2A",
            "product": "RAF04MAR2023043798010000060SSANSTUC00GTDC",
            "time": "2023-03-04",
            "sun_elevation": 30.0,
            "sun_azimuth": 142.4,
        }


@pytest.mark.parametrize(
    "text",
    [
        meta_text({}).replace("\n", "\r\n").encode(),
        meta_text({}).upper().encode(),
        meta_text({}).lower().encode(),
        b"\xef\xbb\xbfSatID= IRS-R2A\n" + meta_text({"SatID": None}).encode(),
        b"\xef\xbb\xbf" + (meta_text({}) + "Remark= 10\u00b0\n").encode("latin-1"),
        meta_text({}).replace("= ", "\t =   ").replace("\n", "  \n\n").encode(),
        b"a line without a value\n" + meta_text({}).encode().rstrip(),
        meta_text({"SatID": '"IRS-R2A"', "SunAziumthAtCenter": "junk"}).encode(),
    ],
)
def test_how_the_file_is_written_changes_nothing(tmp_path: Path, text: bytes) -> None:
    expected, _ = read_all(write_product(tmp_path / "plain"))
    reflectance, _ = read_all(write_product(tmp_path / "other", text=text))
    np.testing.assert_array_equal(reflectance, expected)


def test_band_files_may_be_named_in_any_case(tmp_path: Path) -> None:
    names = ("band2.TIF", "Band3.tiff", "BAND4.tif")
    with open_product(write_product(tmp_path, names=names)) as scene:
        assert scene.band_names == ALL


def test_the_metadata_file_stands_for_its_folder(tmp_path: Path) -> None:
    with open_product(write_product(tmp_path) / "BAND_META.txt") as scene:
        assert scene.band_names == ALL


@pytest.mark.parametrize("inner", ["", "211284911/"])
def test_a_zip_is_read_in_place(tmp_path: Path, inner: str) -> None:
    folder = write_product(tmp_path / "product")
    path = tmp_path / "product.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, inner + file.name)
    expected, _ = read_all(folder)
    reflectance, _ = read_all(path)
    np.testing.assert_array_equal(reflectance, expected)
    with open_product(path) as scene:
        assert scene.kind == "LISS-4 product in a zip"
        assert scene.files == (str(path),)


def test_anything_else_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "x_red.tif").touch()
    delivery = find_delivery(str(tmp_path))
    assert delivery is not None
    assert open_liss4(delivery, Stated()) is None


UNCLEAR: list[tuple[dict[str, str | None], str]] = [
    *(({key: None}, f"gives no {key}") for key in ("SatID", "DateOfPass", "B3_Lmax")),
    ({"SunElevationAtCenter": None}, "gives no SunElevationAtCenter"),
    ({"B2_Lmax": ""}, "gives no B2_Lmax"),
    ({"B2_Lmax": "-NA-"}, "gives no B2_Lmax"),
    ({"SatID": "IRS-P6"}, "SatID as 'IRS-P6', and geomask knows IRS-R2, IRS-R2A"),
    *(
        ({"DateOfPass": day}, f"DateOfPass as '{day}', which is no day such as 04-MAR-2023")
        for day in ("2023-03-04", "31-FEB-2023", "04-XXX-2023", "00-MAR-2023", "4/3/23")
    ),
    ({"SunElevationAtCenter": "high"}, "SunElevationAtCenter as 'high', which is no number"),
    *(
        ({"SunElevationAtCenter": sun}, f"a sun elevation of {sun} is not between 0 and 90")
        for sun in ("0", "-5", "90.5", "1e-40")
    ),
    ({"SunElevationAtCenter": "nan"}, "SunElevationAtCenter as 'nan', which is no number"),
    ({"B4_Lmax": "31,5"}, "B4_Lmax as '31,5', which is no number"),
    ({"B4_Lmax": "inf"}, "B4_Lmax as 'inf', which is no number"),
    *(
        ({"B2_Lmax": lmax}, f"B2_Lmax as {lmax}, which is no saturation radiance in mW")
        for lmax in ("0", "-52", "520", "5.2", "100000")
    ),
    ({"B3_Lmin": "0.5"}, "B3_Lmin as 0.5, and geomask knows the formula for 0 only"),
    ({"B3_Lmin": "none"}, "B3_Lmin as 'none', which is no number"),
    ({"BitsPerPixel": "7"}, "BitsPerPixel as '7', and LISS-4 data have 10"),
    ({"b2_lmax": "53.0"}, r"B2_Lmax as '52\.0000' and as '53\.0'"),
    ({"satid": "IRS-R2"}, "SatID as 'IRS-R2A' and as 'IRS-R2'"),
    ({"B2_LMIN": "1"}, r"B2_Lmin as '0\.0000' and as '1'"),
]


@pytest.mark.parametrize(("changes", "words"), UNCLEAR)
def test_what_leaves_the_numbers_open_is_refused(
    tmp_path: Path, changes: dict[str, str | None], words: str
) -> None:
    path = write_product(tmp_path, changes)
    with pytest.raises(SceneError, match=words) as caught:
        open_product(path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "BAND_META.txt"))
    assert "state it with --scale and --offset" in message
    reflectance, _ = read_all(path, scale=0.001, offset=0.01)
    assert reflectance[0, 0, 2] == pytest.approx(512 * 0.001 + 0.01, abs=1e-6)


def test_lines_that_repeat_each_other_are_harmless(tmp_path: Path) -> None:
    with open_product(write_product(tmp_path, {"satid": "IRS-R2A", "JPEGNOROWS": "570"})) as scene:
        assert scene.acquisition.platform == "Resourcesat-2A"


def test_a_stated_radiometry_asks_nothing_of_the_metadata(tmp_path: Path) -> None:
    path = write_product(tmp_path, text="SunElevationAtCenter= 300\nDateOfPass= soon\n")
    with open_product(path, scale=0.001, offset=0.0) as scene:
        assert scene.acquisition.known() == {}
        assert scene.radiometry(ALL) == "reflectance = DN * 0.001 + 0 (stated by the user)"


def test_what_the_user_leaves_out_stays_the_files(tmp_path: Path) -> None:
    path = write_product(tmp_path)
    plain, _ = read_all(path)
    shifted, _ = read_all(path, offset=0.25)
    np.testing.assert_allclose(shifted, plain + 0.25, atol=1e-6)
    scaled, _ = read_all(path, scale=0.001)
    assert scaled[2, 0, 2] == pytest.approx(0.512, abs=1e-6)
    with open_product(path, offset=0.25) as scene:
        assert "offset stated by the user, scale: BAND_META.txt" in scene.provenance.radiometry


@pytest.mark.parametrize(
    ("values", "scale", "words"),
    [
        ((DN // 4).astype("uint8"), None, "is uint8, unlike the 10-bit digital numbers"),
        (DN.astype("float32") / 1023, None, "is float32, unlike the 10-bit digital numbers"),
        (DN, 1e-4, r"states scale 0\.0001 and offset 0, unlike the 10-bit digital numbers"),
    ],
)
def test_band_files_that_somebody_changed_are_refused(
    tmp_path: Path, values: Any, scale: float | None, words: str
) -> None:
    path = write_product(tmp_path, values=values, scale=scale)
    with pytest.raises(SceneError, match=words) as caught:
        open_product(path)
    assert str(caught.value).startswith(str(tmp_path / "BAND2.tif"))
    assert "--scale and --offset" in str(caught.value)
    open_product(path, scale=0.004, offset=0.0).close()


def test_a_band_that_is_absent_is_missed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    path = write_product(tmp_path, {"B4_Lmax": None}, names=("BAND2.tif", "BAND3.tif"))
    assert read_all(path, ("green", "red"))[1][1].all()
    with (
        open_product(path) as scene,
        pytest.raises(BandError, match=r"BAND4\.tif does not lie beside BAND_META\.txt; download"),
    ):
        scene.read(Window(0, 0, 3, 2), ("nir",))


def test_metadata_alone_are_no_scene(tmp_path: Path) -> None:
    path = write_product(tmp_path, names=())
    write_scene(path / "BAND2_RPC.tif", DN[:1], bands=(None,), scale=None)
    with pytest.raises(SceneError, match=r"none of BAND2\.tif, BAND3\.tif, BAND4\.tif lies beside"):
        open_product(path)


def test_two_files_for_one_band_are_refused(tmp_path: Path) -> None:
    path = write_product(tmp_path)
    write_scene(
        path / "BAND2.tiff",
        DN[:1],
        bands=(None,),
        scale=None,
        transform=Affine(5, 0, 218_140, 0, -5, 1_994_800),
    )
    with pytest.raises(BandError, match="are both green"):
        open_product(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Sensor": "L3"}, "states the sensor L3"),
        ({"Sensor": "AWIFS"}, "states the sensor AWIFS"),
        ({"sensor": "L3"}, "states the sensor L3"),
        ({"Sensor": None, "B5_Lmax": "7.5"}, "gives a B5_Lmax"),
    ],
)
@pytest.mark.parametrize("stated", [{}, {"scale": 0.001, "offset": 0.0}])
def test_other_sensors_in_the_same_format_are_refused(
    tmp_path: Path, changes: dict[str, str | None], words: str, stated: dict[str, float]
) -> None:
    with pytest.raises(SceneError, match=f"{words}.*LISS-4 only; stack the bands") as caught:
        open_product(write_product(tmp_path, changes), **stated)
    assert "--bands, --scale and --offset" in str(caught.value)


@pytest.mark.parametrize("sensor", [None, "L4FX", "L4MN", "LISS-IV", "liss4"])
def test_a_sensor_that_is_liss4_or_unsaid_is_read(tmp_path: Path, sensor: str | None) -> None:
    open_product(write_product(tmp_path, {"Sensor": sensor})).close()


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = write_product(tmp_path, text=meta_text({}).encode("utf-16"))
    with pytest.raises(SceneError, match="is not a text file"):
        open_product(path)


def test_band_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--bands has nothing to number"):
        open_product(write_product(tmp_path), bands={"red": 1})


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_product(tmp_path_factory.mktemp("liss4"))


@settings(deadline=None, max_examples=150)
@given(kept=st.lists(st.booleans(), min_size=len(META), max_size=len(META)), seed=st.integers())
def test_lines_that_are_lost_or_moved_never_change_a_number(
    product: Path, kept: list[bool], seed: int
) -> None:
    lines = [line for line, keep in zip(meta_text({}).splitlines(), kept, strict=True) if keep]
    random.Random(seed).shuffle(lines)
    (product / "BAND_META.txt").write_text("\n".join(lines))
    try:
        reflectance, _ = read_all(product)
    except SceneError:
        assert not all(kept)
    else:
        assert reflectance[0, 0, 2] == pytest.approx(0.866494, abs=1e-6)


@settings(deadline=None, max_examples=150)
@given(
    junk=st.lists(
        st.tuples(st.integers(0, len(META) - 1), st.integers(0, 50), st.binary(max_size=8)),
        min_size=1,
        max_size=4,
    ),
    stated=st.sampled_from([{}, {"scale": 0.001, "offset": 0.0}]),
)
def test_junk_in_the_metadata_is_a_scene_or_an_error_of_ours(
    product: Path, junk: list[tuple[int, int, bytes]], stated: dict[str, float]
) -> None:
    lines = meta_text({}).encode().splitlines()
    for number, place, text in junk:
        lines[number] = lines[number][:place] + text + lines[number][place + len(text) :]
    (product / "BAND_META.txt").write_bytes(b"\n".join(lines))
    try:
        reflectance, _ = read_all(product, **stated)
    except GeomaskError:
        return
    assert np.isfinite(reflectance[:, 1]).all()
