"""A network at work on its device: patches in, the classes of their cores out.

Work is launched and collected later. On a CUDA GPU pinned memory is copied on a stream of its own
while the network is busy with what came before, argmax happens there, and bytes come back. On a CPU
a few launches run side by side.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from rasterio.windows import Window

from geomask.checkpoint import Model
from geomask.classes import NODATA
from geomask.cores import core_of, core_window
from geomask.errors import GeomaskWarning
from geomask.lanes import open_lanes
from geomask.mask import UNKNOWN_PERCENT
from geomask.prepared import prepared_network
from geomask.signals import result_of
from geomask.tiling import Patch

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Loaded:
    """A patch that was read.

    image: float32 (card bands, height, width), reflectance on the inference grid, NaN where a band
    is absent, the nearest measured pixel's where not measured; None where no pixel of the core was
    measured. valid: bool, the core's shape on the mask's grid,
    True where every band in use was measured.
    """

    patch: Patch
    image: npt.NDArray[np.float32] | None
    valid: npt.NDArray[np.bool_]

    @property
    def size(self) -> tuple[int, ...] | None:
        """The image's shape, or None where the network has nothing to do."""
        return None if self.image is None else self.image.shape


@dataclass(frozen=True)
class Result:
    """A core's classes, on the mask's grid.

    codes: uint8 (height, width), class codes, 255 where not valid. percent: uint8 (classes,
    height, width), probabilities in percent, 255 where not valid; None where not asked for.
    """

    window: Window
    codes: Codes
    percent: Codes | None

    @property
    def confidence(self) -> Codes | None:
        """uint8 (height, width): percent of the class that was chosen."""
        return None if self.percent is None else self.percent.max(axis=0)


@dataclass(frozen=True)
class _Found:
    """Of one core, on the host as soon as its launch is done: channel uint8 (height, width), and
    percent uint8 (classes, height, width) where asked for."""

    channel: torch.Tensor
    percent: torch.Tensor | None


@dataclass(frozen=True)
class Launched:
    """Patches that were given to a device. found: of each, in their order, once `done`, if there
    is one to wait for; None where the network had nothing to do."""

    loaded: tuple[Loaded, ...]
    found: tuple[_Found | None, ...]
    done: torch.cuda.Event | None = None


Launch = Launched | Future[Launched]
"""What `Engine.launch` gives and `Engine.collect` takes; on a CPU, what a lane has yet to do."""


