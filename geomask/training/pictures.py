"""Pictures of a run: its learning curves, and what it makes of chips it has not trained on."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from geomask.training.chips import IGNORE, Chip
from geomask.training.recipe import Recipe
from geomask.training.samples import WholeChips
from geomask.training.scores import Network
from geomask.training.tables import COLOURS

Rgb = npt.NDArray[np.uint8]

IGNORED_COLOUR = (96, 96, 96)
"""Of pixels that have no label."""

STRETCH = (2.0, 98.0)
"""Percentiles of a chip's reflectance that become black and white, in all its bands alike."""

LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
"""Okabe and Ito's (2008), which colour-blind people tell apart, strongest first."""

LEGEND_WIDTH = 400
"""Pixels that the names of the classes need below small chips."""

PANEL = (580, 300)
"""Width and height of a diagram, pixels."""

LEFT, RIGHT, TOP, BOTTOM = 52, 110, 26, 34
"""Room around a diagram's lines, for its numbers."""

Series = list[tuple[float, float]]
"""(epoch, value), in order."""


def draw_curves(run_dir: Path) -> Path | None:
    """Draw losses and IoU by epoch, from the run's CSV logs, to run_dir/curves.png.

    None where the logs hold no epoch.
    """
    series = read_series(run_dir)
    losses = {name: line for name, line in series.items() if name.endswith("loss")}
    ious = {name: line for name, line in series.items() if name.startswith("val_iou")}
    if not losses:
        return None
    picture = Image.new("RGB", (2 * PANEL[0], PANEL[1]), "white")
    highest = max(value for line in losses.values() for _, value in line)
    picture.paste(_diagram("loss", losses, highest), (0, 0))
    picture.paste(_diagram("IoU on validation chips", ious, 1.0), (PANEL[0], 0))
    path = run_dir / "curves.png"
    picture.save(path)
    return path


def read_series(run_dir: Path) -> dict[str, Series]:
    """Loss and IoU by epoch, finite values only; train_loss is the mean of those that were logged.

    Where a run was resumed, what was logged later counts.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for path in sorted(run_dir.glob("logs/version_*/metrics.csv"), key=_version):
        fresh: dict[str, dict[int, list[float]]] = {}
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for name, text in row.items():
                    if text and name.startswith(("train_loss", "val_")):
                        epochs = fresh.setdefault(name, {})
                        epochs.setdefault(int(row["epoch"]), []).append(float(text))
        for name, epochs in fresh.items():
            found.setdefault(name, {}).update(epochs)
    means = {
        name: [(float(epoch), sum(v) / len(v)) for epoch, v in sorted(epochs.items())]
        for name, epochs in found.items()
    }
    return {
        name: [point for point in line if math.isfinite(point[1])] for name, line in means.items()
    }


def draw_samples(
    network: Network, recipe: Recipe, chips: Sequence[Chip], folder: Path
) -> list[Path]:
    """Draw chips as three pictures in a row: input, truth, prediction; one PNG each in `folder`.

    At most the recipe's trainer.pictures, spread over `chips` in order. Truth and prediction are
    in the classes' colours, unlabelled pixels grey.
    """
    wanted = min(recipe.trainer.pictures, len(chips))
    samples = WholeChips(recipe, chips)
    paths = []
    for number in range(wanted):
        index = number * len(chips) // wanted
        sample = samples[index]
        with torch.no_grad():
            found = network(sample["image"][None]).argmax(dim=1)[0].cpu().numpy()
        row = [
            composite(sample["image"].numpy(), recipe.bands),
            paint(sample["labels"].numpy(), recipe),
            paint(found, recipe),
        ]
        folder.mkdir(exist_ok=True)
        path = folder / f"{number:02d}_{sample['id']}.png"
        _labelled_row(row, ("input", "truth", "prediction"), recipe).save(path)
        paths.append(path)
    return paths


def composite(image: npt.NDArray[np.float32], bands: Sequence[str]) -> Rgb:
    """uint8 (height, width, 3): red, green and blue, or nir, red and green, or what there is.

    image: float32 (bands, height, width), reflectance; black where not measured.
    """
    choices = (COLOURS, ("nir", "red", "green"), tuple(bands[:3][::-1]))
    names = next(names for names in choices if set(names) <= set(bands))
    names = (*names, names[-1], names[-1])[:3]  # of a single band, grey
    picture = image[[list(bands).index(name) for name in names]]
    known = picture[np.isfinite(picture)]
    if not known.size:
        return np.zeros((*image.shape[1:], 3), np.uint8)
    black, white = np.percentile(known, STRETCH)
    scaled = (picture - black) / max(float(white - black), 1e-6)
    shown: Rgb = (np.nan_to_num(scaled).clip(0, 1) * 255).round().astype(np.uint8)
    return np.moveaxis(shown, 0, -1)


def paint(channels: npt.NDArray[np.integer], recipe: Recipe) -> Rgb:
    """uint8 (height, width, 3): output channels, or 255, in the classes' colours."""
    colours = np.empty((256, 3), np.uint8)
    colours[:] = IGNORED_COLOUR
    for channel, entry in enumerate(recipe.classes):
        colours[channel] = entry.color
    colours[IGNORE] = IGNORED_COLOUR
    painted: Rgb = colours[channels]
    return painted


