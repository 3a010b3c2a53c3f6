"""Networks by name: whatever smp has, and the plain U-Net."""

from __future__ import annotations

import pytest
import torch

from geomask.card import NetworkSpec, Normalisation
from geomask.errors import ModelError
from geomask.network import Normalise, build_network, stride_of


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("plain-unet", None),
        ("Unet", "resnet18"),
        ("UnetPlusPlus", "mobilenet_v2"),
        ("FPN", "efficientnet-b0"),
        ("DeepLabV3Plus", "resnet18"),
        ("Segformer", "mit_b0"),
    ],
)
def test_any_architecture_gives_logits_of_its_inputs_size(
    architecture: str, encoder: str | None
) -> None:
    options = {"width": 4} if encoder is None else {}
    spec = NetworkSpec(architecture=architecture, encoder=encoder, options=options)
    network = build_network(spec, bands=5, classes=3).eval()
    side = 2 * max(stride_of(network), 32)
    with torch.inference_mode():
        assert network(torch.rand(1, 5, side, side)).shape == (1, 3, side, side)


def test_the_plain_unet_is_the_papers_with_batchnorm() -> None:
    spec = NetworkSpec(architecture="plain-unet")
    network = build_network(spec, bands=9, classes=3)
    kinds = [type(module).__name__ for module in network.modules()]
    assert stride_of(network) == 16
    assert kinds.count("MaxPool2d") == 1, "one, used four times"
    assert kinds.count("ConvTranspose2d") == 4
    assert kinds.count("BatchNorm2d") == kinds.count("ReLU") == 18
    assert 30e6 < sum(p.numel() for p in network.parameters()) < 32e6


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec(architecture="NoSuchNet", encoder="resnet18"),
        NetworkSpec(architecture="Unet", encoder="resnet18", options={"colour": "blue"}),
        NetworkSpec(architecture="plain-unet", options={"width": 0}),
    ],
)
def test_what_cannot_be_built_is_a_model_error(spec: NetworkSpec) -> None:
    with pytest.raises(ModelError):
        build_network(spec, bands=3, classes=2)


def test_normalisation_clips_quantises_and_standardises() -> None:
    """cloud-rgb's: reflectance clipped at 0.4, 8-bit steps, then a mean and a deviation."""
    spec = Normalisation(clip=(0.0, 0.4), levels=256, mean=(0.5,), std=(0.25,))
    x = torch.tensor([-0.1, 0.0, 0.2, 0.4, 0.9, torch.nan]).reshape(1, 1, 1, -1)
    steps = torch.tensor([0, 0, 128, 255, 255]) / 255
    expected = torch.cat([(steps - 0.5) / 0.25, torch.zeros(1)])
    torch.testing.assert_close(Normalise(spec)(x).flatten(), expected)
