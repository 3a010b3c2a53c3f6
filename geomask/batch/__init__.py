"""Many scenes: independent, repeatable scene jobs, and the engines that run them."""

from __future__ import annotations

from geomask.batch.inputs import find_scenes
from geomask.batch.options import SceneOptions
from geomask.batch.run import BatchResult, run_batch
from geomask.batch.status import batch_status

__all__ = ["BatchResult", "SceneOptions", "batch_status", "find_scenes", "run_batch"]
