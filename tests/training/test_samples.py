"""Samples made of chips: crops, whole chips, simulated clouds, and who sees which of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from geomask.training.chips import read_manifest
from geomask.training.loaders import SampleNumbers
from geomask.training.recipe import load_recipe
from geomask.training.samples import TrainingSamples, WholeChips


def test_samples_are_functions_of_seed_and_number(chip_folder) -> None:
    recipe = load_recipe("default", ["data.patch=32", "data.steps_per_epoch=2"])
    clear = read_manifest(chip_folder("clear", labelled=False), labelled=False)
    samples = TrainingSamples(recipe, read_manifest(chip_folder()), clear)
    first, again = samples[5], samples[5]
    assert first["image"].shape == (6, 40, 40), "a quarter larger than the patch"
    assert first["labels"].dtype == torch.int64
    torch.testing.assert_close(first["image"], again["image"], equal_nan=True)
    assert torch.equal(first["labels"], again["labels"])
    drawn = {samples[number]["id"][:5] for number in range(len(samples))}
    assert drawn == {"chips", "clear"}, "both sources are drawn from"


def test_every_chip_is_shown_once_in_another_order_each_time(chip_folder) -> None:
    overrides = ["data.steps_per_epoch=0", "data.batch_size=3", "data.patch=32"]
    recipe = load_recipe("liss4", overrides)
    chips = read_manifest(chip_folder(count=4))
    clear = read_manifest(chip_folder("clear", 3, labelled=False), labelled=False)
    samples = TrainingSamples(recipe, chips, clear)
    assert len(samples) == 9, "seven chips in three batches, the last filled up"
    turns = [[samples[number]["id"] for number in range(7 * turn, 7 * turn + 7)] for turn in (0, 1)]
    assert sorted(turns[0]) == sorted(turns[1]) == sorted(chip.id for chip in [*chips, *clear])
    assert turns[0] != turns[1]


def test_clouds_are_drawn_over_labelled_samples_in_their_share(chip_folder) -> None:
    chips = read_manifest(chip_folder(count=2))
    crops = ["data.patch=32", "data.overdraw_share="]
    still, half, all_of_them = (
        TrainingSamples(load_recipe("default", [crops[0], f"{crops[1]}{share}"]), chips)
        for share in (0, 0.5, 1)
    )
    changed = [not torch.equal(half[n]["labels"], still[n]["labels"]) for n in range(40)]
    assert 5 < sum(changed) < 25
    assert (
        sum(not torch.equal(all_of_them[n]["labels"], still[n]["labels"]) for n in range(40)) > 25
    )
    sizeless = [replace(chip, gsd=None) for chip in chips]
    blind = TrainingSamples(all_of_them.recipe, sizeless)
    assert all(torch.equal(blind[n]["labels"], still[n]["labels"]) for n in range(40))


def test_without_labelled_chips_all_samples_are_simulated(chip_folder) -> None:
    clear = read_manifest(chip_folder("clear", 2, labelled=False), labelled=False)
    recipe = load_recipe("default", ["data.patch=32", "data.simulate_share=0"])
    samples = TrainingSamples(recipe, [], clear)
    assert {samples[number]["id"][:5] for number in range(4)} == {"clear"}


def test_resized_chips_are_averaged_and_seen_whole(chip_folder, write_raster) -> None:
    """80 x 64 pixels become 40 x 32, each the mean of four; labels those of one of the four."""
    folder = chip_folder(count=1)
    dn = np.arange(3 * 80 * 64, dtype=np.uint16).reshape(3, 80, 64)
    codes = np.repeat(np.array([[0, 1]], np.uint8), 80, axis=0).repeat(32, axis=1)
    write_raster(folder / "chips0.tif", dn, ("red", "green", "blue"))
    write_raster(folder / "chips0_mask.tif", codes[None])
    chips = read_manifest(folder)
    overrides = ["data.resize=40", "data.patch=64"]
    recipe = load_recipe("cloud-rgb", overrides)
    expected = dn.reshape(3, 40, 2, 32, 2).mean(axis=(2, 4)) * 1e-4
    whole = WholeChips(recipe, chips)[0]
    np.testing.assert_allclose(whole["image"], expected, rtol=1e-3, atol=1e-4)
    assert (whole["labels"][:, :16] == 0).all()
    assert (whole["labels"][:, 16:] == 1).all()
    sample = TrainingSamples(recipe, chips)[0]
    assert sample["image"].shape == (3, 64, 64), "nothing turns, so no room to turn"
    inside = sample["labels"] != 255
    assert inside.sum() == 40 * 32
    torch.testing.assert_close(sample["image"][:, inside], whole["image"].flatten(1))


def test_clouds_to_validate_on_are_the_same_for_every_seed(chip_folder) -> None:
    chip = read_manifest(chip_folder("clear", 1, labelled=False), labelled=False)[0]
    drawn = [replace(chip, drawn=number) for number in range(3)]
    first, again = (
        WholeChips(load_recipe("default", ["data.patch=64", f"trainer.seed={seed}"]), drawn)
        for seed in (1, 2)
    )
    for number in range(3):
        assert torch.equal(first[number]["image"], again[number]["image"])
        assert torch.equal(first[number]["labels"], again[number]["labels"])
        assert first[number]["image"].shape == (6, 64, 64)
    assert not torch.equal(first[0]["image"], first[1]["image"])
    assert {1, 2} & set(torch.cat([first[n]["labels"] for n in range(3)]).unique().tolist())


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_together_see_what_one_sees(processes: int) -> None:
    shares = [SampleNumbers(24, 8, rank, processes) for rank in range(processes)]
    for epoch in (0, 3):
        for share in shares:
            share.set_epoch(epoch)
        seen = [list(share) for share in shares]
        assert [len(part) for part in seen] == [len(share) for share in shares]
        part = 8 // processes
        for step in range(3):  # the batches of each step, side by side
            batch = [n for numbers in seen for n in numbers[step * part : (step + 1) * part]]
            start = epoch * 24 + step * 8
            assert batch == list(range(start, start + 8))


def test_no_epoch_repeats_numbers() -> None:
    numbers = SampleNumbers(4)
    first = list(numbers)
    numbers.set_epoch(1)
    assert (first, list(numbers)) == ([0, 1, 2, 3], [4, 5, 6, 7])


def test_every_label_is_shown_as_often_as_any_other(chip_folder, write_raster) -> None:
    """One chip of three has snow, in a corner; half of the samples are to hold some."""
    folder = chip_folder(count=3)
    recipe = load_recipe(
        "default", ["data.patch=32", "data.steps_per_epoch=9", 'labels={clear="clear",snow="snow"}',
                    "augment.rotate_share=0", "augment.rescale_share=0"],
    )  # fmt: skip
    for number in range(3):
        codes = np.zeros((1, 64, 64), np.uint8)
        codes[0, 60:, :3] = 4 if number == 0 else 0
        write_raster(folder / f"chips{number}_mask.tif", codes)
    samples = TrainingSamples(recipe, read_manifest(folder))
    snowy = [bool((samples[number]["labels"] == 3).any()) for number in range(72)]
    assert 0.35 < np.mean(snowy) < 0.75


def test_whole_chips_map_labels_to_channels(chip_folder) -> None:
    recipe = load_recipe("default", ['labels={clear="clear", shadow="cloud"}'])
    sample = WholeChips(recipe, read_manifest(chip_folder(count=1)))[0]
    assert set(sample["labels"].unique().tolist()) == {0, 1, 255}


def test_a_clear_chip_without_mask_is_clear_or_snow(chip_folder, write_raster) -> None:
    folder = chip_folder("clear", 1, labelled=False)
    dn = np.full((6, 4, 4), 6000, np.uint16)
    dn[4:, :2] = 500
    write_raster(folder / "clear0.tif", dn, ("blue", "green", "red", "nir", "swir16", "swir22"))
    chips = read_manifest(folder, labelled=False)
    labels = WholeChips(load_recipe("default"), chips)[0]["labels"]
    assert (labels[:2] == 3).all()
    assert (labels[2:] == 0).all()
