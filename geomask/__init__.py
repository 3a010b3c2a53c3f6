"""geomask: masks of cloud, cloud shadow and snow, and their polygons, from satellite scenes.

The public names are loaded on first use (PEP 562), so that `import geomask` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from geomask.version import __version__

if TYPE_CHECKING:
    from geomask.batch import BatchResult, SceneOptions, batch_status, find_scenes, run_batch
    from geomask.card import Card
    from geomask.checkpoint import Model, load_model, save_model
    from geomask.errors import GeomaskError, GeomaskWarning
    from geomask.evaluation import Evaluation, evaluate, write_evaluation
    from geomask.info import SceneInfo, scene_info
    from geomask.mask import open_mask
    from geomask.model_files import list_models
    from geomask.predict import Prediction, predict_scene
    from geomask.quicklook import write_quicklook
    from geomask.scene import Scene, open_scene
    from geomask.vectors.rasterize import rasterize, rasterize_polygons
    from geomask.vectors.vectorize import vectorize_mask
    from geomask.view import write_view

_ROOMS = {
    "BatchResult": "batch",
    "Card": "card",
    "Evaluation": "evaluation",
    "GeomaskError": "errors",
    "GeomaskWarning": "errors",
    "Model": "checkpoint",
    "Prediction": "predict",
    "Scene": "scene",
    "SceneInfo": "info",
    "SceneOptions": "batch",
    "batch_status": "batch",
    "evaluate": "evaluation",
    "find_scenes": "batch",
    "list_models": "model_files",
    "load_model": "checkpoint",
    "open_mask": "mask",
    "open_scene": "scene",
    "predict_scene": "predict",
    "rasterize": "vectors.rasterize",
    "rasterize_polygons": "vectors.rasterize",
    "run_batch": "batch",
    "save_model": "checkpoint",
    "scene_info": "info",
    "vectorize_mask": "vectors.vectorize",
    "write_evaluation": "evaluation",
    "write_quicklook": "quicklook",
    "write_view": "view",
}

__all__ = [
    "BatchResult",
    "Card",
    "Evaluation",
    "GeomaskError",
    "GeomaskWarning",
    "Model",
    "Prediction",
    "Scene",
    "SceneInfo",
    "SceneOptions",
    "__version__",
    "batch_status",
    "evaluate",
    "find_scenes",
    "list_models",
    "load_model",
    "open_mask",
    "open_scene",
    "predict_scene",
    "rasterize",
    "rasterize_polygons",
    "run_batch",
    "save_model",
    "scene_info",
    "vectorize_mask",
    "write_evaluation",
    "write_quicklook",
    "write_view",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'geomask' has no attribute {name!r}")
    return getattr(importlib.import_module(f"geomask.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
