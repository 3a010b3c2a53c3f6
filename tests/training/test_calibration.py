"""What is corrected of networks whose fault is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from geomask.errors import RecipeError
from geomask.network import PlainUNet
from geomask.training.calibration import CLOUD_FREE, fit_shift, fit_temperature, shift_logits
from geomask.training.chips import read_labels, read_manifest
from geomask.training.recipe import load_recipe


def draw_labels(folder: Path, write_raster, rng: np.random.Generator) -> torch.Tensor:
    """Labels of two chips, clear or cloud, and the logits (1, 2, 64, 64) they were drawn with."""
    logits = rng.normal(0, 1.5, (2, 64, 64))
    odds = np.exp(logits) / np.exp(logits).sum(axis=0)
    for number in range(2):
        codes = (rng.random((64, 64)) < odds[1]).astype(np.uint8)
        write_raster(folder / f"chips{number}_mask.tif", codes[None])
    return torch.from_numpy(logits)[None]


@pytest.mark.parametrize("pride", [0.5, 1.0, 3.0])
def test_pride_is_found(chip_folder, write_raster, pride: float) -> None:
    """Labels drawn with the probabilities that the network would give, were it not proud."""
    folder = chip_folder(count=2)
    logits = draw_labels(folder, write_raster, np.random.default_rng(0))
    recipe = load_recipe("cloud-rgb", ["data.resize=64"])
    proud = pride * logits
    found = fit_temperature(lambda image: proud, recipe, read_manifest(folder))
    assert found == pytest.approx(pride, rel=0.12)


def test_without_labels_nothing_is_changed(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1)
    write_raster(folder / "chips0_mask.tif", np.full((1, 64, 64), 255, np.uint8))
    recipe = load_recipe("cloud-rgb", ["data.resize=64"])
    chips = read_manifest(folder)
    assert fit_temperature(lambda image: torch.zeros(1, 2, 64, 64), recipe, chips) == 1.0


@pytest.mark.parametrize("missing", [-1.5, 0.0, 0.8])
def test_what_a_class_lacks_is_found(chip_folder, write_raster, missing: float) -> None:
    folder = chip_folder(count=2)
    logits = draw_labels(folder, write_raster, np.random.default_rng(0))
    logits[:, 1] -= missing
    recipe = load_recipe("cloud-rgb", ["data.resize=64", 'trainer.shift=["cloud"]'])
    found = fit_shift(lambda image: logits, recipe, read_manifest(folder))
    assert found == {"cloud": pytest.approx(missing, abs=0.15)}


def test_cloud_free_chips_make_cloud_rarer(chip_folder, write_raster, tmp_path) -> None:
    """As labelled chips of which `CLOUD_FREE` in one are clear altogether would."""
    folder = chip_folder(count=2)
    logits = draw_labels(folder, write_raster, np.random.default_rng(0))
    recipe = load_recipe("cloud-rgb", ["data.resize=64", 'trainer.shift=["cloud"]'])
    labelled = read_manifest(folder)
    free = [replace(chip, mask=None) for chip in labelled]
    found = fit_shift(lambda image: logits, recipe, labelled, free)["cloud"]
    odds = torch.softmax(logits + torch.tensor([0, found])[:, None, None], dim=1)[0, 1].mean()
    cloud = np.mean([read_labels(chip) == 1 for chip in labelled])
    # At the best shift, the mean probability is the share (the derivative of the likelihood is 0).
    assert float(odds) == pytest.approx(cloud / (1 + CLOUD_FREE), abs=0.005)
    assert fit_shift(lambda image: logits, recipe, [], free) == {}


def test_only_what_the_recipe_names_is_shifted(chip_folder) -> None:
    recipe = load_recipe("cloud-rgb", ["data.resize=64"])
    chips = read_manifest(chip_folder(count=1))
    assert fit_shift(lambda image: torch.zeros(1, 2, 64, 64), recipe, chips) == {}
    with pytest.raises(RecipeError, match=r"trainer\.shift: no class is called 'clouds'"):
        load_recipe("cloud-rgb", ['trainer.shift=["clouds"]'])


def test_logits_are_shifted_where_the_network_makes_them() -> None:
    recipe = load_recipe("cloud-rgb", ['trainer.shift=["cloud"]'])
    body = PlainUNet(3, 2, width=2).eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = body(image)
        shift_logits(body, recipe, {"cloud": 1.25})
        after = body(image)
    torch.testing.assert_close(after[:, 0], before[:, 0])
    torch.testing.assert_close(after[:, 1], before[:, 1] + 1.25)


def test_a_network_without_such_a_layer_is_refused() -> None:
    recipe = load_recipe("cloud-rgb", ['trainer.shift=["cloud"]'])
    body = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh())
    with pytest.raises(RecipeError, match="do not come from a convolution with a bias"):
        shift_logits(body, recipe, {"cloud": 1.25})
