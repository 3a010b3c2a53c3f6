"""Two networks tried on one image, to see whether the second may stand for the first."""

from __future__ import annotations

import torch
from torch import nn


def example_for(network: nn.Module, channels: int, side: int) -> torch.Tensor:
    """float32 (1, channels, side, side), uniform in 0-1, on the device of the network's weights;
    the same each time."""
    image = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0))
    return image.to(next(network.parameters()).device)


def agree(expected: torch.Tensor, found: torch.Tensor, tolerance: float) -> bool:
    """Whether two outputs of one shape differ nowhere by more than so much of the first one's
    standard deviation."""
    limit = tolerance * max(float(expected.std()), 1e-6)
    return bool((expected - found).abs().max() <= limit)
