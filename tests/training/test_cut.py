"""Chips cut from a scene and labels: which pixels, which labels, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import fiona
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window
from shapely.geometry import box, mapping

from geomask.errors import (
    BandError,
    GeomaskWarning,
    MaskError,
    OptionError,
    OutputError,
    SceneError,
)
from geomask.grid import Grid
from geomask.scene import open_scene
from geomask.training import drawn_polygons
from geomask.training.chips import read_image, read_labels, read_manifest
from geomask.training.cut import cut_chips
from geomask.training.cut_plan import Plan, spans
from geomask.training.label_names import key, meanings
from tests.conftest import TRANSFORM, UTM, random_dn, write_scene

LEFT, TOP, PIXEL = 500_000, 5_000_000, 10


def shifted(columns: float, rows: float) -> Affine:
    """The scene's transform from another pixel on."""
    return Affine(PIXEL, 0, LEFT + PIXEL * columns, 0, -PIXEL, TOP - PIXEL * rows)


def square(column: float, row: float, width: float, height: float) -> shapely.Polygon:
    """Of pixels of the scene, in its CRS."""
    left, top = LEFT + PIXEL * column, TOP - PIXEL * row
    return box(left, top - PIXEL * height, left + PIXEL * width, top)


def draw(path: Path, shapes, crs: str | None = UTM, field: str = "class", kind="str", **options):
    """A layer of (geometry or None, value) pairs, in the CRS of the scene unless told."""
    schema = {"geometry": options.pop("geometry", "Polygon"), "properties": {field: kind}}
    with fiona.open(path, "w", schema=schema, crs=crs, **options) as layer:
        layer.writerecords(
            {"geometry": geometry and mapping(geometry), "properties": {field: value}}
            for geometry, value in shapes
        )
    return path


def to(crs: str, geometry):
    """From the scene's CRS to another."""
    change = pyproj.Transformer.from_crs(UTM, crs, always_xy=True).transform
    return shapely.transform(geometry, lambda p: np.column_stack(change(p[:, 0], p[:, 1])))


def label_raster(path: Path, codes: np.ndarray, transform=TRANSFORM, crs=UTM, **profile) -> Path:
    height, width = codes.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=1, dtype=codes.dtype,
        crs=crs, transform=transform, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(codes, 1)
    return path


def labels_of(folder: Path, shape: tuple[int, int]) -> np.ndarray:
    """The labels of all chips of a folder put together again; 77 where there is no chip."""
    whole = np.full(shape, 77, np.uint8)
    for chip in read_manifest(folder):
        row, column = int(chip.fields["row"]), int(chip.fields["column"])
        whole[row : row + chip.shape[0], column : column + chip.shape[1]] = read_labels(chip)
    return whole


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """100 x 70 pixels of red, green, nir; nothing was measured in the first five columns."""
    dn = random_dn(70, 100)
    dn[:, :, :5] = 0
    return write_scene(tmp_path / "scene.tif", dn, offset=-0.1)


@pytest.mark.parametrize(
    ("length", "size", "stride", "expected"),
    [
        (512, 256, 256, [(0, 256), (256, 256)]),
        (600, 256, 256, [(0, 256), (256, 256), (512, 88)]),
        (520, 256, 256, [(0, 256), (256, 264)]),
        (100, 256, 256, [(0, 100)]),
        (10, 256, 256, [(0, 10)]),
        (512, 256, 128, [(0, 256), (128, 256), (256, 256)]),
        (560, 256, 128, [(0, 256), (128, 256), (256, 256), (384, 176)]),
        (1000, 64, 500, [(0, 64), (500, 64)]),
        (1010, 64, 500, [(0, 64), (500, 64)]),
        (1064, 64, 500, [(0, 64), (500, 64), (1000, 64)]),
    ],
)
def test_chips_along_an_axis(length, size, stride, expected) -> None:
    assert spans(length, size, stride) == expected


@given(st.integers(1, 900), st.integers(1, 900), st.integers(32, 300), st.integers(1, 300))
def test_chips_cover_the_scene_once_or_as_often_as_their_stride_says(
    height, width, size, stride
) -> None:
    grid = Grid(None, Affine.identity(), width, height)
    count = np.zeros((height, width), int)
    for window in Plan(size, size, 0).windows(grid):
        assert min(window.height, height, 32) <= window.height < size + 32
        count[window.toslices()] += 1
    assert (count == 1).all()
    if stride <= size:
        covered = np.zeros(width, int)
        for start, some in spans(width, size, stride):
            covered[start : start + some] += 1
        assert covered.min() == 1 or covered.min() >= size // stride // 2


