"""Engines: several of them, and one whose memory is too small."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from threading import enumerate as enumerate_threads
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from geomask.checkpoint import Model
from geomask.device import choose_devices, choose_precision
from geomask.engine import Engine
from geomask.errors import GeomaskWarning, OptionError
from geomask.inference import make_engines, prepare
from geomask.lanes import open_lanes
from geomask.scene import open_scene
from tests.conftest import make_card, random_dn, unet_model, whole_scene, write_scene

CPU = torch.device("cpu")


class Small(nn.Module):
    """A network on a device that holds `most` patches."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.seen: list[int] = []

    def forward(self, reflectance: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(reflectance))
        if len(reflectance) > self.most:
            raise torch.OutOfMemoryError("no")
        return torch.nan_to_num(reflectance)


def predicted(path: Path, model: Model, engines: tuple[Engine, ...]) -> Any:
    """Codes and percents of a whole scene, put together."""
    with open_scene(path) as scene:
        return whole_scene(prepare(scene, model, engines=engines, patch=64, margin=16))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("ahead", [0, 2])
def test_several_engines_give_what_one_gives(tmp_path: Path, precision: str, ahead: int) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(150, 230))
    model = unet_model()
    expected = predicted(path, model, make_engines(model, precision, with_percent=True))
    engines = make_engines(model, precision, devices=[CPU] * 3, batch=2, with_percent=True)
    for engine in engines:
        engine.lanes, engine.ahead = 1, ahead
    for one, other in zip(predicted(path, model, engines), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_batch_that_does_not_fit_is_halved_once_for_all(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(200, 200))
    network = Small(1)
    model = Model(network, make_card(), CPU)
    expected = predicted(
        path, Model(Small(99), make_card(), CPU), make_engines(model, with_percent=True)
    )
    network.seen.clear()
    engines = make_engines(model, batch=9, with_percent=True)
    with pytest.warns(GeomaskWarning, match="does not hold a batch of") as said:
        found = predicted(path, model, engines)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    levels = [str(warning.message) for warning in said if "batch of" in str(warning.message)]
    assert len(levels) == len(set(levels)) > 1, "each level is told once"
    assert engines[0].batch == 1
    last = max(index for index, count in enumerate(network.seen) if count > 1)
    assert last < len(network.seen) / 2, "not tried again"


def test_a_patch_that_does_not_fit_alone_is_an_error(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(64, 64))
    model = Model(Small(0), make_card(), CPU)
    with pytest.raises(torch.OutOfMemoryError):
        predicted(path, model, make_engines(model, with_percent=True))


def test_bf16_agrees_with_fp32_though_its_batchnorm_is_folded(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(150, 230))
    model = unet_model()
    fp32, bf16 = (
        predicted(path, model, make_engines(model, precision, with_percent=True))
        for precision in ("fp32", "bf16")
    )
    assert np.mean(fp32[0] == bf16[0]) > 0.95, "random weights decide little"
    assert np.abs(fp32[1].astype(int) - bf16[1]).max() < 10


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_lanes_give_what_one_thread_gives(tmp_path: Path, precision: str) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(150, 230))
    model = unet_model()
    dtype = choose_precision(precision, CPU)
    expected, *others = (
        predicted(path, model, (Engine(model, dtype, lanes=lanes, with_percent=True),))
        for lanes in (1, 2, 3)
    )
    for found in others:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_lanes_share_torch_s_threads_and_leave_the_caller_s_as_they_are() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(6)
        with open_lanes(3) as pool:
            ready = Barrier(3)
            asked = [pool.submit(lambda: (ready.wait(), torch.get_num_threads())) for _ in range(3)]
            assert [future.result()[1] for future in asked] == [2, 2, 2]
            assert torch.get_num_threads() == 6
            with ThreadPoolExecutor(1) as other:
                assert other.submit(torch.get_num_threads).result() == 6
    finally:
        torch.set_num_threads(before)


def test_no_lane_waits_for_one_that_an_interrupt_kept_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(ThreadPoolExecutor):
        def submit(self, *args: Any, **options: Any) -> Future[Any]:
            if self._threads:
                raise KeyboardInterrupt
            return super().submit(*args, **options)

    monkeypatch.setattr("geomask.lanes.ThreadPoolExecutor", Interrupted)
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        open_lanes(2)
    assert not [thread for thread in enumerate_threads() if "geomask-lane" in thread.name]
    assert torch.get_num_threads() == before


def test_devices_by_name() -> None:
    assert choose_devices("cpu") == (CPU,)
    with pytest.raises(OptionError, match="names one device twice"):
        choose_devices("cpu,cpu")
    with pytest.raises(OptionError, match="is none of auto"):
        choose_devices("cpu,gpu7")
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="sees no CUDA GPU"):
            choose_devices("all")
    with pytest.raises(OptionError, match="batch 0 is below 1"):
        make_engines(unet_model(), batch=0)
