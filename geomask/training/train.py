"""From a recipe and chip folders to a model file: `train`."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from geomask.card import Card
from geomask.checkpoint import save_model
from geomask.device import choose_device, choose_precision
from geomask.errors import OutputError, RecipeError
from geomask.memory import keep_freed_memory
from geomask.model_files import SUFFIX
from geomask.output import check_output
from geomask.training.cards import describe_run, draft_card
from geomask.training.chips import Chip, read_manifest, split_chips
from geomask.training.module import SegmentationModule
from geomask.training.recipe import Recipe, load_recipe
from geomask.training.samples import Sample, SampleNumbers, TrainingSamples, WholeChips
from geomask.training.scores import band_set_scores


@dataclass(frozen=True)
class TrainResult:
    """model: the file written. run_dir: logs, best.ckpt and last.ckpt. card: of the model.
    epochs: trained, this run and those it resumed. best_epoch: whose weights were saved."""

    model: Path
    run_dir: Path
    card: Card
    epochs: int
    best_epoch: int


@dataclass(frozen=True)
class _Chips:
    """What a run trains and validates on; clear chips have no masks."""

    training: list[Chip]
    validation: list[Chip]
    clear_training: list[Chip]
    clear_validation: list[Chip]


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
    """Train a model and write it to `out`: the epoch with the best validation macro IoU.

    data: chip folders with masks. clear: chip folders whose chips of manifest column `cloud_free`
    "yes" get clouds drawn over them. run_dir: logs and checkpoints, `out` with the suffix
    .run by default. resume: go on from run_dir's last checkpoint, from the start if it has none.
    overwrite: replace `out`, and begin anew in a run_dir that holds a run.

    Raises RecipeError (also for a loss that is no number), OutputError, ModelError.
    KeyboardInterrupt leaves run_dir ready to resume.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    out = Path(out)
    if out.suffix != SUFFIX:
        raise OutputError(f"{out}: is not named as what it will be; name it {SUFFIX}")
    check_output(out, overwrite=overwrite)
    run_dir = Path(run_dir) if run_dir else out.with_suffix(".run")
    chips = _gather(recipe, data, clear)
    last = _prepare(run_dir, recipe, resume=resume, overwrite=overwrite)
    keep_freed_memory()
    with _quiet():
        pl.seed_everything(recipe.trainer.seed, verbose=False)
        module = SegmentationModule(recipe)
        # A card that is not valid must be found out before training, not after it.
        draft = draft_card(recipe, out.stem, module.stride)
        trainer = _trainer(recipe, run_dir, progress=progress)
        _fit(trainer, module, _loaders(recipe, chips, trainer), last)
        best = _best_checkpoint(trainer, run_dir)
        state = torch.load(best, map_location="cpu", weights_only=True)
        module.load_state_dict(state["state_dict"])
        module.eval()
        metrics = band_set_scores(module, recipe, chips.validation, chips.clear_validation)
    counts = {name: len(some) for name, some in vars(chips).items()}
    held = {chip.group for chip in chips.validation}
    provenance = describe_run(recipe, [*data, *clear], counts, held, int(state["epoch"]))
    made = f"Trained with recipe {recipe.card.name} on {len(chips.training)} labelled chips."
    card = draft.model_copy(
        update={
            "provenance": provenance,
            "metrics": metrics,
            "description": recipe.card.description or made,
        }
    )
    save_model(out, module.segmenter, card)
    return TrainResult(out, run_dir, card, trainer.current_epoch, int(state["epoch"]))


def _gather(recipe: Recipe, data: Sequence[str | Path], clear: Sequence[str | Path]) -> _Chips:
    """All chips, split by group; a clear chip stays out of training where its group validates."""
    labelled = [chip for folder in data for chip in read_manifest(folder)]
    for chip in labelled:
        if not set(recipe.bands) & set(chip.bands):
            raise RecipeError(
                f"{chip.image}: has none of the recipe's bands ({', '.join(recipe.bands)}), "
                f"only {', '.join(filter(None, chip.bands))}"
            )
    training, validation = split_chips(
        labelled, recipe.data.validation_groups, recipe.data.validation_share
    )
    free = [
        chip
        for folder in clear
        for chip in read_manifest(folder, labelled=False)
        if chip.fields.get("cloud_free") == "yes"
    ]
    if clear and not free:
        raise RecipeError(
            f"{clear[0]}: no chip has cloud_free = yes in its manifest; only those are known "
            "to be safe to draw clouds over"
        )
    held = {*recipe.data.validation_groups, *(chip.group for chip in validation)}
    return _Chips(
        training,
        validation,
        [chip for chip in free if chip.group not in held],
        [chip for chip in free if chip.group in held],
    )


