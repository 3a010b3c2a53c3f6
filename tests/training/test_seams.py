"""Seams of networks that look as far as we say."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import pad

from geomask.training.chips import read_manifest
from geomask.training.recipe import load_recipe
from geomask.training.seams import seam_fraction

MARGIN = 64


def looking(reach: int):
    """A network that compares a pixel with the one `reach` to the right and below."""

    def network(image: torch.Tensor) -> torch.Tensor:
        brightness = image.mean(dim=1, keepdim=True)
        far = pad(brightness, [0, reach, 0, reach])[:, :, reach:, reach:]
        return torch.cat([brightness, far], dim=1)

    return network


@pytest.mark.parametrize("size", [64, 150, 300])
def test_a_network_that_looks_within_the_margin_has_no_seams(chip_folder, size: int) -> None:
    chips = read_manifest(chip_folder(count=2, size=size))
    recipe = load_recipe("liss4", [f"card.margin={MARGIN}"])
    assert seam_fraction(looking(MARGIN), recipe, chips, stride=16) == 0.0


def test_one_that_looks_beyond_it_has(chip_folder) -> None:
    chips = read_manifest(chip_folder(count=2))
    recipe = load_recipe("liss4", [f"card.margin={MARGIN}"])
    found = seam_fraction(looking(2 * MARGIN), recipe, chips, stride=16)
    assert found is not None
    assert 0.0 < found < 1.0


def test_a_margin_off_the_stride_is_rounded_up(chip_folder) -> None:
    chips = read_manifest(chip_folder(count=1))
    recipe = load_recipe("liss4", ["card.margin=50"])
    assert seam_fraction(looking(64), recipe, chips, stride=32) == 0.0
    assert seam_fraction(looking(1), recipe, [], stride=32) is None
