"""A decoder within a window: the same logits as of the whole image, and less of everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from geomask import cropping, load_model
from geomask.card import NetworkSpec
from geomask.cropping import Cropped, Windowed, windowed
from geomask.inference import make_engines, prepare
from geomask.network import PlainUNet, build_network
from geomask.prepared import Prepared, prepared_network
from geomask.scene import open_scene
from tests.conftest import random_dn, unet_model, whole_scene, write_scene

PLAIN = NetworkSpec(architecture="plain-unet", options={"width": 4})
RESNET = NetworkSpec(architecture="unet", encoder="resnet18")
SHALLOW = NetworkSpec(
    architecture="unet",
    encoder="resnet18",
    options={"encoder_depth": 3, "decoder_channels": [32, 16, 8]},
)


def network_of(spec: NetworkSpec) -> nn.Module:
    """With random weights, BatchNorm's too, in evaluation mode."""
    torch.manual_seed(0)
    network = build_network(spec, bands=4, classes=3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("spec", [PLAIN, RESNET, SHALLOW], ids=["plain", "resnet", "shallow"])
@pytest.mark.parametrize(
    "window",
    [
        (slice(64, 128), slice(64, 128)),
        (slice(0, 192), slice(0, 192)),
        (slice(0, 7), slice(185, 192)),
        (slice(95, 96), slice(33, 160)),
        (slice(None), slice(50, 51)),
    ],
)
@torch.inference_mode()
def test_a_window_is_what_the_whole_network_makes_of_it(
    spec: NetworkSpec, window: tuple[slice, slice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cropping, "STRIP", 50)
    network = network_of(spec)
    cropped = windowed(network, 4)
    assert isinstance(cropped, Cropped)
    image = torch.rand(2, 4, 192, 192)
    expected = network(image)[:, :, window[0], window[1]]
    torch.testing.assert_close(cropped(image, *window), expected, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_what_a_window_does_not_need_is_not_computed() -> None:
    """At full resolution, a window of 64 and three pixels around it: 3 of 3 x 3 convolutions."""
    network = network_of(RESNET)
    shapes = []
    network.get_submodule("segmentation_head").register_forward_pre_hook(
        lambda module, inputs: shapes.append(tuple(inputs[0].shape[2:]))
    )
    cropped = Cropped(network)
    cropped(torch.rand(1, 4, 256, 256), slice(96, 160), slice(0, 64))
    assert shapes == [(72, 68)]  # even, to be halved; nothing beyond the image


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(
            architecture="unet", encoder="resnet18", options={"decoder_attention_type": "scse"}
        ),
        NetworkSpec(
            architecture="unet", encoder="resnet18", options={"decoder_interpolation": "bilinear"}
        ),
        NetworkSpec(architecture="fpn", encoder="resnet18"),
        NetworkSpec(architecture="unetplusplus", encoder="resnet18"),
    ],
    ids=["attention", "bilinear", "fpn", "unet++"],
)
@torch.inference_mode()
def test_networks_that_cannot_be_cropped_are_not(spec: NetworkSpec) -> None:
    network = network_of(spec)
    whole = windowed(network, 4)
    assert not isinstance(whole, Cropped)
    image = torch.rand(1, 4, 64, 64)
    part = slice(10, 20), slice(30, 64)
    torch.testing.assert_close(whole(image, *part), network(image)[:, :, part[0], part[1]])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("resolution", [None, 14.0])
def test_a_scene_comes_out_as_without_cropping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, resolution: float | None
) -> None:
    """Batches of patches whose cores lie differently in them, at the scene's resolution and not."""
    path = write_scene(tmp_path / "s.tif", random_dn(150, 230))
    model = unet_model()

    def found() -> tuple[np.ndarray, ...]:
        engines = make_engines(model, precision, batch=3, with_percent=True)
        with open_scene(path) as scene:
            return whole_scene(
                prepare(scene, model, engines=engines, patch=96, margin=16, resolution=resolution)
            )

    cropped = found()
    monkeypatch.setattr("geomask.prepared.windowed", lambda body, bands: Windowed(body))
    for one, other in zip(cropped, found(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_bundled_network_is_cropped(dtype: torch.dtype) -> None:
    network = prepared_network(load_model("default"), dtype, torch.device("cpu"))
    assert isinstance(network, Prepared)
    assert isinstance(network.body, Cropped)


@torch.inference_mode()
def test_a_network_for_one_size_alone_is_not_cropped() -> None:
    class Fixed(PlainUNet):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            assert values.shape[-1] == 224
            return super().forward(values)

    network = Fixed(4, 3, width=4).eval()
    assert not isinstance(windowed(network, 4), Cropped)
