"""`geomask data simulate`, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from geomask.cli import cli
from geomask.training.chips import read_image, read_labels, read_manifest
from tests.training.conftest import chip_folder, write_raster

__all__ = ["chip_folder", "write_raster"]


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", "simulate", *map(str, words)])


@pytest.fixture
def clear(chip_folder) -> Path:
    folder: Path = chip_folder("clear", 2, labelled=False, cloud_free="yes")
    return folder


def test_chips_come_out_that_training_reads(clear: Path, tmp_path: Path) -> None:
    out = tmp_path / "chips"
    result = run(clear, "--out", out, "--count", "4", "--size", "64", "--gsd", "60", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    chips = read_manifest(out)
    assert len(chips) == summary["done"] == 4
    assert {chip.group for chip in chips} == {"place0", "place1"}
    assert [chip.gsd for chip in chips] == [60.0] * 4
    assert chips[0].shape == (64, 64)
    assert chips[0].bands == ("blue", "green", "red", "nir", "swir16", "swir22")
    labels = np.stack([read_labels(chip) for chip in chips])
    assert summary["pixels"]["thick_cloud"] == (labels == 1).sum() > 0
    red = np.stack([read_image(chip, ["red"])[0] for chip in chips])
    assert red[labels == 1].mean() > 0.3 > red[labels == 3].mean()


def test_the_same_seed_gives_the_same_chips_and_another_other_ones(
    clear: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(clear, "--out", tmp_path / name, "--count", "2", "--size", "32", "--seed", seed,
                   "-q").exit_code == 0  # fmt: skip
    a, b, c = (
        [read_image(chip, ["red"]) for chip in read_manifest(tmp_path / name)] for name in "abc"
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_nothing_is_replaced_unless_told(clear: Path, tmp_path: Path) -> None:
    words = (clear, "--out", tmp_path / "a", "--count", "1", "--size", "32")
    assert run(*words).exit_code == 0
    again = run(*words)
    assert again.exit_code == 1
    assert "has 1 of these chips already" in again.stderr
    assert run(*words, "--overwrite").exit_code == 0


def test_bands_that_clouds_are_not_known_in_are_refused(clear: Path, tmp_path: Path) -> None:
    result = run(clear, "--out", tmp_path / "a", "--only", "red,lwir11")
    assert result.exit_code == 1
    assert "cannot be drawn in lwir11; all clear chips have blue, green, red" in result.stderr
    assert not (tmp_path / "a").exists()


def test_chips_that_nobody_calls_cloud_free_are_no_ground(chip_folder, tmp_path: Path) -> None:
    result = run(chip_folder(count=1), "--out", tmp_path / "a")
    assert result.exit_code == 1
    assert "cloud_free = yes" in result.stderr
