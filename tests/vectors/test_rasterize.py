"""Polygons back to masks: the ones they came from, and edited ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geomask.classes import ClassTable, MaskClass
from geomask.errors import MaskError, OptionError, OutputError
from geomask.mask import mask_layout, open_mask
from geomask.raster import grid_of
from geomask.raster_writer import RasterWriter
from geomask.scene import open_scene
from geomask.vectors import rasterize as module
from geomask.vectors.rasterize import rasterize_polygons
from geomask.vectors.vectorize import vectorize_mask
from tests.conftest import TRANSFORM, UTM, random_dn, read, write_scene

SUFFIXES = [".shp", ".gpkg", ".fgb", ".geojson", ".parquet"]
GRIDS = {
    "utm": (UTM, TRANSFORM),
    "rotated": (
        UTM,
        Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.scale(10, -10),
    ),
    "degrees": ("EPSG:4326", Affine(1e-4, 0, 11.3, 0, -1e-4, 47.7)),
    "mercator": ("EPSG:3857", Affine(30, 0, 1_250_000, 0, -30, 6_100_000)),
}


def write_mask(path: Path, codes: np.ndarray, grid: str = "utm") -> Path:
    crs, transform = GRIDS[grid]
    return write_scene(
        path, codes[None], bands=(None,), crs=crs, transform=transform, scale=None, nodata=255
    )


def check_round_trip(mask: Path, polygons: Path, **options: Any) -> None:
    vectorize_mask(mask, polygons, overwrite=True, **options)
    back = mask.with_name("back.tif")
    rasterize_polygons(polygons, back, mask, overwrite=True)
    np.testing.assert_array_equal(read(back), read(mask))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("grid", GRIDS)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    codes=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 25), st.integers(1, 25)),
        elements=st.sampled_from([0, 1, 2, 3, 255]),
    ),
    connectivity=st.sampled_from([4, 8]),
    crs=st.sampled_from([None, "EPSG:4326", "EPSG:3035"]),
)
def test_the_mask_comes_back_to_the_bit(
    tmp_path: Path, codes: np.ndarray, grid: str, suffix: str, connectivity: int, crs: str | None
) -> None:
    mask = write_mask(tmp_path / "mask.tif", codes, grid)
    if suffix == ".geojson":
        crs = None
    check_round_trip(mask, tmp_path / f"c{suffix}", connectivity=connectivity, crs=crs)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_large_edges_come_back_from_another_map(tmp_path: Path, suffix: str) -> None:
    """3000 pixels of 100 m, across which edges bend by many pixels; several strips."""
    rng = np.random.default_rng(0)
    codes = np.kron(rng.choice([0, 1, 2, 255], (10, 10)), np.ones((300, 300))).astype(np.uint8)
    codes[rng.integers(0, 3000, 500), rng.integers(0, 3000, 500)] = 3
    mask = write_scene(
        tmp_path / "mask.tif", codes[None], bands=(None,), scale=None, nodata=255,
        transform=Affine(100, 0, 400_000, 0, -100, 5_600_000),
    )  # fmt: skip
    crs = None if suffix == ".geojson" else "EPSG:3035"
    check_round_trip(mask, tmp_path / f"c{suffix}", crs=crs)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("connectivity", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_real_masks_come_back_to_the_bit(tmp_path: Path, data: Path, connectivity: int) -> None:
    masks = sorted((data / "labelled").glob("*_mask.tif"))
    if not masks:
        pytest.skip("no labelled chips")
    for source in masks:
        mask = write_mask(tmp_path / "mask.tif", _classes_of(source))
        check_round_trip(mask, tmp_path / "c.gpkg", connectivity=connectivity)
        check_round_trip(mask, tmp_path / "c.shp", connectivity=connectivity, crs="EPSG:4326")


def _classes_of(path: Path) -> np.ndarray:
    """The labels of a chip with the default classes' codes, whatever its own are."""
    labels = read(path)
    values = np.unique(labels)
    lookup = np.full(256, 255, np.uint8)
    lookup[values[:4]] = np.arange(len(values[:4]))
    return lookup[labels]


def test_strips_are_those_of_one_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(0).choice([0, 0, 1, 1, 2, 255], (70, 40)).astype(np.uint8)
    codes[:, 3] = 1  # through all strips
    monkeypatch.setattr(module, "ROWS", 16)
    mask = write_mask(tmp_path / "mask.tif", codes)
    for suffix in SUFFIXES:
        check_round_trip(mask, tmp_path / f"c{suffix}")