def test_chips_hold_the_scenes_reflectance_and_the_labels_of_its_pixels(scene, tmp_path) -> None:
    codes = np.random.default_rng(1).integers(0, 5, (70, 100), dtype=np.uint8)
    labels = label_raster(tmp_path / "labels.tif", codes)
    with pytest.warns(GeomaskWarning, match="does not name its classes; its codes are taken as 0"):
        summary = cut_chips(scene, labels, tmp_path / "chips", size=35)
    chips = read_manifest(tmp_path / "chips")
    assert [chip.id for chip in chips] == [f"scene_{r:05}_{c:05}" for r in (0, 35) for c in (0, 35)]
    assert [chip.shape for chip in chips] == [(35, 35), (35, 65), (35, 35), (35, 65)]
    assert {chip.group for chip in chips} == {"scene"}
    assert chips[0].bands == ("red", "green", "nir")
    with open_scene(scene) as opened:
        for chip in chips:
            row, column = int(chip.fields["row"]), int(chip.fields["column"])
            window = Window(column, row, chip.shape[1], chip.shape[0])
            image, valid = opened.read(window, chip.bands)
            np.testing.assert_allclose(read_image(chip, chip.bands), image, atol=1e-6)
            assert not valid.all() or column
            expected = np.where(valid, codes[window.toslices()], 255)
            np.testing.assert_array_equal(read_labels(chip), expected)
            with rasterio.open(chip.image) as written:
                assert written.transform == shifted(column, row)
    assert summary.pixels["ignored"] == 5 * 70
    assert summary.pixels["snow"] == (codes[:, 5:] == 4).sum()
    assert (summary.chips, summary.unlabelled, summary.replaced) == (4, 0, 0)
    assert json.loads(json.dumps(summary.to_json()))["bands"] == ["red", "green", "nir"]
    assert chips[0].fields["gsd_m"] == "10"
    assert chips[0].fields["radiometry"].startswith("reflectance = DN * 0.0001 - 0.1 (GDAL")


def test_dark_and_bright_pixels_survive_and_none_becomes_nodata(tmp_path) -> None:
    reflectance = np.array([-0.5, -0.0999, -0.02, 0, 1.3, 6.4535, 9], np.float32)
    values = np.full((1, 32, 32), 0.25, np.float32)
    values[0, 0, :7], values[0, 0, 7] = reflectance, np.nan
    scene = write_scene(tmp_path / "s.tif", values, bands=("red",), scale=None, nodata=None)
    labels = draw(tmp_path / "l.gpkg", [(square(0, 0, 32, 32), "cloud")])
    with open_scene(scene, scale=1.0, offset=0.0) as opened:
        cut_chips(opened, labels, tmp_path / "chips")
        opened.read(Window(0, 0, 1, 1), ("red",))  # it was lent, and is still open
    (chip,) = read_manifest(tmp_path / "chips")
    image = read_image(chip, ("red",))[0, 0, :9]
    expected = [-0.0999, -0.0999, -0.02, 0, 1.3, 6.4535, 6.4535, np.nan, 0.25]
    np.testing.assert_allclose(image, expected, atol=1e-6)
    assert read_labels(chip)[0, :9].tolist() == [1] * 7 + [255, 1]


def test_bands_of_several_resolutions_come_to_the_finest_grid(tmp_path) -> None:
    folder = tmp_path / "product"
    folder.mkdir()
    fine, coarse = np.full((1, 40, 40), 1500, np.uint16), np.full((1, 20, 20), 2500, np.uint16)
    fine[0, 0, 0] = coarse[0, 19, 19] = 0
    write_scene(folder / "x_B04.tif", fine, bands=(None,))
    write_scene(folder / "x_B11.tif", coarse, bands=(None,), transform=Affine(20, 0, LEFT, 0, -20, TOP))  # fmt: skip  # noqa: E501
    labels = label_raster(tmp_path / "l.tif", np.full((40, 40), 3, np.uint8))
    summary = cut_chips(folder, labels, tmp_path / "chips", mapping={"3": "shadow"}, name="x")
    assert summary.bands == ("red", "swir16")
    (chip,) = read_manifest(tmp_path / "chips")
    image = read_image(chip, ("swir16", "red"))
    assert image.shape == (2, 40, 40)
    np.testing.assert_allclose(image[:, 20, 20], [0.25, 0.15], atol=1e-6)
    codes = read_labels(chip)
    assert (codes == 255).sum() == 1 + 4, "where either band was not measured"
    with pytest.raises(OptionError, match=r"on another grid \(40 x 40.*gdalwarp -r near .* --grid"):
        cut_chips(folder, labels, tmp_path / "coarse", bands=["swir16"])


def test_bands_are_those_named_else_all_but_panchromatic_and_thermal(tmp_path) -> None:
    names = ("red", "pan", "nir", "lwir11")
    scene = write_scene(tmp_path / "s.tif", random_dn(40, 40, bands=4), bands=names)
    labels = draw(tmp_path / "l.gpkg", [(square(0, 0, 32, 32), "cloud")])
    assert cut_chips(scene, labels, tmp_path / "a").bands == ("red", "nir")
    assert cut_chips(scene, labels, tmp_path / "b", bands=["pan"]).bands == ("pan",)
    with pytest.raises(BandError, match="has no band 'blue'"):
        cut_chips(scene, labels, tmp_path / "c", bands=["blue"])
    with pytest.raises(BandError, match="each once"):
        cut_chips(scene, labels, tmp_path / "c", bands=["red", "red"])
    bare = write_scene(tmp_path / "bare.tif", random_dn(40, 40), bands=(None,) * 3)
    with pytest.raises(BandError, match="say which band is which with --bands"):
        cut_chips(bare, labels, tmp_path / "c")


