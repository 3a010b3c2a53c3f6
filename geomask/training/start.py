"""A network to train that starts as a model which is trained already, and stays near it."""

from __future__ import annotations

import torch

from geomask.checkpoint import load_model
from geomask.errors import RecipeError
from geomask.network import Segmenter
from geomask.training.recipe import Recipe


def start_as(segmenter: Segmenter, recipe: Recipe) -> None:
    """Give a recipe's network the weights of the model `network.start_from`, where there is one.

    Raises ModelError where there is no such model, RecipeError where it reads other bands, finds
    other classes, standardises otherwise or is another network than the recipe's.
    """
    if not recipe.network.start_from:
        return
    model = load_model(recipe.network.start_from)
    its = model.card
    pairs = {
        "bands": (its.bands, recipe.bands),
        "classes": ([each.name for each in its.classes], [each.name for each in recipe.classes]),
        "normalisation": (its.normalisation, recipe.normalisation),
        "network": (its.network, recipe.network.spec),
    }
    other = [name for name, (there, here) in pairs.items() if there != here]
    if other:
        raise RecipeError(
            f"network.start_from {recipe.network.start_from}: another {' and '.join(other)} than "
            "the recipe's; change the recipe, or take the encoder alone: "
            "--set network.encoder_weights=FILE"
        )
    segmenter.body.load_state_dict(model.network.get_submodule("body").state_dict())


def mix_with_start(segmenter: Segmenter, recipe: Recipe) -> None:
    """Give a trained network `network.start_share` of the weights that it started with.

    The mean of weights on both ends of a short training is often better than either end, and
    forgets less of what the first had seen (Wortsman et al., "Robust fine-tuning of zero-shot
    models", CVPR 2022). Raises ModelError where that model is no longer there.
    """
    share = recipe.network.start_share
    if not share:
        return
    start = load_model(recipe.network.start_from).network.get_submodule("body").state_dict()
    for name, value in segmenter.body.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.lerp(value, start[name].to(value.device), share))
