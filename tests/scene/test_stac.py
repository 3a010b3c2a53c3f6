"""STAC items: which assets are bands, what catalogues say of their numbers, and junk refused."""

from __future__ import annotations

import copy
import json
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from geomask.errors import BandError, GeomaskError, GeomaskWarning, OptionError, SceneError
from geomask.scene import stac
from geomask.scene.scene import Scene
from geomask.scene.stac import fetch, open_stac
from geomask.scene.stated import Stated
from tests.conftest import write_scene
from tests.fuzz.mutations import places

Json = dict[str, Any]

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
FLAG = "earthsearch:boa_offset_applied"
EARTH_SEARCH: Json = {
    "platform": "sentinel-2a",
    "constellation": "sentinel-2",
    "instruments": ["msi"],
    "datetime": "2023-06-28T07:24:41.632000Z",
    "view:sun_azimuth": 72.5,
    "view:sun_elevation": 69.8,
    "s2:processing_baseline": "05.09",
}
OLD: Json = {"datetime": "2020-07-14T11:55:52Z", "s2:processing_baseline": "02.14"}
PLANETARY = {
    "rel": "root",
    "href": "https://planetarycomputer.microsoft.com/api/stac/v1",
}
DN = 3000
"""Of every pixel of the bands below, but one that is 0."""


def tif(
    path: Path, *, bands: int = 1, size: int = 4, scale: float | None = None, **how: Any
) -> str:
    """A raster of pixels DN, that of the first row and column 0; its name."""
    values = np.full((bands, size, size), DN, np.uint16)
    values[:, 0, 0] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"nodata": None, "transform": Affine(40 / size, 0, 5e5, 0, -40 / size, 5e6)} | how
    write_scene(path, values, bands=[None] * bands, scale=scale, **how)
    return path.name


def asset(href: str, name: str, common: str | None, **fields: Any) -> Json:
    """An asset as STAC 1.0 describes it, with scale, offset and nodata in `fields`."""
    band = {"name": name} | ({} if common is None else {"common_name": common})
    numbers = {key: fields.pop(key) for key in ("scale", "offset", "nodata") if key in fields}
    content: Json = {"href": href, "type": COG, "roles": ["data"], "eo:bands": [band]}
    return content | ({"raster:bands": [numbers]} if numbers else {}) | fields


def make_item(assets: Json, properties: Json = EARTH_SEARCH, **fields: Any) -> Json:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.0.0/schema.json"],
        "id": "S2A_39QTA_20230628_0_L2A",
        "geometry": None,
        "links": [],
        "properties": properties,
        "assets": assets,
    } | fields


def save(folder: Path, item: object, name: str = "item.json") -> str:
    path = folder / name
    path.write_text(json.dumps(item))
    return str(path)


def scene_of(path: str, **stated: Any) -> Scene:
    scene = open_stac(path, Stated(**stated))
    assert scene is not None
    return scene


def pixel(scene: Scene, band: str) -> float:
    """The reflectance of the last pixel."""
    values, valid = scene.read(Window(0, 0, scene.grid.width, scene.grid.height), [band])
    assert valid[-1, -1]
    return float(values[0, -1, -1])


def red_item(folder: Path, properties: Json, **numbers: Any) -> str:
    """An item with one band, red, of which raster:bands says `numbers`."""
    href = tif(folder / "red.tif")
    return save(folder, make_item({"red": asset(href, "red", "red", **numbers)}, properties))


# Recognising


@pytest.mark.parametrize("name", ["a.tif", "folder", "absent.json", "a.txt", "not_item"])
def test_what_is_no_json_is_left_to_others(tmp_path: Path, name: str) -> None:
    tif(tmp_path / "a.tif")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("red")
    (tmp_path / "not_item").write_text("{ is not always JSON")
    assert open_stac(str(tmp_path / name), Stated()) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://a.org/b.tif",
        "https://a.org/collections/c/items/b/red.tif",
        "https://a.org/b",
        "s3://a/b.tif",
        "/vsicurl/https://a.org/b.json",
        "https://[a",
        "a\0b.json",
        "<VRTDataset>" + "a" * 300,
    ],
)
def test_addresses_of_rasters_are_left_to_others(address: str) -> None:
    assert open_stac(address, Stated()) is None


@pytest.mark.parametrize("address", ["s3://bucket/item.json", "file:///a/item.geojson"])
def test_items_at_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SceneError, match="give its https:// address"):
        open_stac(address, Stated())


def test_an_item_that_cannot_be_read_is_one_sentence() -> None:
    with pytest.raises(SceneError, match="cannot be read: File name too long"):
        open_stac("a" * 300 + ".json", Stated())


@pytest.mark.parametrize("name", ["item.json", "item.geojson", "ITEM.JSON", "item"])
def test_an_item_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    href = tif(tmp_path / "red.tif")
    item = make_item({"red": asset(href, "red", "red", scale=1e-4, offset=-0.1, nodata=0)})
    with scene_of(save(tmp_path, item, name)) as scene:
        assert scene.kind == "STAC item"
        assert pixel(scene, "red") == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "is JSON that is no object"),
        ({"type": "FeatureCollection", "features": []}, "is a FeatureCollection, as searches"),
        ({"type": "Collection", "stac_version": "1.0.0"}, "is a STAC Collection"),
        ({"type": "Catalog", "stac_version": "1.0.0"}, "is a STAC Catalog"),
        ({"type": "Feature", "assets": {}}, "a GeoJSON feature that states no stac_version"),
        ({"type": "Feature", "stac_version": 1, "assets": {}}, "states no stac_version"),
        ({"type": "Feature", "stac_version": "1.0.0"}, "a STAC item without assets"),
        ({"LANDSAT_METADATA_FILE": {}}, "is JSON that is no STAC; a scene is one STAC item"),
    ],
)
def test_json_that_is_no_item_is_named(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(SceneError, match=words):
        open_stac(save(tmp_path, content), Stated())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not well-formed JSON"),
        ('{"type": "Feature"', "not well-formed JSON"),
        ("[" * 100_000, "nested too deep"),
        (
            json.dumps(make_item({}))[:-1] + ', "a": ' + "[" * 600 + "]" * 600 + "}",
            "nested too deep",
        ),
        ("\xff\xfe\x00", "not well-formed JSON"),
        ("1" * 5000, "not well-formed JSON"),
        (json.dumps(make_item({}, id="\ud800")), "not well-formed JSON"),
    ],
)
def test_damaged_json_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "item.json"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(SceneError, match=words):
        open_stac(str(path), Stated())


