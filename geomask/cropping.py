"""A U-Net's decoder within a window: a patch's margin is there for what lies deep, and most of the
work is done at full resolution, where a few of its pixels would do.

Level by level, from the output down, the window is widened by what the convolutions reach; what
lies beyond is not computed, and the last levels are done in strips. The window comes out as the
whole network's would, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from geomask.network import PlainUNet
from geomask.trial import agree, example_for

SIDE = 128
"""Pixels of the image that shows whether a network can do with a part."""

TOLERANCE = 1e-4
"""Largest difference between the outputs of both, of the outputs' own standard deviation: another
shape may make a convolution add up in another order."""

REACH = 2
"""Pixels that a level's two convolutions of 3 x 3 reach."""

LAST, STRIP = 2, 256
"""The last so many levels are decoded in strips of so many rows of the output: whole, they would
take more memory than all before them. It costs no time."""

WHOLE = slice(None)

Extent = tuple[int, int]
"""First pixel of an axis, and the one after its last."""


@dataclass(frozen=True)
class Decoding:
    """What is left of a U-Net once its encoder has run.

    deepest: the features to begin with. steps: from there to full resolution, each of which
    doubles it: features, and the encoder's beside them or none, to features. skips: the encoder's
    beside each step, of the resolution that it comes to. head: to logits; head_reach: pixels
    that it looks around itself.
    """

    deepest: torch.Tensor
    steps: Sequence[Callable[..., torch.Tensor]]
    skips: Sequence[torch.Tensor | None]
    head: Callable[[torch.Tensor], torch.Tensor]
    head_reach: int


@dataclass(frozen=True)
class _Part:
    """Features (N, channels, rows, columns) whose first pixel is `origin` of a level's."""

    values: torch.Tensor
    origin: tuple[int, int] = (0, 0)

    def cut(self, rows: Extent, columns: Extent) -> torch.Tensor:
        """A window of them, by the level's own pixels."""
        top, left = self.origin
        return self.values[
            :, :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left
        ]


class Windowed(nn.Module):
    """A network that is asked for a window of its output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, image: torch.Tensor, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> torch.Tensor:
        """(N, channels, H, W) to logits (N, classes, rows, columns)."""
        logits: torch.Tensor = self.network(image)
        return logits[:, :, rows, columns]


class Cropped(Windowed):
    """The same, whose decoder leaves out what the window does not need."""

    def forward(
        self, image: torch.Tensor, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> torch.Tensor:
        """(N, channels, H, W) to logits (N, classes, rows, columns)."""
        decoding = _encoded(self.network, image)
        size = image.shape[2], image.shape[3]
        (top, bottom), across = _extent(rows, size[0]), _extent(columns, size[1])
        whole = slice(len(decoding.steps) - LAST)
        features = _decoded(decoding, _Part(decoding.deepest), size, ((top, bottom), across), whole)
        logits = []
        for first in range(top, bottom, STRIP):
            strip = (first, min(first + STRIP, bottom)), across
            part = _decoded(decoding, features, size, strip, slice(whole.stop, None))
            logits.append(_Part(decoding.head(part.values), part.origin).cut(*strip))
        return torch.cat(logits, dim=2)


@torch.no_grad()
def windowed(network: nn.Module, channels: int) -> Windowed:
    """A network in evaluation mode, cropped if it can be.

    channels: of its input, float32 (N, channels, H, W), on the device of its weights. Only U-Nets
    are; and where a window does not come out as without cropping, as with attention that looks at
    a whole image, it is not used.
    """
    if not (isinstance(network, PlainUNet) or _is_smp_unet(network)):
        return Windowed(network)
    whole, cropped = Windowed(network), Cropped(network)
    example = example_for(network, channels, SIDE)
    part = slice(SIDE // 2 - 7, SIDE // 2 + 9), slice(SIDE // 4, SIDE - 5)
    try:
        same = agree(whole(example, *part), cropped(example, *part), TOLERANCE)
    except (RuntimeError, AssertionError, ValueError):  # as of a network for one size alone
        return whole
    return cropped if same else whole


def _is_smp_unet(network: nn.Module) -> bool:
    if not type(network).__module__.startswith("segmentation_models_pytorch."):
        return False
    from segmentation_models_pytorch import Unet

    head = network.segmentation_head
    return (
        type(network) is Unet
        and network.classification_head is None
        and isinstance(head, nn.Sequential)
        and isinstance(head[0], nn.Conv2d)
        and isinstance(head[1], nn.Identity)  # no upsampling after the last step
    )


def _encoded(network: nn.Module, image: torch.Tensor) -> Decoding:
    """What a network's encoder makes of an image, and what its decoder would do with it."""
    if isinstance(network, PlainUNet):
        deepest, beside = network.encode(image)
        steps = [partial(network.decode, level) for level in range(network.levels)]
        return Decoding(deepest, steps, beside, network.head, head_reach=0)
    features = network.get_submodule("encoder")(image)[:0:-1]
    decoder, head = network.get_submodule("decoder"), network.get_submodule("segmentation_head")
    blocks = [partial(_step, block) for block in decoder.get_submodule("blocks").children()]
    skips: list[torch.Tensor | None] = [*features[1:]]
    skips += [None] * (len(blocks) - len(skips))
    convolution = head.get_submodule("0")
    assert isinstance(convolution, nn.Conv2d)
    return Decoding(
        decoder.get_submodule("center")(features[0]),
        blocks,
        skips,
        head,
        head_reach=convolution.kernel_size[0] // 2,
    )


def _step(block: nn.Module, x: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
    """One of smp's decoder blocks."""
    features: torch.Tensor = block(x, 2 * x.shape[2], 2 * x.shape[3], skip_connection=skip)
    return features


def _extent(part: slice, size: int) -> Extent:
    first, end, _ = part.indices(size)
    return first, end


def _decoded(
    decoding: Decoding,
    features: _Part,
    size: tuple[int, int],
    window: tuple[Extent, Extent],
    steps: slice,
) -> _Part:
    """Features after some of the steps, as far as a window of an image of that size needs them."""
    rows, columns = (
        _extents(extent, length, decoding)[steps]
        for extent, length in zip(window, size, strict=True)
    )
    each = zip(decoding.steps[steps], decoding.skips[steps], rows, columns, strict=True)
    for step, skip, high, wide in each:
        below = features.cut(_halved(high), _halved(wide))
        beside = None if skip is None else _Part(skip).cut(high, wide)
        features = _Part(step(below, beside), (high[0], wide[0]))
    return features


def _extents(window: Extent, size: int, decoding: Decoding) -> list[Extent]:
    """What each step must come to along an axis of that many pixels, from the deepest to the last,
    so that the window is right; even, to be halved."""
    found: list[Extent] = []
    (first, end), reach = window, REACH + decoding.head_reach
    for _ in decoding.steps:
        first, end = max(0, first - reach), min(size, end + reach)
        first, end = first - first % 2, end + end % 2
        found.append((first, end))
        first, end, size, reach = first // 2, end // 2, size // 2, REACH
    return found[::-1]


def _halved(extent: Extent) -> Extent:
    return extent[0] // 2, extent[1] // 2