def _labelled_row(parts: Sequence[Rgb], titles: Sequence[str], recipe: Recipe) -> Image.Image:
    """The parts side by side below their titles, and the classes' colours below the first."""
    height, width = parts[0].shape[:2]
    gap, line = 6, 18
    across = max(len(parts) * (width + gap) + gap, LEGEND_WIDTH)
    picture = Image.new("RGB", (across, height + 2 * line + gap), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12)
    for number, (part, title) in enumerate(zip(parts, titles, strict=True)):
        left = gap + number * (width + gap)
        draw.text((left, 2), title, "black", font)
        picture.paste(Image.fromarray(part), (left, line))
    left = float(gap)
    entries = [(entry.name, entry.color) for entry in recipe.classes]
    for name, colour in [*entries, ("not labelled", IGNORED_COLOUR)]:
        top = line + height + 5
        draw.rectangle((left, top, left + 10, top + 10), colour, "black")
        draw.text((left + 14, top - 2), name, "black", font)
        left += 26 + draw.textlength(name, font)
    return picture


def _diagram(title: str, lines: dict[str, Series], highest: float) -> Image.Image:
    """Lines over epochs, from 0 to `highest`, with their names to the right."""
    picture = Image.new("RGB", PANEL, "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12)
    highest = highest if highest > 0 else 1.0
    last = max([epoch for line in lines.values() for epoch, _ in line] or [0.0])
    width, height = PANEL[0] - LEFT - RIGHT, PANEL[1] - TOP - BOTTOM

    def place(epoch: float, value: float) -> tuple[float, float]:
        share = epoch / last if last else 0.5
        return LEFT + share * width, TOP + (1 - min(value / highest, 1)) * height

    draw.text((LEFT, 6), title, "black", font)
    for tick in range(5):
        value = highest * tick / 4
        _, y = place(0, value)
        draw.line((LEFT, y, LEFT + width, y), "#dddddd")
        draw.text((LEFT - 6, y), f"{value:.3g}", "black", font, anchor="rm")
    for epoch in sorted({0, round(last / 2), round(last)}):
        draw.text((place(epoch, 0)[0], TOP + height + 6), str(epoch), "black", font, anchor="ma")
    draw.text((LEFT + width / 2, PANEL[1] - 14), "epoch", "black", font, anchor="ma")
    for row, (name, colour) in enumerate(zip(sorted(lines), cycle(LINE_COLOURS), strict=False)):
        points = [place(*point) for point in lines[name]]
        draw.line(points, colour, 2)
        for x, y in points:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), colour)
        draw.text((LEFT + width + 8, TOP + 15 * row), name, colour, font)
    return picture


def _version(path: Path) -> int:
    return int(path.parent.name.rpartition("_")[2])
