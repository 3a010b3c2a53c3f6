"""The formats polygons are written in, and the CRS they are brought to."""

from __future__ import annotations

import json
from pathlib import Path

import fiona
import geopandas
import numpy as np
import pyarrow.parquet as pq
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS

from geomask.errors import OptionError, OutputError
from geomask.grid import Grid
from geomask.vectors import shapefile
from geomask.vectors.placing import TOLERANCE, Placing
from geomask.vectors.vectorize import vectorize_mask

SUFFIXES = [".shp", ".gpkg", ".fgb", ".geojson", ".parquet"]


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """400 x 300 pixels of 100 m in UTM: a cloud with a hole, and shadow all along the top."""
    codes = np.zeros((400, 300), np.uint8)
    codes[100:300, 50:250] = 1
    codes[180:220, 130:170] = 0
    codes[:10] = 2
    path = tmp_path / "mask.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=400, count=1, dtype="uint8",
        crs="EPSG:32633", transform=Affine(100, 0, 400_000, 0, -100, 5_600_000), nodata=255,
    ) as dataset:  # fmt: skip
        dataset.write(codes, 1)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_the_same(mask: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"clouds{suffix}"
    vectorize_mask(mask, out)
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    table = read(out).sort_values("class_id")
    wgs84 = suffix == ".geojson"
    assert table.crs == CRS.from_epsg(4326 if wgs84 else 32633)
    assert table["class"].tolist() == ["cloud", "shadow"]
    assert table["n_pixels"].tolist() == [200 * 200 - 40 * 40, 300 * 10]
    np.testing.assert_allclose(table["area_m2"], table["n_pixels"] * 1e4)
    np.testing.assert_allclose(table["perim_m"], [80_000 + 16_000, 62_000])
    assert table.geometry.is_valid.all()
    assert [len(geometry.interiors) for geometry in table.geometry] == [1, 0]
    back = table.to_crs(32633).area if wgs84 else table.area
    np.testing.assert_allclose(back, table["area_m2"], rtol=1e-5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_class_without_polygons_is_an_empty_layer(
    mask: Path, tmp_path: Path, suffix: str
) -> None:
    vectorize_mask(mask, tmp_path / f"clouds{suffix}", per_class=True)
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    assert len(read(tmp_path / f"clouds_snow{suffix}")) == 0
    assert len(read(tmp_path / f"clouds_cloud{suffix}")) == 1


def test_geojson_follows_its_rfc(mask: Path, tmp_path: Path) -> None:
    vectorize_mask(mask, tmp_path / "c.geojson")
    found = json.loads((tmp_path / "c.geojson").read_text(encoding="utf-8"))
    assert "crs" not in found
    for feature in found["features"]:
        outer, *holes = map(shapely.LinearRing, feature["geometry"]["coordinates"])
        assert outer.is_ccw
        assert not any(hole.is_ccw for hole in holes)
    with pytest.raises(OptionError, match="GeoJSON is in WGS 84"):
        vectorize_mask(mask, tmp_path / "d.geojson", crs="EPSG:32633")


def test_geoparquet_states_version_encoding_and_crs(mask: Path, tmp_path: Path) -> None:
    vectorize_mask(mask, tmp_path / "c.parquet", connectivity=8)
    about = json.loads(pq.read_metadata(tmp_path / "c.parquet").metadata[b"geo"])
    column = about["columns"][about["primary_column"]]
    assert (about["version"], column["encoding"]) == ("1.1.0", "WKB")
    assert pyproj.CRS.from_json_dict(column["crs"]).to_epsg() == 32633


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3035", "EPSG:3857", "EPSG:32631"])
@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_edges_bend_with_the_map(mask: Path, tmp_path: Path, crs: str, suffix: str) -> None:
    """Against the pixels' own outline, with a vertex at every pixel."""
    out = tmp_path / f"c{suffix}"
    vectorize_mask(mask, out, crs=crs)
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    table = read(out).sort_values("class_id")
    assert table.crs == crs
    np.testing.assert_allclose(table["area_m2"], table["n_pixels"] * 1e4)
    back = table.to_crs(32633)
    shadow = shapely.box(400_000, 5_600_000 - 1000, 430_000, 5_600_000)
    assert shapely.hausdorff_distance(back.geometry.iloc[1], shadow) < 2 * TOLERANCE * 100
    move = pyproj.Transformer.from_crs(32633, crs, always_xy=True).transform
    dense = shapely.transform(
        shapely.segmentize(shadow, 100), lambda p: np.column_stack(move(p[:, 0], p[:, 1]))
    )
    pixel = dense.length / 620
    assert shapely.hausdorff_distance(table.geometry.iloc[1], dense) < 2 * TOLERANCE * pixel


def test_what_needs_no_more_vertices_gets_none() -> None:
    grid = Grid(CRS.from_epsg(32633), Affine(100, 0, 5e5, 0, -100, 5e6), 1000, 1000)
    square = np.array([shapely.box(0, 0, 900, 900)], object)
    for crs in (None, grid.crs):
        assert shapely.get_num_coordinates(Placing(grid, crs).vertices(square))[0] == 5
    bent = Placing(grid, CRS.from_epsg(3035)).vertices(square)
    assert 5 < shapely.get_num_coordinates(bent)[0] < 500


@pytest.mark.parametrize("limit", ["shp", "dbf"])
def test_a_shapefile_stops_before_it_is_too_large(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Its reckoning is exact: the size the file has is allowed, and a byte less is not."""
    out = tmp_path / "clouds.shp"
    vectorize_mask(mask, out)
    size = max(path.stat().st_size for path in (out, out.with_suffix(".dbf")))
    monkeypatch.setattr(shapefile, "SHAPEFILE_LIMIT", size)
    vectorize_mask(mask, out, overwrite=True)
    monkeypatch.setattr(shapefile, "SHAPEFILE_LIMIT", size - 2)
    before = out.read_bytes()
    with pytest.raises(OutputError, match=r"name it \.gpkg"):
        vectorize_mask(mask, out, overwrite=True)
    assert out.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_crs_that_is_none_or_cannot_be_reached_is_refused(mask: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is none that PROJ knows"):
        vectorize_mask(mask, tmp_path / "c.gpkg", crs="EPSG:99999999")
    bare = tmp_path / "bare.tif"
    profile = {"driver": "GTiff", "width": 3, "height": 2, "count": 1, "dtype": "uint8"}
    profile["transform"] = Affine(10, 0, 0, 0, -10, 0)
    with rasterio.open(bare, "w", **profile) as dataset:
        dataset.write(np.ones((2, 3), np.uint8), 1)
    with pytest.raises(OptionError, match="has no CRS"):
        vectorize_mask(bare, tmp_path / "c.gpkg", crs="EPSG:4326")
    with pytest.raises(OptionError, match="has no CRS"):
        vectorize_mask(bare, tmp_path / "c.geojson")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_format_warns_when_it_is_opened(
    mask: Path, tmp_path: Path, suffix: str, recwarn: pytest.WarningsRecorder
) -> None:
    out = tmp_path / f"c{suffix}"
    vectorize_mask(mask, out, connectivity=8)
    if suffix == ".parquet":
        assert len(geopandas.read_parquet(out)) == 2
    else:
        with fiona.open(out) as found:
            assert len(list(found)) == 2
        assert len(geopandas.read_file(out)) == 2
    texts = [str(warning.message) for warning in recwarn]
    # pyproj's own, with NumPy before 2.4.
    assert not [text for text in texts if not text.startswith("Conversion of an array")]


@pytest.mark.parametrize("suffix", [".geojson", ".parquet"])
def test_polygons_are_not_torn_apart_at_the_180th_meridian(tmp_path: Path, suffix: str) -> None:
    """A UTM zone that ends there, and a mask that goes on."""
    path = tmp_path / "mask.tif"
    profile = {"driver": "GTiff", "width": 20, "height": 20, "count": 1, "dtype": "uint8"}
    profile |= {"crs": "EPSG:32660", "transform": Affine(1000, 0, 820_000, 0, -1000, 10_000)}
    codes = np.zeros((20, 20), np.uint8)
    codes[3, 3], codes[5] = 2, 1
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(codes, 1)
    with pytest.raises(OptionError, match="180th meridian"):
        vectorize_mask(path, tmp_path / f"c{suffix}", crs="EPSG:4326")
    assert not (tmp_path / f"c{suffix}").exists()
    vectorize_mask(path, tmp_path / f"c{suffix}", crs="EPSG:4326", classes=["shadow"])
