"""The examples run, and what they write is what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import rasterio

SCRIPT = Path(__file__).parents[1] / "examples" / "make_scene.py"


@pytest.fixture(scope="module")
def make_scene():
    spec = importlib.util.spec_from_file_location("make_scene", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_scene


def test_made_scene_and_its_truth_share_grid_and_nodata(make_scene, tmp_path):
    scene, truth = tmp_path / "scene.tif", tmp_path / "truth" / "mask.tif"
    make_scene(scene, truth, size=161, seed=1)
    with rasterio.open(scene) as image, rasterio.open(truth) as mask:
        assert image.shape == mask.shape == (161, 161)
        assert image.transform == mask.transform
        assert image.crs == mask.crs == "EPSG:32633"
        assert image.descriptions == ("blue", "green", "red", "nir", "swir16", "swir22")
        assert image.scales == (1e-4,) * 6
        assert image.offsets == (0.0,) * 6
        assert (image.dtypes[0], image.nodata) == ("uint16", 0)
        assert (mask.dtypes[0], mask.nodata) == ("uint8", 255)
        dn, classes = image.read(), mask.read(1)
    outside = classes == 255
    assert (dn == 0).any(axis=0).tolist() == outside.tolist() == (dn == 0).all(axis=0).tolist()
    assert 0.01 < outside.mean() < 0.2
    assert set(np.unique(classes)) == {0, 1, 2, 3, 255}
    visible = dn[:3].mean(axis=0)
    assert visible[classes == 1].mean() > 2 * visible[classes == 0].mean()
    assert dn[3][classes == 2].mean() < dn[3][classes == 0].mean()


def test_made_scene_repeats_with_its_seed(make_scene, tmp_path):
    pixels = []
    for name in "ab":
        make_scene(tmp_path / f"{name}.tif", tmp_path / f"{name}_mask.tif", size=64, seed=5)
        with rasterio.open(tmp_path / f"{name}.tif") as raster:
            pixels.append(raster.read())
    assert np.array_equal(*pixels)
