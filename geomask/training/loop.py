"""The Lightning trainer of a recipe: device, processes, precision, checkpoints, logs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only

from geomask.device import choose_device, choose_precision
from geomask.errors import GeomaskWarning, RecipeError
from geomask.training.recipe import Recipe
from geomask.training.run_folder import BEST, LAST, RunCheckpoints
from geomask.training.tables import TrainerTable


def build_trainer(recipe: Recipe, run_dir: Path, *, progress: bool) -> pl.Trainer:
    """A trainer that keeps best.ckpt and last.ckpt in run_dir.

    Raises RecipeError for devices that are not there and for a precision they do not have,
    OptionError for a device's name.
    """
    table = recipe.trainer
    device = choose_device(table.device)
    _check_devices(table, device)
    return pl.Trainer(
        accelerator=device.type,
        devices=table.devices if device.index is None else [device.index],
        num_nodes=table.num_nodes,
        # Buffers are not sent before each forward pass: validation has no even number of these.
        strategy=DDPStrategy(broadcast_buffers=False) if is_parallel(table) else "auto",
        # A patch or two on each GPU say little of the batch's mean.
        sync_batchnorm=device.type == "cuda" and table.processes > 1,
        max_epochs=table.max_epochs,
        precision=lightning_precision(table.precision, device),
        gradient_clip_val=recipe.optimizer.clip or None,
        callbacks=_callbacks(recipe, run_dir),
        plugins=[RunCheckpoints()],
        logger=_loggers(run_dir),
        log_every_n_steps=min(10, recipe.data.steps_per_epoch or 1),
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def lightning_precision(wanted: str, device: torch.device) -> Any:
    """Lightning's name for the precision; auto is bf16 where the device computes in it."""
    if wanted == "fp16":
        if device.type != "cuda":
            raise RecipeError(
                f"trainer.precision fp16 needs a CUDA GPU, and this trains on {device.type}; "
                "use bf16 or fp32"
            )
        return "16-mixed"
    dtype = choose_precision(wanted, device)
    return "bf16-mixed" if dtype == torch.bfloat16 else "32-true"


def is_parallel(table: TrainerTable) -> bool:
    """True where processes that train together wait for each other's gradients."""
    return table.processes > 1 or table.strategy == "ddp"


def is_first_process() -> bool:
    """True for the one process that writes outputs and prints."""
    return not getattr(rank_zero_only, "rank", 0)


def _check_devices(table: TrainerTable, device: torch.device) -> None:
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device.type, table.devices)
    if device.index is not None:
        there = 1
    if table.devices > there:
        raise RecipeError(
            f"trainer.devices is {table.devices}, and {device} is {there} device"
            f"{'s' if there > 1 else ''}; set trainer.devices, or trainer.device=cpu"
        )


def _callbacks(recipe: Recipe, run_dir: Path) -> list[Callback]:
    table = recipe.trainer
    # Two, since Lightning's save_last skips epochs that are no better than the best.
    best = ModelCheckpoint(
        run_dir,
        filename=Path(BEST).stem,
        monitor=table.monitor,
        mode=table.mode,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(run_dir, filename=Path(LAST).stem, enable_version_counter=False)
    callbacks: list[Callback] = [best, last, LearningRateMonitor("epoch")]
    if recipe.optimizer.ema:
        callbacks.append(EMAWeightAveraging(decay=recipe.optimizer.ema))
    if table.patience:
        callbacks.append(EarlyStopping(table.monitor, mode=table.mode, patience=table.patience))
    return callbacks


def _loggers(run_dir: Path) -> list[Logger]:
    return [CSVLogger(run_dir, name="logs"), TensorBoardLogger(run_dir, name="tensorboard")]


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's advice to those who write the loop, and torch's to Lightning.

    Processes other than the first do not repeat its warnings.
    """
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
            if not is_first_process():
                warnings.simplefilter("ignore", GeomaskWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