def test_the_new_mask_is_a_mask_like_the_old_one(tmp_path: Path) -> None:
    table = ClassTable(
        (
            MaskClass(0, "clear", (1, 2, 3)),
            MaskClass(7, "thin", (4, 5, 6)),
            MaskClass(9, "thick", (7, 8, 9)),
        )
    )
    codes = np.random.default_rng(0).choice([0, 7, 9, 255], (600, 700)).astype(np.uint8)
    tags = {"GEOMASK_SCENE": "S.SAFE", "GEOMASK_MODEL": "m", "GEOMASK_ACQUISITION": "{}"}
    with rasterio.open(write_mask(tmp_path / "plain.tif", codes)) as dataset:
        grid = grid_of(dataset)
    with RasterWriter(tmp_path / "mask.tif", grid, mask_layout(table, tags)) as writer:
        writer.write(rasterio.windows.Window(0, 0, 700, 600), codes)
        writer.finish()
        writer.commit()
    vectorize_mask(tmp_path / "mask.tif", tmp_path / "c.gpkg")
    done = rasterize_polygons(tmp_path / "c.gpkg", tmp_path / "new.tif", tmp_path / "mask.tif")
    assert done.pixels == {
        "clear": int((codes == 0).sum()),
        "thin": int((codes == 7).sum()),
        "thick": int((codes == 9).sum()),
        "nodata": int((codes == 255).sum()),
    }
    with open_mask(tmp_path / "mask.tif") as old, open_mask(tmp_path / "new.tif") as new:
        assert new.classes == old.classes == table
        assert new.grid == old.grid
        assert new.origin == old.origin
        assert new.dataset.tags()["GEOMASK_POLYGONS"] == "c.gpkg"
        assert new.dataset.colormap(1) == old.dataset.colormap(1)
        assert new.dataset.overviews(1) == old.dataset.overviews(1)
    np.testing.assert_array_equal(read(tmp_path / "new.tif"), codes)


def boxes(path: Path, **fields: Any) -> Path:
    """One box of two by two pixels after another, along the top."""
    n = len(next(iter(fields.values())))
    shapes = [shapely.box(500_000 + 20 * i, 4_999_980, 500_020 + 20 * i, 5e6) for i in range(n)]
    table = geopandas.GeoDataFrame(fields, geometry=shapes, crs=UTM)
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_file(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return write_mask(tmp_path / "mask.tif", np.zeros((4, 8), np.uint8))


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
@pytest.mark.parametrize(
    "fields",
    [
        {"class": ["cloud", "snow", "clear"]},
        {"class_id": [1, 3, 0]},
        {"class_id": [1, None, 0], "class": ["cloud", "snow", None]},
        {"CLASS_ID": [1, 3, 0], "class": ["cloud", None, ""]},
    ],
)
def test_a_class_is_known_by_code_or_by_name(
    mask: Path, tmp_path: Path, suffix: str, fields: dict[str, Any]
) -> None:
    drawn = boxes(tmp_path / f"drawn{suffix}", **fields)
    if suffix == ".geojson":
        drawn.write_text(json.dumps(json.loads(drawn.read_text())))
    rasterize_polygons(drawn, tmp_path / "new.tif", mask)
    expected = np.zeros((4, 8), np.uint8)
    expected[:2, :2], expected[:2, 2:4] = 1, 3
    np.testing.assert_array_equal(read(tmp_path / "new.tif"), expected)


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"class_id": [1, 1.5]}, "has class_id 1.5,"),
        ({"class_id": [1, None]}, "has neither class_id nor class; give it one of: 0 clear"),
        ({"class_id": [1, None], "class": ["cloud", None]}, "has neither class_id nor class"),
        ({"class_id": [1, 8]}, "has class_id 8,"),
        ({"class": ["cloud", "fog"]}, "has class 'fog' and no class_id"),
        ({"class_id": [1, 2], "class": ["cloud", "snow"]}, "has class_id 2, which is shadow, and"),
    ],
)
def test_a_feature_that_says_nothing_known_is_named(
    mask: Path, tmp_path: Path, suffix: str, fields: dict[str, Any], said: str
) -> None:
    drawn = boxes(tmp_path / f"drawn{suffix}", **fields)
    number = 1 if suffix == ".parquet" else 2
    with pytest.raises(MaskError, match=rf"drawn{suffix}: feature {number} {said}"):
        rasterize_polygons(drawn, tmp_path / "new.tif", mask)
    assert not (tmp_path / "new.tif").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_last_polygon_counts_and_nodata_stays(tmp_path: Path) -> None:
    codes = np.zeros((4, 8), np.uint8)
    codes[0] = 255
    like = write_mask(tmp_path / "mask.tif", codes)
    shapes = [
        shapely.box(500_000, 4_999_960, 500_080, 5e6),
        shapely.box(500_020, 4_999_960, 500_040, 5e6),
    ]
    for order, middle in (([1, 2], 2), ([2, 1], 1)):
        table = geopandas.GeoDataFrame({"class_id": [1, 2]}, geometry=shapes, crs=UTM)
        table.iloc[[i - 1 for i in order]].to_file(tmp_path / "drawn.gpkg")
        rasterize_polygons(tmp_path / "drawn.gpkg", tmp_path / "new.tif", like, overwrite=True)
        new = read(tmp_path / "new.tif")
        assert (new[0] == 255).all()
        assert (new[1:, 2:4] == middle).all()
        assert (new[1:, 4:] == 1).all()


