"""A model as an ONNX file, for programs that have no torch."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from geomask.checkpoint import Model
from geomask.errors import OptionError
from geomask.output import Staged, check_output, writing
from geomask.version import __version__

EXPORT_PATCH = 512
"""Pixels a side of what the exported network takes, unless told otherwise."""

OPSET = 18
"""Of ONNX, the exporter's own; ONNX Runtime reads it from 1.14 on."""

DEEPNESS_BYTE = 255
"""Deepness divides what a layer holds by this, whatever it is, and then standardises
(`preprocessing_utils.py` in github.com/PUTvision/qgis-plugin-deepness)."""


class Probabilities(nn.Module):
    """Reflectance float32 (N, bands, H, W) to probabilities float32 (N, classes, H, W)."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, reflectance: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.network(reflectance) / self.temperature, dim=1)


def export_onnx(
    model: Model,
    out: str | Path,
    *,
    patch: int = EXPORT_PATCH,
    scale: float | None = None,
    offset: float = 0.0,
    overwrite: bool = False,
) -> Path:
    """Write a model as ONNX; returns the path.

    Input "reflectance": float32 (1, len(card.bands), patch, patch), in the card's order, NaN where
    a band is absent; normalisation is part of the graph. Output "probabilities": float32 (1,
    len(card.classes), patch, patch). The file's metadata are those that the QGIS plugin Deepness
    reads, and the card (`geomask_card`).
    patch: a multiple of the card's stride, larger than twice its margin. scale, offset: where
    given, Deepness turns a layer's numbers into DN * scale + offset; else it would divide them by
    255. Raises OptionError for a patch that does not fit or packages that are missing, OutputError.
    """
    onnx = _packages()
    out, card = Path(out), model.card
    if patch % card.stride or patch <= 2 * card.margin:
        raise OptionError(
            f"patch {patch} is no multiple of {card.name}'s stride {card.stride} above twice its "
            f"margin of {card.margin}; try {card.stride * (2 * card.margin // card.stride + 4)}"
        )
    check_output(out, overwrite=overwrite)
    network = Probabilities(model.network, card.temperature).eval()
    example = torch.zeros(1, len(card.bands), patch, patch, device=model.device)
    with Staged(out) as staged, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own workings
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["reflectance"],
            output_names=["probabilities"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        assert program is not None  # with dynamo
        proto = program.model_proto
        proto.producer_name, proto.producer_version = "geomask", __version__
        proto.doc_string = card.description
        onnx.helper.set_model_props(proto, metadata_of(model, patch, scale, offset))
        with writing(staged.target):
            onnx.save(proto, staged.path)
        onnx.checker.check_model(str(staged.path))
        staged.commit()
    return out


def metadata_of(model: Model, patch: int, scale: float | None, offset: float) -> dict[str, str]:
    """What Deepness reads, each value as JSON, and the card.

    Its `resolution` is in centimetres, its `tiles_overlap` in percent of a patch, and it takes the
    most probable class of those above `seg_thresh`.
    """
    card = model.card
    said: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": {str(i): entry.name for i, entry in enumerate(card.classes)},
        "resolution": 100 * card.resolution[0],
        "tile_size": patch,
        "tiles_overlap": math.ceil(100 * 2 * card.margin / patch),
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
    }
    if scale is not None:
        # (DN / 255 - mean) / std = DN * scale + offset
        std = 1 / (DEEPNESS_BYTE * scale)
        said["standardization_mean"] = [0.0 - offset * std] * len(card.bands)
        said["standardization_std"] = [std] * len(card.bands)
    texts = {key: json.dumps(value) for key, value in said.items()}
    return texts | {"bands": json.dumps(card.bands), "geomask_card": card.model_dump_json()}


def _packages() -> ModuleType:
    """onnx, where what torch exports through is there as well."""
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise OptionError(
            f"{error.name} is missing; install it with pip install 'geomask[onnx]'"
        ) from error
    module: ModuleType = onnx
    return module
