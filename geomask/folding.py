"""BatchNorm merged into the convolution before it: the same network with less to do."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from geomask.trial import agree, example_for

SIDE = 64
"""Pixels of the image that shows what follows what."""

TOLERANCE = 1e-3
"""Largest difference between the outputs of both, of the outputs' own standard deviation."""


@torch.no_grad()
def fold_batchnorm(network: nn.Module, channels: int) -> nn.Module:
    """A copy of a network in evaluation mode, its BatchNorms folded where they can be.

    channels: of its input, float32 (N, channels, H, W), on the device of its weights. Which
    convolution a BatchNorm follows is seen on an example; if the copy does not give what the
    network gives there, as where a convolution feeds something else besides, it is not used, and
    the network itself is returned.
    """
    folded = copy.deepcopy(network)
    example = example_for(network, channels, SIDE)
    names = {module: name for name, module in folded.named_modules()}
    for convolution, norm in _followed(folded, example):
        convolution.weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            _known(norm.running_mean),
            _known(norm.running_var),
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.bias = bias
        parent, _, own = names[norm].rpartition(".")
        setattr(folded.get_submodule(parent), own, _rest(norm))
    return folded if agree(network(example), folded(example), TOLERANCE) else network


def _followed(network: nn.Module, example: torch.Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """(convolution, BatchNorm) where the second was given what the first gave, and nothing else."""
    made: dict[int, nn.Conv2d] = {}
    held: list[torch.Tensor] = []  # else another tensor could take the place of one, and its id
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def after(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(output)] = module
            held.append(output)

    def before(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, nn.BatchNorm2d) and _can_go(module) and id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])], module))

    hooks = []
    for module in network.modules():
        hooks += [module.register_forward_hook(after), module.register_forward_pre_hook(before)]
    try:
        network(example)
    finally:
        for hook in hooks:
            hook.remove()
    used = [convolution for convolution, _ in pairs]
    norms = [norm for _, norm in pairs]
    return [
        (convolution, norm)
        for convolution, norm in pairs
        if used.count(convolution) == 1 and norms.count(norm) == 1
    ]


def _can_go(norm: nn.BatchNorm2d) -> bool:
    plain = type(norm) is nn.BatchNorm2d
    with_activation = hasattr(norm, "drop") and hasattr(norm, "act")  # timm's BatchNormAct2d
    return (plain or with_activation) and norm.running_mean is not None


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What a BatchNorm does besides."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    drop, activation = norm.get_submodule("drop"), norm.get_submodule("act")
    return nn.Sequential(drop, activation)


def _known(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None  # `_can_go`
    return value
