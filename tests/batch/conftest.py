"""Small scenes with a tiny model, and what a batch leaves of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geomask.batch import SceneOptions, find_scenes, run_batch
from geomask.batch.run import BatchResult
from tests.conftest import random_dn, write_scene

Batch = Callable[..., BatchResult]


def write_scenes(folder: Path, count: int, size: int = 40) -> list[Path]:
    """Scenes s00.tif, s01.tif … that all differ."""
    folder.mkdir(exist_ok=True)
    return [
        write_scene(folder / f"s{index:02}.tif", random_dn(size, size + index, seed=index))
        for index in range(count)
    ]


def records(out: Path) -> dict[str, dict[str, Any]]:
    """Every record by name, as it is on the disk."""
    found = (out / ".geomask" / "records").glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in sorted(found)}


def content(out: Path) -> dict[str, bytes]:
    """Every output by its path: what is at the top or below, records and summaries left out."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and not {".geomask", "stac"} & set(path.relative_to(out).parts)
        and path.name not in ("summary.csv", "footprints.parquet")
    }


def leftovers(out: Path) -> list[str]:
    """Hidden folders of runs that were cut short."""
    return [str(path) for path in out.rglob(".*.geomask-*")]


@pytest.fixture
def batch(tmp_path: Path, model_file: Path) -> Batch:
    """Run a batch of inputs into tmp_path/out with the tiny model."""

    def run(*inputs: str | Path, engine: Any = None, **given: Any) -> BatchResult:
        keys = ("template", "shard", "retries", "overwrite", "progress")
        known = {key: given.pop(key) for key in keys if key in given}
        out = given.pop("out", tmp_path / "out")
        options = SceneOptions(model=str(model_file), **given)
        scenes = find_scenes(inputs, items=out / ".geomask" / "items")
        return run_batch(scenes, out, options, engine=engine, **known)

    return run
