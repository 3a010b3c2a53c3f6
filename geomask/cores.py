"""A patch's core among what the network gives for it: which logits, and on the mask's pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from geomask.resample import Taps, taps
from geomask.tiling import Patch, Span


def core_window(patches: Sequence[Patch]) -> tuple[slice, slice]:
    """(rows, columns) of what the network reads that all of their cores are made of."""
    rows = [_needed(patch.rows, patch.scale[0]) for patch in patches]
    columns = [_needed(patch.columns, patch.scale[1]) for patch in patches]
    return _around(rows), _around(columns)


def _needed(span: Span, scale: float) -> slice:
    """Inference pixels of a patch that its core is made of."""
    if scale == 1.0:
        first = span.write - span.read
        return slice(first, first + span.length)
    index = _core_taps(span, scale).index
    return slice(int(index.min()), int(index.max()) + 1)


def _around(parts: Sequence[slice]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def core_of(patch: Patch, logits: torch.Tensor, origin: tuple[int, int]) -> torch.Tensor:
    """float32: logits on the inference grid, from `origin` of the patch on, to the core's own
    pixels, bilinearly where they differ."""
    axes = tuple(zip((1, 2), (patch.rows, patch.columns), patch.scale, origin, strict=True))
    for dim, span, scale, first in axes:
        if scale == 1.0:
            logits = logits.narrow(dim, span.write - span.read - first, span.length)
    logits = logits.float()
    for dim, span, scale, first in axes:
        if scale != 1.0:
            logits = _bring_back(logits, dim, _core_taps(span, scale).shifted(first))
    return logits


def _core_taps(span: Span, scale: float) -> Taps:
    """Where a core's mask pixels come from, among the inference pixels of its own patch."""
    outputs = np.arange(span.write, span.write + span.length)
    return taps(outputs, scale, span.read + span.size).shifted(span.read)


def _bring_back(logits: torch.Tensor, dim: int, axis: Taps) -> torch.Tensor:
    shape = [1, 1, 1]
    shape[dim] = -1
    index = torch.from_numpy(axis.index).to(logits.device)
    weight = torch.from_numpy(axis.weight).to(logits.device)
    result = logits.index_select(dim, index[:, 0]) * weight[:, 0].reshape(shape)
    for k in range(1, index.shape[1]):
        result += logits.index_select(dim, index[:, k]) * weight[:, k].reshape(shape)
    return result
