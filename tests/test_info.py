"""What is said of a scene, worked out by hand, and of models, as `prepare` decides it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine
from torch import nn

import geomask
from geomask import Scene, SceneInfo, open_scene, scene_info
from geomask.card import Card, read_card
from geomask.checkpoint import Model, save_model
from geomask.errors import GeomaskError, GeomaskWarning, SceneError
from geomask.inference import prepare
from geomask.info import ModelInfo, _band_info
from geomask.network import build_segmenter
from tests.conftest import make_card, random_dn, write_scene


def write_model(folder: Path, name: str, **changes: Any) -> Card:
    """A model file in a folder, and its card."""
    card = make_card(name=name, **changes)
    torch.manual_seed(0)
    save_model(folder / f"{name}.safetensors", build_segmenter(card), card)
    return card


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models that can be named, beside the bundled ones."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("GEOMASK_MODELS", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Red and nir of 10 m, swir of 20 m; a quarter of red was not measured."""
    place = tmp_path / "T45RTJ_20190301T044731"
    place.mkdir()
    red = np.full((1, 40, 60), 2000, dtype=np.uint16)
    red[:, :20, :30] = 0
    coarse = Affine(20, 0, 500_000, 0, -20, 5_000_000)
    write_scene(place / f"{place.name}_B04.tif", red, bands=(None,))
    write_scene(place / f"{place.name}_B08.tif", np.full_like(red, 3000), bands=(None,))
    swir = np.full((1, 20, 30), 1500, dtype=np.uint16)
    write_scene(place / f"{place.name}_B11.tif", swir, bands=(None,), transform=coarse)
    return place


def test_what_a_scene_is(folder: Path) -> None:
    info = scene_info(folder)
    assert (info.scene, info.kind) == (str(folder), "folder of band files")
    assert (info.width, info.height, info.crs) == (60, 40, "EPSG:32633")
    assert info.resolution == (10.0, 10.0)
    assert [(b.name, b.source, b.resolution, b.file) for b in info.bands] == [
        ("red", "B04", (10.0, 10.0), f"{folder.name}_B04.tif"),
        ("nir", "B08", (10.0, 10.0), f"{folder.name}_B08.tif"),
        ("swir16", "B11", (20.0, 20.0), f"{folder.name}_B11.tif"),
    ]
    assert info.radiometry == "reflectance = DN * 0.0001 + 0 (GDAL scale and offset of the file)"
    assert info.nodata == "0, stated by the file"
    assert info.nodata_percent == pytest.approx(25)
    assert (info.missing, info.unnamed, info.doubt, info.acquisition) == ({}, (), None, {})


def test_json_holds_plain_values_only(folder: Path) -> None:
    plain = scene_info(folder).to_json()
    assert json.loads(json.dumps(plain))["bands"][2]["resolution"] == [20.0, 20.0]
    assert set(plain) == set(SceneInfo.__dataclass_fields__)


def test_an_open_scene_stays_open(folder: Path) -> None:
    with open_scene(folder, grid=20) as scene:
        info = scene_info(scene)
        assert (info.width, info.height, info.resolution) == (30, 20, (20.0, 20.0))
        assert scene_info(scene) == info


@pytest.mark.filterwarnings("ignore::geomask.GeomaskWarning")
def test_a_scene_whose_bands_say_nothing_is_told_what_to_do(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(30, 40), bands=("a", None, "c"))
    info = scene_info(path)
    assert info.bands == ()
    assert info.unnamed == ("band 1 'a'", "band 2", "band 3 'c'")
    assert info.nodata_percent is None
    assert info.radiometry == "unknown: no band is named"
    (default,) = (model for model in info.models if model.name == "default")
    assert default.bands is None
    assert "say which is which, as in --bands" in str(default.why_not)


def as_prepared(scene: Scene, name: str, path: str) -> ModelInfo:
    """What `prepare` decides, or why it refuses."""
    try:
        inference = prepare(scene, Model(nn.Identity(), read_card(path), torch.device("cpu")))
    except GeomaskError as error:
        return ModelInfo(name, path, why_not=str(error).removeprefix(f"{scene.path}: "))
    return ModelInfo(name, path, inference.bands, inference.resolution)


SCENES: dict[str, dict[str, Any]] = {
    "all": {"bands": ("red", "green", "nir")},
    "two": {"bands": ("red", "nir", None)},
    "one": {"bands": (None, "nir", "a")},
    "fine": {"bands": ("red", "green", "nir"), "pixel": 2.5},
    "oblong": {"bands": ("red", "green", "nir"), "pixel": 40, "stretch": 2},
    "coarse": {"bands": ("red", "green", "nir"), "pixel": 5000},
    "nowhere": {"bands": ("red", "green", "nir"), "crs": None},
}