def test_a_file_longer_than_any_item_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_ITEM", 100)
    with pytest.raises(SceneError, match="is over 100 bytes"):
        open_stac(save(tmp_path, ["a" * 200]), Stated())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"properties": None}, "its properties are None, no object"),
        ({"properties": [1]}, r"its properties are \[1\], no object"),
        ({"assets": []}, r"its assets are \[\], no object"),
        ({"assets": {"red": 5}}, "asset red: is 5, no object"),
        (
            {
                "stac_version": "0.8.0",
                "properties": {"eo:bands": 5},
                "assets": {"a": {"eo:bands": [1]}},
            },
            "is not a valid STAC item",
        ),
    ],
)
def test_items_with_fields_of_other_types_are_refused(
    tmp_path: Path, fields: Json, words: str
) -> None:
    with pytest.raises(SceneError, match=words):
        open_stac(save(tmp_path, make_item({}) | fields), Stated())


def test_an_item_of_before_stac_1_is_brought_to_it(tmp_path: Path) -> None:
    properties = {
        "eo:platform": "landsat-8",
        "eo:sun_elevation": 40,
        "eo:bands": [{"name": "B4"}, {"name": "B5"}],
    }
    content = {"href": tif(tmp_path / "a.tif"), "type": COG, "eo:bands": [1]}
    path = save(tmp_path, make_item({"a": content}, properties, stac_version="0.8.1"))
    with scene_of(path, scale=1e-4, offset=0.0) as scene:
        assert set(scene.bands) == {"nir"}
        assert scene.acquisition.platform == "landsat-8"
        assert scene.acquisition.sun_elevation == 40


def test_an_item_that_states_its_projection_twice_is_no_matter(tmp_path: Path) -> None:
    # pystac warns of it, and warnings are errors here.
    both = EARTH_SEARCH | {"proj:epsg": 32633, "proj:code": "EPSG:4326"}
    scene_of(red_item(tmp_path, both, scale=1e-4, offset=-0.1)).close()


# Bands


def test_earth_searchs_bands_are_known_by_common_name_or_by_name(tmp_path: Path) -> None:
    names = {"red": "red", "rededge1": "rededge", "rededge2": "rededge", "nir08": "nir08"}
    assets = {
        key: asset(tif(tmp_path / f"{key}.tif"), key, common, scale=1e-4, offset=-0.1)
        for key, common in names.items()
    }
    picture = asset(tif(tmp_path / "TCI.tif", bands=3), "red", "red") | {"roles": ["visual"]}
    classes = asset("not-there.tif", "scl", None)
    mask = asset("not-there.tif", "red", "red") | {"roles": ["data", "cloud"]}
    item = make_item(assets | {"visual": picture, "scl": classes, "fmask": mask})
    with scene_of(save(tmp_path, item)) as scene:
        # B8A stands in for nir, as everywhere.
        assert set(scene.bands) == {"red", "rededge071", "rededge075", "nir08", "nir"}
        assert scene.bands["nir"].path == scene.bands["nir08"].path


def test_planetary_computers_bands_are_known_by_sentinels_names(tmp_path: Path) -> None:
    names = {"B05": "rededge", "B8A": "rededge", "B09": None, "B11": "swir16"}
    assets = {key: asset(tif(tmp_path / f"{key}.tif"), key, c) for key, c in names.items()}
    properties = EARTH_SEARCH | {"platform": "Sentinel-2B", "constellation": "Sentinel 2"}
    item = make_item(assets, properties, links=[PLANETARY])
    with scene_of(save(tmp_path, item)) as scene:
        assert set(scene.bands) == {"rededge071", "nir08", "nir", "nir09", "swir16"}


def test_landsats_bands_leave_out_temperature(tmp_path: Path) -> None:
    numbers = {"scale": 2.75e-5, "offset": -0.2, "nodata": 0}
    assets = {
        "red": asset(tif(tmp_path / "B4.TIF"), "SR_B4", "red", **numbers),
        "swir16": asset(tif(tmp_path / "B6.TIF"), "SR_B6", None, **numbers),
        "nir08": asset(tif(tmp_path / "B5.TIF"), "OLI_B5", "nir08", **numbers),
        "lwir11": asset("none.TIF", "ST_B10", "lwir11", scale=0.00341802, offset=149.0),
    }
    item = make_item(assets, {"platform": "landsat-9", "datetime": "2022-01-29T15:28:34Z"})
    with scene_of(save(tmp_path, item)) as scene:
        assert set(scene.bands) == {"red", "swir16", "nir08", "nir"}
        assert pixel(scene, "red") == pytest.approx(3000 * 2.75e-5 - 0.2)
        assert scene.acquisition.baseline is None