def test_a_scene_gives_grid_and_nodata(tmp_path: Path) -> None:
    values = random_dn(30, 40)
    values[:, :5] = 0
    values[1, 20, 20] = 0
    scene = write_scene(tmp_path / "scene.tif", values)
    drawn = boxes(tmp_path / "drawn.gpkg", class_id=[1])
    expected = np.zeros((30, 40), np.uint8)
    expected[:2, :2] = 1
    expected[:5] = expected[20, 20] = 255
    done = rasterize_polygons(drawn, tmp_path / "new.tif", scene)
    np.testing.assert_array_equal(read(tmp_path / "new.tif"), expected)
    assert done.pixels["nodata"] == 201
    with open_mask(tmp_path / "new.tif") as reader:
        assert reader.origin.scene == "scene.tif"
    with open_scene(scene, nodata="none") as stated:
        rasterize_polygons(drawn, tmp_path / "new.tif", stated, overwrite=True)
    assert read(tmp_path / "new.tif").sum() == 4


def test_polygons_that_cross_themselves_are_what_they_enclose(mask: Path, tmp_path: Path) -> None:
    bow = shapely.Polygon(
        [(500_000, 4_999_960), (500_080, 5e6), (500_080, 4_999_960), (500_000, 5e6)]
    )
    table = geopandas.GeoDataFrame({"class_id": [1]}, geometry=[bow], crs=UTM)
    table.to_file(tmp_path / "drawn.gpkg")
    rasterize_polygons(tmp_path / "drawn.gpkg", tmp_path / "new.tif", mask)
    new = read(tmp_path / "new.tif")
    assert new[:, 0].all()
    assert not new[0, 3:5].any()


def test_a_layer_is_chosen(mask: Path, tmp_path: Path) -> None:
    table = geopandas.read_file(boxes(tmp_path / "one.gpkg", class_id=[1]))
    table.to_file(tmp_path / "two.gpkg", layer="first")
    table.assign(class_id=2).to_file(tmp_path / "two.gpkg", layer="second")
    with pytest.raises(OptionError, match=r"has layers first, second; choose one with --layer"):
        rasterize_polygons(tmp_path / "two.gpkg", tmp_path / "new.tif", mask)
    with pytest.raises(OptionError, match=r"has no layer 'third', only first, second"):
        rasterize_polygons(tmp_path / "two.gpkg", tmp_path / "new.tif", mask, layer="third")
    rasterize_polygons(tmp_path / "two.gpkg", tmp_path / "new.tif", mask, layer="second")
    assert read(tmp_path / "new.tif").max() == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_polygons_are_a_clear_mask(mask: Path, tmp_path: Path, suffix: str) -> None:
    vectorize_mask(mask, tmp_path / f"c{suffix}")
    done = rasterize_polygons(tmp_path / f"c{suffix}", tmp_path / "new.tif", mask)
    assert done.pixels == {"clear": 32, "cloud": 0, "shadow": 0, "snow": 0, "nodata": 0}


