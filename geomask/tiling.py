"""Tiled prediction as arithmetic: which patches the network reads, which windows they write.

Two grids meet here. The mask's grid is the scene's own. The inference grid is what the network
sees: the same ground, `scale` inference pixels to a mask pixel, often 1. Nothing here opens a
file or holds a pixel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from geomask.errors import OptionError

BLOCKS = (512, 256, 128, 64, 32, 16)
"""Block sizes of the mask while it is written, best first; TIFF wants multiples of 16. Cores are
made of whole blocks."""


@dataclass(frozen=True)
class Span:
    """One patch along one axis: read [read, read + size), write [write, write + length).

    `read` is in inference pixels, may be negative or reach past the end (reflection fills it);
    `write` is in mask pixels and lies inside the scene.
    """

    read: int
    size: int
    write: int
    length: int

    def reaches(self, scale: float) -> bool:
        """Whether what is written lies inside what is read."""
        return (
            self.read <= self.write * scale
            and (self.write + self.length) * scale <= self.read + self.size
        )


@dataclass(frozen=True)
class Patch:
    """What the network sees at once, and its core, the part that is kept.

    rows, columns: a `Span` per axis. scale: inference pixels per mask pixel, (rows, columns).
    Raises ValueError where the core is not inside the read window.
    """

    rows: Span
    columns: Span
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not (self.rows.reaches(self.scale[0]) and self.columns.reaches(self.scale[1])):
            raise ValueError(f"the core of {self} reaches outside its read window")

    @property
    def read(self) -> Window:
        """The read window on the inference grid; it may reach beyond the scene."""
        return Window(self.columns.read, self.rows.read, self.columns.size, self.rows.size)

    @property
    def write(self) -> Window:
        """The core on the mask's grid: the window of the mask that this patch writes."""
        return Window(self.columns.write, self.rows.write, self.columns.length, self.rows.length)


@dataclass(frozen=True)
class Plan:
    """All patches of a scene, in row order.

    Invariants: the write windows partition the scene (disjoint, and their union is the scene);
    each starts on a multiple of `block` and ends on one or at the scene's end, so every block
    of the mask is written once; read origins and sizes are multiples of the stride; every core
    has `margin` inference pixels around it.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    scale: tuple[float, float]
    block: int

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Patch]:
        for rows in self.rows:
            for columns in self.columns:
                yield Patch(rows, columns, self.scale)


def plan_patches(
    height: int,
    width: int,
    *,
    patch: int,
    margin: int,
    stride: int,
    scale: tuple[float, float] = (1.0, 1.0),
) -> Plan:
    """Plan the patches of a scene of `height` x `width` mask pixels.

    patch: the largest side the network reads, in inference pixels, a multiple of `stride`;
    patches of small scenes and at its ends are smaller. margin: inference pixels around a core.
    scale: inference pixels per mask pixel, (rows, columns).
    Raises OptionError where `patch` is not a multiple of `stride`, or leaves no core.
    """
    if patch < stride or patch % stride:
        near = max(stride, round(patch / stride) * stride)
        raise OptionError(
            f"patch {patch} is not a multiple of the network's stride {stride}; "
            f"try {near if near != patch else near + stride}"
        )
    block = _block(patch, margin, stride, scale)
    return Plan(
        rows=_plan_axis(height, patch, margin, stride, scale[0], block),
        columns=_plan_axis(width, patch, margin, stride, scale[1], block),
        scale=scale,
        block=block,
    )


def reflect(start: int, size: int, length: int) -> npt.NDArray[np.intp]:
    """Indices (size,) in [0, length) of positions start ... start + size - 1, mirrored at both
    ends without repeating the end itself (numpy.pad's "reflect"), as often as it takes."""
    if length == 1:
        return np.zeros(size, dtype=np.intp)
    period = 2 * (length - 1)
    position = np.arange(start, start + size) % period
    return np.where(position < length, position, period - position)


def _plan_axis(
    length: int, patch: int, margin: int, stride: int, scale: float, block: int
) -> tuple[Span, ...]:
    blocks = math.ceil(length / block)
    largest = int(_room(patch, margin, stride, scale, block) / scale) // block
    count = math.ceil(blocks / largest)
    # Equal shares, so that no patch at the end is a sliver with all its margin.
    edges = [block * (blocks * i // count) for i in range(count)] + [length]
    spans = []
    for start, stop in itertools.pairwise(edges):
        reach = _reach(margin, scale)
        first = math.floor((start * scale - reach) / stride) * stride
        last = math.ceil((stop * scale + reach) / stride) * stride
        spans.append(Span(first, last - first, start, stop - start))
    return tuple(spans)


def _room(patch: int, margin: int, stride: int, scale: float, block: int) -> float:
    """Inference pixels of a patch that its core may take, wherever the core lies."""
    reach = _reach(margin, scale)
    aligned = (block * scale) % stride == 0 and reach % stride == 0
    # Rounding outwards at both ends takes less than 2 strides, and sizes are whole strides.
    return patch - 2 * reach - (0 if aligned else stride)


def _reach(margin: int, scale: float) -> int:
    """The margin, and where logits are interpolated back, the neighbours that this needs."""
    return margin if scale == 1 else margin + math.ceil(max(1.0, scale))


def _block(patch: int, margin: int, stride: int, scale: tuple[float, float]) -> int:
    """The largest block, a power of two, whose multiples leave little of a core's room unused."""
    best, most = 0, 0.0
    for block in BLOCKS:
        used = min(_used(patch, margin, stride, s, block) for s in scale)
        if used > most:
            best, most = block, used
        if most >= 0.8:
            break
    if not best:
        raise OptionError(
            f"patch {patch} leaves no core inside a margin of {margin}; "
            "give a larger --patch or a smaller --margin"
        )
    return best


def _used(patch: int, margin: int, stride: int, scale: float, block: int) -> float:
    """Share of a core's room that whole blocks of this size fill."""
    room = _room(patch, margin, stride, scale, block)
    return 0.0 if room <= 0 else int(room / scale) // block * block * scale / room
