"""The network in training: a LightningModule that augments, steps and validates."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch.nn import functional
from torchmetrics.classification import MulticlassConfusionMatrix

from geomask.errors import RecipeError
from geomask.network import Normalise, Segmenter, build_network, stride_of
from geomask.training.augment import Augment
from geomask.training.chips import IGNORE
from geomask.training.losses import segmentation_loss
from geomask.training.recipe import Recipe
from geomask.training.samples import Sample
from geomask.training.scores import class_scores


class SegmentationModule(pl.LightningModule):
    """Trains `segmenter` as the recipe says.

    Logs train_loss per step; val_loss, val_iou (macro over the classes that occur) and
    val_iou_<class> per epoch. Raises RecipeError where the loss is no number.
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
        self.segmenter.to(memory_format=torch.channels_last)
        self.augment = Augment(recipe.augment, recipe.bands, recipe.band_sets, recipe.data.patch)
        self.confusion = MulticlassConfusionMatrix(len(recipe.classes), ignore_index=IGNORE)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Reflectance (N, bands, H, W) of any size to logits (N, classes, H, W)."""
        height, width = image.shape[2:]
        margins = (0, -width % self.stride, 0, -height % self.stride)
        padded = functional.pad(image, margins, mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.segmenter(padded)
        return logits[..., :height, :width]

    def training_step(self, batch: Sample, batch_idx: int) -> torch.Tensor:
        """The loss of one augmented batch; the draw depends on seed and step alone."""
        generator = torch.Generator().manual_seed(
            self.recipe.trainer.seed * 1_000_003 + self.global_step
        )
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            image, labels = self.augment(batch["image"], batch["labels"], generator)
        loss = self._loss(self(image), labels)
        if not torch.isfinite(loss):
            raise RecipeError(self._not_a_number(batch))
        self.log("train_loss", loss, prog_bar=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """Counts the confusion of one batch of whole chips."""
        logits = self(batch["image"])
        labels = batch["labels"]
        self.confusion.update(logits.argmax(dim=1), labels)
        self.log("val_loss", self._loss(logits, labels), batch_size=len(labels), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Logs what the confusion matrix says, and forgets it."""
        scores = class_scores(self.confusion.compute(), [c.name for c in self.recipe.classes])
        self.confusion.reset()
        self.log("val_iou", scores["macro_iou"], prog_bar=True)
        for name, value in scores["iou"].items():
            self.log(f"val_iou_{name}", value)

    def configure_optimizers(self) -> Any:
        """AdamW and one cycle over all steps."""
        table = self.recipe.optimizer
        optimizer = torch.optim.AdamW(
            self.segmenter.parameters(), lr=table.lr, weight_decay=table.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=table.lr, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        table = self.recipe.loss
        return segmentation_loss(logits, labels, cross_entropy=table.cross_entropy, dice=table.dice)

    def _not_a_number(self, batch: Sample) -> str:
        best = getattr(self.trainer.checkpoint_callback, "best_model_path", "")
        kept = f"the best model so far is {best}" if best else "no model was good enough to keep"
        return (
            f"the loss is no longer a number in epoch {self.current_epoch}, step "
            f"{self.global_step}, chips {', '.join(batch['id'])}; {kept}; "
            "try a smaller optimizer.lr or trainer.precision=fp32"
        )
