"""What training minimises."""

from __future__ import annotations

import torch
from torch.nn import functional

from geomask.training.chips import IGNORE


def segmentation_loss(
    logits: torch.Tensor, labels: torch.Tensor, *, cross_entropy: float = 1.0, dice: float = 0.5
) -> torch.Tensor:
    """Scalar float32: weighted sum of cross-entropy and soft Dice loss; 0 where all is ignored.

    logits: (N, classes, H, W), any float type, computed on in float32. labels: int64 (N, H, W),
    channels, 255 ignored.
    """
    logits = logits.float()
    if not bool((labels != IGNORE).any()):
        return logits.sum() * 0.0
    loss = logits.new_zeros(())
    if cross_entropy > 0:
        loss = loss + cross_entropy * functional.cross_entropy(logits, labels, ignore_index=IGNORE)
    if dice > 0:
        loss = loss + dice * dice_loss(logits, labels)
    return loss


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
