"""Masks on disk to polygons on disk, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fiona
import geopandas
import numpy as np
import pyogrio.raw
import pyproj
import pytest
import rasterio
import shapely
import shapely.affinity
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.crs import CRS

from geomask.errors import GeomaskWarning, MaskError, OptionError, OutputError
from geomask.grid import Grid
from geomask.output import Staged
from geomask.vectors import vectorize
from geomask.vectors.areas import areas_m2
from geomask.vectors.layer_bulk import BulkLayer
from geomask.vectors.options import PolygonOptions
from geomask.vectors.rasterize import rasterize
from geomask.vectors.vectorize import tracing, vectorize_mask

UTM = "EPSG:32633"
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_000_000)
ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)

CODES = np.array(
    [
        [1, 1, 0, 0, 255, 2],
        [1, 0, 0, 0, 255, 2],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 2],
        [2, 0, 0, 0, 0, 0],
    ],
    np.uint8,
)

MaskFactory = Callable[..., Path]


def write_raster(
    path: Path, codes: np.ndarray, crs: Any = UTM, transform: Affine = TRANSFORM
) -> Path:
    height, width = codes.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=1,
        dtype=codes.dtype,
        crs=crs,
        transform=transform,
        nodata=255,
    ) as dataset:
        dataset.write(codes, 1)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "mask.tif", CODES)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


FIELDS = [
    "class_id", "class", "area_m2", "perim_m", "conf", "conf_min", "n_pixels", "scene", "acq_date",
    "model", "geometry",
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_fields_crs_and_areas(mask: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"clouds{suffix}"
    summary = vectorize_mask(mask, out)
    table = geopandas.read_file(out)
    assert table.crs == CRS.from_string(UTM)
    assert list(table.columns) == FIELDS
    assert all(len(name) <= 10 for name in table.columns)
    assert table.geometry.is_valid.all()
    rows = sorted(zip(table["class_id"], table["class"], table["area_m2"], strict=True))
    assert rows == [
        (1, "cloud", 100.0),
        (1, "cloud", 600.0),
        (2, "shadow", 100.0),
        (2, "shadow", 100.0),
        (2, "shadow", 200.0),
    ]
    np.testing.assert_allclose(table.geometry.area, table["area_m2"])
    np.testing.assert_allclose(table.geometry.length, table["perim_m"])
    assert (table["n_pixels"] * 100 == table["area_m2"]).all()
    for name in ("conf", "conf_min", "scene", "acq_date", "model"):
        assert table[name].isna().all(), "nobody said"
    assert summary.paths == (out,)
    assert summary.counts == {"cloud": 2, "shadow": 3, "snow": 0}
    assert summary.areas_m2 == {"cloud": 700.0, "shadow": 400.0, "snow": 0.0}


def test_shapefile_is_complete_and_says_utf8(mask: Path, tmp_path: Path) -> None:
    vectorize_mask(mask, tmp_path / "clouds.shp")
    parts = {f"clouds.{part}" for part in ("shp", "shx", "dbf", "prj", "cpg", "qml")}
    assert files(tmp_path) == parts | {"mask.tif"}
    assert (tmp_path / "clouds.cpg").read_text() == "UTF-8"


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("transform", [TRANSFORM, ROTATED])
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    codes=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 1, 2, 3]),
    )
)
def test_polygons_give_back_the_mask(
    tmp_path: Path, codes: np.ndarray, transform: Affine, connectivity: int, suffix: str
) -> None:
    source = write_raster(tmp_path / "random.tif", codes, transform=transform)
    out = tmp_path / f"random{suffix}"
    vectorize_mask(source, out, connectivity=connectivity, overwrite=True)
    height, width = codes.shape
    grid = Grid(CRS.from_string(UTM), transform, width, height)
    np.testing.assert_array_equal(rasterize(out, grid), codes)


def test_nodata_comes_back_as_clear(mask: Path, tmp_path: Path) -> None:
    vectorize_mask(mask, tmp_path / "clouds.shp")
    grid = Grid(CRS.from_string(UTM), TRANSFORM, 6, 5)
    expected = np.where(CODES == 255, 0, CODES)
    np.testing.assert_array_equal(rasterize(tmp_path / "clouds.shp", grid), expected)


@pytest.mark.parametrize(("suffix", "kind"), [(".shp", "Polygon"), (".gpkg", "MultiPolygon")])
def test_a_diagonal_is_one_feature_of_eight_neighbours(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    source = write_raster(tmp_path / "diagonal.tif", np.eye(4, dtype=np.uint8))
    out = tmp_path / f"diagonal{suffix}"
    vectorize_mask(source, out, connectivity=8)
    with fiona.open(out) as layer:
        assert layer.schema["geometry"] == kind
    (geometry,) = geopandas.read_file(out).geometry
    assert geometry.is_valid
    assert geometry.geom_type == "MultiPolygon"
    assert len(geometry.geoms) == 4


def test_min_area_filters_components_not_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = np.zeros((6, 3), np.uint8)
    codes[:, 0] = 1  # 600 m2 in pieces of 100
    codes[0:4, 2] = 1
    source = write_raster(tmp_path / "mask.tif", codes)
    monkeypatch.setattr(vectorize, "_ROWS", 1)
    summary = vectorize_mask(source, tmp_path / "clouds.shp", min_area=500)
    assert summary.counts["cloud"] == 1
    assert geopandas.read_file(tmp_path / "clouds.shp")["area_m2"].tolist() == [600.0]
    # Equal is large enough.
    again = vectorize_mask(source, tmp_path / "clouds.shp", min_area=400, overwrite=True)
    assert again.counts["cloud"] == 2


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_no_crs_no_areas(tmp_path: Path, suffix: str) -> None:
    source = write_raster(tmp_path / "mask.tif", CODES, crs=None, transform=Affine.identity())
    out = tmp_path / f"clouds{suffix}"
    summary = vectorize_mask(source, out)
    assert summary.areas_m2 is None
    with fiona.open(out) as layer:
        assert [f.properties["area_m2"] for f in layer] == [None] * 5
    assert shapely.box(0, 0, 6, 5).covers(geopandas.read_file(out).union_all())
    with pytest.raises(OptionError, match="need a CRS"):
        vectorize_mask(source, tmp_path / "other.shp", min_area=1)
    assert not (tmp_path / "other.shp").exists()


def test_feet_are_not_metres(tmp_path: Path) -> None:
    new_york = Affine(10, 0, 980_000, 0, -10, 200_000)
    source = write_raster(tmp_path / "mask.tif", np.ones((1, 1), np.uint8), "EPSG:2263", new_york)
    summary = vectorize_mask(source, tmp_path / "clouds.shp")
    assert summary.areas_m2 is not None
    assert summary.areas_m2["cloud"] == pytest.approx(100 * (1200 / 3937) ** 2)


def geodesic_area(polygon: shapely.Polygon, grid: Grid) -> float:
    """pyproj's, of the polygon with edges so short that they follow the parallels."""
    short = shapely.segmentize(polygon, 0.02)
    ground = shapely.affinity.affine_transform(short, grid.transform.to_shapely())
    assert grid.crs is not None
    area, _ = pyproj.CRS(grid.crs.to_wkt()).get_geod().geometry_area_perimeter(ground)
    return abs(float(area))


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.1, 0, 5, 0, -0.1, 60),
        Affine(0.1, 0, -180, 0, 0.1, -89.5),
        Affine.translation(20, -30) @ Affine.rotation(25) @ Affine.scale(0.1, -0.2),
    ],
)
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4267", "EPSG:4807", "EPSG:4047"])
def test_geographic_areas_lie_on_the_ellipsoid(crs: str, transform: Affine) -> None:
    grid = Grid(CRS.from_string(crs), transform, 8, 8)
    ring = shapely.Polygon(
        [(0, 0), (4, 0), (4, 3), (0, 3)], holes=[[(1, 1), (1, 2), (3, 2), (3, 1)]]
    )
    cell = shapely.box(5, 5, 6, 6, ccw=True)
    both = shapely.MultiPolygon([ring, cell])
    areas = areas_m2(np.array([ring, cell, both], object), grid)
    assert areas is not None
    if crs == "EPSG:4807":  # grads, from Paris; pyproj's Geod counts degrees
        transform = Affine.scale(0.9) @ transform
    expected = [geodesic_area(p, Grid(CRS.from_string(crs), transform, 8, 8)) for p in (ring, cell)]
    np.testing.assert_allclose(areas, [*expected, sum(expected)], rtol=1e-6)


