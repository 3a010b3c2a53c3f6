"""From a recipe and chip folders to a model file: `train`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from geomask.card import Card
from geomask.checkpoint import save_model
from geomask.device import choose_device
from geomask.errors import GeomaskError, OutputError
from geomask.memory import keep_freed_memory
from geomask.model_files import SUFFIX
from geomask.output import check_output
from geomask.training.calibration import fit_shift, fit_temperature, shift_logits
from geomask.training.cards import describe_model, describe_run, draft_card
from geomask.training.gather import (
    Gathered,
    check_splits,
    gather_chips,
    resolution_of,
    write_splits,
)
from geomask.training.loaders import ChipBatches
from geomask.training.loop import build_trainer, is_first_process, is_parallel, quiet
from geomask.training.module import SegmentationModule
from geomask.training.pictures import draw_curves, draw_samples
from geomask.training.recipe import Recipe, load_recipe
from geomask.training.run_folder import (
    begin_folder,
    checkpoint_to_resume,
    kept_checkpoint,
    note_recipe,
    progress_of,
)
from geomask.training.scores import band_set_scores
from geomask.training.seams import seam_fraction
from geomask.training.start import average, warn_of_groups_before


@dataclass(frozen=True)
class TrainResult:
    """model: the file written. run_dir: logs, checkpoints, splits.csv, curves.png, pictures/.
    card: of the model. epochs: trained, this run and those it resumed. kept_epoch: whose weights
    were saved. Where several processes train, only the first writes: the others' card has no scores
    and their kept_epoch is -1.
    """

    model: Path
    run_dir: Path
    card: Card
    epochs: int
    kept_epoch: int


def train(
    recipe: Recipe | str | Path,
    data: Sequence[str | Path],
    out: str | Path,
    *,
    clear: Sequence[str | Path] = (),
    run_dir: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> TrainResult:
    """Train a model and write it to `out`: the epoch that the recipe's trainer.keep says.

    data: chip folders with masks. clear: chip folders whose chips of manifest column `cloud_free`
    "yes" get clouds drawn over them; with no data, all training and validation is on these.
    run_dir: logs and checkpoints, `out` with the suffix .run by default. resume: go on from
    run_dir's last checkpoint, from the start if it has none; of a run that has ended it makes
    another model where the recipe now has another card, shift, start_share or average_with.
    overwrite: replace `out`, and begin anew in a run_dir that holds a run.
    On several devices Lightning starts the running program once more for each (DDP).

    Raises RecipeError (also for a loss that is no number), OutputError, ModelError.
    KeyboardInterrupt leaves run_dir ready to resume from the last epoch that was finished.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    out = Path(out)
    if out.suffix != SUFFIX:
        raise OutputError(f"{out}: is not named as what it will be; name it {SUFFIX}")
    check_output(out, overwrite=overwrite)
    run_dir = Path(run_dir) if run_dir else out.with_suffix(".run")
    last = checkpoint_to_resume(run_dir, recipe, resume=resume, overwrite=overwrite)
    epochs, ended = progress_of(last, recipe) if last else (0, False)
    with quiet():
        chips = gather_chips(recipe, data, clear)
        trainer = build_trainer(recipe, run_dir, progress=progress)
        keep_freed_memory()
        pl.seed_everything(recipe.trainer.seed, verbose=False)
        module = SegmentationModule(recipe)
        if is_parallel(recipe.trainer):
            module.freeze_unused()
        # A card that is not valid must be found out before training, not after it.
        card = draft_card(recipe, out.stem, module.stride, resolution_of(recipe, chips))
        if is_first_process():
            if last is None:
                begin_folder(run_dir)
            else:
                check_splits(run_dir / "splits.csv", chips.splits)
            note_recipe(run_dir, recipe)
            write_splits(run_dir / "splits.csv", chips.splits)
            warn_of_groups_before(recipe, [*chips.groups("val"), *chips.groups("test")])
        if not ended:
            _fit(trainer, module, ChipBatches(recipe, chips, epochs), last)
            epochs = trainer.current_epoch
        if not is_first_process():
            return TrainResult(out, run_dir, card, epochs, kept_epoch=-1)
        kept = kept_checkpoint(run_dir, recipe.trainer.keep)
        card = _finish(recipe, card, module, kept, chips, run_dir, [*data, *clear])
        save_model(out, module.segmenter, card)
    return TrainResult(out, run_dir, card, epochs, int(kept["epoch"]))


def _finish(
    recipe: Recipe,
    card: Card,
    module: SegmentationModule,
    kept: dict[str, Any],
    chips: Gathered,
    run_dir: Path,
    folders: Sequence[str | Path],
) -> Card:
    """Score the weights that are kept, draw what can be looked at, and say it all on the card."""
    module.load_state_dict(kept["state_dict"])
    average(module.segmenter, recipe)
    device = choose_device(recipe.trainer.device)
    module.to(device).eval()

    def network(image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = module(image.to(device))
        return logits.cpu()

    free = [chip for chip in chips.clear_training if chip.mask is None]
    shift = fit_shift(network, recipe, chips.training, free)
    shift_logits(module.segmenter.body.cpu(), recipe, shift)
    module.to(device)
    metrics = band_set_scores(network, recipe, chips.validation, chips.clear_validation)
    seams = seam_fraction(network, recipe, chips.validation, module.stride)
    draw_curves(run_dir)
    draw_samples(network, recipe, chips.validation, run_dir / "pictures")
    module.cpu()
    said = {"shift": shift} if shift else {}
    return card.model_copy(
        update={
            "provenance": describe_run(recipe, folders, chips, int(kept["epoch"])) | said,
            "metrics": metrics,
            "seam_fraction": None if seams is None else round(seams, 6),
            "temperature": fit_temperature(network, recipe, chips.validation),
            "description": recipe.card.description or describe_model(recipe, chips),
        }
    )


def _fit(
    trainer: pl.Trainer, module: SegmentationModule, batches: ChipBatches, last: Path | None
) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=batches, ckpt_path=last, weights_only=True)
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        # Lightning turns Ctrl-C into exit(1) and stops listening to it.
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from error
    except GeomaskError as error:
        raise _as_raised(error) from error


def _as_raised(error: GeomaskError) -> GeomaskError:
    """The error as it was before a DataLoader's worker put a traceback into its message."""
    kind = type(error)
    # Not its str, which is one line.
    _, found, message = str(error.args[0]).rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")
    return kind(message.strip()) if found else error
