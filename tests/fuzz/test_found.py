"""What fuzzing found, each once more by name."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from rasterio.crs import CRS
from safetensors.torch import load_file, save_file

from geomask.band_names import common_names, split_file_name
from geomask.batch.inputs import find_scenes
from geomask.batch.names import name_tasks
from geomask.batch.places import Places
from geomask.batch.record import Record, read_record
from geomask.batch.run import read_scenes
from geomask.batch.stac_inputs import _save
from geomask.card import CARD_KEY, card_to_text, read_card
from geomask.catalogue import _acquired
from geomask.checkpoint import load_model
from geomask.errors import (
    BatchError,
    GeomaskError,
    MaskError,
    ModelError,
    RecipeError,
    SceneError,
)
from geomask.mask import ACQUISITION_TAG, CLASSES_TAG, open_mask
from geomask.scene.delivery import MAX_NAME, find_delivery
from geomask.scene.liss4 import parse
from geomask.training.chips import read_manifest
from geomask.training.recipe import MAX_TEXT, load_recipe
from tests.conftest import make_card, write_scene
from tests.fuzz.harness import check_message

GRID = {
    "crs": CRS.from_epsg(32633).to_wkt(),
    "epsg": 32633,
    "transform": [10.0, 0.0, 5e5, 0.0, -10.0, 5e6],
    "width": 5,
    "height": 5,
}

QUICK = 2.0
"""Seconds, on a busy machine, for what takes milliseconds since it is linear."""


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "#" * (MAX_TEXT + 1), "a." * 40_000 + "b=1"]
)
def test_a_recipe_too_deep_too_long_or_of_too_many_digits(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"is not valid TOML|is over"):
        load_recipe(path)


@pytest.mark.parametrize("value", ["[" * 5000, "9" * 5000])
def test_an_override_that_is_hard_to_read_is_text(value: str) -> None:
    with pytest.raises(RecipeError, match=r"trainer\.seed"):
        load_recipe("default", [f"trainer.seed={value}"])


def test_a_list_with_a_cell_longer_than_csv_takes(tmp_path: Path) -> None:
    path = tmp_path / "scenes.csv"
    path.write_text("scene\n" + "a" * 200_000)
    with pytest.raises(BatchError, match="is no CSV table"):
        find_scenes([path])


@pytest.mark.parametrize("name", ["a\x1b[2J", "a" * 300, "\u202egpj.a", "a\0"])
def test_a_mask_that_no_file_can_be_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / "scenes.csv"
    path.write_text(f'scene,name\na.tif,"{name}"\n')
    with pytest.raises(BatchError, match="its mask would be called") as caught:
        name_tasks(find_scenes([path]))
    check_message(str(caught.value))


@pytest.mark.parametrize(
    "change",
    [
        {"status": None},
        {"model": []},
        {"outputs": [{"path": 5, "size": 1}]},
        {"outputs": [{"path": "../a.tif", "size": 1}]},
        {"outputs": [{"path": "/etc/passwd", "size": 1}]},
        {"outputs": []},
        {"pixels": {}},
        {"pixels": {"cloud": "many"}},
        {"error": {"": "n"}},
        {"model": {"name": "m"}},
        {"classes": [{"code": 0, "name": "clear", "color": [0, 0]}]},
        {"classes": [{"code": 0, "name": "clear", "color": [0, 0, 300]}]},
        {"grid": {"crs": "EPSG:32633"}},
        {"grid": None},
        {"grid": GRID | {"crs": ""}},
        {"grid": GRID | {"crs": "xx"}},
        {"footprint": {}},
        {"footprint": {"type": "Point"}},
        {"footprint": {"type": "Polygon", "coordinates": [[[0, 0], ["nan", 0], [1, 1], [0, 0]]]}},
        {"footprint": {"type": "Polygon", "coordinates": [[[0, 0], [10**400, 0], [1, 1], [0, 0]]]}},
        {"footprint": {"type": "MultiPolygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}},
        {"footprint": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}},
        {"grid": GRID | {"transform": [float("nan"), 0.0, 5e5, 0.0, -10.0, 5e6]}},
        {"seconds": {"total": float("inf")}},
        {"footprint": {"type": "Polygon", "coordinates": [[1, 2]]}},
        {"surprise": 1},
    ],
)
def test_a_record_of_other_types_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    good = Record("done", "/a.tif", "a", outputs=(), pixels={"nodata": 1}).to_json()
    good["outputs"] = [{"path": "a.tif", "size": 1}]
    good["footprint"] = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    good["grid"] = GRID
    path = tmp_path / "a.json"
    path.write_text(json.dumps(good))
    assert read_record(path) is not None
    path.write_text(json.dumps(good | change))
    assert read_record(path) is None


def test_json_nested_without_end_is_no_record_and_no_list(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.plan.parent.mkdir()
    places.plan.write_text("[" * 100_000)
    assert read_record(places.plan) is None
    assert read_scenes(places) == {}
    places.plan.write_text('{"a": "/a.tif", "b": 5}')
    assert read_scenes(places) == {"a": "/a.tif"}


def test_an_item_nested_too_deep_to_be_written(tmp_path: Path) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BatchError, match="item a is nested too deep"):
        _save("s", [{"id": "a", "assets": {}, "x": deep}], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_key_with_very_many_values_takes_no_time() -> None:
    text = "".join(f"SunElevationAtCenter={i}\n" for i in range(100_000)).encode()
    began = time.process_time()
    meta = parse("BAND_META.txt", text)
    assert time.process_time() - began < QUICK
    assert len(meta.values["sunelevationatcenter"]) == 100_000
    with pytest.raises(SceneError, match="as '0' and as '1'"):
        meta.number("SunElevationAtCenter")


def test_a_description_of_very_many_names_takes_no_time() -> None:
    began = time.process_time()
    assert common_names(["nir " * 200_000]) == (None,)
    assert split_file_name("b4_" * 200_000)[1] == ""
    assert time.process_time() - began < QUICK


def test_a_name_in_a_zip_longer_than_any_file_has(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a" * (MAX_NAME + 1), b"")
    with pytest.raises(SceneError, match="a name of 1025 characters"):
        find_delivery(str(tmp_path / "a.zip"))


def test_a_pixel_size_of_too_many_digits(tmp_path: Path, scene_file: Path) -> None:
    scene_file.rename(tmp_path / "a.tif")
    (tmp_path / "manifest.csv").write_text(f"id,split_group,gsd_m\na,g,{'9' * 5000}\n")
    with pytest.raises(RecipeError, match="not metres"):
        read_manifest(tmp_path, labelled=False)


def test_tags_of_a_mask_nested_without_end(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "m.tif", np.zeros((1, 2, 2), np.uint8), scale=None, bands=())
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{ACQUISITION_TAG: "[" * 5000})
    with open_mask(path) as reader:
        assert reader.origin.date is None
    assert _acquired({ACQUISITION_TAG: "[" * 5000}) is None
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{CLASSES_TAG: "[" * 5000})
    with pytest.raises(MaskError, match="tag is damaged"), open_mask(path):
        pass


# Models


def changed(model_file: Path, path: Path, card: dict[str, Any], **weights: torch.Tensor) -> Path:
    """A model file with another card, or other weights."""
    text = json.dumps(json.loads(card_to_text(read_card(model_file))) | card)
    save_file(load_file(model_file) | weights, path, metadata={CARD_KEY: text})
    return path


@pytest.mark.parametrize(
    "network",
    [
        {"architecture": "plain-unet", "options": {"width": 10_000}},
        {"architecture": "plain-unet", "options": {"width": 2**62}},
        {
            "architecture": "unet",
            "encoder": "resnet18",
            "options": {"decoder_channels": [9**6] * 5},
        },
        {"architecture": "dpt", "encoder": "tu-vit_giant_patch14_224"},
    ],
)
def test_a_card_of_a_network_larger_than_its_file(
    model_file: Path, tmp_path: Path, network: dict[str, Any]
) -> None:
    began = time.process_time()
    with pytest.raises(ModelError, match="larger than the file; it is not built"):
        load_model(changed(model_file, tmp_path / "m.safetensors", {"network": network}))
    assert time.process_time() - began < 30  # most of it smp's import


def test_a_malformed_address_in_a_list_has_a_name(tmp_path: Path) -> None:
    """Python's urlsplit refuses it as IPv6. That it does not open is its scene's fault."""
    (tmp_path / "scenes.txt").write_text("http://[a/b.tif\n")
    (task,) = name_tasks(find_scenes([tmp_path / "scenes.txt"]))
    assert task.name == "b"


def test_a_width_that_torch_cannot_count_to(model_file: Path, tmp_path: Path) -> None:
    network = {"architecture": "plain-unet", "options": {"width": 10**30}}
    with pytest.raises(ModelError, match="torch cannot build 'plain-unet'") as caught:
        load_model(changed(model_file, tmp_path / "m.safetensors", {"network": network}))
    check_message(str(caught.value))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1j])
def test_weights_that_would_call_everything_clear(
    model_file: Path, tmp_path: Path, value: complex
) -> None:
    """argmax of NaN is 0, the code of clear."""
    weights = {"head.bias": torch.tensor([value] * 3)}
    try:
        path = changed(model_file, tmp_path / "m.safetensors", {}, **weights)
    except KeyError:
        pytest.skip("this safetensors writes no complex numbers")
    with pytest.raises(ModelError, match=r"head\.bias are not finite numbers"):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        {"normalisation": {"mean": [1e300] * 3, "std": [1] * 3}},
        {"normalisation": {"mean": [0] * 3, "std": [1e-300] * 3}},
        {"normalisation": {"clip": [0, 1e-300], "mean": [0] * 3, "std": [1] * 3}},
        {"temperature": 1e-300},
        {"resolution": [1e-300, 1e300]},
        {"bands": ["red", "gre\nen", "nir"]},
    ],
)
def test_numbers_of_a_card_that_float32_does_not_hold(
    model_file: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="its card is not valid"):
        read_card(changed(model_file, tmp_path / "m.safetensors", change))


# Messages


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J\x07", "\u202ecod.exe", "\ud800", "\x9b31m"])
def test_what_a_file_says_is_shown_in_one_line(tmp_path: Path, text: str) -> None:
    header = {"__metadata__": {CARD_KEY: json.dumps(json.loads(card_to_text(make_card())) | {
        text: 1
    })}}  # fmt: skip
    data = json.dumps(header).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    with pytest.raises(ModelError) as caught:
        read_card(path)
    check_message(str(caught.value))
    assert str(path) in str(caught.value)


def test_a_message_is_short_and_keeps_both_ends() -> None:
    error = GeomaskError("file.tif: " + "a" * 100_000 + "; use --scale")
    assert str(error).startswith("file.tif: a")
    assert str(error).endswith("a; use --scale")
    check_message(str(error))
    assert str(GeomaskError("Wörter, 日本語 und 👩‍🚀 bleiben")) == "Wörter, 日本語 und 👩‍🚀 bleiben"
