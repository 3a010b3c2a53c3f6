"""Networks from their description: any smp architecture by name, and the plain U-Net."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from geomask.card import Card, NetworkSpec, Normalisation
from geomask.errors import ModelError, RecipeError
from geomask.model_files import SUFFIX

PLAIN_UNET = "plain-unet"

HUB_SECONDS = 10.0
"""How long the hub that smp downloads weights from may take to answer."""

_REFUSALS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""What smp, timm and torch raise of options that they cannot build."""

_WAY_OUT = "give --set network.encoder_weights=none, or a .safetensors file of them"


class Normalise(nn.Module):
    """Reflectance, NaN where a band is absent or was not measured, to standardised input.

    Absent values become 0, the mean of the training data, after standardising.
    """

    gain: torch.Tensor
    shift: torch.Tensor

    def __init__(self, spec: Normalisation) -> None:
        super().__init__()
        self.low, self.high = spec.clip
        self.steps = None if spec.levels is None else spec.levels - 1
        self.knee = spec.knee
        shape = (1, len(spec.mean), 1, 1)
        mean, std = (torch.tensor(value, dtype=torch.float64) for value in (spec.mean, spec.std))
        if spec.knee is None:
            # (t - low) / (high - low), then (t - mean) / std, as one product and one sum.
            gain = 1 / ((self.high - self.low) * std)
            shift = -self.low * gain - mean / std
        else:
            gain = 1 / (math.log1p(1 / spec.knee) * std)
            shift = -mean / std
        self.register_buffer("gain", gain.float().reshape(shape), persistent=False)
        self.register_buffer("shift", shift.float().reshape(shape), persistent=False)

    def forward(self, reflectance: torch.Tensor) -> torch.Tensor:
        """float32 (N, bands, H, W) in, the same shape out."""
        # In place from here on: a patch is large, and each step is over all of it.
        t = reflectance.clamp(self.low, self.high)
        if self.steps is not None:
            step = (self.high - self.low) / self.steps
            t = t.sub_(self.low).div_(step).round_().mul_(step).add_(self.low)
        if self.knee is not None:
            t = t.sub_(self.low).div_((self.high - self.low) * self.knee).log1p_()
        return t.mul_(self.gain).add_(self.shift).nan_to_num_(nan=0.0)


class Segmenter(nn.Module):
    """A network as everyone uses it: reflectance in, logits out.

    reflectance: float32 (N, len(card.bands), H, W), NaN where absent; H and W multiples of the
    card's stride. Logits: (N, len(card.classes), H, W), in card.classes' order.
    """

    def __init__(self, normalise: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.body = body

    def forward(self, reflectance: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.body(self.normalise(reflectance))
        return logits


def build_segmenter(card: Card) -> Segmenter:
    """The card's network with random weights, in training mode, on the CPU."""
    body = build_network(card.network, bands=len(card.bands), classes=len(card.classes))
    return Segmenter(Normalise(card.normalisation), body)


def build_network(
    spec: NetworkSpec, *, bands: int, classes: int, encoder_weights: str | None = None
) -> nn.Module:
    """A network: standardised float32 (N, bands, H, W) to logits (N, classes, H, W).

    encoder_weights: None, a name smp knows, such as "imagenet" (downloaded), or a .safetensors
    file with the encoder's weights, or with those of a network that has the same encoder. Where
    they are for three bands, smp repeats the first layer's over more.
    Raises ModelError for an architecture, encoder or option that smp does not know, RecipeError
    for weights that cannot be had or do not fit.
    """
    if spec.architecture == PLAIN_UNET:
        if encoder_weights is not None:
            raise RecipeError(
                f"network.encoder_weights {encoder_weights}: {PLAIN_UNET} has no encoder that "
                f"others have trained; {_WAY_OUT}"
            )
        try:
            return PlainUNet(bands, classes, width=_width(spec))
        except (RuntimeError, TypeError, OverflowError) as error:  # torch's, of sizes too large
            reason = str(error).partition("\n")[0]
            raise ModelError(f"torch cannot build {PLAIN_UNET!r}: {reason}") from error
    import segmentation_models_pytorch as smp

    maker = smp.MODEL_ARCHITECTURES_MAPPING.get(spec.architecture.lower())
    if maker is None:
        names = ", ".join([PLAIN_UNET, *smp.MODEL_ARCHITECTURES_MAPPING])
        raise ModelError(f"unknown architecture {spec.architecture!r}; there are: {names}")
    # smp passes options that it does not know over in silence.
    unknown = [name for name in spec.options if name not in inspect.signature(maker).parameters]
    if unknown:
        raise ModelError(f"{spec.architecture} has no option {', '.join(unknown)}")
    file = encoder_weights if str(encoder_weights).endswith(SUFFIX) else None
    encoder = spec.encoder or "resnet34"
    try:
        with _no_waiting_for_the_hub(encoder_weights is not None and not file):
            network: nn.Module = smp.create_model(
                spec.architecture,
                encoder_name=encoder,
                encoder_weights=None if file else encoder_weights,
                in_channels=bands,
                classes=classes,
                **spec.options,
            )
    except OSError as error:  # huggingface_hub's and urllib's, where a download fails
        raise RecipeError(
            f"network.encoder_weights {encoder_weights} of {encoder} cannot be downloaded "
            f"({type(error).__name__}); {_WAY_OUT}"
        ) from error
    except _REFUSALS as error:
        raise ModelError(
            f"segmentation_models_pytorch cannot build {spec.architecture!r} with encoder "
            f"{spec.encoder!r}: {error}"
        ) from error
    if file:
        _load_encoder(network, Path(file), bands)
    return network


@contextmanager
def _no_waiting_for_the_hub(downloads: bool) -> Iterator[None]:
    """Where the hub does not answer, have huggingface_hub look in its cache alone: it would ask
    again and again, for half a minute a file, and say so each time."""
    if not downloads:
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _hub_answers()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _hub_answers() -> bool:
    """Whether the hub gives any answer at all in `HUB_SECONDS`, its name's look-up included."""
    from huggingface_hub import constants, get_session

    answers = []

    def ask() -> None:
        with suppress(Exception):  # requests' or httpx's, by huggingface_hub's version
            answers.append(get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS))

    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_SECONDS)
    return bool(answers)