@pytest.mark.parametrize(
    ("suffix", "crs"),
    [
        *((suffix, crs) for suffix in ("shp", "gpkg") for crs in (UTM, "EPSG:4326", "EPSG:3857")),
        ("geojson", "EPSG:4326"),
    ],
)
def test_polygons_of_any_format_and_crs_label_the_pixels_whose_centres_they_hold(
    scene, tmp_path, suffix, crs
) -> None:
    shapes = [
        (square(9.6, 3.6, 50, 40), "Clear"),
        (square(29.6, 9.6, 20, 20), "CLOUD"),
        (square(34.6, 14.6, 5, 5), "thin-cloud"),
        (square(49.6, 9.6, 6, 6), " Cloud  Shadow"),
        (square(9.6, 43.6, 8, 8), "snow"),
        (square(0, 60, 10, 10), "cloud"),
    ]
    drawn = [(to(crs, shape), name) for shape, name in shapes]
    labels = draw(tmp_path / f"labels.{suffix}", drawn, crs)
    cut_chips(scene, labels, tmp_path / "chips", size=32, min_labelled=0)
    expected = np.full((70, 100), 255, np.uint8)
    for (r, c, h, w), code in {
        (4, 10, 40, 50): 0,
        (10, 30, 20, 20): 1,
        (15, 35, 5, 5): 2,
        (10, 50, 6, 6): 3,
        (44, 10, 8, 8): 4,
        (60, 0, 10, 10): 1,
    }.items():
        expected[r : r + h, c : c + w] = code
    expected[:, :5] = 255
    found = labels_of(tmp_path / "chips", expected.shape)
    there = found != 77
    assert there.sum() >= 70 * 64
    assert (expected[~there] == 255).all(), "what has no chip has no label"
    np.testing.assert_array_equal(found[there], expected[there])


def test_the_later_polygon_counts_where_two_overlap_whatever_the_index_says(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(64, 64))
    names = ["clear", "cloud", "snow", "shadow", "thin cloud"]
    rng = np.random.default_rng(3)
    shapes = [
        (square(*rng.integers(0, 40, 2), *rng.integers(5, 40, 2)), names[i % 5]) for i in range(300)
    ]
    expected = np.full((64, 64), 255, np.uint8)
    for shape, name in shapes:
        left, bottom, right, top = ((np.array(shape.bounds) - [LEFT, TOP] * 2) / PIXEL).round()
        expected[int(-top) : int(-bottom), int(left) : int(right)] = meanings().of(name)
    labels = draw(tmp_path / "l.gpkg", shapes)
    cut_chips(scene, labels, tmp_path / "chips", size=32)
    np.testing.assert_array_equal(labels_of(tmp_path / "chips", (64, 64)), expected)


def test_holes_and_parts_are_drawn_as_they_are(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(40, 40))
    ring = square(0, 0, 10, 10).difference(square(3, 3, 4, 4))
    parts = shapely.MultiPolygon([ring, square(20, 20, 5, 5)])
    labels = draw(tmp_path / "l.gpkg", [(parts, "cloud")], geometry="MultiPolygon")
    cut_chips(scene, labels, tmp_path / "chips")
    (chip,) = read_manifest(tmp_path / "chips")
    expected = np.full((40, 40), 255, np.uint8)
    expected[:10, :10], expected[3:7, 3:7], expected[20:25, 20:25] = 1, 255, 1
    np.testing.assert_array_equal(read_labels(chip), expected)


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_a_window_burns_no_more_of_a_large_polygon_than_lies_in_it(
    tmp_path, monkeypatch, crs
) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(128, 128))
    holes = [square(x, y, 1, 1) for x in range(1, 127, 2) for y in range(1, 127, 2)]
    ground = square(0, 0, 128, 128).difference(shapely.union_all(holes))
    labels = draw(tmp_path / "l.gpkg", [(to(crs, ground), "clear")], crs)
    corners = []

    def counting(shapes, **options):
        corners.append(sum(shapely.get_num_coordinates(geometry) for geometry, _ in shapes))
        return burn(shapes, **options)

    burn = drawn_polygons.burn
    monkeypatch.setattr(drawn_polygons, "burn", counting)
    cut_chips(scene, labels, tmp_path / "chips", size=32)
    expected = np.zeros((128, 128), np.uint8)
    expected[1:127:2, 1:127:2] = 255
    np.testing.assert_array_equal(labels_of(tmp_path / "chips", (128, 128)), expected)
    assert len(corners) == 16
    assert max(corners) < shapely.get_num_coordinates(ground) / 8