@pytest.mark.parametrize(
    ("properties", "stated", "expected"),
    [
        ({"platform": "landsat-8"}, {}, "nir"),
        ({"platform": "sentinel-2a"}, {}, "rededge071"),
        ({"constellation": "Sentinel-2"}, {}, "rededge071"),
        ({"s2:mgrs_tile": "33UXP"}, {}, "rededge071"),
        ({"platform": "landsat-8"}, {"sensor": "sentinel2"}, "rededge071"),
    ],
)
def test_a_sensors_own_names_need_the_sensor(
    tmp_path: Path, properties: Json, stated: Json, expected: str
) -> None:
    item = make_item({"a": asset(tif(tmp_path / "a.tif"), "B5", None)}, properties)
    with scene_of(save(tmp_path, item), scale=1e-4, offset=0.0, **stated) as scene:
        assert set(scene.bands) == {expected}


@pytest.mark.parametrize("platform", ["landsat-7", "planetscope"])
def test_a_number_of_another_satellites_bands_means_nothing(tmp_path: Path, platform: str) -> None:
    # Both sensors that are known call B4 red; Landsat 7's is nir.
    item = make_item({"a": asset(tif(tmp_path / "a.tif"), "B4", None)}, {"platform": platform})
    with pytest.raises(BandError, match="no asset of it is described as a spectral band"):
        open_stac(save(tmp_path, item), Stated(scale=1e-4, offset=0.0))


def test_an_asset_whose_band_has_no_name_goes_by_its_key(tmp_path: Path) -> None:
    # As older items have it, and as rio-stac counts bands; AOT names none.
    assets = {
        "B04": {"href": tif(tmp_path / "a.tif"), "type": COG},
        "nir": asset(tif(tmp_path / "b.tif"), "b1", None),
        "AOT": {"href": "not-there.tif", "type": COG},
    }
    item = make_item(assets, {"platform": "sentinel-2a"})
    with scene_of(save(tmp_path, item), scale=1e-4, offset=0.0) as scene:
        assert set(scene.bands) == {"red", "nir"}


def test_bands_of_one_file_are_taken_by_position(tmp_path: Path) -> None:
    href = tif(tmp_path / "all.tif", bands=3)
    bands = [{"name": "B04"}, {"name": "quality"}, {"name": "B8A"}]
    numbers = [{"scale": 1e-4, "offset": -0.1}, {}, {"scale": 1e-4, "offset": -0.1}]
    content = {"href": href, "type": COG, "eo:bands": bands, "raster:bands": numbers}
    with scene_of(save(tmp_path, make_item({"all": content}))) as scene:
        assert {name: band.index for name, band in scene.bands.items()} == {
            "red": 1,
            "nir08": 3,
            "nir": 3,
        }


def test_a_file_with_more_bands_than_the_one_described_is_refused(tmp_path: Path) -> None:
    item = make_item({"red": asset(tif(tmp_path / "a.tif", bands=2), "red", "red")})
    with pytest.raises(SceneError, match=r"asset red: .*a\.tif: has 2 bands"):
        open_stac(save(tmp_path, item), Stated())


def test_fields_of_stac_1_1_are_read_from_the_asset_and_its_bands(tmp_path: Path) -> None:
    own = {"name": "B04", "eo:common_name": "red"}
    both = {"raster:scale": 1e-4, "raster:offset": -0.1, "nodata": 0}
    kind = {"type": "image/tiff; application=geotiff"}
    assets = {
        "B04_10m": {"href": tif(tmp_path / "a.tif"), "bands": [own], **both, **kind},
        "B05_20m": {"href": tif(tmp_path / "b.tif"), "bands": [{"name": "B05", **both}], **kind},
        "AOT_10m": {"href": "not-there.tif", **both, **kind},
    }
    properties = EARTH_SEARCH | {"processing:version": "05.11"}
    del properties["s2:processing_baseline"]
    item = make_item(assets, properties, stac_version="1.1.0")
    with scene_of(save(tmp_path, item)) as scene:
        assert set(scene.bands) == {"red", "rededge071"}
        assert pixel(scene, "red") == pytest.approx(0.2)
        assert scene.acquisition.baseline == "05.11"
        assert scene.provenance.nodata == "0, stated by the STAC item"
        _, valid = scene.read(Window(0, 0, 4, 4), ["red"])
        assert (~valid).sum() == 1


def test_the_cog_is_read_and_the_others_are_not_opened(tmp_path: Path) -> None:
    def red(href: str, kind: str) -> Json:
        return asset(href, "red", "red", scale=1e-4, offset=-0.1) | {"type": kind}

    item = make_item(
        {
            "red-jp2": red("s3://nowhere/B04.jp2", "image/jp2"),
            "red-tif": red("s3://nowhere/B04.tif", "image/tiff; application=geotiff"),
            "red": red(tif(tmp_path / "red.tif"), COG),
        }
    )
    with scene_of(save(tmp_path, item)) as scene:
        assert scene.bands["red"].path == str(tmp_path / "red.tif")


