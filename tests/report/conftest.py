"""Evaluations of tiny chips."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest

from geomask.evaluation import plan_evaluation
from geomask.evaluation.results import Evaluation
from geomask.evaluation.triplet import Triplet
from geomask.report import report_html
from tests.conftest import identity_model, write_scene

SHAPE = 24, 32
"""Pixels of a chip."""


@dataclass
class Scored:
    """An evaluation, what makes pictures of its chips, and its page."""

    evaluation: Evaluation
    triplet: Callable[[str], Triplet]

    @cached_property
    def page(self) -> str:
        return report_html(self.evaluation, self.triplet)


def write_chips(folder: Path, count: int, codes: tuple[int, ...], groups: int) -> Path:
    """A chip folder of random labels in blocks, of which the identity network gets most right.

    codes: chip codes that labels have, by the network's channel. A folder `masks` beside it holds
    what the network would say.
    """
    rng = np.random.default_rng(7)
    folder.mkdir()
    (folder.parent / "masks").mkdir(exist_ok=True)
    rows = []
    for number in range(count):
        channels = rng.integers(len(codes), size=(6, 8)).repeat(4, axis=0).repeat(4, axis=1)
        wrong = rng.random(SHAPE) < number / (2 * count)
        called = np.where(wrong, rng.integers(3, size=SHAPE), channels).astype(np.uint8)
        image = np.where(called == np.arange(3)[:, None, None], 6000, 2000).astype(np.uint16)
        image[:, 0, :5] = 0
        labels = np.array(codes, np.uint8)[channels]
        labels[-1] = 255
        name = f"chip_{number}"
        write_scene(folder / f"{name}.tif", image)
        write_scene(folder / f"{name}_mask.tif", labels[None], bands=(), scale=None, nodata=None)
        called[0, :5] = 255
        write_scene(
            folder.parent / "masks" / f"{name}.tif",
            called[None],
            bands=(),
            scale=None,
            nodata=None,
        )
        sensor = "one" if number % 3 else "two"
        rows.append({"id": name, "split_group": f"place {number % groups}", "sensor": sensor})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def score(folder: Path, *, masks: bool = False) -> Scored:
    """The chips of a folder, scored."""
    how = {"masks": folder.parent / "masks", "mapping": "0=clear,1=cloud,2=shadow"}
    options = how if masks else {"model": identity_model()}
    trial = plan_evaluation(data=[folder], split="all", draws=50, **options)
    return Scored(trial.run(), cache(trial.triplet))


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Twelve chips of twelve places, with clear, thin cloud and shadow, seen by a model."""
    place = tmp_path_factory.mktemp("scored")
    return score(write_chips(place / "chips", 12, (0, 2, 3), 12))


@pytest.fixture(scope="session")
def scored_masks(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Four masks of two places, whose labels hold no shadow."""
    place = tmp_path_factory.mktemp("masks")
    return score(write_chips(place / "chips", 4, (0, 1), 2), masks=True)