@pytest.mark.filterwarnings("ignore::geomask.GeomaskWarning")
@pytest.mark.parametrize("name", SCENES)
def test_models_run_or_not_just_as_they_are_prepared(
    tmp_path: Path, models: Path, name: str
) -> None:
    """For every model that can be named: bands, resolution and the reason are those of a run."""
    write_model(models, "three")
    write_model(models, "two", band_sets=(("red", "green", "nir"), ("red", "nir")))
    how = dict(SCENES[name])
    pixel, stretch = how.pop("pixel", 10), how.pop("stretch", 1)
    transform = Affine(pixel, 0, 500_000, 0, -pixel * stretch, 5_000_000)
    path = write_scene(tmp_path / "s.tif", random_dn(30, 40), transform=transform, **how)
    with open_scene(path) as scene:
        found = scene_info(scene).models
        assert {"three", "two", "default"} <= {model.name for model in found}
        assert list(found) == [as_prepared(scene, model.name, model.path) for model in found]


def test_a_band_that_is_missing_from_a_product_stops_models_that_want_it(
    models: Path, tmp_path: Path
) -> None:
    write_model(models, "two", band_sets=(("red", "green", "nir"), ("red", "nir")))
    path = write_scene(tmp_path / "s.tif", random_dn(30, 40), bands=("red", None, "nir"))
    with open_scene(path) as scene:
        scene.missing["green"] = "its file was eaten; order it again"
        info = scene_info(scene)
    assert info.missing == {"green": "its file was eaten; order it again"}
    (two,) = (model for model in info.models if model.name == "two")
    assert (two.bands, two.why_not) == (None, "its file was eaten; order it again")


def test_a_damaged_model_is_left_out_with_a_warning(
    folder: Path, models: Path, model_file: Path
) -> None:
    (models / "cut.safetensors").write_bytes(model_file.read_bytes()[:100])
    shutil.copy(model_file, models / "whole.safetensors")
    with pytest.warns(GeomaskWarning, match=r"left out: .*cut\.safetensors"):
        names = [model.name for model in scene_info(folder).models]
    assert "whole" in names
    assert "cut" not in names


def test_a_damaged_band_is_an_error(folder: Path) -> None:
    path = folder / f"{folder.name}_B08.tif"
    write_scene(path, random_dn(400, 600, bands=1), bands=(None,), compress="deflate")
    content = bytearray(path.read_bytes())
    content[50_000:350_000] = bytes(300_000)
    path.write_bytes(content)
    with pytest.raises(SceneError, match=r"B08\.tif: cannot be read; the file is cut short"):
        scene_info(folder)


def test_a_doubt_is_told_and_warned_of(tmp_path: Path) -> None:
    values = np.full((3, 200, 100), 4000, dtype=np.uint16)
    values[:, :10] = 1000
    path = write_scene(tmp_path / "s.tif", values, bands=("blue", "green", "red"))
    with pytest.warns(GeomaskWarning, match="had been left out") as caught:
        info = scene_info(path)
    assert str(caught[0].message) == f"{path}: {info.doubt}"


def test_the_signature_of_a_url_is_not_a_file_s_name(folder: Path) -> None:
    with open_scene(folder) as scene:
        band = replace(scene.bands["red"], path="https://archive.example/a/B04.tif?sig=secret/x")
    assert _band_info(band).file == "B04.tif"


def test_public_names() -> None:
    assert geomask.scene_info is scene_info
    assert {"scene_info", "SceneInfo"} <= set(geomask.__all__)


@pytest.mark.filterwarnings("ignore::geomask.GeomaskWarning")
def test_a_real_product(data: Path) -> None:
    info = scene_info(data / "scenes/T29UNU_l2a_safe")
    assert info.kind == "Sentinel-2 L2A SAFE"
    assert info.acquisition["platform"] == "Sentinel-2A"
    assert info.acquisition["baseline"] == "04.00"
    assert info.acquisition["time"].startswith("2022-10-05T11:54")
    assert info.resolution == (60.0, 60.0)
    assert info.nodata_percent == pytest.approx(40, abs=1)
    assert info.doubt is None
    (default,) = (model for model in info.models if model.name == "default")
    assert default.resolution == (30.0, 30.0)
    assert default.bands == ("blue", "green", "red", "nir", "swir16", "swir22")