def test_a_small_cell_has_the_area_pyproj_gives(tmp_path: Path) -> None:
    transform = Affine(1e-4, 0, 11.5, 0, -1e-4, 47.25)
    source = write_raster(tmp_path / "mask.tif", np.ones((2, 3), np.uint8), "EPSG:4326", transform)
    vectorize_mask(source, tmp_path / "clouds.gpkg")
    table = geopandas.read_file(tmp_path / "clouds.gpkg")
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(table.geometry[0])
    assert table["area_m2"][0] == pytest.approx(abs(area), rel=1e-6)


def test_confidence_is_a_field(mask: Path, tmp_path: Path) -> None:
    percent = np.full(CODES.shape, 255, np.uint8)
    percent[CODES == 1] = 80
    percent[0, 0] = 20
    beside = write_raster(tmp_path / "conf.tif", percent)
    out = tmp_path / "clouds.shp"
    vectorize_mask(mask, out, confidence=beside)
    with fiona.open(out) as layer:
        found = {tuple(f.properties[name] for name in ("class", "conf", "conf_min")) for f in layer}
    assert found == {("cloud", 70.0, 20.0), ("cloud", 80.0, 80.0), ("shadow", None, None)}


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_polygons_say_where_their_mask_comes_from(mask: Path, tmp_path: Path, suffix: str) -> None:
    with rasterio.open(mask, "r+") as dataset:
        dataset.update_tags(
            GEOMASK_SCENE="S2A_Müll.SAFE",
            GEOMASK_MODEL="default",
            GEOMASK_ACQUISITION=json.dumps({"time": "2023-01-01T10:04:11.024Z"}),
        )
    out = tmp_path / f"clouds{suffix}"
    vectorize_mask(mask, out)
    with fiona.open(out) as layer:
        for found in layer:
            assert found.properties["scene"] == "S2A_Müll.SAFE"
            assert found.properties["model"] == "default"
            assert found.properties["acq_date"] == "2023-01-01"


