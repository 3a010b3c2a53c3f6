"""The temperature of a network whose pride is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geomask.training.calibration import fit_temperature
from geomask.training.chips import read_manifest
from geomask.training.recipe import load_recipe


@pytest.mark.parametrize("pride", [0.5, 1.0, 3.0])
def test_pride_is_found(chip_folder, write_raster, pride: float) -> None:
    """Labels drawn with the probabilities that the network would give, were it not proud."""
    folder = chip_folder(count=2)
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (2, 64, 64))
    odds = np.exp(logits) / np.exp(logits).sum(axis=0)
    for number in range(2):
        codes = (rng.random((64, 64)) < odds[1]).astype(np.uint8)
        write_raster(folder / f"chips{number}_mask.tif", codes[None])
    recipe = load_recipe("cloud-rgb", ["data.resize=64"])
    proud = torch.from_numpy(pride * logits)[None]
    found = fit_temperature(lambda image: proud, recipe, read_manifest(folder))
    assert found == pytest.approx(pride, rel=0.12)


def test_without_labels_nothing_is_changed(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1)
    write_raster(folder / "chips0_mask.tif", np.full((1, 64, 64), 255, np.uint8))
    recipe = load_recipe("cloud-rgb", ["data.resize=64"])
    chips = read_manifest(folder)
    assert fit_temperature(lambda image: torch.zeros(1, 2, 64, 64), recipe, chips) == 1.0