def test_what_cannot_be_drawn_is_left_out_or_mended_and_said(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(40, 40))
    corners = [(0, 0), (20, -20), (20, 0), (0, -20)]
    bow = shapely.Polygon([(LEFT + 10 * x, TOP + 10 * y) for x, y in corners])
    labels = draw(tmp_path / "l.geojson", [
        (to("EPSG:4326", bow), "cloud"), (None, "cloud"),
        (shapely.Point(15, 45), "what a pity"), (to("EPSG:4326", square(30, 30, 5, 5)), "snow"),
        (shapely.Polygon(), "cloud"),
    ], "EPSG:4326", geometry="Unknown")  # fmt: skip
    with pytest.warns(GeomaskWarning) as told:
        cut_chips(scene, labels, tmp_path / "chips")
    texts = [str(item.message) for item in told if item.category is GeomaskWarning]
    assert [text.partition(": ")[2] for text in texts] == [
        "2 of its features have no geometry and are left out",
        "1 of its features are no polygons and are left out",
        "1 of its features cross themselves; what they enclose is taken",
    ]
    codes = labels_of(tmp_path / "chips", (40, 40))
    assert codes[2, 10] == codes[17, 10] == 255, "above and below the knot"
    assert codes[10, 1] == codes[10, 18] == 1, "left and right of it"
    assert (codes[30:35, 30:35] == 4).all()


def test_numbers_that_no_reflectance_can_be_make_no_chips(tmp_path) -> None:
    """Digital numbers as floats, which state nothing and so are taken as reflectance."""
    scene = write_scene(tmp_path / "s.tif", random_dn(70, 100).astype(np.float32) + 3, scale=None)
    labels = label_raster(tmp_path / "labels.tif", np.ones((70, 100), np.uint8))
    with (
        pytest.warns(GeomaskWarning, match="its values are taken as reflectance"),
        pytest.raises(SceneError, match="no reflectance"),
    ):
        cut_chips(scene, labels, tmp_path / "chips", mapping={"1": "cloud"})
    assert not (tmp_path / "chips").exists()


def test_values_that_say_nothing_are_listed_and_can_be_mapped(scene, tmp_path) -> None:
    shapes = [
        (square(10, 0, 30, 30), "Wolke"), (square(40, 0, 10, 10), "Wolke"),
        (square(50, 0, 10, 10), "cirrus"), (square(60, 0, 10, 10), None),
        (square(70, 0, 10, 10), "Cloud"),
    ]  # fmt: skip
    labels = draw(tmp_path / "l.gpkg", shapes)
    with pytest.raises(
        OptionError,
        match=r"field class has .* 'Wolke' \(2\), 'cirrus' \(1\), empty \(1\); .* --map",
    ):
        cut_chips(scene, labels, tmp_path / "chips")
    assert not (tmp_path / "chips").exists()
    stated = {"WOLKE": "thick cloud", "Cirrus": "thin_cloud", "": "ignore"}
    summary = cut_chips(scene, labels, tmp_path / "chips", mapping=stated)
    found = {name: count for name, count in summary.pixels.items() if count}
    assert found == {"thick_cloud": 1100, "thin_cloud": 100, "ignored": 7000 - 1200}
    with pytest.raises(OptionError, match="Wolke=hail: 'hail' is no label; there are: clear, "):
        cut_chips(scene, labels, tmp_path / "more", mapping={"Wolke": "hail"})


@pytest.mark.parametrize("kind", ["int", "float", "str"])
def test_numbers_are_chip_codes_where_nobody_says_otherwise_and_that_is_said(
    scene, tmp_path, kind
) -> None:
    make = {"int": int, "float": float, "str": str}[kind]
    shapes = [(square(10, 0, 30, 10), make(3)), (square(40, 0, 10, 10), make(1))]
    labels = draw(tmp_path / "l.gpkg", shapes, field="CODE", kind=kind)
    with pytest.warns(GeomaskWarning, match="took 1 as thick_cloud, 3 as shadow in field CODE"):
        summary = cut_chips(scene, labels, tmp_path / "chips", field="code", min_labelled=0)
    assert (summary.pixels["shadow"], summary.pixels["thick_cloud"]) == (300, 100)
    with pytest.raises(OptionError, match=r"says nothing geomask knows: '?1(\.0)?'? \(1\)|values"):
        cut_chips(scene, labels, tmp_path / "b", field="code", mapping={"3": "snow"})
    stated = {"3": "snow", "1": "ignore"}
    summary = cut_chips(scene, labels, tmp_path / "b", field="code", mapping=stated, min_labelled=0)
    assert (summary.pixels["snow"], summary.pixels["shadow"]) == (300, 0)