def test_of_several_resolutions_the_grid_decides(tmp_path: Path) -> None:
    assets = {
        f"B04_{size}m": asset(
            tif(tmp_path / f"{size}.tif", size=40 // size), "B04", "red", scale=1e-4, offset=-0.1
        )
        for size in (20, 10)
    }
    path = save(tmp_path, make_item(assets))
    with scene_of(path) as fine, scene_of(path, grid=20.0) as coarse:
        assert (fine.grid.width, coarse.grid.width) == (4, 2)
    with pytest.raises(OptionError, match="only at 10, 20 m"):
        open_stac(path, Stated(grid=30.0))


def test_one_file_cannot_be_two_bands(tmp_path: Path) -> None:
    href = tif(tmp_path / "a.tif")
    item = make_item({"red": asset(href, "B04", "red"), "green": asset(href, "B03", "green")})
    with pytest.raises(SceneError, match="asset green: is the same file as asset red"):
        open_stac(save(tmp_path, item), Stated())


def test_an_item_without_bands_lists_its_assets(tmp_path: Path) -> None:
    item = make_item({"thumbnail": {"href": "a.png"}, "scl": {"href": "SCL.tif", "type": COG}})
    with pytest.raises(BandError, match=r"\(there is thumbnail, scl\)"):
        open_stac(save(tmp_path, item), Stated())


def test_band_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leave it out"):
        open_stac(red_item(tmp_path, EARTH_SEARCH), Stated(bands={"red": 1}))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"eo:bands": "red"}, "its eo:bands are 'red', not a list of objects"),
        ({"eo:bands": [None]}, "not a list of objects"),
        ({"bands": 5}, "its bands are 5, not a list"),
        ({"raster:bands": [{}, {}]}, "1 and 2 entries"),
        ({"raster:bands": [{"scale": "0.0001"}]}, "its scale is '0.0001', not a number"),
        ({"raster:bands": [{"scale": True}]}, "its scale is True, not a number"),
        ({"raster:bands": [{"scale": 10**400}]}, "its scale is 1000.*, not a number"),
        ({"raster:bands": [{"scale": 1e-4, "offset": []}]}, "state it with --offset"),
        ({"raster:bands": [{"scale": float("nan")}]}, "make no reflectance"),
        ({"raster:bands": [{"scale": 0}]}, "make no reflectance"),
        ({"raster:bands": [{"scale": 1e308}]}, "stated by the STAC item. make no reflectance"),
        ({"raster:bands": [{"offset": -0.1}]}, "states offset -0.1 and no scale"),
        ({"raster:bands": [{"scale": 1e-4, "offset": 0.0, "nodata": "none"}]}, "nodata is 'none'"),
    ],
)
def test_bands_described_wrongly_are_refused(tmp_path: Path, fields: Json, words: str) -> None:
    content = asset(tif(tmp_path / "a.tif"), "red", "red") | fields
    path = save(tmp_path, make_item({"red": content}, OLD | {"platform": "sentinel-2a"}))
    with pytest.raises(SceneError, match=words):
        open_stac(path, Stated())


def test_the_user_may_state_one_number_where_the_other_is_right(tmp_path: Path) -> None:
    with scene_of(red_item(tmp_path, EARTH_SEARCH, scale="a", offset=-0.1), scale=2e-4) as scene:
        assert pixel(scene, "red") == pytest.approx(0.5)
        assert scene.provenance.radiometry == (
            "scale stated by the user, offset: scale and offset stated by the STAC item"
        )


def test_what_the_user_states_stands_for_what_is_wrong(tmp_path: Path) -> None:
    path = red_item(tmp_path, EARTH_SEARCH, scale="a", offset="b", nodata="c")
    with scene_of(path, scale=1e-4, offset=-0.1, nodata=0) as scene:
        assert pixel(scene, "red") == pytest.approx(0.2)
        assert scene.provenance.radiometry == "stated by the user"


# What the numbers mean


@pytest.mark.parametrize(
    ("properties", "numbers", "offset", "source"),
    [
        ({FLAG: False}, (1e-4, -0.1), -0.1, "scale and offset stated by the STAC item"),
        ({}, (1e-4, -0.1), -0.1, "scale and offset stated by the STAC item"),
        ({FLAG: True}, (1e-4, 0), 0.0, f"STAC item; offset removed already, says {FLAG}"),
        ({FLAG: True}, (1e-4, None), 0.0, "offset removed already"),
        ({FLAG: False} | OLD, (1e-4, 0), 0.0, "scale and offset stated by the STAC item"),
        (OLD, (1e-4, None), 0.0, "scale and offset stated by the STAC item"),
        ({"s2:processing_baseline": None, FLAG: False}, (1e-4, -0.1), -0.1, "stated by the STAC"),
    ],
)
def test_earth_searchs_offset(
    tmp_path: Path, properties: Json, numbers: tuple[Any, Any], offset: float, source: str
) -> None:
    scale, band_offset = numbers
    path = red_item(tmp_path, EARTH_SEARCH | properties, scale=scale, offset=band_offset)
    with scene_of(path) as scene:
        assert pixel(scene, "red") == pytest.approx(0.3 + offset)
        assert source in scene.provenance.radiometry


OLD_NAME = {"earthsearch:boa_offset_applied": None, "sentinel:boa_offset_applied": True}


@pytest.mark.parametrize(
    ("properties", "offset", "words"),
    [
        (
            {FLAG: True},
            -0.1,
            "is true, .* state offset -0.1; use --offset 0 where the flag is right",
        ),
        (OLD_NAME, -0.1, "sentinel:boa_offset_applied is true"),
        ({FLAG: False}, 0, "is false, .* processing baseline 05.09 brings, .* state offset 0; use"),
        ({FLAG: False}, None, "bands state none; use --offset -0.1 where the flag is right"),
        ({FLAG: "yes"}, -0.1, "neither true nor false"),
        ({"s2:processing_baseline": "03.01"}, -0.1, "processing baseline 03.01 has none"),
        ({}, None, "processing baseline 05.09 and states no offset.*--offset -0.1 as ESA delivers"),
        ({"s2:processing_baseline": None}, None, "unknown processing baseline of 20230628"),
        ({"s2:processing_baseline": 4, "datetime": None}, None, "unknown .* baseline and date"),
    ],
)
def test_items_that_contradict_themselves_or_leave_the_offset_open_are_refused(
    tmp_path: Path, properties: Json, offset: float | None, words: str
) -> None:
    path = red_item(tmp_path, EARTH_SEARCH | properties, scale=1e-4, offset=offset)
    with pytest.raises(SceneError, match=words):
        open_stac(path, Stated())
    with pytest.raises(SceneError, match=words):
        open_stac(path, Stated(scale=1e-4))
    for user in (0.0, -0.1):
        with scene_of(path, offset=user) as scene:
            assert pixel(scene, "red") == pytest.approx(0.3 + user)


