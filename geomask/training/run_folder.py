"""The folder of a run: its recipe and checkpoints, and whether it can be gone on with."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from geomask.errors import OutputError, RecipeError
from geomask.output import Staged, write_text
from geomask.training.recipe import Recipe

LAST, BEST, NOTE = "last.ckpt", "best.ckpt", "recipe.json"


def checkpoint_to_resume(
    run_dir: Path, recipe: Recipe, *, resume: bool, overwrite: bool
) -> Path | None:
    """The checkpoint to resume from, if any; nothing is written yet.

    Raises RecipeError for a folder that holds a run, or the run of another recipe.
    """
    last, note = run_dir / LAST, run_dir / NOTE
    if last.exists() and resume:
        before = _read_note(note)
        if before is None or _deciding(before) != _deciding(recipe):
            raise RecipeError(
                f"{run_dir}: was trained with another recipe than this one, see {note.name}; "
                "resume with the same, or give another run folder"
            )
        return last
    if last.exists() and not overwrite:
        raise RecipeError(f"{run_dir}: holds a run already; give --resume or --overwrite")
    return None


def _deciding(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what changes how a run is done, or what is made of it when it has ended,
    but not what is learnt in it."""
    return recipe.model_dump(
        exclude={
            "trainer": {"device", "devices", "num_nodes", "strategy", "pictures", "shift"},
            "data": {"workers"},
            "network": {"start_share", "average_with"},
            "card": True,
        }
    )


def begin_folder(run_dir: Path) -> None:
    """Make the folder, and clear what an earlier run of ours left there.

    Raises OutputError for a folder that cannot be made or cleared.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if (run_dir / NOTE).exists():
            for old in (*run_dir.glob("logs/version_*"), *run_dir.glob("tensorboard/version_*")):
                shutil.rmtree(old)
            for old in run_dir.glob("pictures/*.png"):
                old.unlink()
        for name in (LAST, BEST):
            (run_dir / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{run_dir}: cannot be the run's folder ({error.strerror}); "
            "choose another one with --run-dir"
        ) from error


def note_recipe(run_dir: Path, recipe: Recipe) -> None:
    """Note the recipe of a run, or of what is made of one that has ended. Raises OutputError."""
    write_text(run_dir / NOTE, recipe.model_dump_json(indent=1))


def kept_checkpoint(run_dir: Path, keep: str) -> dict[str, Any]:
    """The checkpoint of the "best" epoch, or of the "last", also where none was the best.

    Raises RecipeError for one that is damaged.
    """
    path = run_dir / BEST
    return _load(path if keep == "best" and path.exists() else run_dir / LAST)


def progress_of(last: Path, recipe: Recipe) -> tuple[int, bool]:
    """(epochs that the run which wrote this checkpoint has finished, whether it stopped early).

    Raises RecipeError for a checkpoint that is damaged.
    """
    state = _load(last)
    waited = [
        int(memory.get("wait_count", 0))
        for name, memory in state.get("callbacks", {}).items()
        if name.startswith("EarlyStopping")
    ]
    patience = recipe.trainer.patience
    return int(state["epoch"]) + 1, bool(patience and max(waited, default=0) >= patience)


class RunCheckpoints(TorchCheckpointIO):
    """Checkpoints that are complete or not there, and that are good where their folder is moved to.

    Lightning's own go through the system's temporary folder: what is copied from there to another
    disk can be cut short. And it forgets which epoch was best if the folder has another name.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write beside `path`, then into place. Raises OutputError."""
        with Staged(path) as staged:
            try:
                torch.save(checkpoint, staged.path)
            except (OSError, RuntimeError) as error:  # RuntimeError: torch's, of a full disk
                raise OutputError(f"{path}: cannot be written: {error}") from error
            staged.commit()

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What was saved, as if it had been saved where it is now; loading runs no code of it."""
        options["weights_only"] = True  # torch's own default only from 2.6 on
        state: dict[str, Any] = super().load_checkpoint(path, *arguments, **options)
        folder = Path(path).parent.resolve()
        for memory in state.get("callbacks", {}).values():
            if "best_k_models" in memory:
                _move(memory, folder)
        return state


def _move(memory: dict[str, Any], folder: Path) -> None:
    """Let what a ModelCheckpoint remembers be of files in `folder`."""
    memory["dirpath"] = str(folder)
    for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
        if memory.get(key):
            memory[key] = str(folder / Path(memory[key]).name)
    memory["best_k_models"] = {
        str(folder / Path(path).name): score for path, score in memory["best_k_models"].items()
    }


def _load(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        other = BEST if path.name == LAST else LAST
        raise RecipeError(
            f"{path}: is no checkpoint, or is cut short; go on from another by copying {other} "
            "over it, or begin anew with --overwrite"
        ) from error
    return state


def _read_note(note: Path) -> Recipe | None:
    """The recipe that a run folder was made with, if it can still be read as one."""
    try:
        return Recipe.model_validate_json(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
