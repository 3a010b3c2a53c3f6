"""Masks and models as STAC items, read back by pystac."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner
from pystac.extensions import mlm
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.eo import EOExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension

from geomask.card import read_card
from geomask.catalogue import mask_item
from geomask.cli import cli
from geomask.errors import OptionError
from geomask.mask import ACQUISITION_TAG
from geomask.model_item import model_item

WHEN = datetime.datetime(2024, 5, 6, 10, 11, 12, tzinfo=datetime.UTC)


def write_mask(
    path: Path, codes: np.ndarray, crs: str | None, transform: Affine, **tags: str
) -> Path:
    height, width = codes.shape
    size = {"height": height, "width": width, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs=crs, transform=transform, nodata=255, **size) as dataset:
        dataset.write(codes, 1)
        dataset.update_tags(**tags)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """8 measured pixels: 3 cloud, 1 shadow, 2 snow; and 2 of nodata."""
    codes = np.array([[0, 1, 1, 1, 255], [0, 2, 3, 3, 255]], np.uint8)
    acquisition = json.dumps({"time": "2024-05-06T10:11:12Z"})
    transform = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    return write_mask(
        tmp_path / "m.tif", codes, "EPSG:32633", transform, **{ACQUISITION_TAG: acquisition}
    )


def test_an_item_says_what_the_mask_is(mask: Path, tmp_path: Path) -> None:
    item = mask_item(mask, polygons=[tmp_path / "c.gpkg"], scene="/data/S2A.SAFE")
    item.set_self_href(str(tmp_path / "m.json"))
    item.make_asset_hrefs_relative()
    again = pystac.Item.from_dict(json.loads(json.dumps(item.to_dict())))
    assert again.datetime == WHEN
    assert (again.assets["mask"].href, again.assets["polygons"].href) == ("./m.tif", "./c.gpkg")
    assert again.get_single_link("derived_from").href == "file:///data/S2A.SAFE"
    cover = EOExtension.ext(again)
    assert (cover.cloud_cover, cover.snow_cover) == (37.5, 25.0), "of 8 measured pixels"
    projection = ProjectionExtension.ext(again)
    assert (projection.code, projection.shape) == ("EPSG:32633", [2, 5])
    assert projection.transform == [10, 0, 500_000, 0, -10, 5_000_000]
    asset = again.assets["mask"]
    (band,) = RasterExtension.ext(asset).bands
    assert (band.nodata, band.data_type) == (255, "uint8")
    classes = ClassificationExtension.ext(asset).classes
    assert [(c.value, c.name) for c in classes] == [
        *((0, "clear"), (1, "cloud"), (2, "shadow"), (3, "snow"), (255, "nodata"))
    ]
    assert len(classes[1].color_hint) == 6


def test_items_are_valid_by_the_schemas_that_ship_with_pystac(mask: Path, model_file: Path) -> None:
    pytest.importorskip("jsonschema")
    for item in (mask_item(mask), model_item(read_card(model_file), model_file)):
        item.stac_extensions = []  # whose schemas are on the network alone
        item.validate()


def test_the_footprint_lies_where_the_mask_does(mask: Path) -> None:
    """Zone 33's central meridian is 15 degrees east, which the mask begins at."""
    item = mask_item(mask)
    west, south, _, north = item.bbox
    assert west == pytest.approx(15.0, abs=1e-6)
    assert 45.1 < south < north < 45.2
    assert (north - south) * 111_150 == pytest.approx(20, rel=0.01)
    assert shapely.geometry.shape(item.geometry).exterior.is_ccw


def test_what_crosses_the_date_line_is_cut_there(tmp_path: Path) -> None:
    codes = np.zeros((100, 100), np.uint8)
    transform = Affine(1000, 0, 700_000, 0, -1000, 5_000_000)  # 180 degrees are at 736 km
    item = mask_item(write_mask(tmp_path / "a.tif", codes, "EPSG:32660", transform), when=WHEN)
    assert item.geometry["type"] == "MultiPolygon"


def test_a_mask_of_nothing_states_no_cover(tmp_path: Path) -> None:
    codes = np.full((3, 3), 255, np.uint8)
    transform = Affine(0.1, 0, 10, 0, -0.1, 50)
    item = mask_item(write_mask(tmp_path / "a.tif", codes, "EPSG:4326", transform), when=WHEN)
    assert not EOExtension.has_extension(item)


def test_a_time_that_nobody_states_is_asked_for(tmp_path: Path) -> None:
    codes, transform = np.zeros((2, 2), np.uint8), Affine(10, 0, 0, 0, -10, 0)
    path = write_mask(tmp_path / "a.tif", codes, "EPSG:32633", transform)
    with pytest.raises(OptionError, match=r"nothing says when .* give --datetime"):
        mask_item(path)
    assert mask_item(path, when=WHEN).datetime == WHEN


def test_a_mask_without_crs_is_refused(tmp_path: Path) -> None:
    path = write_mask(
        tmp_path / "a.tif", np.zeros((2, 2), np.uint8), None, Affine(10, 0, 0, 0, -10, 9)
    )
    with pytest.raises(OptionError, match="has no CRS"):
        mask_item(path, when=WHEN)


def test_a_model_is_an_item_too(model_file: Path) -> None:
    result = CliRunner().invoke(cli, ["models", "show", str(model_file), "--stac"])
    assert result.exit_code == 0, result.output
    item = pystac.Item.from_dict(json.loads(result.output))
    about, card = mlm.MLMExtension.ext(item), read_card(model_file)
    assert about.mlm_name == card.name
    assert about.tasks == ["semantic-segmentation"]
    assert [band.name for band in about.input[0].bands] == list(card.bands)
    assert [c.value for c in about.output[0].classes] == [c.code for c in card.classes]
    assert Path(item.assets["model"].href) == model_file


def test_predict_writes_an_item_that_leads_to_its_outputs(
    scene_file: Path, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "stac").mkdir(parents=True)
    words = ["predict", str(scene_file), "--model", str(model_file), "--out", str(out / "m.tif")]
    words += ["--shp", str(out / "c.gpkg"), "--stac", str(out / "stac" / "m.json"), "-q"]
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code != 0
    assert "give --datetime" in refused.output
    assert [path.name for path in out.iterdir()] == ["stac"]
    done = CliRunner().invoke(cli, [*words, "--datetime", "2024-05-06T10:11:12"])
    assert done.exit_code == 0, done.output
    item = pystac.Item.from_file(str(out / "stac" / "m.json"))
    assert item.datetime == WHEN
    assert item.id == "m"
    for key, name in (("mask", "m.tif"), ("polygons", "c.gpkg")):
        assert Path(item.assets[key].get_absolute_href()).resolve() == (out / name).resolve()
    assert item.get_single_link("derived_from").href == scene_file.absolute().as_uri()
