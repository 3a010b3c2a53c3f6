"""Engines: several of them, and one whose memory is too small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from geomask.checkpoint import Model
from geomask.device import choose_devices
from geomask.engine import Engine
from geomask.errors import GeomaskWarning, OptionError
from geomask.inference import make_engines, prepare
from geomask.pipeline import run
from geomask.scene import open_scene
from tests.conftest import make_card, random_dn, unet_model, write_scene

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
        inference = prepare(scene, model, engines=engines, patch=64, margin=16)
        codes = np.zeros(scene.grid.shape, np.uint8)
        percent = np.zeros((len(model.card.classes), *scene.grid.shape), np.uint8)
        for result in run(inference, 2):
            rows, columns = result.window.toslices()
            codes[rows, columns] = result.codes
            assert result.percent is not None
            percent[:, rows, columns] = result.percent
    return codes, percent


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("ahead", [0, 2])
def test_several_engines_give_what_one_gives(tmp_path: Path, precision: str, ahead: int) -> None:
    path = write_scene(tmp_path / "s.tif", random_dn(150, 230))
    model = unet_model()
    expected = predicted(path, model, make_engines(model, precision, with_percent=True))
    engines = make_engines(model, precision, devices=[CPU] * 3, batch=2, with_percent=True)
    for engine in engines:
        engine.ahead = ahead
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
    assert last < 10, "not tried again"


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
