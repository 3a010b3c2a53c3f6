"""What a trained model's card says of it and of its making."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from geomask.card import Card
from geomask.errors import RecipeError
from geomask.model_files import hash_model
from geomask.training.chips import fingerprint
from geomask.training.gather import Gathered
from geomask.training.recipe import Recipe
from geomask.training.start import built_on, groups_before
from geomask.version import __version__

LIBRARIES = ("torch", "lightning", "kornia", "segmentation-models-pytorch", "numpy", "rasterio")
"""Distributions whose versions a card states."""


def draft_card(recipe: Recipe, name: str, stride: int, resolution: tuple[float, float]) -> Card:
    """What can be said before training; the model is called as its file is.

    Raises RecipeError for a recipe that makes no valid card.
    """
    table = recipe.card
    try:
        return Card(
            name=re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip("_.-")[:60] or table.name,
            network=recipe.network.spec,
            bands=recipe.bands,
            band_sets=tuple(choice.bands for choice in recipe.band_sets),
            normalisation=recipe.normalisation,
            classes=recipe.classes,
            resolution=resolution,
            stride=stride,
            margin=table.margin,
            licence=table.licence,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["card", *map(str, first["loc"])])
        message = first["msg"].removeprefix("Value error, ")
        raise RecipeError(f"recipe {table.name}: {where}: {message}") from error


def describe_model(recipe: Recipe, chips: Gathered) -> str:
    """One sentence on what a model was trained on."""
    parts = []
    if chips.training:
        parts.append(f"{len(chips.training)} labelled chips")
    if chips.clear_training:
        parts.append(f"simulated clouds over {len(chips.clear_training)} clear ones")
    return f"Trained with recipe {recipe.card.name} on {' and '.join(parts)}."


def describe_run(
    recipe: Recipe, folders: Sequence[str | Path], chips: Gathered, epoch: int
) -> dict[str, Any]:
    """A card's provenance: recipe, data, versions, and the SHA-256 of models it builds on."""
    others = {name: hash_model(path) for name, path in built_on(recipe).items()}
    return {
        "recipe": json.loads(recipe.model_dump_json()),
        "seed": recipe.trainer.seed,
        "data_sha256": fingerprint(folders),
        "chips": chips.counts(),
        "training_groups": sorted({*chips.groups("train"), *groups_before(recipe)}),
        "validation_groups": chips.groups("val"),
        "test_groups": chips.groups("test"),
        "epoch": epoch,
        **({"built_on": others} if others else {}),
        "versions": {
            "python": platform.python_version(),
            "geomask": __version__,
            **{name: version(name) for name in LIBRARIES},
        },
    }