def test_what_nobody_drew_is_clear_only_where_that_is_said(scene, tmp_path) -> None:
    labels = draw(tmp_path / "l.gpkg", [(square(10, 0, 30, 10), "cloud")])
    ignoring = cut_chips(scene, labels, tmp_path / "a", size=50, min_labelled=0)
    assert ignoring.pixels["clear"] == 0
    assert ignoring.chips == 1
    clear = cut_chips(scene, labels, tmp_path / "b", size=50, background="clear")
    assert clear.pixels["clear"] == 70 * 95 - 300
    assert clear.pixels["ignored"] == 5 * 70, "what was not measured is not clear"
    raster = label_raster(tmp_path / "l.tif", np.ones((70, 100), np.uint8))
    with pytest.warns(GeomaskWarning), pytest.raises(OptionError, match="a raster says itself"):
        cut_chips(scene, raster, tmp_path / "c", background="clear")
    with pytest.raises(OptionError, match="background 'snow'; there are: ignore, clear"):
        cut_chips(scene, labels, tmp_path / "c", background="snow")


def test_all_touched_pixels_belong_to_a_polygon_where_that_is_asked_for(scene, tmp_path) -> None:
    labels = draw(tmp_path / "l.gpkg", [(square(10.6, 10.6, 9, 9), "cloud")])
    plain = cut_chips(scene, labels, tmp_path / "a", min_labelled=0)
    wide = cut_chips(scene, labels, tmp_path / "b", min_labelled=0, all_touched=True)
    assert (plain.pixels["thick_cloud"], wide.pixels["thick_cloud"]) == (81, 100)


def test_a_long_edge_bends_with_the_projection(tmp_path) -> None:
    """A parallel is no straight line in UTM: over 240 km it is 16 pixels of 30 m off its chord."""
    transform = Affine(30, 0, 500_000, 0, -30, 6_000_000)
    scene = write_scene(tmp_path / "s.tif", random_dn(64, 64), transform=transform)
    geographic = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    _, south = geographic.transform(500_000 + 960, 6_000_000 - 1000)
    labels = draw(tmp_path / "l.gpkg", [(box(13.2, south, 16.8, 60), "clear")], "EPSG:4326")
    cut_chips(scene, labels, tmp_path / "chips", min_labelled=0)
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5)
    _, latitude = geographic.transform(*Grid(None, transform, 1, 1).to_map(columns, rows))
    expected = np.where(latitude > south, 0, 255)
    assert 0 < (expected == 0).sum() < 64 * 64
    np.testing.assert_array_equal(labels_of(tmp_path / "chips", (64, 64)), expected)


def test_polygons_on_both_sides_of_the_date_line_are_found(tmp_path) -> None:
    utm, transform = "EPSG:32601", Affine(100, 0, 300_000, 0, -100, 7_350_000)
    scene = write_scene(tmp_path / "s.tif", random_dn(200, 1400), crs=utm, transform=transform)
    geographic = pyproj.Transformer.from_crs(utm, "EPSG:4326", always_xy=True)
    columns, rows = np.meshgrid(np.arange(1400) + 0.5, np.arange(200) + 0.5)
    longitude, _ = geographic.transform(*Grid(None, transform, 1, 1).to_map(columns, rows))
    assert (longitude > 0).any()
    assert (longitude < 0).any()
    halves = [(box(178, 60, 180, 70), "cloud"), (box(-180, 60, -179.5, 70), "snow")]
    labels = draw(tmp_path / "l.gpkg", halves, "EPSG:4326")
    cut_chips(scene, labels, tmp_path / "chips", size=512)
    expected = np.where(longitude > 0, 1, np.where(longitude < -179.5, 4, 255))
    found = labels_of(tmp_path / "chips", expected.shape)
    there = found != 77
    assert (expected[~there] == 255).all()
    # The meridian itself belongs to neither, by the width of a rounding error.
    assert (found != expected)[there].sum() <= 200 * 2


@pytest.mark.parametrize(
    ("values", "nodata", "expected"),
    [
        (np.array([0, 1, 2, 3, 4, 255], np.uint8), None, [0, 1, 2, 3, 4, 255]),
        (np.array([0, 1, 2, 3, 4, 0], np.int16), 0, [255, 1, 2, 3, 4, 255]),
        (np.array([0, 1, np.nan, 3, -9999, 4], np.float32), -9999, [0, 1, 255, 3, 255, 4]),
    ],
)
def test_codes_of_a_raster_are_chip_codes_and_its_nodata_is_no_label(
    tmp_path, values, nodata, expected
) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(6, 6))
    labels = label_raster(tmp_path / "l.tif", np.tile(values, (6, 1)), nodata=nodata)
    with pytest.warns(GeomaskWarning, match="does not name its classes"):
        cut_chips(scene, labels, tmp_path / "chips")
    assert labels_of(tmp_path / "chips", (6, 6))[2].tolist() == expected


