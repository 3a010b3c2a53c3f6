"""A model's network made ready for one device and precision: the same answers with less to do."""

from __future__ import annotations

import copy

import torch
from torch import nn

from geomask.checkpoint import Model
from geomask.cropping import WHOLE, Windowed, windowed
from geomask.folding import fold_batchnorm
from geomask.network import Segmenter


class Prepared(nn.Module):
    """A network as an engine calls it.

    reflectance: as a `Segmenter` takes it, (N, bands, H, W). Returns logits of the window, (N,
    classes, rows, columns).
    """

    def __init__(self, normalise: nn.Module, body: Windowed, dtype: torch.dtype) -> None:
        super().__init__()
        self.normalise = normalise
        self.body = body
        self.dtype = dtype

    def forward(
        self, reflectance: torch.Tensor, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> torch.Tensor:
        # Cast once: autocast would, and networks hold on to what they are given.
        image = self.normalise(reflectance).to(self.dtype, memory_format=torch.channels_last)
        logits: torch.Tensor = self.body(image, rows, columns)
        return logits


def prepared_network(model: Model, dtype: torch.dtype, device: torch.device) -> Prepared | Windowed:
    """The model's network on the device, laid out for speed: in float32 as it is otherwise; else
    without its BatchNorm."""
    network = model.network
    if device != model.device:
        network = copy.deepcopy(network).to(device)
    if not isinstance(network, Segmenter):
        return Windowed(network)
    body, bands = network.body, len(model.card.bands)
    if dtype != torch.float32:
        body = fold_batchnorm(body, bands)
        body.to(memory_format=torch.channels_last)
    return Prepared(network.normalise, windowed(body, bands), dtype)
