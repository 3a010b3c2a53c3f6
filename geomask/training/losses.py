"""What training minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from geomask.training.chips import IGNORE
from geomask.training.tables import LossTable


def segmentation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    table: LossTable,
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """Scalar float32: cross-entropy, soft Dice and focal loss, weighted by the recipe's table.

    logits: (N, classes, H, W), any float type, computed on in float32. labels: int64 (N, H, W),
    channels, 255 ignored; where all is ignored the loss is 0. class_weights: by channel, of
    pixels in cross-entropy, which is a weighted mean then.
    """
    logits = logits.float()
    if not bool((labels != IGNORE).any()):
        return logits.sum() * 0.0
    loss = logits.new_zeros(())
    if table.cross_entropy > 0:
        weight = None if class_weights is None else logits.new_tensor(class_weights)
        entropy = functional.cross_entropy(logits, labels, weight, ignore_index=IGNORE)
        loss = loss + table.cross_entropy * entropy
    if table.dice > 0:
        loss = loss + table.dice * dice_loss(logits, labels)
    if table.focal > 0:
        loss = loss + table.focal * focal_loss(logits, labels, table.focal_gamma)
    return loss


def focal_loss(logits: torch.Tensor, labels: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Scalar, at least 0: mean over the pixels that count of -(1 - p)^gamma log p, p of the truth.

    Lin et al. 2017 ("Focal loss for dense object detection"), for any number of classes, without
    their weights per class. Shapes as in `segmentation_loss`; at least one pixel must count.
    """
    entropy = functional.cross_entropy(
        logits.float(), labels, ignore_index=IGNORE, reduction="none"
    )
    # Off zero, where the slope of a power below 1 is infinite.
    doubt = (1 - torch.exp(-entropy)).clamp(min=1e-6)
    return (doubt**gamma * entropy).sum() / (labels != IGNORE).sum()


def dice_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Scalar, 0 to 1: 1 - mean over the classes in `labels` of 2 sum(p t) / (sum p + sum t).

    Soft Dice (Milletari et al. 2016, without squares), summed over the whole batch. Classes that
    no pixel of the batch has are left out; pixels of 255 count nowhere. Shapes as in
    `segmentation_loss`.
    """
    valid = (labels != IGNORE)[:, None]
    target = functional.one_hot(labels.masked_fill(~valid[:, 0], 0), logits.shape[1])
    target = target.movedim(-1, 1) * valid  # (N, classes, H, W)
    share = logits.float().softmax(dim=1) * valid
    overlap = (share * target).sum(dim=(0, 2, 3))
    total = share.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3))
    present = target.sum(dim=(0, 2, 3)) > 0
    return 1 - (2 * overlap[present] / total[present]).mean()
