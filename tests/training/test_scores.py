"""Scores of networks on whole chips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geomask.training.chips import read_manifest
from geomask.training.recipe import load_recipe
from geomask.training.scores import Tally, band_set_scores, class_scores


def test_scores_by_hand() -> None:
    scores = class_scores(torch.tensor([[6, 2, 0], [1, 1, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert scores["iou"] == {"a": round(6 / 9, 4), "b": 0.25}
    assert scores["f1"] == {"a": 0.8, "b": 0.4}
    assert scores["pixels"] == {"a": 8, "b": 2, "c": 0}
    assert scores["macro_iou"] == pytest.approx((6 / 9 + 0.25) / 2, abs=1e-4)


def test_thin_cloud_and_each_chip_are_kept_apart() -> None:
    tally = Tally(torch.zeros(2, 2, dtype=torch.int64))
    truth = torch.tensor([[0, 1, 1, 1, 255]])  # clear, thick, thin, thin, thin but ignored
    codes = torch.tensor([[0, 1, 2, 2, 2]])
    tally.add(truth, torch.tensor([[0, 1, 1, 0, 1]]), codes)
    tally.add(torch.zeros(1, 4, dtype=torch.int64), torch.tensor([[0, 0, 0, 1]]), None)
    assert tally.confusion.tolist() == [[4, 1], [1, 2]]
    assert (tally.thin, tally.thin_right) == (2, 1)
    assert tally.wrong == pytest.approx([1 / 4, 1 / 4])


def test_a_card_scores_thin_cloud_and_cloud_free_chips(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1)
    codes = np.zeros((64, 64), np.uint8)
    codes[:, :8] = 2
    write_raster(folder / "chips0_mask.tif", codes[None])
    recipe = load_recipe("default", ["data.validation_groups=[]"])
    chips = read_manifest(folder)
    free = read_manifest(chip_folder("free", 2, labelled=False), labelled=False)

    def network(image: torch.Tensor) -> torch.Tensor:
        """Cloud in the first four columns, half of what is thin."""
        logits = torch.zeros(1, 4, *image.shape[2:])
        logits[:, 0] = 1
        logits[:, 1, :, :4] = 2
        return logits

    scores = band_set_scores(network, recipe, chips, free)
    for found in scores.values():
        assert found["thin_recall"] == 0.5
        assert found["cloud_free_flagged"] == pytest.approx(4 / 64, abs=1e-4)
        assert found["cloud_free_alarms"] == 1.0
