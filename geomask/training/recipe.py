"""The recipe: a TOML file that says everything about one training, checked before it starts."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from geomask.card import ClassEntry, Normalisation
from geomask.errors import OutputError, RecipeError
from geomask.output import check_output, write_text
from geomask.training.chips import CHIP_LABELS
from geomask.training.tables import (
    COLOURS,
    AugmentTable,
    BandSet,
    CardTable,
    DataTable,
    LossTable,
    NetworkTable,
    OptimizerTable,
    Table,
    TrainerTable,
)

MAX_TEXT = 64 * 2**10
"""Bytes of the longest recipe that is read; ours have under 4000."""


class Recipe(Table):
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
        for key, named in (
            ("loss.class_weights", self.loss.class_weights),
            ("trainer.shift", self.trainer.shift),
        ):
            for name in named:
                if name not in names:
                    raise ValueError(f"{key}: no class is called {name!r}")
        if len(self.normalisation.mean) != len(self.bands):
            raise ValueError(
                f"normalisation: {len(self.normalisation.mean)} values of mean for "
                f"{len(self.bands)} bands"
            )
        for choice in self.band_sets:
            if not set(choice.bands) <= set(self.bands):
                raise ValueError(f"band_sets: {list(choice.bands)} is not part of bands")
        if self.augment.colour_jitter_share and not set(COLOURS) <= set(self.bands):
            raise ValueError("augment.colour_jitter_share: bands lack red, green or blue")
        if self.data.batch_size % self.trainer.processes:
            raise ValueError(
                f"data.batch_size: {self.data.batch_size} samples cannot be shared evenly by "
                f"{self.trainer.processes} devices"
            )
        return self

    def class_weights(self) -> list[float]:
        """Of the loss, by the network's output channel."""
        return [self.loss.class_weights.get(entry.name, 1.0) for entry in self.classes]

    def label_channels(self) -> dict[int, int]:
        """Chip code to the network's output channel; a code that is not in it is ignored."""
        channels = {entry.name: channel for channel, entry in enumerate(self.classes)}
        return {CHIP_LABELS[label]: channels[name] for label, name in self.labels.items()}


def list_recipes() -> list[str]:
    """Names of the recipes that come with geomask."""
    names = (Path(item.name) for item in files("geomask.recipes").iterdir())
    return sorted(path.stem for path in names if path.suffix == ".toml")


def recipe_text(name: str) -> str:
    """The TOML of a recipe that comes with geomask. Raises RecipeError, naming those there are."""
    if name not in list_recipes():
        raise RecipeError(f"no recipe is called {name!r}; there are: {', '.join(list_recipes())}")
    return (files("geomask.recipes") / f"{name}.toml").read_text("utf-8")


def copy_recipe(name: str, target: Path, *, overwrite: bool = False) -> None:
    """Write the TOML of a recipe that comes with geomask to `target`.

    Raises RecipeError for a name that is none, OutputError for a target that cannot be written or
    is not named .toml, by which `load_recipe` would know it.
    """
    text = recipe_text(name)
    if target.suffix != ".toml":
        raise OutputError(f"{target}: is not named as what it will be; name it .toml")
    check_output(target, overwrite=overwrite)
    write_text(target, text)


def recipe_summary(name: str) -> str:
    """What a recipe that comes with geomask is for: its TOML's first comment."""
    return recipe_text(name).partition("\n")[0].lstrip("# ")


def load_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), *, measured: bool = True
) -> Recipe:
    """The recipe of that name (`list_recipes`) or file, with `table.key=value` overrides.

    A value is read as TOML, and as plain text where it is not TOML. measured: False for a recipe
    whose `normalisation.mean` and `std` are yet to be measured: they are 0 and 1 of each band,
    whatever it says. Raises RecipeError naming file, key and problem.
    """
    source, text = _read_text(name_or_path)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of too many digits are no TOML error
        raise RecipeError(f"{source}: is not valid TOML: {error}") from error
    for override in overrides:
        _apply(content, override)
    if not measured:
        _standardise_nothing(content)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "no such key"
        given = [item for item in overrides if f"{_key(item)}.".startswith(f"{key}.")]
        origin = f"{source} with {', '.join(given)}" if given else source
        raise RecipeError(f"{origin}: {f'{key}: ' if key else ''}{message}") from error


def _standardise_nothing(content: dict[str, Any]) -> None:
    bands, table = content.get("bands"), content.setdefault("normalisation", {})
    if isinstance(bands, list) and isinstance(table, dict):
        table |= {"mean": [0.0] * len(bands), "std": [1.0] * len(bands)}


def _read_text(name_or_path: str | Path) -> tuple[str, str]:
    """(what to call it in errors, its TOML)."""
    text = str(name_or_path)
    if text in list_recipes():
        return f"recipe {text}", recipe_text(text)
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        raise RecipeError(
            f"no recipe is called {text!r}; there are: {', '.join(list_recipes())} "
            "(or give a .toml file)"
        )
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise RecipeError(f"{path}: is over {MAX_TEXT} bytes, so no recipe")
        return text, data.decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(f"{path}: cannot be read: {reason}") from error


def _key(override: str) -> str:
    """The key of `table.key=value`, without blanks."""
    return ".".join(part.strip() for part in override.partition("=")[0].split("."))


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
    except (ValueError, RecursionError):
        place[last] = text.strip()
