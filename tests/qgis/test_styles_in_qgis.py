"""What QGIS makes of a mask and its polygons that are opened without a word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fiona
import numpy as np
import pytest
import rasterio
from PIL import Image
from scipy import ndimage

from geomask.classes import DEFAULT_CLASSES
from geomask.mask import open_mask
from tests.qgis.conftest import Run, Window

pytestmark = pytest.mark.qgis

NAMES = [item.name for item in DEFAULT_CLASSES]


@dataclass(frozen=True)
class Seen:
    """What QGIS says of its layers, and its pictures: polygons over the scene, the mask and the
    polygons alone on white."""

    facts: dict[str, Any]
    map: np.ndarray
    mask: np.ndarray
    fill: np.ndarray


@pytest.fixture(scope="module")
def seen(
    in_qgis: Run, example: Path, results: Path, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    folder = tmp_path_factory.mktemp("seen")
    paths = [folder / name for name in ("map.png", "mask.png", "fill.png")]
    polygons = [results / f"clouds.{suffix}" for suffix in ("shp", "gpkg", "fgb", "geojson")]
    facts = in_qgis("look.py", example, results / "mask.tif", *paths, *polygons)
    return Seen(facts, *(np.array(Image.open(path).convert("RGB")) for path in paths))


@pytest.fixture(scope="module")
def codes(results: Path) -> np.ndarray:
    with open_mask(results / "mask.tif") as mask:
        return np.concatenate(list(mask.strips()))


def test_the_mask_shows_its_classes_by_name(seen: Seen) -> None:
    mask = seen.facts["mask"]
    assert mask["valid"]
    assert mask["renderer"] == "paletted"
    assert mask["classes"] == [
        [item.code, item.name, [*item.color, 0 if item.code == 0 else 255]]
        for item in DEFAULT_CLASSES
    ]
    assert mask["legend"] == ["Band 1: mask (Palette)", *NAMES]


def test_polygons_of_every_format_show_theirs(seen: Seen) -> None:
    for polygons in seen.facts["polygons"]:
        assert polygons["valid"]
        assert polygons["renderer"] == "categorizedSymbol"
        assert polygons["legend"] == NAMES[1:]
        assert polygons["categories"] == {
            item.name: [item.name, [*item.color, 128]] for item in DEFAULT_CLASSES.polygon_classes
        }


def test_both_lie_where_the_scene_does(seen: Seen, example: Path) -> None:
    with rasterio.open(example) as scene:
        crs, bounds = scene.crs.to_string(), list(scene.bounds)
    mask, (shapefile, geopackage, flatgeobuf, geojson) = seen.facts["mask"], seen.facts["polygons"]
    assert mask["crs"] == crs
    assert mask["extent"] == bounds
    assert geojson["crs"] == "EPSG:4326"
    for polygons in (shapefile, geopackage, flatgeobuf):
        assert polygons["crs"] == crs
        left, bottom, right, top = polygons["extent"]
        assert bounds[0] <= left < right <= bounds[2]
        assert bounds[1] <= bottom < top <= bounds[3]


def test_no_polygon_is_missing(seen: Seen, results: Path) -> None:
    for polygons, suffix in zip(
        seen.facts["polygons"], ("shp", "gpkg", "fgb", "geojson"), strict=True
    ):
        with fiona.open(results / f"clouds.{suffix}") as layer:
            assert polygons["count"] == len(layer) > 100


def test_gdal_reads_names_and_an_attribute_table(seen: Seen) -> None:
    told = seen.facts["gdal"]
    assert told["categories"] == NAMES
    assert told["columns"] == ["Value", "Class", "Red", "Green", "Blue", "Alpha"]
    assert [row[:2] for row in told["rows"]] == [[str(i), name] for i, name in enumerate(NAMES)]


def test_the_mask_is_drawn_in_its_colours_and_clear_not_at_all(
    seen: Seen, codes: np.ndarray
) -> None:
    colors = np.full((256, 3), 255, np.uint8)
    for item in DEFAULT_CLASSES.polygon_classes:
        colors[item.code] = item.color
    np.testing.assert_array_equal(seen.mask, colors[codes])


def test_polygons_are_drawn_half_transparent(seen: Seen, codes: np.ndarray) -> None:
    """Away from outlines each pixel is halfway from white to the colour of the mask's class."""
    for item in DEFAULT_CLASSES:
        inside = ndimage.binary_erosion(codes == item.code, iterations=4)
        assert inside.sum() > 10
        halfway = (np.array(item.color) * 128 + 255 * 127) / 255 if item.code else 255
        assert abs(seen.fill[inside].astype(float) - halfway).max() <= 2


def test_the_scene_shows_through(seen: Seen, codes: np.ndarray) -> None:
    cloud = ndimage.binary_erosion(codes == 1, iterations=4)
    assert seen.map[cloud].std(axis=0).max() > 2 * seen.fill[cloud].std(axis=0).max()
    assert seen.map[codes == 0].std() > 10


def test_files_that_are_dropped_into_the_window_are_styled(
    window: Window, example: Path, results: Path, pictures: Path
) -> None:
    """As on the command line, which is the same to QGIS."""
    files = [example, results / "mask.tif", results / "clouds.shp"]
    assert window("window.py", pictures / "qgis-window.jpg", *files) == {
        "scene": [True, "multibandcolor"],
        "mask": [True, "paletted"],
        "clouds": [False, "categorizedSymbol"],
    }