def test_a_flag_counts_where_the_platform_is_not_known(tmp_path: Path) -> None:
    path = red_item(tmp_path, {"platform": "a", FLAG: True}, scale=1e-4, offset=-0.1)
    with pytest.raises(SceneError, match="contradicts itself"):
        open_stac(path, Stated())


def test_an_offset_of_zero_is_believed_and_doubted_aloud(tmp_path: Path) -> None:
    path = red_item(tmp_path, EARTH_SEARCH, scale=1e-4, offset=0)
    with pytest.warns(GeomaskWarning, match=r"states offset 0 .* baseline 05\.09"):
        scene = scene_of(path)
    assert pixel(scene, "red") == pytest.approx(0.3)
    scene.close()


def test_sentinel_2s_scale_is_a_default_that_is_said(tmp_path: Path) -> None:
    path = red_item(tmp_path, EARTH_SEARCH | {FLAG: True})
    with pytest.warns(GeomaskWarning, match=r"states no scale; took reflectance = DN \* 0\.0001"):
        scene = scene_of(path)
    assert pixel(scene, "red") == pytest.approx(0.3)
    assert "default: DN * 0.0001; offset removed" in scene.provenance.radiometry
    scene.close()
    with scene_of(path, scale=2e-4) as scene:
        assert pixel(scene, "red") == pytest.approx(0.6)


@pytest.mark.parametrize("flag", [None, False])
def test_nothing_stated_of_an_old_scene_is_the_readers_default(
    tmp_path: Path, flag: bool | None
) -> None:
    path = red_item(tmp_path, EARTH_SEARCH | OLD | {FLAG: flag})
    with pytest.warns(GeomaskWarning, match="states no scale or offset"):
        scene = scene_of(path)
    assert pixel(scene, "red") == pytest.approx(0.3)
    assert scene.provenance.radiometry.startswith("default: DN * 0.0001, no offset")
    scene.close()


@pytest.mark.parametrize("with_link", [True, False])
@pytest.mark.parametrize(("baseline", "offset"), [("05.09", -0.1), ("04.00", -0.1), ("03.00", 0)])
def test_planetary_computer_has_what_esa_delivers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_link: bool, baseline: str, offset: float
) -> None:
    file = tmp_path / "red.tif"
    href = tif(file)
    if not with_link:
        href = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/33/U/B04.tif?sig=a"
        real = stac.open_band
        monkeypatch.setattr(stac, "open_band", lambda _, *args: real(str(file), *args))
    item = make_item(
        {"B04": asset(href, "B04", "red")},
        EARTH_SEARCH | {"s2:processing_baseline": baseline},
        links=[PLANETARY] if with_link else [],
    )
    with scene_of(save(tmp_path, item)) as scene:
        assert pixel(scene, "red") == pytest.approx(0.3 + offset)
        assert scene.provenance.radiometry == (
            f"s2:processing_baseline {baseline}, as ESA delivers (Planetary Computer does not "
            "harmonise)"
        )


@pytest.mark.parametrize("baseline", [None, "06.00", "5.9"])
def test_planetary_computers_items_of_unknown_baseline_are_refused(
    tmp_path: Path, baseline: str | None
) -> None:
    properties = EARTH_SEARCH | {"s2:processing_baseline": baseline}
    assets = {"B04": asset(tif(tmp_path / "a.tif"), "B04", "red")}
    path = save(tmp_path, make_item(assets, properties, links=[PLANETARY]))
    with pytest.raises(SceneError, match="states no offset"):
        open_stac(path, Stated())


def test_what_was_derived_from_planetary_computer_is_not_its_own(tmp_path: Path) -> None:
    assets = {"B04": asset(tif(tmp_path / "a.tif"), "B04", "red")}
    item = make_item(assets, links=[PLANETARY | {"rel": "derived_from"}])
    with pytest.raises(SceneError, match="states no offset"):
        open_stac(save(tmp_path, item), Stated())


def test_where_the_item_is_silent_its_files_are_asked(tmp_path: Path) -> None:
    href = tif(tmp_path / "red.tif", scale=1e-4, offset=-0.1, nodata=7)
    path = save(tmp_path, make_item({"red": asset(href, "red", "red", scale=1.0, offset=0.0)}))
    with scene_of(path) as scene:
        assert pixel(scene, "red") == pytest.approx(0.2)
        assert scene.provenance.radiometry == "GDAL scale and offset of the file"
        assert scene.provenance.nodata == "7, stated by the file"
    item = make_item({"red": asset(href, "red", "red")}, EARTH_SEARCH | {FLAG: True})
    with pytest.raises(SceneError, match="contradicts itself"):
        open_stac(save(tmp_path, item), Stated())


def test_an_item_and_a_file_that_differ_are_refused(tmp_path: Path) -> None:
    href = tif(tmp_path / "red.tif", scale=1e-4, offset=0.0)
    path = save(tmp_path, make_item({"red": asset(href, "red", "red", scale=1e-4, offset=-0.1)}))
    with pytest.raises(SceneError, match=r"states offset -0\.1, and the file itself 0"):
        open_stac(path, Stated())
    with scene_of(path, offset=-0.1) as scene:
        assert pixel(scene, "red") == pytest.approx(0.2)
        assert scene.provenance.radiometry.startswith("offset stated by the user, scale: scale and")


