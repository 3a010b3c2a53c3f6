"""A network that other models, trained already, have a part in: it starts as one, or becomes the
mean of several."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

import torch

from geomask.card import read_card
from geomask.checkpoint import load_model
from geomask.errors import GeomaskWarning, RecipeError
from geomask.model_files import find_model
from geomask.network import Segmenter
from geomask.training.recipe import Recipe

Weights = dict[str, torch.Tensor]

WAY_OUT = {
    "start_from": "change the recipe, or take the encoder alone: "
    "--set network.encoder_weights=FILE",
    "average_with": "only models of one recipe have a mean; leave it out",
}
"""What to do about a model that is of another kind, by the recipe's key."""


def start_as(segmenter: Segmenter, recipe: Recipe) -> None:
    """Give a recipe's network the weights of the model `network.start_from`, where there is one.

    Raises ModelError where there is no such model or none of `network.average_with`, RecipeError
    where one of them reads other bands, finds other classes, standardises otherwise or is another
    network than the recipe's.
    """
    table = recipe.network
    if table.start_from:
        segmenter.body.load_state_dict(_weights("start_from", table.start_from, recipe))
    for name in table.average_with:  # found out before training, not after it
        _weights("average_with", name, recipe)


def average(segmenter: Segmenter, recipe: Recipe) -> None:
    """Give a trained network `network.start_share` of the weights that it started with, and then
    the mean of its own and those of the models `network.average_with`.

    The mean of weights on both ends of a short training is often better than either end, and
    forgets less of what the first had seen (Wortsman et al., "Robust fine-tuning of zero-shot
    models", CVPR 2022); so is that of several trainings from one start (Wortsman et al., "Model
    soups", ICML 2022). Raises ModelError or RecipeError as `start_as`.
    """
    table = recipe.network
    if table.start_share:
        _mix(segmenter, _weights("start_from", table.start_from, recipe), table.start_share)
    for number, name in enumerate(table.average_with):
        _mix(segmenter, _weights("average_with", name, recipe), 1 / (number + 2))


def built_on(recipe: Recipe) -> dict[str, Path]:
    """The files of the models that a recipe builds on, by the names it gives them."""
    names = [recipe.network.start_from, *recipe.network.average_with]
    return {name: find_model(name) for name in names if name}


def groups_before(recipe: Recipe) -> frozenset[str]:
    """Groups of chips that the models a recipe builds on were trained on, as their cards say."""
    groups = [read_card(path).training_groups for path in built_on(recipe).values()]
    return frozenset().union(*(each for each in groups if each))


def warn_of_groups_before(recipe: Recipe, validated: Collection[str]) -> None:
    """Warn where a model that the recipe builds on has learnt what the result is scored on."""
    seen = sorted(groups_before(recipe).intersection(validated))
    if seen:
        warnings.warn(
            f"network.start_from or average_with: trained on {len(seen)} of the groups that are "
            f"held out here ({seen[0]} is one), so the scores on them flatter",
            GeomaskWarning,
            stacklevel=3,
        )


def _mix(segmenter: Segmenter, other: Weights, share: float) -> None:
    """Move a network's weights that far towards others, in place. share: 0 to 1."""
    for name, value in segmenter.body.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.lerp(value, other[name].to(value.device), share))


def _weights(key: str, name: str, recipe: Recipe) -> Weights:
    """Those of the model that `network.key` names."""
    model = load_model(name)
    its = model.card
    pairs = {
        "bands": (its.bands, recipe.bands),
        "classes": ([each.name for each in its.classes], [each.name for each in recipe.classes]),
        "normalisation": (its.normalisation, recipe.normalisation),
        "network": (its.network, recipe.network.spec),
    }
    other = [part for part, (there, here) in pairs.items() if there != here]
    if other:
        raise RecipeError(
            f"network.{key} {name}: another {' and '.join(other)} than the recipe's; {WAY_OUT[key]}"
        )
    weights: Weights = model.network.get_submodule("body").state_dict()
    return weights
