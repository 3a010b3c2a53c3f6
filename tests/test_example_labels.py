"""The example from a shapefile that somebody drew to chips, a model and a mask runs to its end."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import fiona
import numpy as np
import pytest
import rasterio

from geomask.training.chips import read_labels, read_manifest
from geomask.training.cut import cut_chips

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    """The script as a module; it imports make_scene, which lies beside it."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("train_on_your_labels")


def test_the_drawing_is_a_shapefile_as_from_qgis_and_its_chips_are_the_truth_about(
    example, tmp_path
) -> None:
    scene, truth, drawing = tmp_path / "day.tif", tmp_path / "truth.tif", tmp_path / "day.shp"
    example.make_scene(scene, truth, size=256, seed=1)
    count = example.draw(truth, drawing)
    with fiona.open(drawing) as layer:
        assert (layer.driver, layer.crs) == ("ESRI Shapefile", "EPSG:4326")
        assert len(layer) == count
        assert {feature.properties["class"] for feature in layer} <= set(example.DRAWN_AS.values())
    cut_chips(scene, drawing, tmp_path / "chips")
    (chip,) = read_manifest(tmp_path / "chips")
    labels = read_labels(chip)
    with rasterio.open(truth) as dataset:
        codes = dataset.read(1)
    assert (labels[:, :62] == 255).all(), "the west was not drawn"
    assert (labels[codes == 255] == 255).all()
    drawn = labels != 255
    assert 0.7 < drawn.mean() < 0.78
    as_truth = np.array([0, 1, 1, 2, 3])[labels[drawn]]
    assert 0.9 < (as_truth == codes[drawn]).mean() < 1, "drawn by hand, but of this scene"


@pytest.mark.slow
def test_the_round_trip_ends_with_a_mask_that_agrees_with_the_truth(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "train_on_your_labels.py", "--folder", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for command in ("data chips", "train --recipe default", "predict"):
        assert f"$ geomask {command}" in done.stdout
    chips = read_manifest(tmp_path / "chips")
    assert {chip.group: chip.fields["split"] for chip in chips} == {
        "monday": "train",
        "tuesday": "train",
        "wednesday": "val",
    }
    assert (tmp_path / "mine.safetensors").is_file()
    with (
        rasterio.open(tmp_path / "mask.tif") as mask,
        rasterio.open(EXAMPLES / "scene.tif") as scene,
    ):
        assert (mask.shape, mask.transform, mask.crs) == (scene.shape, scene.transform, scene.crs)
    scores = dict(re.findall(r"^  (\w+) +(?:IoU|equal) ([\d.]+)$", done.stdout, re.MULTILINE))
    assert set(scores) == {"clear", "cloud", "shadow", "snow", "pixels"}
    assert float(scores["cloud"]) > 0.5, "what an untrained network, or one of labels that lie "
    assert float(scores["pixels"]) > 0.8, "beside their clouds, does not reach"