@pytest.mark.parametrize(
    ("green", "words"),
    [
        ({}, "for red and none for green"),
        ({"scale": 1e-4}, "an offset for some bands and none for others"),
    ],
)
def test_bands_of_which_only_some_say_what_they_are_are_refused(
    tmp_path: Path, green: Json, words: str
) -> None:
    assets = {
        "red": asset(tif(tmp_path / "a.tif"), "red", "red", scale=1e-4, offset=-0.1),
        "green": asset(tif(tmp_path / "b.tif"), "green", "green", **green),
    }
    with pytest.raises(SceneError, match=words):
        open_stac(save(tmp_path, make_item(assets)), Stated())


def test_landsat_that_states_nothing_is_refused(tmp_path: Path) -> None:
    properties = {"platform": "landsat-8", "datetime": "2022-01-29T15:28:34Z"}
    with pytest.raises(SceneError, match="Landsat 8/9 OLI digital numbers do not say"):
        open_stac(red_item(tmp_path, properties), Stated())


@pytest.mark.parametrize(
    ("nodata", "file", "expected"),
    [
        (0, None, "0, stated by the STAC item"),
        (0, 5.0, "0, stated by the STAC item"),
        (None, 5.0, "5, stated by the file"),
        (None, None, "0, convention of Sentinel-2 MSI"),
    ],
)
def test_nodata_is_the_items_else_the_files(
    tmp_path: Path, nodata: int | None, file: float | None, expected: str
) -> None:
    href = tif(tmp_path / "a.tif", nodata=file)
    numbers = {"scale": 1e-4, "offset": -0.1, "nodata": nodata}
    with scene_of(save(tmp_path, make_item({"red": asset(href, "red", "red", **numbers)}))) as s:
        assert s.provenance.nodata == expected


def test_nodata_that_no_pixel_can_be_is_ignored_aloud(tmp_path: Path) -> None:
    path = red_item(tmp_path, EARTH_SEARCH, scale=1e-4, offset=-0.1, nodata="nan")
    with pytest.warns(GeomaskWarning, match="nodata nan, which its data type cannot hold"):
        scene_of(path).close()


def test_nodata_of_some_bands_only_is_joined_with_the_files(tmp_path: Path) -> None:
    numbers = {"scale": 1e-4, "offset": -0.1}
    assets = {
        "red": asset(tif(tmp_path / "a.tif"), "red", "red", **numbers, nodata=0),
        "green": asset(tif(tmp_path / "b.tif", nodata=5), "green", "green", **numbers),
    }
    with scene_of(save(tmp_path, make_item(assets))) as scene:
        assert [scene.bands[name].nodata for name in ("red", "green")] == [0, 5]
        assert scene.provenance.nodata == (
            "0, stated by the STAC item or the files and 5, stated by the STAC item or the files"
        )


def test_the_acquisition_is_told(tmp_path: Path) -> None:
    with scene_of(red_item(tmp_path, EARTH_SEARCH, scale=1e-4, offset=-0.1)) as scene:
        assert scene.acquisition.known() == {
            "platform": "sentinel-2a",
            "baseline": "05.09",
            "product": "S2A_39QTA_20230628_0_L2A",
            "time": "2023-06-28T07:24:41.632000Z",
            "sun_elevation": 69.8,
            "sun_azimuth": 72.5,
        }


def test_planetary_computer_names_the_suns_zenith(tmp_path: Path) -> None:
    properties = {"s2:mean_solar_zenith": 38.0, "s2:mean_solar_azimuth": 170.0, **OLD}
    with scene_of(red_item(tmp_path, properties, scale=1e-4, offset=0.0)) as scene:
        assert scene.acquisition.sun_elevation == 52.0
        assert scene.acquisition.sun_azimuth == 170.0


def test_an_acquisition_of_other_types_is_left_out(tmp_path: Path) -> None:
    junk = {"platform": 5, "datetime": [], "view:sun_elevation": "a", "view:sun_azimuth": 10**400}
    path = red_item(tmp_path, junk, scale=1e-4, offset=0, nodata=0)
    with scene_of(path) as scene:
        assert scene.acquisition.known() == {"product": "S2A_39QTA_20230628_0_L2A"}


# Addresses


def local_item(folder: Path, href: object) -> str:
    content = asset("", "red", "red", scale=1e-4, offset=-0.1) | {"href": href}
    return save(folder, make_item({"red": content}))


@pytest.mark.parametrize("how", ["a/red.tif", "./a/red.tif", "{}/a/red.tif", "file://{}/a/red.tif"])
def test_a_local_item_leads_to_files(tmp_path: Path, how: str) -> None:
    tif(tmp_path / "a" / "red.tif")
    tif(tmp_path / "SCL.tif")
    (tmp_path / "a").rename(tmp_path / "a b")
    how = how.replace("a/", "a%20b/" if how.startswith("file") else "a b/")
    item = json.loads(Path(local_item(tmp_path, how.format(tmp_path))).read_text())
    item["assets"] |= {"scl": {"href": "SCL.tif"}, "far": {"href": "https://a.org/b.tif"}}
    path = save(tmp_path, item)
    with scene_of(path) as scene:
        assert pixel(scene, "red") == pytest.approx(0.2)
        # So that no output replaces one.
        own = [str(tmp_path / "a b" / "red.tif"), str(tmp_path / "SCL.tif")]
        assert list(scene.files) == [path, *own]