def _prepare(run_dir: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> Path | None:
    """Make run_dir and put the recipe there; the checkpoint to resume from, if any."""
    run_dir.mkdir(parents=True, exist_ok=True)
    last, note = run_dir / "last.ckpt", run_dir / "recipe.json"
    if last.exists() and resume:
        if _read_note(note) != recipe:
            raise RecipeError(
                f"{run_dir}: was trained with another recipe than this one, see {note.name}; "
                "resume with the same, or give another run folder"
            )
        return last
    if last.exists() and not overwrite:
        raise RecipeError(f"{run_dir}: holds a run already; give --resume or --overwrite")
    for name in ("last.ckpt", "best.ckpt"):
        (run_dir / name).unlink(missing_ok=True)
    note.write_text(recipe.model_dump_json(indent=1), "utf-8")
    return None


def _read_note(note: Path) -> Recipe | None:
    """The recipe that a run folder was made with, if it can still be read as one."""
    try:
        return Recipe.model_validate_json(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _trainer(recipe: Recipe, run_dir: Path, *, progress: bool) -> pl.Trainer:
    table = recipe.trainer
    # Two, since Lightning's save_last skips epochs that are no better than the best.
    best = ModelCheckpoint(
        run_dir, filename="best", monitor="val_iou", mode="max", enable_version_counter=False
    )
    last = ModelCheckpoint(run_dir, filename="last", enable_version_counter=False)
    callbacks: list[Callback] = [best, last]
    if recipe.optimizer.ema:
        callbacks.append(EMAWeightAveraging(decay=recipe.optimizer.ema))
    if table.patience:
        callbacks.append(EarlyStopping("val_iou", mode="max", patience=table.patience))
    return pl.Trainer(
        max_epochs=table.max_epochs,
        precision=_precision(table.precision),
        gradient_clip_val=recipe.optimizer.clip or None,
        callbacks=callbacks,
        logger=CSVLogger(run_dir, name="logs"),
        log_every_n_steps=min(10, recipe.data.steps_per_epoch),
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _precision(wanted: str) -> Any:
    """Lightning's name for the precision; auto is bf16 where the device computes in it."""
    dtype = choose_precision(wanted, choose_device("auto"))
    return "bf16-mixed" if dtype == torch.bfloat16 else "32-true"


def _loaders(
    recipe: Recipe, chips: _Chips, trainer: pl.Trainer
) -> tuple[DataLoader[Sample], DataLoader[Sample]]:
    samples = TrainingSamples(recipe, chips.training, chips.clear_training)
    workers = recipe.data.workers
    training = DataLoader(
        samples,
        batch_size=recipe.data.batch_size,
        sampler=SampleNumbers(len(samples)),
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return training, DataLoader(WholeChips(recipe, chips.validation))


def _fit(
    trainer: pl.Trainer,
    module: SegmentationModule,
    loaders: tuple[DataLoader[Sample], DataLoader[Sample]],
    last: Path | None,
) -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, *loaders, ckpt_path=last, weights_only=True)
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        # Lightning turns Ctrl-C into exit(1) and stops listening to it.
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from error


def _best_checkpoint(trainer: pl.Trainer, run_dir: Path) -> Path:
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    return Path(best) if best else run_dir / "last.ckpt"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice to those who write the loop, and torch's to Lightning."""
    names = ("lightning.pytorch", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            warnings.filterwarnings("ignore", r"`isinstance\(treespec", FutureWarning)
            warnings.filterwarnings("ignore", "Checkpoint directory .* exists")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