@pytest.mark.parametrize("text", ["[]", "{", '{"time": "soon"}', '{"time": null}'])
def test_an_acquisition_that_cannot_be_read_is_none(mask: Path, tmp_path: Path, text: str) -> None:
    with rasterio.open(mask, "r+") as dataset:
        dataset.update_tags(GEOMASK_ACQUISITION=text)
    vectorize_mask(mask, tmp_path / "c.shp")
    assert geopandas.read_file(tmp_path / "c.shp")["acq_date"].isna().all()


def test_confidence_must_lie_on_the_mask(mask: Path, tmp_path: Path) -> None:
    beside = write_raster(tmp_path / "conf.tif", CODES, transform=ROTATED)
    with pytest.raises(MaskError, match=r"conf\.tif"):
        vectorize_mask(mask, tmp_path / "clouds.shp", confidence=beside)


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_a_file_per_class(mask: Path, tmp_path: Path, suffix: str) -> None:
    summary = vectorize_mask(mask, tmp_path / f"clouds{suffix}", per_class=True)
    names = [f"clouds_{name}{suffix}" for name in ("cloud", "shadow", "snow")]
    assert [path.name for path in summary.paths] == names
    tables = [geopandas.read_file(path) for path in summary.paths]
    assert [len(table) for table in tables] == [2, 3, 0]
    assert set(tables[0]["class"]) == {"cloud"}
    assert list(tables[2].columns) == FIELDS
    assert tables[2].crs == CRS.from_string(UTM)
    assert not (tmp_path / f"clouds{suffix}").exists()


