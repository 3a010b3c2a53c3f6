"""The network in training: a LightningModule that augments, steps and validates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from geomask.errors import RecipeError
from geomask.network import Normalise, Segmenter, build_network, stride_of
from geomask.training.augment import Augment
from geomask.training.chips import IGNORE
from geomask.training.losses import segmentation_loss
from geomask.training.recipe import Recipe
from geomask.training.samples import Sample
from geomask.training.scores import class_scores
from geomask.training.start import start_as


class SegmentationModule(pl.LightningModule):
    """Trains `segmenter` as the recipe says.

    Logs train_loss per step; val_loss, val_iou (macro over the classes that occur) and
    val_iou_<class> per epoch. Raises RecipeError where the loss is no number, and where no pixel
    to validate on is both labelled and measured.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        weights = recipe.network.encoder_weights
        body = build_network(
            recipe.network.spec,
            bands=len(recipe.bands),
            classes=len(recipe.classes),
            encoder_weights=None if weights == "none" else weights,
        )
        self.stride = stride_of(body)
        self.segmenter = Segmenter(Normalise(recipe.normalisation), body)
        start_as(self.segmenter, recipe)
        self.segmenter.to(memory_format=torch.channels_last)
        self.augment = Augment(
            recipe.augment,
            recipe.bands,
            recipe.band_sets,
            recipe.data.patch,
            recipe.normalisation.clip,
        )
        self.confusion = MulticlassConfusionMatrix(len(recipe.classes), ignore_index=IGNORE)
        self.mean_loss = MeanMetric(nan_strategy="disable")
        self.plateau: ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None
        self._wrong: list[str] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Reflectance (N, bands, H, W) of any size to logits (N, classes, H, W)."""
        height, width = image.shape[2:]
        margins = (0, -width % self.stride, 0, -height % self.stride)
        padded = functional.pad(image, margins, mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.segmenter(padded)
        return logits[..., :height, :width]

    def freeze_unused(self) -> None:
        """Takes parameters that no output comes from out of training.

        Processes that train together would wait for their gradients; some of smp's encoders have
        such (EfficientNet's last convolution).
        """
        side = 2 * self.stride
        with torch.enable_grad():
            network = self.segmenter.eval()
            logits = network(torch.zeros(1, len(self.recipe.bands), side, side))
            parameters = list(network.parameters())
            gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)
        self.segmenter.train()

    def training_step(self, batch: Sample, batch_idx: int) -> torch.Tensor:
        """The loss of one augmented batch; the draw depends on seed, step and process alone."""
        generator = torch.Generator().manual_seed(
            self.recipe.trainer.seed * 1_000_003 + self.global_step + self.global_rank * 2**40
        )
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            image, labels = self.augment(batch["image"], batch["labels"], generator)
        loss = self._loss(self(image), labels)
        self._check_numbers([] if torch.isfinite(loss) else list(batch["id"]))
        self.log("train_loss", loss, prog_bar=True, batch_size=len(labels))
        return loss

    def on_validation_epoch_start(self) -> None:
        """All processes validate the same network: the mean of BatchNorm's statistics of each."""
        self._wrong = []
        if self.trainer.world_size > 1:
            for buffer in self.segmenter.body.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.trainer.strategy.reduce(buffer.clone(), reduce_op="mean"))

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """Counts the confusion of one batch of whole chips."""
        logits = self(batch["image"])
        labels = batch["labels"]
        self.confusion.update(logits.argmax(dim=1), labels)
        labelled = (labels != IGNORE).flatten(1).any(dim=1).sum()
        loss = self._loss(logits, labels)
        self.mean_loss.update(loss, weight=labelled)
        if not torch.isfinite(loss):
            self._wrong += batch["id"]

    def on_validation_epoch_end(self) -> None:
        """Logs what the chips of all processes say, and forgets it; lowers lr on a plateau."""
        self._check_numbers(self._wrong)
        values = {"val_loss": self.mean_loss.compute()}
        confusion = self.confusion.compute()
        if not confusion.any():
            self._stop(
                "no pixel of the validation chips is both labelled and measured in the recipe's "
                "bands; check the chips' nodata value, their labels and data.resize"
            )
        scores = class_scores(confusion, [entry.name for entry in self.recipe.classes])
        self.mean_loss.reset()
        self.confusion.reset()
        values["val_iou"] = scores["macro_iou"]
        self.log("val_loss", values["val_loss"])
        self.log("val_iou", values["val_iou"], prog_bar=True)
        for name, value in scores["iou"].items():
            self.log(f"val_iou_{name}", value)
        if self.plateau is not None:
            self.plateau.step(float(values[self.recipe.trainer.monitor]))

    def configure_optimizers(self) -> Any:
        """AdamW under the recipe's schedule."""
        table = self.recipe.optimizer
        optimizer = torch.optim.AdamW(
            self.segmenter.parameters(), lr=table.lr, weight_decay=table.weight_decay
        )
        if table.schedule == "one-cycle":
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=table.lr, total_steps=int(self.trainer.estimated_stepping_batches)
            )
            step = {"scheduler": schedule, "interval": "step"}
            return {"optimizer": optimizer, "lr_scheduler": step}
        if table.schedule == "plateau":
            # Ours, not Lightning's: its own is stepped after the checkpoint of the epoch is
            # written, and what resumes from that would forget the step.
            self.plateau = ReduceLROnPlateau(
                optimizer,
                mode=self.recipe.trainer.mode,
                factor=table.plateau_factor,
                patience=table.plateau_patience,
            )
            if self._plateau_state is not None:
                self.plateau.load_state_dict(self._plateau_state)
        return optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the plateau schedule's memory."""
        if self.plateau is not None:
            checkpoint["plateau"] = self.plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the plateau schedule's memory until there is an optimiser."""
        self._plateau_state = checkpoint.get("plateau")

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return segmentation_loss(logits, labels, self.recipe.loss, self.recipe.class_weights())

    def _check_numbers(self, wrong: list[str]) -> None:
        """Stop where a loss is no number. wrong: the chips of this process with such a loss.

        All processes at once: one that went on would wait for the others for ever.
        """
        if self.trainer.world_size > 1:
            found = self.trainer.strategy.reduce(
                torch.tensor(float(bool(wrong)), device=self.device), reduce_op="sum"
            )
            if float(found) == 0:
                return
            everyone: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(everyone, wrong)
            # A chip may be in two processes: see `loaders._Unlabelled`.
            wrong = list(dict.fromkeys(chip for part in everyone for chip in part))
        if wrong:
            self._stop(self._not_a_number(wrong))

    def _stop(self, message: str) -> NoReturn:
        """Raise RecipeError in the first process, and end the others; called in all of them."""
        if not self.trainer.is_global_zero:
            raise SystemExit(0)
        raise RecipeError(message)

    def _not_a_number(self, chips: Sequence[str]) -> str:
        what = "validation chips" if self.trainer.validating else "chips"
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        kept = f"the best model so far is {best}" if best else "no epoch was finished before"
        return (
            f"the loss is no longer a number in epoch {self.current_epoch}, step "
            f"{self.global_step}, {what} {', '.join(chips)}; {kept}; "
            "try a smaller optimizer.lr or trainer.precision=fp32"
        )
