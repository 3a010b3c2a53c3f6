"""The recipe: a TOML file that says everything about one training, checked before it starts."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geomask.card import ClassEntry, NetworkSpec, Normalisation
from geomask.errors import RecipeError
from geomask.training.chips import CHIP_LABELS


class _Table(BaseModel):
    """Frozen, and a key that is not known is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataTable(_Table):
    """Which samples the network sees.

    patch: pixels, side of a training patch. steps_per_epoch: batches. validation_groups:
    split_groups to validate on; empty, or none of them there: validation_share of all groups.
    simulate_share: 0 to 1, samples of clouds drawn over cloud-free chips, where those are given.
    simulated_gsd: metres, (finest, coarsest) pixel size at which these are made; labelled chips
    keep theirs, but for augment.rescale. workers: processes that prepare samples, 0 for none.
    """

    patch: int = Field(default=256, ge=32, multiple_of=32)
    batch_size: int = Field(default=8, ge=1)
    steps_per_epoch: int = Field(default=150, ge=1)
    validation_groups: tuple[str, ...] = ()
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    simulate_share: float = Field(default=0.5, ge=0, le=1)
    simulated_gsd: tuple[float, float] = (10.0, 30.0)
    workers: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0 < self.simulated_gsd[0] <= self.simulated_gsd[1]:
            raise ValueError(f"simulated_gsd {self.simulated_gsd} is not (finest, coarsest)")
        return self


class BandSet(_Table):
    """Bands that a scene may offer, and how often (relative to the others) training shows them."""

    bands: tuple[str, ...] = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0)


class NetworkTable(NetworkSpec):
    """The network, and the weights its encoder starts from: "none", or a name smp knows."""

    encoder_weights: str = "none"

    @property
    def spec(self) -> NetworkSpec:
        """What a card says of the network."""
        return NetworkSpec(
            architecture=self.architecture, encoder=self.encoder, options=self.options
        )


class LossTable(_Table):
    """Weights of the loss's terms."""

    cross_entropy: float = Field(default=1.0, ge=0)
    dice: float = Field(default=0.5, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.cross_entropy + self.dice <= 0:
            raise ValueError("cross_entropy and dice are both 0")
        return self


class AugmentTable(_Table):
    """How a patch is varied; see `augment.Augment`. Shares are probabilities, 0 switches off."""

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
    saturate_share: float = Field(default=0.25, ge=0, le=1)
    saturate: tuple[float, float] = (0.3, 0.6)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("rescale", "gain", "saturate"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} {[low, high]} is not [low, high], both above 0")
        return self


class OptimizerTable(_Table):
    """AdamW under a one-cycle schedule that peaks at `lr`.

    clip: largest norm of the gradient, 0 for no limit. ema: decay per step of the moving average
    of the weights, which is what is validated and saved; 0 for none.
    """

    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, ge=0)
    ema: float = Field(default=0.0, ge=0, lt=1)


class TrainerTable(_Table):
    """How long and how. patience: epochs without a better validation IoU, 0 to train them all."""

    max_epochs: int = Field(default=20, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(default=0, ge=0)
    patience: int = Field(default=0, ge=0)


class CardTable(_Table):
    """What goes into the model's card as it is; see `card.Card`."""

    name: str
    description: str = ""
    resolution: tuple[float, float]
    margin: int = Field(default=64, ge=0)
    licence: str = ""


class Recipe(_Table):
    """Everything about one training. labels: names of chip labels (`chips.CHIP_LABELS`) to names
    of classes; a label that is left out is ignored."""

    bands: tuple[str, ...] = Field(min_length=1)
    classes: tuple[ClassEntry, ...] = Field(min_length=2)
    labels: dict[str, str]
    band_sets: tuple[BandSet, ...] = ()
    normalisation: Normalisation
    network: NetworkTable
    card: CardTable
    data: DataTable = DataTable()
    loss: LossTable = LossTable()
    augment: AugmentTable = AugmentTable()
    optimizer: OptimizerTable = OptimizerTable()
    trainer: TrainerTable = TrainerTable()

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [entry.name for entry in self.classes]
        for label, target in self.labels.items():
            if label not in CHIP_LABELS:
                raise ValueError(f"labels.{label}: chips have {', '.join(CHIP_LABELS)}")
            if target not in names:
                raise ValueError(f"labels.{label}: no class is called {target!r}")
        if not self.labels:
            raise ValueError("labels: at least one chip label must mean a class")
        if len(self.normalisation.mean) != len(self.bands):
            raise ValueError(
                f"normalisation: {len(self.normalisation.mean)} values of mean for "
                f"{len(self.bands)} bands"
            )
        for choice in self.band_sets:
            if not set(choice.bands) <= set(self.bands):
                raise ValueError(f"band_sets: {list(choice.bands)} is not part of bands")
        return self

    def label_channels(self) -> dict[int, int]:
        """Chip code to the network's output channel; a code that is not in it is ignored."""
        channels = {entry.name: channel for channel, entry in enumerate(self.classes)}
        return {CHIP_LABELS[label]: channels[name] for label, name in self.labels.items()}


def list_recipes() -> list[str]:
    """Names of the recipes that come with geomask."""
    names = (Path(item.name) for item in files("geomask.recipes").iterdir())
    return sorted(path.stem for path in names if path.suffix == ".toml")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of that name (`list_recipes`) or file, with `table.key=value` overrides.

    A value is read as TOML, and as plain text where it is not TOML.
    Raises RecipeError naming file, key and problem.
    """
    source, text = _read_text(name_or_path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source}: is not valid TOML: {error}") from error
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "no such key"
        given = [item for item in overrides if item.split("=")[0].strip() == key]
        origin = f"{source} with {given[-1]}" if given else source
        raise RecipeError(f"{origin}: {f'{key}: ' if key else ''}{message}") from error


def _read_text(name_or_path: str | Path) -> tuple[str, str]:
    """(what to call it in errors, its TOML)."""
    text = str(name_or_path)
    if text in list_recipes():
        return f"recipe {text}", (files("geomask.recipes") / f"{text}.toml").read_text("utf-8")
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        raise RecipeError(
            f"no recipe is called {text!r}; there are: {', '.join(list_recipes())} "
            "(or give a .toml file)"
        )
    try:
        return text, path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(f"{path}: cannot be read: {reason}") from error


def _apply(content: dict[str, Any], override: str) -> None:
    """Set one `table.key=value` in the recipe's content."""
    key, equals, text = override.partition("=")
    *tables, last = (part.strip() for part in key.split("."))
    if not equals or not all([*tables, last]):
        raise RecipeError(f"{override!r}: an override is table.key=value, as optimizer.lr=1e-3")
    place: Any = content
    for depth, table in enumerate(tables, 1):
        place = place.setdefault(table, {})
        if not isinstance(place, dict):
            name = ".".join(tables[:depth])
            raise RecipeError(f"{override!r}: {name} is not a table; set {name} as a whole")
    try:
        place[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        place[last] = text.strip()