def test_a_class_is_not_what_the_raster_calls_nodata(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(6, 6))
    labels = label_raster(tmp_path / "l.tif", np.eye(6, dtype=np.uint8), nodata=0)
    with pytest.raises(OptionError, match=r"its 0 is nodata, and --map that it is a class"):
        cut_chips(scene, labels, tmp_path / "chips", mapping={"0": "clear", "1": "cloud"})
    assert not (tmp_path / "chips").exists()
    cut_chips(scene, labels, tmp_path / "chips", mapping={"0": "ignore", "1": "cloud"})
    assert labels_of(tmp_path / "chips", (6, 6))[2].tolist() == [255, 255, 1, 255, 255, 255]


def test_codes_that_nothing_explains_are_ignored_and_said(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(6, 6))
    labels = label_raster(tmp_path / "l.tif", np.tile(np.array([0, 1, 2, 3, 7, 9], np.uint8), (6, 1)))  # fmt: skip  # noqa: E501
    liss4 = {"0": "background", "1": "cloud", "2": "shadow", "3": "snow"}
    with pytest.warns(GeomaskWarning, match=r"pixels of code 7, 9 are not labelled") as told:
        cut_chips(scene, labels, tmp_path / "chips", mapping=liss4)
    own = [item for item in told if item.category is GeomaskWarning]
    assert len(own) == 1, "with a mapping of numbers nothing is assumed"
    assert labels_of(tmp_path / "chips", (6, 6))[0].tolist() == [0, 1, 3, 4, 255, 255]


def test_a_corrected_mask_of_geomasks_is_read_by_its_classes_names(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(6, 6))
    labels = label_raster(tmp_path / "l.tif", np.tile(np.array([0, 1, 2, 3, 9, 255], np.uint8), (6, 1)), nodata=255)  # fmt: skip  # noqa: E501
    classes = [(0, "clear"), (1, "cloud"), (2, "shadow"), (3, "snow"), (9, "haze")]
    with rasterio.open(labels, "r+") as dataset:
        entries = [{"code": code, "name": name, "color": [0, 0, code]} for code, name in classes]
        dataset.update_tags(GEOMASK_CLASSES=json.dumps(entries))
    with pytest.warns(GeomaskWarning, match="code 9 are not labelled"):
        cut_chips(scene, labels, tmp_path / "a")
    assert labels_of(tmp_path / "a", (6, 6))[0].tolist() == [0, 1, 3, 4, 255, 255]
    cut_chips(scene, labels, tmp_path / "b", mapping={"haze": "thin_cloud", "1": "ignore"})
    assert labels_of(tmp_path / "b", (6, 6))[0].tolist() == [0, 255, 3, 4, 2, 255]


def test_labels_on_another_grid_are_refused_with_the_way_out(scene, tmp_path) -> None:
    codes = np.ones((70, 100), np.uint8)
    wrong = {
        "shifted": label_raster(tmp_path / "shifted.tif", codes, shifted(0.5, 0)),
        "zone": label_raster(tmp_path / "zone.tif", codes, crs="EPSG:32634"),
        "size": label_raster(tmp_path / "size.tif", codes[:, :-1]),
        "none": label_raster(tmp_path / "none.tif", codes, crs=None),
    }
    for path in wrong.values():
        with pytest.raises(OptionError, match="gdalwarp") as told:
            cut_chips(scene, path, tmp_path / "chips")
        assert (
            "gdalwarp -r near -t_srs EPSG:32633 -te 500000 4999300 501000 5000000 "
            f"-ts 100 70 {path} on_grid.tif"
        ) in str(told.value)
    almost = label_raster(tmp_path / "almost.tif", codes, shifted(1e-4, 0))
    with pytest.warns(GeomaskWarning, match="does not name its classes"):
        cut_chips(scene, almost, tmp_path / "chips")


def test_files_that_hold_no_labels_are_refused(scene, tmp_path) -> None:
    points = draw(tmp_path / "p.gpkg", [(shapely.Point(0, 0), "cloud")], geometry="Point")
    with pytest.raises(MaskError, match="holds no polygon, only 1 features of another kind"):
        cut_chips(scene, points, tmp_path / "chips")
    with pytest.raises(MaskError, match="holds no polygon, only no feature"):
        cut_chips(scene, draw(tmp_path / "e.gpkg", []), tmp_path / "chips")
    with pytest.raises(MaskError, match=r"has 3 band\(s\) of uint16; labels are one band"):
        cut_chips(scene, scene, tmp_path / "chips")
    with pytest.raises(MaskError, match=r"gone\.shp: no such file"):
        cut_chips(scene, tmp_path / "gone.shp", tmp_path / "chips")
    (tmp_path / "x.txt").write_text("cloud")
    with pytest.raises(MaskError, match=r"x\.txt: is not a raster that GDAL can open"):
        cut_chips(scene, tmp_path / "x.txt", tmp_path / "chips")
    busy = label_raster(tmp_path / "busy.tif", np.arange(7000, dtype=np.int16).reshape(70, 100))
    with pytest.warns(GeomaskWarning), pytest.raises(MaskError, match="has 7000 values in one wi"):
        cut_chips(scene, busy, tmp_path / "chips")
    assert not (tmp_path / "chips").exists()