def test_chosen_classes(mask: Path, tmp_path: Path) -> None:
    summary = vectorize_mask(mask, tmp_path / "clouds.shp", classes=["shadow"])
    assert summary.counts == {"shadow": 3}
    for names, said in ((["fog"], "fog"), (["clear"], "never"), ([], "no class")):
        with pytest.raises(OptionError, match=said):
            vectorize_mask(mask, tmp_path / "other.shp", classes=names)


def test_codes_without_a_class_are_named(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "mask.tif", np.array([[1, 7, 9]], np.uint8))
    with pytest.warns(GeomaskWarning, match="code 7, 9"):
        assert vectorize_mask(source, tmp_path / "clouds.shp").counts["cloud"] == 1


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("clouds.dxf", {}, OptionError, r"written to \.shp, \.gpkg"),
        ("clouds", {}, OptionError, r"written to \.shp, \.gpkg"),
        ("missing/clouds.shp", {}, OutputError, "does not exist"),
        ("clouds.shp", {"min_area": -1.0}, OptionError, "min_area"),
        ("clouds.shp", {"min_area": float("nan")}, OptionError, "min_area"),
        ("clouds.shp", {"connectivity": 6}, OptionError, "connectivity"),
    ],
)
def test_refuses(
    mask: Path, tmp_path: Path, name: str, options: dict[str, Any], error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        vectorize_mask(mask, tmp_path / name, **options)
    assert files(tmp_path) == {"mask.tif"}


def test_overwrites_only_when_told(mask: Path, tmp_path: Path) -> None:
    out = tmp_path / "clouds_snow.gpkg"
    out.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        vectorize_mask(mask, tmp_path / "clouds.gpkg", per_class=True)
    assert files(tmp_path) == {"mask.tif", out.name}
    assert out.read_text() == "mine"
    vectorize_mask(mask, tmp_path / "clouds.gpkg", per_class=True, overwrite=True)
    assert len(geopandas.read_file(out)) == 0


@pytest.mark.parametrize("problem", [fiona.errors.FionaError, OSError, RuntimeError])
def test_a_write_that_fails_leaves_what_was_there(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: type[Exception]
) -> None:
    vectorize_mask(mask, tmp_path / "clouds.shp", per_class=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: Any) -> None:
        raise problem("no space left. Failed to write record: {...}")

    monkeypatch.setattr(BulkLayer, "_append", fail)
    with pytest.raises(OutputError, match=r"clouds_cloud\.shp: .*\(no space left\)"):
        vectorize_mask(mask, tmp_path / "clouds.shp", per_class=True, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_mask_that_ends_early_leaves_nothing(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MaskError("cut short")

    monkeypatch.setattr(vectorize, "_large", fail)
    with pytest.raises(MaskError):
        vectorize_mask(mask, tmp_path / "clouds.gpkg")
    assert files(tmp_path) == {"mask.tif"}


def test_rasterize_refuses_other_vectors(tmp_path: Path) -> None:
    grid = Grid(None, TRANSFORM, 2, 2)
    with pytest.raises(MaskError, match="cannot be read"):
        rasterize(tmp_path / "missing.shp", grid)
    other = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=UTM)
    other.to_file(tmp_path / "other.gpkg")
    with pytest.raises(MaskError, match="class_id"):
        rasterize(tmp_path / "other.gpkg", grid)


def test_nodata_of_a_foreign_mask_is_no_class(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "mask.tif", CODES)
    with rasterio.open(source, "r+") as dataset:
        dataset.nodata = 2
    assert vectorize_mask(source, tmp_path / "clouds.shp").counts == {
        "cloud": 2,
        "shadow": 0,
        "snow": 0,
    }


def test_upper_case_suffixes(mask: Path, tmp_path: Path) -> None:
    vectorize_mask(mask, tmp_path / "c.GPKG")
    assert len(geopandas.read_file(tmp_path / "c.GPKG")) == 5
    with pytest.raises(OptionError, match=r"c\.SHP: name it in lower case"):
        vectorize_mask(mask, tmp_path / "c.SHP")
    assert files(tmp_path) == {"mask.tif", "c.GPKG", "c.qml"}


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_traced_polygons_come_into_place_when_told(mask: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"clouds{suffix}"
    with tracing(mask, out, PolygonOptions(per_class=True)) as traced:
        assert traced.summary.paths[0] == tmp_path / f"clouds_cloud{suffix}"
        assert {name for name in files(tmp_path) if name[0] != "."} == {"mask.tif"}
        mask.rename(tmp_path / "moved.tif")
        traced.commit()
        assert all(path.exists() for path in traced.summary.paths)
    assert not any(name.startswith(".") for name in files(tmp_path))
    assert len(geopandas.read_file(tmp_path / f"clouds_cloud{suffix}")) == 2


def test_traced_polygons_are_gone_without_a_commit(mask: Path, tmp_path: Path) -> None:
    with tracing(mask, tmp_path / "clouds.gpkg", PolygonOptions()):
        pass
    with (
        pytest.raises(KeyboardInterrupt),
        tracing(mask, tmp_path / "clouds.gpkg", PolygonOptions()),
    ):
        raise KeyboardInterrupt
    assert files(tmp_path) == {"mask.tif"}


def test_a_mask_that_is_staged_is_traced(mask: Path, tmp_path: Path) -> None:
    with Staged(tmp_path / "later.tif") as staged:
        write_raster(staged.path, np.array([[1, 7]], np.uint8))
        with (  # noqa: PT031
            pytest.warns(GeomaskWarning, match=f"^{tmp_path / 'later.tif'}: has pixels of code 7"),
            tracing(staged.path, tmp_path / "clouds.shp", PolygonOptions()) as traced,
        ):
            staged.commit()
            traced.commit()
    assert traced.summary.counts["cloud"] == 1
    assert {"later.tif", "clouds.shp"} < files(tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("part", ["shp", "shx", "dbf", "prj", "cpg", "gpkg"])
def test_a_file_that_was_cut_short_is_noticed(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    out = tmp_path / ("clouds.gpkg" if part == "gpkg" else "clouds.shp")
    close = BulkLayer._close

    def close_badly(self: BulkLayer) -> None:
        close(self)
        cut(self.path.with_suffix(f".{part}"))

    monkeypatch.setattr(BulkLayer, "_close", close_badly)
    with pytest.raises(OutputError, match=r"clouds\.\w+: could not be written completely"):
        vectorize_mask(mask, out)
    assert files(tmp_path) == {"mask.tif"}


def test_features_that_are_missing_are_noticed(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pyogrio.raw.write

    def write_less(path: Path, geometry: Any, data: Any, *rest: Any, **options: Any) -> None:
        write(path, geometry[1:], [column[1:] for column in data], *rest, **options)

    monkeypatch.setattr(pyogrio.raw, "write", write_less)
    with pytest.raises(OutputError, match=r"clouds\.gpkg: could not be written completely"):
        vectorize_mask(mask, tmp_path / "clouds.gpkg")
    assert files(tmp_path) == {"mask.tif"}


def test_a_crs_that_a_shapefile_cannot_state_is_not_dropped(tmp_path: Path) -> None:
    rotated_pole = "+proj=ob_tran +o_proj=longlat +o_lat_p=40 +lon_0=10 +to_meter=0.0174532925"
    source = write_raster(
        tmp_path / "mask.tif", CODES, CRS.from_string(rotated_pole), Affine.scale(0.1)
    )
    with pytest.raises(OutputError, match=r"clouds\.shp: .*cannot state this CRS; name it \.gpkg"):
        vectorize_mask(source, tmp_path / "clouds.shp")
    assert files(tmp_path) == {"mask.tif", "mask.tif.aux.xml"}
    vectorize_mask(source, tmp_path / "clouds.gpkg")
    assert geopandas.read_file(tmp_path / "clouds.gpkg").crs is not None


def test_options_are_applied_in_their_order(tmp_path: Path) -> None:
    """The small shadow goes before its hole is filled; areas are those of what is written."""
    codes = np.zeros((7, 7), np.uint8)
    codes[1:6, 1:6] = 1
    codes[2:5, 2:5] = 0
    codes[3, 3] = 2
    source = write_raster(tmp_path / "mask.tif", codes)
    out = tmp_path / "clouds.gpkg"
    options: dict[str, Any] = {"min_area": 200, "fill_holes": 1000, "buffer": 100}
    summary = vectorize_mask(source, out, **options)
    assert summary.counts == {"cloud": 1, "shadow": 0, "snow": 0}
    (row,) = geopandas.read_file(out).itertuples()
    assert row.n_pixels == 16
    expected = 50 * 50 + 4 * 50 * 100 + np.pi * 100**2
    assert row.area_m2 == pytest.approx(expected, rel=0.02)
    assert row.area_m2 == pytest.approx(row.geometry.area)
    assert row.perim_m == pytest.approx(row.geometry.length)
    assert summary.areas_m2 is not None
    assert summary.areas_m2["cloud"] == pytest.approx(row.area_m2)
    assert summary.mended == 0


@pytest.mark.parametrize("suffix", [".shp", ".gpkg", ".fgb", ".geojson", ".parquet"])
def test_every_format_takes_polygons_that_were_cut_in_two(tmp_path: Path, suffix: str) -> None:
    """A line of shadow runs between two clouds that grow together over it."""
    codes = np.zeros((9, 21), np.uint8)
    codes[4] = 2
    codes[3, 10] = codes[5, 10] = 1
    source = write_raster(tmp_path / "mask.tif", codes)
    out = tmp_path / f"clouds{suffix}"
    vectorize_mask(source, out, buffer=25)
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    table = read(out).to_crs(UTM)
    assert table.geometry.is_valid.all()
    shadow = table[table["class"] == "shadow"]
    assert len(shadow) == 1
    assert len(shadow.geometry.iloc[0].geoms) == 2
    assert table.union_all().area == pytest.approx(table.area.sum())


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", ["min_area", "fill_holes", "buffer", "simplify"])
def test_what_is_in_metres_needs_a_crs(tmp_path: Path, name: str) -> None:
    source = write_raster(tmp_path / "mask.tif", CODES, crs=None, transform=Affine.identity())
    option = "--" + name.replace("_", "-")
    with pytest.raises(OptionError, match=f"need a CRS that says metres.*leave {option} out"):
        vectorize_mask(source, tmp_path / "c.gpkg", **{name: 5.0})
    vectorize_mask(source, tmp_path / "c.gpkg", smooth=True)
    assert geopandas.read_file(tmp_path / "c.gpkg").geometry.is_valid.all()


def test_polygons_that_had_to_be_mended_are_counted(
    mask: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])

    def spoil(features: Any, *_: Any) -> Any:
        return replace(features.where(slice(1)), geometries=np.array([bow], object), areas=None)

    monkeypatch.setattr(vectorize, "refine", spoil)
    with pytest.warns(GeomaskWarning, match=r"c\.gpkg: 1 polygons crossed themselves"):
        summary = vectorize_mask(mask, tmp_path / "c.gpkg", smooth=True)
    assert summary.mended == 1
    assert geopandas.read_file(tmp_path / "c.gpkg").geometry.is_valid.all()