def test_refuses_what_makes_no_mask(mask: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.tif"
    text = tmp_path / "text.gpkg"
    text.write_text("hello")
    (tmp_path / "text.parquet").write_text("hello")
    for path in (tmp_path / "absent.shp", text, tmp_path / "text.parquet"):
        with pytest.raises(MaskError, match=f"{path.name}: cannot be read as polygons"):
            rasterize_polygons(path, new, mask)
    points = geopandas.GeoDataFrame({"class_id": [1]}, geometry=[shapely.Point(5e5, 5e6)], crs=UTM)
    points.to_file(tmp_path / "points.gpkg")
    with pytest.raises(MaskError, match="holds none"):
        rasterize_polygons(tmp_path / "points.gpkg", new, mask)
    points.to_parquet(tmp_path / "points.parquet")
    with pytest.raises(MaskError, match="feature 0 is a Point"):
        rasterize_polygons(tmp_path / "points.parquet", new, mask)
    drawn = boxes(tmp_path / "drawn.gpkg", class_id=[1])
    bare = geopandas.read_file(drawn).set_crs(None, allow_override=True)
    bare.to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(OptionError, match="has no CRS"):
        rasterize_polygons(tmp_path / "bare.parquet", new, mask)
    with pytest.raises(OutputError, match=r"name it \.tif"):
        rasterize_polygons(drawn, tmp_path / "new.png", mask)
    with pytest.raises(OutputError, match="is an input"):
        rasterize_polygons(drawn, mask, mask, overwrite=True)
    assert not new.exists()


def test_a_damaged_crs_is_one_of_our_errors(tmp_path: Path) -> None:
    mask = write_mask(tmp_path / "mask.tif", np.eye(20, dtype=np.uint8))
    vectorize_mask(mask, tmp_path / "c.parquet")
    table = pq.read_table(tmp_path / "c.parquet")
    about = {
        k: v.replace(b'"conversion"', b'"bonversion"') for k, v in table.schema.metadata.items()
    }
    assert about != table.schema.metadata
    pq.write_table(table.replace_schema_metadata(about), tmp_path / "c.parquet")
    with pytest.raises(MaskError, match="its CRS is damaged"):
        rasterize_polygons(tmp_path / "c.parquet", tmp_path / "back.tif", mask)
    assert not (tmp_path / "back.tif").exists()


@pytest.mark.parametrize("byte", [100, 103, 107])
def test_an_index_that_does_not_fit_its_shapefile_is_refused(tmp_path: Path, byte: int) -> None:
    """GDAL would find no polygon where it says that they are, and all would be clear."""
    mask = write_mask(tmp_path / "mask.tif", np.eye(20, dtype=np.uint8))
    vectorize_mask(mask, tmp_path / "c.shp")
    data = bytearray((tmp_path / "c.shx").read_bytes())
    data[byte] ^= 0x40
    (tmp_path / "c.shx").write_bytes(data)
    with pytest.raises(MaskError, match=r"c\.shx: does not say where the polygons of c\.shp are"):
        rasterize_polygons(tmp_path / "c.shp", tmp_path / "back.tif", mask)


@pytest.mark.parametrize("known", [0, 1, 4])
def test_an_index_of_before_more_was_added_is_refused(tmp_path: Path, known: int) -> None:
    """GDAL would leave out what it does not list."""
    codes = np.zeros((20, 20), np.uint8)
    codes[::4, ::4] = 1
    mask = write_mask(tmp_path / "mask.tif", codes)
    vectorize_mask(mask, tmp_path / "c.shp")
    data = (tmp_path / "c.shx").read_bytes()
    (tmp_path / "c.shx").write_bytes(data[: 100 + 8 * known])
    with pytest.raises(MaskError, match=r"c\.shx: does not say where the polygons of c\.shp are"):
        rasterize_polygons(tmp_path / "c.shp", tmp_path / "back.tif", mask)


def test_bytes_behind_the_last_polygon_are_no_polygon(tmp_path: Path) -> None:
    """As where one was made shorter in place."""
    mask = write_mask(tmp_path / "mask.tif", np.eye(20, dtype=np.uint8))
    vectorize_mask(mask, tmp_path / "c.shp")
    with (tmp_path / "c.shp").open("ab") as file:
        file.write(np.array([0.5, 300.0, 20.0], "<f8").tobytes())
    rasterize_polygons(tmp_path / "c.shp", tmp_path / "back.tif", mask)
    assert np.array_equal(read(tmp_path / "back.tif"), np.eye(20, dtype=np.uint8))
