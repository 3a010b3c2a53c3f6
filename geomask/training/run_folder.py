"""The folder of a run: its recipe and checkpoints, and whether it can be gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from geomask.errors import RecipeError
from geomask.training.recipe import Recipe

LAST, BEST, NOTE = "last.ckpt", "best.ckpt", "recipe.json"


def check_folder(run_dir: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> Path | None:
    """The checkpoint to resume from, if any; nothing is written yet.

    Raises RecipeError for a folder that holds a run, or the run of another recipe.
    """
    last, note = run_dir / LAST, run_dir / NOTE
    if last.exists() and resume:
        if _read_note(note) != recipe:
            raise RecipeError(
                f"{run_dir}: was trained with another recipe than this one, see {note.name}; "
                "resume with the same, or give another run folder"
            )
        return last
    if last.exists() and not overwrite:
        raise RecipeError(f"{run_dir}: holds a run already; give --resume or --overwrite")
    return None


def begin_folder(run_dir: Path, recipe: Recipe) -> None:
    """Make the folder, clear what an earlier run of ours left there, and note the recipe."""
    run_dir.mkdir(parents=True, exist_ok=True)
    if (run_dir / NOTE).exists():
        for old in (*run_dir.glob("logs/version_*"), *run_dir.glob("tensorboard/version_*")):
            shutil.rmtree(old)
        for old in run_dir.glob("pictures/*.png"):
            old.unlink()
    for name in (LAST, BEST):
        (run_dir / name).unlink(missing_ok=True)
    (run_dir / NOTE).write_text(recipe.model_dump_json(indent=1), "utf-8")


def best_checkpoint(run_dir: Path) -> dict[str, Any]:
    """The checkpoint of the best epoch, or of the last where none was better than nothing."""
    path = run_dir / BEST
    state: dict[str, Any] = torch.load(
        path if path.exists() else run_dir / LAST, map_location="cpu", weights_only=True
    )
    return state


def epochs_of_ended(last: Path, recipe: Recipe) -> int:
    """Epochs trained by the run that wrote this checkpoint, if it had stopped early; else 0."""
    state = torch.load(last, map_location="cpu", weights_only=True)
    waited = [
        int(memory.get("wait_count", 0))
        for name, memory in state.get("callbacks", {}).items()
        if name.startswith("EarlyStopping")
    ]
    patience = recipe.trainer.patience
    return int(state["epoch"]) + 1 if patience and max(waited, default=0) >= patience else 0


def _read_note(note: Path) -> Recipe | None:
    """The recipe that a run folder was made with, if it can still be read as one."""
    try:
        return Recipe.model_validate_json(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
