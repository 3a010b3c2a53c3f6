"""`geomask train` and `geomask recipes` as typed, and training in two processes."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from geomask.card import read_card
from geomask.cli.recipes import command as recipes
from geomask.cli.train import command as train
from geomask.training.recipe import list_recipes, load_recipe
from tests.training.conftest import NINE_BANDS, chip_folder

__all__ = ["chip_folder"]

TINY = (
    "network.options={width=4}",
    "data.patch=32",
    "data.batch_size=4",
    "data.steps_per_epoch=2",
    "data.workers=0",
    "trainer.max_epochs=2",
    "trainer.precision=fp32",
    "trainer.device=cpu",
)


def test_bare_train_says_what_it_needs_and_lists_the_recipes() -> None:
    result = CliRunner().invoke(train, [])
    assert result.exit_code == 2
    for text in ("needs --recipe", "--data", "--clear", "--out", *list_recipes()):
        assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_train_names_only_what_is_missing(tmp_path) -> None:
    arguments = ["--recipe", "liss4", "--data", str(tmp_path)]
    result = CliRunner().invoke(train, arguments)
    assert result.exit_code == 2
    assert "geomask train needs --out (the model to write, .safetensors)." in result.stderr
    assert "Recipes:" not in result.stderr


def test_recipes_are_listed_shown_and_copied(tmp_path) -> None:
    runner = CliRunner()
    for arguments in ([], ["list"]):
        listed = runner.invoke(recipes, arguments)
        assert listed.exit_code == 0
        assert set(list_recipes()) <= set(listed.stdout.split())
    every = json.loads(runner.invoke(recipes, ["list", "--json"]).stdout)
    assert [entry["name"] for entry in every] == list_recipes()
    shown = runner.invoke(recipes, ["show", "liss4"]).stdout
    assert shown.startswith("# Cloud, shadow and snow from LISS-4")
    assert json.loads(runner.invoke(recipes, ["show", "liss4", "--json"]).stdout)["loss"] == {
        "cross_entropy": 1.0, "dice": 0.0, "focal": 0.0, "focal_gamma": 2.0, "class_weights": {},
    }  # fmt: skip
    target = tmp_path / "mine.toml"
    assert runner.invoke(recipes, ["copy", "liss4", str(target)]).exit_code == 0
    assert target.read_text() == shown
    assert load_recipe(target) == load_recipe("liss4")


def two_processes(
    folder, out, *overrides: str, program=("-m", "geomask")
) -> subprocess.CompletedProcess[str]:
    """`geomask train` on two CPU processes, as a user starts it. program: what is run instead."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = (*TINY, "trainer.devices=2", *overrides)
    arguments = [part for text in settings for part in ("--set", text)]
    return subprocess.run(
        [sys.executable, *program, "train", "--recipe", "cloud-shadow-9band",
         "--data", folder, "--out", out, "--json", *arguments],
        capture_output=True, text=True, timeout=300,
        env={**os.environ, "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_one_model(chip_folder, tmp_path) -> None:
    folder = chip_folder(count=7, size=40, bands=NINE_BANDS)
    out = tmp_path / "m.safetensors"
    done = two_processes(folder, out, 'data.validation_groups=["place0", "place1", "place2"]')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == str(out), "printed once"
    card = read_card(out)
    scores = card.metrics["all"]
    assert scores["chips"] == 3, "an odd number, shared by two"
    with (tmp_path / "m.run/logs/version_0/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val_iou"]]
    assert [row["epoch"] for row in rows] == ["0", "1"]
    # What the two counted together is what one counts of the saved network.
    best = max(rows, key=lambda row: float(row["val_iou"]))
    assert float(best["val_iou"]) == pytest.approx(scores["macro_iou"], abs=2e-4)
    assert sorted(path.name for path in (tmp_path / "m.run/logs").iterdir()) == ["version_0"]
    assert len(list((tmp_path / "m.run/pictures").iterdir())) == 3


SPOILT = """
from geomask.cli import main
from geomask.training.module import SegmentationModule

loss = SegmentationModule._loss
SegmentationModule._loss = lambda self, *given: loss(self, *given) * (
    float("nan") if {condition} else 1
)
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            "self.training and self.current_epoch == 1 and self.global_rank == 1",
            "the loss is no longer a number in epoch 1, step 1, chips chips",
        ),
        (
            "not self.training and self.current_epoch == 1",
            "the loss is no longer a number in epoch 1, step 2, validation chips chips1; the best",
        ),
    ],
)
def test_two_processes_stop_together_with_one_message(
    chip_folder, tmp_path, condition: str, message: str
) -> None:
    """In the second epoch; there is one chip to validate on, which only one of them has."""
    folder = chip_folder(count=3, size=40, bands=NINE_BANDS)
    (tmp_path / "spoilt.py").write_text(SPOILT.format(condition=condition))
    done = two_processes(
        folder,
        tmp_path / "m.safetensors",
        "data.steps_per_epoch=1",
        'data.validation_groups=["place1"]',
        program=(tmp_path / "spoilt.py",),
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count(message) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m.safetensors").exists()
    assert (tmp_path / "m.run/best.ckpt").exists()