@pytest.mark.parametrize(
    ("href", "words"),
    [
        (None, "its href is None, no address"),
        (5, "its href is 5, no address"),
        (["a"], "its href is"),
        ("", "its href is '', no address"),
        ("gone.tif", r"file /.*gone\.tif is not there"),
        ("a\0b.tif", "is not there"),
        ("a" * 5000 + ".tif", "cannot be read: File name too long"),
        ("https:///a.tif", "asset red: its address https:///a.tif is neither"),
        ("ftp://a.org/a.tif", "its address ftp://a.org/a.tif is neither a file's, http"),
        ("vrt://{}/red.tif", "is neither"),
        ("http://[a/b.tif", "is neither"),
        ("zip+https://a.org/a.zip!b.tif", "is neither"),
        ("file://host/a.tif", "is neither"),
        ("GTIFF_DIR:1:{}/red.tif", "is not there"),
        ("/vsizip/{}/a.zip/red.tif", "is no file's; not opened"),
        ("/./vsicurl/http://a.org/red.tif", "is neither|is no file's"),
        ("file:///vsimem/red.tif", "is no file's; not opened"),
        ("<VRTDataset/>.tif", "is not there"),
        (".", "is no raster|is not there"),
    ],
)
def test_a_local_item_leads_nowhere_else(tmp_path: Path, href: object, words: str) -> None:
    tif(tmp_path / "red.tif")
    href = href.format(tmp_path) if isinstance(href, str) else href
    with pytest.raises(SceneError, match=words):
        open_stac(local_item(tmp_path, href), Stated())


def test_a_band_that_is_no_geotiff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "red.tif").write_text(
        f"<VRTDataset rasterXSize='4' rasterYSize='4'><VRTRasterBand dataType='UInt16' band='1'>"
        f"<SimpleSource><SourceFilename>{tmp_path}/secret.tif</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(SceneError, match=r"asset red: .*red\.tif: is "):
        open_stac(local_item(tmp_path, "red.tif"), Stated())


@pytest.mark.parametrize(
    ("href", "words"),
    [
        ("https://a.blob.core.windows.net/sentinel2-l2/B04.tif", "; sign the item first"),
        ("https://a.blob.core.windows.net/sentinel2-l2/B04.tif?se=1&sig=secret", "sign the item"),
        ("s3://eodata/B04.jp2", "AWS_S3_ENDPOINT"),
        ("https://a.org/B04.tif", "GDAL can open"),
    ],
)
def test_an_address_that_does_not_open_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, href: str, words: str
) -> None:
    def closed(place: str, *_: object) -> None:
        problem = OSError("HTTP response code: 404")
        raise SceneError(f"{place}: is not a raster that GDAL can open ({problem})") from problem

    monkeypatch.setattr(stac, "open_band", closed)
    with pytest.raises(SceneError, match=words) as raised:
        open_stac(local_item(tmp_path, href), Stated())
    assert "asset red" in str(raised.value)
    assert "secret" not in str(raised.value)


# Over http


SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        file = Path(sys.argv[1] + self.path.partition("?")[0])
        if file.suffix == ".json":
            file.with_suffix(".headers").write_text(json.dumps(dict(self.headers)))
        status, goal = file.with_suffix(".status"), file.with_suffix(".goal")
        if status.exists() or not (file.is_file() or goal.exists()):
            return self.send_error(int(status.read_text()) if status.exists() else 404)
        data = b"" if goal.exists() else file.read_bytes()
        start, end = 0, len(data) - 1
        asked = self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or end), end)
        self.send_response(302 if goal.exists() else 206 if asked else 200)
        if goal.exists():
            self.send_header("Location", goal.read_text())
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end + 1 - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[start : end + 1])

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
"""Serves a folder, with ranges; a .status or .goal file beside a name is sent as such. A process
of its own, since rasterio keeps Python's lock while GDAL waits for an answer."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-c", SERVER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", folder
        finally:
            process.kill()


@dataclass(frozen=True)
class Server:
    """A URL, and the folder that is there; both this test's own, since GDAL remembers URLs."""

    url: str
    folder: Path


@pytest.fixture
def server(site: tuple[str, Path]) -> Server:
    url, folder = site
    name = f"test{len(list(folder.iterdir()))}"
    (folder / name).mkdir()
    return Server(f"{url}/{name}", folder / name)


def remote_item(href: object) -> bytes:
    content = asset("", "red", "red", scale=1e-4, offset=-0.1, nodata=0) | {"href": href}
    return json.dumps(make_item({"red": content})).encode()


@pytest.mark.parametrize("href", ["./red.tif", "{}/x/red.tif", "../x/red.tif?sig=a"])
@pytest.mark.parametrize("address", ["/x/item.json", "/x/item.geojson?a=b", "/moved.json"])
def test_an_item_is_fetched_and_its_assets_are_read(
    server: Server, address: str, href: str
) -> None:
    tif(server.folder / "x" / "red.tif")
    for name in ("item.json", "item.geojson"):
        (server.folder / "x" / name).write_bytes(remote_item(href.format(server.url)))
    # Relative addresses start from where the item is found.
    (server.folder / "moved.goal").write_text("x/item.json")
    with scene_of(server.url + address) as scene:
        assert pixel(scene, "red") == pytest.approx(0.2)
        assert scene.path == server.url + address
        assert scene.bands["red"].path.startswith(f"{server.url}/x/red.tif")


