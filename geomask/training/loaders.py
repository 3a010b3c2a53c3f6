"""Batches for each process: a step's samples are shared out, an epoch's never come again."""

from __future__ import annotations

from collections.abc import Iterator

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from geomask.training.chips import IGNORE
from geomask.training.gather import Gathered
from geomask.training.recipe import Recipe
from geomask.training.samples import Sample, TrainingSamples, WholeChips


class SampleNumbers(Sampler[int]):
    """Numbers of the samples of an epoch that one process sees: no epoch has those of another.

    Together the processes see what one alone would: step s has the numbers s x batch to
    (s + 1) x batch - 1, and process r of w the r-th of w equal parts of them.
    """

    def __init__(self, count: int, batch: int = 1, rank: int = 0, processes: int = 1) -> None:
        """count: samples of an epoch. batch: samples of a step, a multiple of `processes`."""
        self.count, self.batch = count, batch
        self.part = batch // processes
        self.first = rank * self.part
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self.count
        for step in range(start, start + self.count, self.batch):
            yield from range(step + self.first, step + self.first + self.part)

    def __len__(self) -> int:
        return self.count // self.batch * self.part


class _Unlabelled(Dataset[Sample]):
    """The first of some samples, with every pixel ignored."""

    def __init__(self, samples: Dataset[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return 1

    def __getitem__(self, number: int) -> Sample:
        sample = self.samples[0]
        return Sample(
            image=sample["image"], labels=torch.full_like(sample["labels"], IGNORE), id=sample["id"]
        )


class ChipBatches(pl.LightningDataModule):
    """The batches of a run, made in each process once it knows which one it is."""

    def __init__(self, recipe: Recipe, chips: Gathered, epoch: int = 0) -> None:
        """epoch: the first to be trained, which is not 0 where a run is resumed."""
        super().__init__()
        self.recipe = recipe
        self.chips = chips
        self.epoch = epoch

    def train_dataloader(self) -> DataLoader[Sample]:
        """Crops to train on."""
        rank, processes = self._place()
        samples = TrainingSamples(self.recipe, self.chips.training, self.chips.clear_training)
        table = self.recipe.data
        numbers = SampleNumbers(len(samples), table.batch_size, rank, processes)
        # Workers begin on the first epoch before Lightning says which one it is.
        numbers.set_epoch(self.epoch)
        return DataLoader(
            samples,
            batch_size=numbers.part,
            sampler=numbers,
            num_workers=table.workers,
            persistent_workers=table.workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Whole chips, every chip in one process; a process without one gets one unlabelled, since
        the others would wait for it."""
        rank, processes = self._place()
        whole = WholeChips(self.recipe, self.chips.validation)
        numbers = range(rank, len(whole), processes)
        samples = Subset(whole, numbers) if numbers else _Unlabelled(whole)
        return DataLoader(samples, num_workers=0)

    def _place(self) -> tuple[int, int]:
        """(which process this is, how many there are)."""
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