def test_fields_layers_and_places_that_nothing_says_are_asked_for(scene, tmp_path) -> None:
    shapes = [(square(10, 0, 30, 30), "cloud")]
    labels = draw(tmp_path / "l.gpkg", shapes, field="kind")
    with pytest.raises(OptionError, match=r"has no field 'class', only kind; .* --field"):
        cut_chips(scene, labels, tmp_path / "chips")
    draw(labels, shapes, field="kind", layer="more")
    with pytest.raises(OptionError, match=r"has 2 layers \(l, more\); say which with --layer"):
        cut_chips(scene, labels, tmp_path / "chips", field="kind")
    with pytest.raises(OptionError, match="has no layer 'less'; there are: l, more"):
        cut_chips(scene, labels, tmp_path / "chips", field="kind", layer="less")
    assert cut_chips(scene, labels, tmp_path / "chips", field="kind", layer="more").chips == 1
    nowhere = draw(tmp_path / "n.shp", shapes, None)
    with pytest.raises(OptionError, match="the labels has no CRS where the scene has one"):
        cut_chips(scene, nowhere, tmp_path / "c")


def test_a_style_that_qgis_saves_beside_a_layer_is_no_layer(scene, tmp_path) -> None:
    labels = draw(tmp_path / "l.gpkg", [(square(10, 0, 30, 30), "cloud")])
    draw(labels, [(None, "<qgis/>")], None, field="styleQML", geometry="None", layer="layer_styles")
    assert cut_chips(scene, labels, tmp_path / "chips").chips == 1


def test_scene_and_polygons_that_both_have_no_crs_share_their_coordinates(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(40, 40), crs=None)
    labels = draw(tmp_path / "l.shp", [(square(10, 0, 20, 30), "cloud")], None)
    with pytest.warns(GeomaskWarning, match="has no coordinate reference system"):
        summary = cut_chips(scene, labels, tmp_path / "chips")
    assert summary.pixels["thick_cloud"] == 600
    assert read_manifest(tmp_path / "chips")[0].gsd is None


def test_chips_with_too_few_labels_are_left_out(scene, tmp_path) -> None:
    # Of the four chips the first has 20 x 20 pixels drawn, 100 of which were not measured.
    labels = draw(tmp_path / "l.gpkg", [(square(0, 0, 20, 20), "cloud"), (square(60, 0, 2, 1), "cloud")])  # fmt: skip  # noqa: E501
    options = {"size": 35, "min_labelled": 300 / 35**2}
    summary = cut_chips(scene, labels, tmp_path / "a", **options)
    assert (summary.chips, summary.unlabelled) == (1, 3)
    assert cut_chips(scene, labels, tmp_path / "b", size=35, min_labelled=0).chips == 2
    with pytest.raises(OptionError, match=r"none of the 4 windows of .* measured to 25%"):
        cut_chips(scene, labels, tmp_path / "c", size=35, min_labelled=301 / 35**2)
    far = draw(tmp_path / "far.gpkg", [(square(9000, 0, 20, 20), "cloud")])
    with pytest.raises(OptionError, match="check that the labels lie on the scene"):
        cut_chips(scene, far, tmp_path / "c", min_labelled=0)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 16}, "size 16: chips have at least 32"),
        ({"stride": 0}, "stride 0"),
        ({"min_labelled": 1.5}, "min_labelled 1.5"),
        ({"split": "dev"}, "split 'dev'; there are: train, val"),
    ],
)
def test_options_that_mean_nothing_are_refused(scene, tmp_path, options, message) -> None:
    labels = draw(tmp_path / "l.gpkg", [(square(10, 0, 30, 30), "cloud")])
    with pytest.raises(OptionError, match=message):
        cut_chips(scene, labels, tmp_path / "chips", **options)


def test_several_scenes_go_into_one_folder_each_in_its_group_and_split(tmp_path) -> None:
    labels = draw(tmp_path / "l.gpkg", [(square(0, 0, 40, 40), "cloud")])
    for name, options in {
        "a 1": {"group": "alps", "split": "val"},
        "b.v2": {},
        "c": {"group": "alps"},
        "d": {"group": "sea", "split": "train"},
    }.items():
        scene = write_scene(tmp_path / f"{name}.tif", random_dn(40, 40))
        cut_chips(scene, labels, tmp_path / "chips", **options)
    rows = [chip.fields for chip in read_manifest(tmp_path / "chips")]
    assert [(row["id"], row["split_group"], row["split"]) for row in rows] == [
        ("a_1_00000_00000", "alps", "val"),
        ("b.v2_00000_00000", "b.v2", ""),
        ("c_00000_00000", "alps", ""),
        ("d_00000_00000", "sea", "train"),
    ]
    with pytest.raises(OptionError, match="group alps is in split val already, and must not part"):
        cut_chips(scene, labels, tmp_path / "chips", name="e", group="alps", split="train")


