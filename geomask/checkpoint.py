"""Model files: a card and weights in one safetensors file, never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from geomask.allowance import Allowance
from geomask.card import CARD_KEY, Card, card_to_text, read_card
from geomask.errors import ModelError
from geomask.model_files import find_model, hash_model
from geomask.network import Segmenter, build_segmenter, stride_of
from geomask.output import Staged, writing


@dataclass(frozen=True)
class Model:
    """A network ready to run and its card.

    network: reflectance float32 (N, len(card.bands), H, W), NaN where absent, to logits
    (N, len(card.classes), H, W), in evaluation mode. device: where the weights are.
    sha256: of the model file, hexadecimal; empty for a model that was never in a file.
    """

    network: nn.Module
    card: Card
    device: torch.device
    sha256: str = ""


def load_model(name: str | Path = "default", device: str | torch.device = "cpu") -> Model:
    """Load a model by name (bundled, then the folders in GEOMASK_MODELS) or by path.

    Raises ModelError where there is none, or the file is damaged or not one of ours, or a weight
    is no finite number, or its card describes a network larger than the file, or of another
    stride. Loading runs no code from the file.
    """
    path = find_model(name)
    card = read_card(path)
    with Allowance(path, path.stat().st_size):
        network = build_segmenter(card)
    try:
        weights = load_file(path, device="cpu")
        _check_numbers(path, weights)
        network.body.load_state_dict({key: value.float() for key, value in weights.items()})
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ModelError(f"{path}: its weights do not fit its card: {_reason(error)}") from error
    stride = stride_of(network.body)
    if card.stride % stride:
        raise ModelError(
            f"{path}: its card has stride {card.stride}, but its network needs a multiple of "
            f"{stride}; save the model again with stride {stride} in its card"
        )
    network.eval().requires_grad_(False)
    target = torch.device(device)
    network.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(network, card, target, sha256=hash_model(path))


def _check_numbers(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights that no arithmetic follows from: where all logits are NaN, argmax says the
    first class, which is clear."""
    for name, value in weights.items():
        if value.is_complex() or not torch.isfinite(value.float()).all():
            raise ModelError(
                f"{path}: its weights {name} are not finite numbers; the training that made them "
                "failed, or they were damaged since"
            )


def _reason(error: Exception) -> str:
    """The first two lines of an error as one: torch's first only says that something is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()][:2]
    return shorten(" ".join(lines), 200, placeholder=" ...").rstrip(".: ")


def save_model(path: str | Path, network: Segmenter, card: Card, *, half: bool = True) -> None:
    """Write card and weights to `path`, complete or not at all.

    half: store matrices and kernels as float16 (vectors, so BatchNorm's statistics, and what is
    too large for float16 stay float32); half the size, and loading turns them back into float32.
    Raises OutputError where the folder cannot be written, or the disk is full.
    """
    weights = {}
    for key, value in network.body.state_dict().items():
        value = value.detach().cpu()
        if half and value.is_floating_point() and value.ndim > 1 and _fits_half(value):
            value = value.half()
        weights[key] = value.contiguous()
    with Staged(path) as staged:
        with writing(staged.target):
            # Not save_file, whose files nobody else may read.
            staged.path.write_bytes(save(weights, {CARD_KEY: card_to_text(card)}))
        staged.commit()


def _fits_half(value: torch.Tensor) -> bool:
    # NaN and infinity fit: loading refuses them.
    return not bool((value.isfinite() & (value.abs() > torch.finfo(torch.float16).max)).any())
