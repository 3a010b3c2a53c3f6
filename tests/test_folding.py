"""Networks without their BatchNorm are the same networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from geomask.card import NetworkSpec
from geomask.folding import fold_batchnorm
from geomask.network import build_network


def lived_in(network: nn.Module) -> nn.Module:
    """With statistics and weights that are not those of a new BatchNorm."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean):
                values.copy_(0.5 + torch.rand(values.shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(len(module.weight), generator=generator))
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("Unet", "tu-regnetx_002"),
        ("Unet", "resnet18"),
        ("Unet", "tu-mobilenetv4_conv_small"),
        ("Unet", "efficientnet-b0"),
        ("FPN", "resnet18"),
        ("plain-unet", None),
    ],
)
def test_no_batchnorm_is_left_and_the_outputs_agree(architecture: str, encoder: str | None) -> None:
    options = {"width": 8} if encoder is None else {}
    spec = NetworkSpec(architecture=architecture, encoder=encoder, options=options)
    network = lived_in(build_network(spec, bands=4, classes=3))
    before = norms(network)
    folded = fold_batchnorm(network, 4)
    assert folded is not network
    assert norms(network) == before
    # This encoder has one behind its last stage, which a U-Net never runs.
    assert norms(folded) == (1 if encoder == "efficientnet-b0" else 0)
    image = torch.rand(2, 4, 96, 128)
    with torch.no_grad():
        expected, found = network(image), folded(image)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


class Twice(nn.Module):
    """What a convolution gives is used before and after its BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.convolution(image)
        return found - self.norm(found)


class Shared(nn.Module):
    """One convolution, two BatchNorms."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.second(self.convolution(self.first(self.convolution(image))))


@pytest.mark.parametrize("network", [Twice(), Shared()])
def test_what_cannot_be_folded_is_left_as_it_is(network: nn.Module) -> None:
    folded = fold_batchnorm(lived_in(network), 3)
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(folded(image), network(image))
    assert norms(folded) == norms(network)


def test_a_network_without_any_is_itself() -> None:
    network = nn.Conv2d(3, 2, 3, padding=1)
    with torch.no_grad():
        image = torch.rand(1, 3, 16, 16)
        torch.testing.assert_close(fold_batchnorm(network, 3)(image), network(image))