class Engine:
    """One network on one device, at one precision.

    batch: patches that are given to it at once, at most; halved when the device's memory does not
    hold them. lanes: launches that run side by side, where asked to. ahead: those that may wait
    before one is collected.
    """

    def __init__(
        self,
        model: Model,
        dtype: torch.dtype,
        *,
        device: torch.device | None = None,
        batch: int = 1,
        lanes: int = 1,
        with_percent: bool = False,
    ) -> None:
        """device: the model's own unless given; for another one the network is copied."""
        self.device = model.device if device is None else device
        self.batch = batch
        self.lanes = lanes
        self.ahead = 2 if self.device.type == "cuda" else 0
        self._lanes: ThreadPoolExecutor | None = None
        self._halving = Lock()
        self._codes = model.card.class_table.codes
        self._temperature = model.card.temperature
        self._with_percent = with_percent
        self.dtype = dtype
        self._network = prepared_network(model, dtype, self.device)
        on_gpu = self.device.type == "cuda"
        self._copying = _stream(self.device) if on_gpu else None

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """While it lasts, launches run beside each other where there are lanes; else one has the
        whole device, and is done on return."""
        if self.lanes == 1:
            yield
            return
        ahead = self.ahead
        with open_lanes(self.lanes) as self._lanes:
            self.ahead = self.lanes
            try:
                yield
            finally:
                self._lanes.shutdown(cancel_futures=True)
                self._lanes, self.ahead = None, ahead

    def classify(self, loaded: Sequence[Loaded]) -> list[Result]:
        """Classify patches that agree in `size`, and wait for it."""
        return self.collect(self.launch(loaded))

    def launch(self, loaded: Sequence[Loaded]) -> Launch:
        """Begin with patches that agree in `size`; without a measured pixel the network rests.

        Where the device's memory is too small for them, `batch` is halved from now on, and they
        go in several. Raises torch.OutOfMemoryError, here or in `collect`, where it is too small
        for one.
        """
        if self._lanes is not None:
            return self._lanes.submit(self._begin, loaded)
        return self._begin(loaded)

    def _begin(self, loaded: Sequence[Loaded]) -> Launched:
        images = [item.image for item in loaded if item.image is not None]
        if not images:
            return Launched(tuple(loaded), (None,) * len(loaded))
        try:
            return self._launch(loaded, images)
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
        # Past the except clause, whose traceback holds on to the memory that is missing.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        with self._halving:
            if len(loaded) <= self.batch:
                self.batch = len(loaded) // 2
                warnings.warn(
                    f"{self.device}: its memory does not hold a batch of {len(loaded)} patches; "
                    f"going on with {self.batch}",
                    GeomaskWarning,
                    stacklevel=2,
                )
            size = self.batch  # which a part may halve again
        parts = [self._begin(loaded[at : at + size]) for at in range(0, len(loaded), size)]
        found = tuple(item for part in parts for item in part.found)
        return Launched(tuple(loaded), found, parts[-1].done)

    def collect(self, launch: Launch) -> list[Result]:
        """Wait for what was launched."""
        launched = result_of(launch) if isinstance(launch, Future) else launch
        if launched.done is not None:
            launched.done.synchronize()
        return [
            self._nothing(item) if found is None else self._result(item, found)
            for item, found in zip(launched.loaded, launched.found, strict=True)
        ]

    @torch.inference_mode()
    def _launch(
        self, loaded: Sequence[Loaded], images: Sequence[npt.NDArray[np.float32]]
    ) -> Launched:
        # Inside the model's own device: events and streams belong to the current one.
        with torch.cuda.device(self.device) if self._copying else nullcontext():
            batch = self._sent(images)
            mixed = self.dtype != torch.float32
            with torch.autocast(self.device.type, self.dtype, enabled=mixed):
                window = core_window([item.patch for item in loaded])
                logits = self._network(batch, *window)
            origin = (window[0].start, window[1].start)
            found = tuple(
                self._found(item.patch, its, origin)
                for item, its in zip(loaded, logits, strict=True)
            )
            done = None
            if self._copying is not None:
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record()
        return Launched(tuple(loaded), found, done)

    def _sent(self, images: Sequence[npt.NDArray[np.float32]]) -> torch.Tensor:
        """float32 (N, bands, height, width), on the device."""
        if self._copying is None:
            batch = torch.from_numpy(images[0][None] if len(images) == 1 else np.stack(images))
            return batch.to(self.device)
        shape = (len(images), *images[0].shape)
        host = torch.empty(shape, pin_memory=True)
        for row, image in zip(host, images, strict=True):
            row.copy_(torch.from_numpy(image))
        working = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._copying):
            batch = host.to(self.device, non_blocking=True)
        working.wait_stream(self._copying)
        batch.record_stream(working)
        return batch

    def _found(self, patch: Patch, logits: torch.Tensor, origin: tuple[int, int]) -> _Found:
        """Logits (classes, height, width) of a patch from `origin` on to its core's channels, on
        their way back."""
        logits = core_of(patch, logits, origin)
        channel = self._back(logits.argmax(dim=0).to(torch.uint8))
        if not self._with_percent:
            return _Found(channel, None)
        shares = torch.softmax(logits / self._temperature, dim=0)
        return _Found(channel, self._back(torch.round(shares * 100).to(torch.uint8)))

    def _back(self, values: torch.Tensor) -> torch.Tensor:
        if self._copying is None:
            return values.cpu()
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        return host.copy_(values, non_blocking=True)

    def _result(self, item: Loaded, found: _Found) -> Result:
        codes = self._codes[found.channel.numpy()]
        codes[~item.valid] = NODATA
        percent = None
        if found.percent is not None:
            percent = found.percent.numpy()
            percent[:, ~item.valid] = UNKNOWN_PERCENT
        return Result(item.patch.write, codes, percent)

    def _nothing(self, item: Loaded) -> Result:
        shape = item.valid.shape
        percent = None
        if self._with_percent:
            percent = np.full((len(self._codes), *shape), UNKNOWN_PERCENT, np.uint8)
        return Result(item.patch.write, np.full(shape, NODATA, np.uint8), percent)


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