def _load_encoder(network: nn.Module, path: Path, bands: int) -> None:
    """Give a network's encoder the weights of a file; its first layer is fitted to the bands."""
    try:
        weights = {key: value.float() for key, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise RecipeError(
            f"network.encoder_weights {path}: cannot be read ({error}); {_WAY_OUT}"
        ) from error
    prefix = "encoder."
    if any(key.startswith(prefix) for key in weights):
        weights = {key[len(prefix) :]: w for key, w in weights.items() if key.startswith(prefix)}
    encoder = network.get_submodule("encoder")
    own = encoder.state_dict()
    for key, value in weights.items():
        if key in own and value.ndim == 4 and value.shape[1] != own[key].shape[1] == bands:
            weights[key] = _spread(value, bands)
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise RecipeError(
            f"network.encoder_weights {path}: does not fit the encoder ({reason}); {_WAY_OUT}"
        ) from error


def _spread(kernel: torch.Tensor, bands: int) -> torch.Tensor:
    """A first layer's kernel (out, its bands, h, w) for other bands: its own again and again,
    scaled so that the sum over bands stays what it was, as smp does with ImageNet's."""
    before = kernel.shape[1]
    return kernel[:, torch.arange(bands) % before] * (before / bands)


def stride_of(network: nn.Module) -> int:
    """The multiple that patch sizes and origins must keep for this network."""
    if isinstance(network, PlainUNet):
        return int(2**network.levels)
    encoder = getattr(network, "encoder", None)
    return int(getattr(encoder, "output_stride", 32))


class PlainUNet(nn.Module):
    """The plain U-Net of Ronneberger et al. (2015) with BatchNorm: two 3x3 convolutions a level,
    max pooling down, transposed convolutions up, skip connections, four levels deep."""

    levels = 4

    def __init__(self, bands: int, classes: int, width: int = 64) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(self.levels + 1)]
        self.down = nn.ModuleList(
            _double(before, after) for before, after in zip([bands, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(after * 2, after, 2, stride=2) for after in reversed(widths[:-1])
        )
        self.merge = nn.ModuleList(_double(after * 2, after) for after in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, bands, H, W), H and W multiples of 16, to logits (N, classes, H, W)."""
        x, skips = self.encode(x)
        for level, skip in enumerate(skips):
            x = self.decode(level, x, skip)
        logits: torch.Tensor = self.head(x)
        return logits

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The deepest features, and those beside each level of the way back up, deepest first."""
        skips = []
        for block in self.down[:-1]:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        return self.down[-1](x), skips[::-1]

    def decode(self, level: int, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """One level up: features of twice the resolution, that of `skip`."""
        merged: torch.Tensor = self.merge[level](torch.cat([skip, self.up[level](x)], dim=1))
        return merged


def _double(before: int, after: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for first in (before, after):
        layers += [
            nn.Conv2d(first, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _width(spec: NetworkSpec) -> int:
    """The first level's channels of a plain U-Net: option "width", 64 as in the paper."""
    width = spec.options.get("width", 64)
    if not isinstance(width, int) or width < 1:
        raise ModelError(f"option width of {PLAIN_UNET!r} is {width!r}, not a number of channels")
    return width
