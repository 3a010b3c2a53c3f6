"""A model file as a STAC item of the machine learning model extension (MLM)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pystac
from pystac.extensions import mlm
from pystac.extensions.raster import DataType

from geomask.card import Card
from geomask.catalogue import classifications

ALWAYS = ("1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""When a model that is for no time in particular may be used, as the best practices of the MLM
extension have it (https://github.com/stac-extensions/mlm, best-practices.md)."""


def model_item(card: Card, model: str | Path, parameters: int | None = None) -> pystac.Item:
    """A model file as an item. parameters: of the network, where somebody has counted."""
    tasks = [mlm.TaskType.SEMANTIC_SEGMENTATION]
    item = pystac.Item(
        id=card.name,
        geometry=None,
        bbox=None,
        datetime=None,
        properties={
            "start_datetime": ALWAYS[0],
            "end_datetime": ALWAYS[1],
            "description": card.description or card.name,
            "license": card.licence or "other",
        },
    )

    def shaped(channels: int) -> dict[str, Any]:
        return {
            "shape": [-1, channels, -1, -1],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": DataType.FLOAT32,
        }

    mlm.MLMExtension.ext(item, add_if_missing=True).apply(
        name=card.name,
        architecture=f"{card.network.architecture} {card.network.encoder or ''}".strip(),
        tasks=tasks,
        framework="pytorch",
        total_parameters=parameters,
        input=[
            mlm.ModelInput.create(
                name="reflectance, NaN where a band is absent",
                bands=[mlm.ModelBand.create(name) for name in card.bands],
                input=mlm.InputStructure.create(**shaped(len(card.bands))),
            )
        ],
        output=[
            mlm.ModelOutput.create(
                name="logits",
                tasks=tasks,
                result=mlm.ResultStructure.create(**shaped(len(card.classes))),
                classes=classifications(card.class_table),
            )
        ],
    )
    asset = pystac.Asset(
        str(model),
        title="Weights and card",
        media_type="application/octet-stream; application=safetensors",
        roles=["mlm:model", "mlm:weights"],
    )
    item.add_asset("model", asset)
    mlm.AssetGeneralMLMExtension.ext(asset, add_if_missing=True).artifact_type = "safetensors"
    return item
