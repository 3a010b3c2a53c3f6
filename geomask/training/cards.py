"""What a trained model's card says of it and of its making."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from geomask.card import Card
from geomask.training.chips import fingerprint
from geomask.training.recipe import Recipe

LIBRARIES = ("torch", "lightning", "kornia", "segmentation-models-pytorch", "numpy", "rasterio")
"""Distributions whose versions a card states."""


def draft_card(recipe: Recipe, name: str, stride: int) -> Card:
    """What can be said before training; the model is called as its file is."""
    table = recipe.card
    return Card(
        name=re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip("_.-")[:60] or table.name,
        network=recipe.network.spec,
        bands=recipe.bands,
        band_sets=tuple(choice.bands for choice in recipe.band_sets),
        normalisation=recipe.normalisation,
        classes=recipe.classes,
        resolution=table.resolution,
        stride=stride,
        margin=table.margin,
        licence=table.licence,
    )


def describe_run(
    recipe: Recipe,
    folders: Sequence[str | Path],
    chips: Mapping[str, int],
    validation_groups: Iterable[str],
    best_epoch: int,
) -> dict[str, Any]:
    """A card's provenance: recipe, data, versions. chips: how many of each kind."""
    return {
        "recipe": json.loads(recipe.model_dump_json()),
        "seed": recipe.trainer.seed,
        "data_sha256": fingerprint(folders),
        "chips": dict(chips),
        "validation_groups": sorted(validation_groups),
        "best_epoch": best_epoch,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("geomask", *LIBRARIES)},
        },
    }
