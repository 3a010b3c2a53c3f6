"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from geomask.training.losses import dice_loss, focal_loss, segmentation_loss
from geomask.training.recipe import load_recipe
from geomask.training.tables import LossTable


def test_loss_ignores_what_is_ignored() -> None:
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    labels[:, :4] = 255
    loss = segmentation_loss(logits, labels, LossTable())
    changed = logits.detach().clone()
    changed[:, :, :4] += 50 * torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(segmentation_loss(changed, labels, LossTable()), loss.detach())
    nothing = segmentation_loss(logits, torch.full_like(labels, 255), LossTable())
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert float(logits.grad.abs().sum()) == 0.0


def test_dice_is_zero_for_the_truth_and_counts_present_classes_only() -> None:
    labels = torch.tensor([[[0, 0, 1, 255]]])
    logits = 50.0 * torch.nn.functional.one_hot(labels % 254, 3).movedim(-1, 1).float()
    assert float(dice_loss(logits, labels)) == pytest.approx(0, abs=1e-6)
    uniform = torch.zeros(1, 3, 1, 4)
    # p = 1/3 everywhere: class 0: 2 (2/3) / (1 + 2); class 1: 2 (1/3) / (1 + 1).
    assert float(dice_loss(uniform, labels)) == pytest.approx(1 - (4 / 9 + 1 / 3) / 2)


def logits_of(shares: list[list[float]]) -> torch.Tensor:
    """(1, classes, 1, pixels) whose softmax is `shares`, one list per pixel."""
    return torch.tensor(shares).log().T[None, :, None]


def test_focal_loss_by_hand() -> None:
    """p of the truth 0.5 and 0.8: (0.25 log 2 + 0.04 log 1.25) / 2; the last one is ignored."""
    logits = logits_of([[0.5, 0.5], [0.2, 0.8], [0.1, 0.9]])
    labels = torch.tensor([[[0, 1, 255]]])
    expected = (0.25 * math.log(2) + 0.04 * math.log(1.25)) / 2
    assert float(focal_loss(logits, labels)) == pytest.approx(expected)
    entropy = (math.log(2) + math.log(1.25)) / 2
    assert float(focal_loss(logits, labels, gamma=0)) == pytest.approx(entropy)


def test_focal_loss_has_a_slope_where_nothing_is_in_doubt() -> None:
    logits = (100.0 * torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])).requires_grad_()
    focal_loss(logits, torch.tensor([[[0, 255]]]), gamma=0.5).backward()
    assert torch.isfinite(logits.grad).all()


def test_terms_are_weighted_as_cloud_rgb_says() -> None:
    """Dice of each class: 1 - 2 (sum of its p where it is true) / (sum of its p + its pixels)."""
    logits, labels = logits_of([[0.5, 0.5], [0.2, 0.8]]), torch.tensor([[[0, 1]]])
    focal = (0.25 * math.log(2) + 0.04 * math.log(1.25)) / 2
    dice = 1 - (1.0 / 1.7 + 1.6 / 2.3) / 2
    table = load_recipe("cloud-rgb").loss
    found = float(segmentation_loss(logits, labels, table))
    assert found == pytest.approx(0.25 * focal + 0.75 * dice)
    entropy = (math.log(2) + math.log(1.25)) / 2
    table = load_recipe("liss4").loss
    assert float(segmentation_loss(logits, labels, table)) == pytest.approx(entropy)


def test_a_class_weight_counts_its_pixels_as_often() -> None:
    """Cross-entropy with weight 3 is cross-entropy of a batch in which the class occurs thrice."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 2, 1, 4, generator=generator)
    labels = torch.tensor([[[0, 1, 1, 255]]])
    table = LossTable(dice=0.0)
    weighted = segmentation_loss(logits, labels, table, [3.0, 1.0])
    repeated = segmentation_loss(logits[..., [0, 0, 0, 1, 2]], labels[..., [0, 0, 0, 1, 2]], table)
    torch.testing.assert_close(weighted, repeated)
    torch.testing.assert_close(
        segmentation_loss(logits, labels, table, [1.0, 1.0]),
        segmentation_loss(logits, labels, table),
    )