def test_a_scene_that_is_cut_again_is_refused_or_replaced_as_a_whole(scene, tmp_path) -> None:
    out = tmp_path / "chips"
    first = draw(tmp_path / "l.gpkg", [(square(10, 0, 90, 70), "cloud")])
    cut_chips(scene, first, out, size=32, split="val")
    other = write_scene(tmp_path / "other.tif", random_dn(40, 40))
    cut_chips(other, first, out)
    before = {path.name for path in out.iterdir()}
    with pytest.raises(
        OutputError, match=r"has 6 chips of scene already; give --overwrite .*--name"
    ):
        cut_chips(scene, first, out, size=32)
    second = draw(tmp_path / "m.gpkg", [(square(40, 0, 20, 20), "snow")])
    far = draw(tmp_path / "far.gpkg", [(square(900, 0, 20, 20), "snow")])
    with pytest.raises(OptionError, match="none of the"):
        cut_chips(scene, far, out, size=32, overwrite=True)
    assert {path.name for path in out.iterdir()} == before
    summary = cut_chips(scene, second, out, size=32, overwrite=True)
    assert (summary.chips, summary.replaced) == (1, 6)
    chips = {chip.id: chip for chip in read_manifest(out)}
    assert set(chips) == {"other_00000_00000", "scene_00000_00032"}
    assert set(np.unique(read_labels(chips["scene_00000_00032"]))) == {4, 255}
    assert len(list(out.iterdir())) == 5


def test_what_was_cut_before_an_interruption_is_whole(scene, tmp_path) -> None:
    labels = draw(tmp_path / "l.gpkg", [(square(10, 0, 90, 70), "cloud")])
    seen = []

    def stop(done) -> None:
        seen.append(done.done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_chips(scene, labels, tmp_path / "chips", size=32, progress=stop)
    assert len(read_manifest(tmp_path / "chips")) == 3
    assert len(list((tmp_path / "chips").iterdir())) == 7
    seen.clear()
    summary = cut_chips(
        scene, labels, tmp_path / "chips", size=32, overwrite=True,
        progress=lambda done: seen.append(done.done),
    )  # fmt: skip
    assert (summary.chips, summary.replaced) == (6, 3)
    assert seen == sorted(seen)
    assert seen[-1] == 7000


def test_a_damaged_scene_is_an_error_not_a_chip(tmp_path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(64, 64), compress="deflate")
    data = bytearray(scene.read_bytes())
    data[4000:12_000] = bytes(8000)
    scene.write_bytes(data)
    labels = draw(tmp_path / "l.gpkg", [(square(10, 0, 50, 60), "cloud")])
    with pytest.raises(SceneError, match="cut short or damaged"):
        cut_chips(scene, labels, tmp_path / "chips")
    assert not (tmp_path / "chips").exists()


@pytest.mark.parametrize(
    ("value", "spelling"),
    [("Thin Cloud", "thin_cloud"), ("thin-cloud ", "thin_cloud"), (3, "3"), (3.0, "3"), ("3", "3"),
     (-1, "-1"), (2.5, "2.5"), (None, ""), ("SCHNEE", "schnee"), (math.inf, "inf")],
)  # fmt: skip
def test_one_spelling_of_a_value(value, spelling) -> None:
    assert key(value) == spelling


@pytest.mark.parametrize(("at", "byte"), [(32, 0xDF), (8, 0x00)])
def test_a_damaged_table_is_one_of_our_errors(tmp_path: Path, at: int, byte: int) -> None:
    """The name of its field is no text, or its header has no length."""
    scene = write_scene(tmp_path / "s.tif", random_dn(64, 64))
    labels = draw(tmp_path / "l.shp", [(square(0, 0, 40, 40), "cloud")])
    data = bytearray((tmp_path / "l.dbf").read_bytes())
    data[at] = byte
    (tmp_path / "l.dbf").write_bytes(data)
    with pytest.raises((MaskError, OptionError), match=r"l\.shp"):
        cut_chips(scene, labels, tmp_path / "chips", size=32)
    assert not (tmp_path / "chips").exists()


def test_dates_that_are_none_do_not_escape(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(64, 64))
    schema = {"geometry": "Polygon", "properties": {"class": "str", "date": "date"}}
    with fiona.open(
        tmp_path / "l.shp", "w", schema=schema, crs=UTM, driver="ESRI Shapefile"
    ) as out:
        fields = {"class": "cloud", "date": "2024-05-06"}
        out.write({"geometry": mapping(square(0, 0, 40, 40)), "properties": fields})
    data = (tmp_path / "l.dbf").read_bytes()
    assert data.count(b"20240506") == 1
    (tmp_path / "l.dbf").write_bytes(data.replace(b"20240506", b"00000506"))
    with pytest.raises(MaskError, match="cannot be read as polygons: year 0 is out of range"):
        cut_chips(scene, tmp_path / "l.shp", tmp_path / "chips", size=32)
