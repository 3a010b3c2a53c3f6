"""The tables of a recipe: their keys, what they mean, and what they are where nobody says."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geomask.card import NetworkSpec
from geomask.training.splits import VALIDATION_SHARE

COLOURS = ("red", "green", "blue")
"""Bands that colours are made of, in the order of a picture's channels."""


class Table(BaseModel):
    """Frozen, and a key that is not known is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataTable(Table):
    """Which samples the network sees.

    patch: pixels, side of a training patch. resize: pixels; a chip whose longer side is longer is
    averaged down to it first, to train and to validate. batch_size: samples of a step, of all
    devices together. steps_per_epoch: batches; 0 for as many as show every chip once.
    validation_groups: split_groups to validate on, where no manifest has a column `split`; empty,
    or none of them there: validation_share of all groups.
    simulate_share: 0 to 1, samples of clouds drawn over cloud-free chips, where those are given
    beside labelled ones. simulated_gsd: metres, (finest, coarsest) pixel size at which these are
    made; labelled chips keep theirs, but for resize and augment.rescale. overdraw_share: 0 to 1,
    labelled samples that have clouds drawn over them, too, where their pixel size is known.
    workers: processes that prepare samples, 0 for none.
    """

    patch: int = Field(default=256, ge=32, multiple_of=32)
    resize: int | None = Field(default=None, ge=32)
    batch_size: int = Field(default=8, ge=1)
    steps_per_epoch: int = Field(default=150, ge=0)
    validation_groups: tuple[str, ...] = ()
    validation_share: float = Field(default=VALIDATION_SHARE, gt=0, lt=1)
    simulate_share: float = Field(default=0.5, ge=0, le=1)
    simulated_gsd: tuple[float, float] = (10.0, 30.0)
    overdraw_share: float = Field(default=0.0, ge=0, le=1)
    workers: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0 < self.simulated_gsd[0] <= self.simulated_gsd[1]:
            raise ValueError(f"simulated_gsd {self.simulated_gsd} is not (finest, coarsest)")
        return self


class BandSet(Table):
    """Bands that a scene may offer, and how often (relative to the others) training shows them."""

    bands: tuple[str, ...] = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0)


class NetworkTable(NetworkSpec):
    """The network, and the weights its encoder starts from.

    encoder_weights: "none", a name that smp knows ("imagenet"; it is downloaded), or a
    .safetensors file of the encoder's weights, or of a whole model with the same encoder.
    start_from: name or path of a model whose weights, all of them, training starts from; it has
    the recipe's bands, classes, normalisation and network. "" for none. start_share: 0 to 1, how
    much of that model's weights the trained ones are mixed with in the end. average_with: models
    alike whose weights are averaged with the result of all this, each as much as any other.
    """

    encoder_weights: str = "none"
    start_from: str = ""
    start_share: float = Field(default=0.0, ge=0, lt=1)
    average_with: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start_share and not self.start_from:
            raise ValueError("start_share is of the model start_from, and there is none")
        return self

    @property
    def spec(self) -> NetworkSpec:
        """What a card says of the network."""
        return NetworkSpec(
            architecture=self.architecture, encoder=self.encoder, options=self.options
        )


class LossTable(Table):
    """Weights of the loss's terms.

    focal_gamma: exponent of focal loss; 0 is cross-entropy. class_weights: of pixels in
    cross-entropy, by the name of their class, 1 where left out. A class with a weight of 2 is found
    where it is half as likely as without.
    """

    cross_entropy: float = Field(default=1.0, ge=0)
    dice: float = Field(default=0.5, ge=0)
    focal: float = Field(default=0.0, ge=0)
    focal_gamma: float = Field(default=2.0, ge=0)
    class_weights: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.cross_entropy + self.dice + self.focal <= 0:
            raise ValueError("cross_entropy, dice and focal are all 0")
        if any(not 0 < weight < math.inf for weight in self.class_weights.values()):
            raise ValueError("class_weights are numbers above 0")
        return self


class AugmentTable(Table):
    """How a patch is varied; see `augment.Augment`. Shares are probabilities, 0 switches off.

    flips: quarter turns as well. colour_jitter: how far brightness, contrast, saturation (as
    factors, 0 to 1) and hue (in turns, 0 to 0.5) of red, green and blue may stray. surface_share:
    patches whose path reflectance is taken away, as surface reflectance lacks it.
    """

    flips: bool = True
    rotate_share: float = Field(default=0.4, ge=0, le=1)
    rescale_share: float = Field(default=0.5, ge=0, le=1)
    rescale: tuple[float, float] = (0.6, 1.6)
    gain: tuple[float, float] = (0.8, 1.25)
    band_gain: float = Field(default=0.05, ge=0, lt=1)
    offset: float = Field(default=0.01, ge=0)
    noise: float = Field(default=0.004, ge=0)
    haze_share: float = Field(default=0.2, ge=0, le=1)
    haze: float = Field(default=0.05, ge=0)
    surface_share: float = Field(default=0.0, ge=0, le=1)
    saturate_share: float = Field(default=0.25, ge=0, le=1)
    saturate: tuple[float, float] = (0.3, 0.6)
    colour_jitter_share: float = Field(default=0.0, ge=0, le=1)
    colour_jitter: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.05)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("rescale", "gain", "saturate"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} {[low, high]} is not [low, high], both above 0")
        limits = (1.0, 1.0, 1.0, 0.5)
        if any(not 0 <= v <= top for v, top in zip(self.colour_jitter, limits, strict=True)):
            raise ValueError(
                f"colour_jitter {list(self.colour_jitter)} is not brightness, contrast and "
                "saturation from 0 to 1, and hue from 0 to 0.5"
            )
        return self

    @property
    def overscans(self) -> bool:
        """Whether a crop must be larger than its patch, or its corners would run out."""
        return self.rotate_share > 0 or self.rescale_share > 0


class OptimizerTable(Table):
    """AdamW.

    schedule: "one-cycle" over all steps, with its peak at `lr`; "plateau" (lr times
    plateau_factor after more than plateau_patience epochs in which trainer.monitor was no better);
    or "constant".
    clip: largest norm of the gradient, 0 for no limit. ema: decay per step of the moving average
    of the weights, which is what is validated and saved; 0 for none.
    """

    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["one-cycle", "plateau", "constant"] = "one-cycle"
    plateau_factor: float = Field(default=0.1, gt=0, lt=1)
    plateau_patience: int = Field(default=2, ge=0)
    clip: float = Field(default=1.0, ge=0)
    ema: float = Field(default=0.0, ge=0, lt=1)


class TrainerTable(Table):
    """How long, and on what.

    monitor: what says which epoch is best: "val_iou" (macro, higher is better) or "val_loss".
    keep: the epoch whose weights become the model: the "best", or the "last", for a schedule that
    ends where it should; scores on the validation chips are then not the best of many.
    patience: epochs without a better one before training stops; 0 to train them all.
    shift: classes whose logits are shifted by a constant after training, so that the labels of
    the chips trained on, cloud-free ones among them, are likeliest (`calibration.fit_shift`):
    training shows rare labels as often as common ones, and the loss may weigh them; the chips
    themselves do neither.
    device: auto, cpu, cuda, cuda:N or mps. devices: of each node; num_nodes: machines.
    strategy: "auto" is "ddp" on several devices. pictures: of validation chips, after training.
    """

    max_epochs: int = Field(default=20, ge=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**32)
    monitor: Literal["val_iou", "val_loss"] = "val_iou"
    keep: Literal["best", "last"] = "best"
    patience: int = Field(default=0, ge=0)
    shift: tuple[str, ...] = ()
    device: str = "auto"
    devices: int = Field(default=1, ge=1)
    num_nodes: int = Field(default=1, ge=1)
    strategy: Literal["auto", "ddp"] = "auto"
    pictures: int = Field(default=8, ge=0)

    @property
    def processes(self) -> int:
        """How many processes train together, one per device."""
        return self.devices * self.num_nodes

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether the lowest or the highest of `monitor` is best."""
        return "min" if self.monitor == "val_loss" else "max"


class CardTable(Table):
    """What goes into the model's card as it is; see `card.Card`.

    resolution: metres, (finest, coarsest); left out, that of the chips trained on, as resized.
    """

    name: str
    description: str = ""
    resolution: tuple[float, float] | None = None
    margin: int = Field(default=64, ge=0)
    licence: str = ""