def test_items_of_apis_have_no_suffix(server: Server) -> None:
    tif(server.folder / "red.tif")
    item = server.folder / "collections" / "c" / "items" / "S2A_39QTA"
    item.parent.mkdir(parents=True)
    item.write_bytes(remote_item("../../../red.tif"))
    with scene_of(f"{server.url}/collections/c/items/S2A_39QTA") as scene:
        assert pixel(scene, "red") == pytest.approx(0.2)


def test_json_is_asked_for(server: Server) -> None:
    tif(server.folder / "red.tif")
    (server.folder / "item.json").write_bytes(remote_item("red.tif"))
    scene_of(f"{server.url}/item.json").close()
    headers = json.loads((server.folder / "item.headers").read_text())
    assert headers["Accept"] == "application/geo+json, application/json"
    assert headers["User-Agent"].startswith("geomask/")


@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        ("status", "404", r"the server answered 404 \(Not Found\)"),
        ("status", "500", "the server answered 500"),
        ("json", "<html>log in</html>", "not well-formed JSON"),
        ("json", '{"type": "FeatureCollection"}', "is a FeatureCollection"),
        ("json", " " * 2000, "is over 1000 bytes"),
        ("goal", "file:///etc/passwd", "is not allowed"),
        ("goal", "ftp://127.0.0.1/item.json", "cannot be fetched .*unknown url type: ftp"),
        ("goal", "item.json", "infinite loop"),
    ],
)
def test_what_is_not_an_item_at_a_url_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch, kind: str, answer: str, words: str
) -> None:
    monkeypatch.setattr(fetch, "MAX_ITEM", 1000)
    (server.folder / f"item.{kind}").write_text(answer)
    with pytest.raises(SceneError, match=words):
        open_stac(f"{server.url}/item.json", Stated())


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/item.json", "http://127.0.0.1:x/item.json", "http://a b/item.json",
     "https://\ud800/item.json", "http:///item.json"],
)  # fmt: skip
def test_a_server_that_is_not_there_is_one_sentence(url: str) -> None:
    with pytest.raises(SceneError, match="cannot be fetched"):
        open_stac(url, Stated())


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FETCH_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/item.json"
        with pytest.raises(SceneError, match="timed out"):
            open_stac(url, Stated())


@pytest.mark.parametrize(
    "href",
    ["file://{}/red.tif", "{}/red.tif", "/vsicurl/http://a.org/red.tif", "ftp://a.org/red.tif",
     "\\\\host\\red.tif", "//[a/red.tif", "vrt://red.tif", "data:a"],
)  # fmt: skip
def test_a_remote_item_leads_to_no_local_file(tmp_path: Path, server: Server, href: str) -> None:
    tif(tmp_path / "red.tif")
    (server.folder / "item.json").write_bytes(remote_item(href.format(tmp_path)))
    with pytest.raises(SceneError, match=r"asset red: .* is no http\(s\)"):
        open_stac(f"{server.url}/item.json", Stated())


def test_an_asset_that_is_gone_is_named(server: Server) -> None:
    (server.folder / "item.json").write_bytes(remote_item("red.tif"))
    with pytest.raises(SceneError, match=r"asset red: http.*/red\.tif: is not a raster .*404"):
        open_stac(f"{server.url}/item.json", Stated())


# Junk

NO_OBJECTS = [None, True, False, 0, 1, -1, 10**400, 1.5, float("nan"), "", "a", "B04", "1.0.0"]
OBJECTS = [[], [None], [[]], {}, {"a": None}, ["red"], [{"name": 5}], [{"scale": "a"}], [{}, {}]]
JUNK = st.sampled_from([*NO_OBJECTS, *OBJECTS, "\ud800", "\0"])


def put(value: Any, way: tuple[Any, ...], junk: object) -> None:
    for key in way[:-1]:
        value = value[key]
    value[way[-1]] = junk


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Callable[[bool], Json]]:
    """A folder, and what makes an item of STAC 1.0 or 1.1 with files in it."""
    folder = tmp_path_factory.mktemp("stac")
    for name in ("red", "green", "rededge1"):
        tif(folder / f"{name}.tif")

    def item(new: bool) -> Json:
        numbers = {"scale": 1e-4, "offset": -0.1, "nodata": 0}
        assets = {
            "red": asset("red.tif", "red", "red", **numbers),
            "rededge1": asset("rededge1.tif", "rededge1", "rededge", **numbers),
            "green": asset("green.tif", "B03", None, **numbers),
            "visual": asset("TCI.tif", "red", "red") | {"roles": ["visual"]},
        }
        if new:
            band = {"name": "B03", "eo:common_name": "green", "raster:scale": 1e-4}
            assets["green"] = {"href": "green.tif", "type": COG, "bands": [band]} | {
                "raster:offset": -0.1,
                "nodata": 0,
            }
        return make_item(
            assets,
            EARTH_SEARCH | {FLAG: False, "proj:epsg": 32633, "eo:bands": [{"name": "red"}]},
            stac_version="1.1.0" if new else "1.0.0",
            links=[{"rel": "self", "href": "https://a.org/item.json"}],
        )

    return folder, item


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_junk_in_an_item_is_a_scene_or_one_sentence(
    good: tuple[Path, Callable[[bool], Json]], data: st.DataObject
) -> None:
    folder, make = good
    item = copy.deepcopy(make(data.draw(st.booleans())))
    if data.draw(st.sampled_from([False] * 9 + [True])):
        item["stac_version"] = "0.8.1"  # which pystac migrates
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from(sorted(places(item), key=str)))
        put(item, way, copy.deepcopy(data.draw(JUNK)))
    path = save(folder, item)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", GeomaskWarning)
        problem = ""
        try:
            scene_of(path).close()
        except GeomaskError as error:
            problem = str(error)
    assert not problem or problem.startswith(path)
