"""Crops of chips: labelled ones, and clear ones with clouds drawn over them."""

from __future__ import annotations

import numpy as np
import pytest

from geomask.errors import RecipeError
from geomask.training.chips import read_image, read_labels, read_manifest
from geomask.training.crops import clouds_over, labelled_crop, resized, simulated_crop


def test_a_chip_smaller_than_that_is_not_resized() -> None:
    assert resized((60, 50), 64) == (60, 50)
    assert resized((512, 256), 256) == (256, 128)
    assert resized((512, 256), None) == (512, 256)


def test_a_small_chip_is_mirrored_and_the_mirror_is_not_labelled(chip_folder) -> None:
    chip = read_manifest(chip_folder(count=1))[0]
    image, codes = labelled_crop(chip, ("red", "nir"), 80, np.random.default_rng(0))
    assert image.shape == (2, 80, 80)
    own, labels = read_image(chip, ("red", "nir")), read_labels(chip)
    places = [
        (row, column)
        for row in range(17)
        for column in range(17)
        if np.array_equal(image[:, row : row + 64, column : column + 64], own)
    ]
    ((row, column),) = places
    part = np.s_[row : row + 64, column : column + 64]
    np.testing.assert_array_equal(codes[part], labels)
    codes[part] = 255
    assert (codes == 255).all()
    np.testing.assert_array_equal(image[:, : row + 1][:, ::-1], image[:, row : 2 * row + 1])


def test_labels_of_a_chip_stay_below_the_clouds_drawn_over_it(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1)
    write_raster(folder / "chips0_mask.tif", np.full((1, 64, 64), 4, np.uint8))
    chip = read_manifest(folder)[0]
    rng = np.random.default_rng(1)
    assert (simulated_crop(chip, ("red", "nir"), 32, (30, 30), rng)[1] == 4).any()


def test_clouds_are_drawn_over_the_whole_crop(chip_folder) -> None:
    chip = read_manifest(chip_folder("clear", count=1, labelled=False), labelled=False)[0]
    found = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        image, codes = simulated_crop(chip, ("red", "nir"), 80, (10, 100), rng)
        assert image.shape == (2, 80, 80)
        assert np.isfinite(image).all()
        found |= set(np.unique(codes))
    assert {0, 1, 3} <= found


def test_clouds_over_a_labelled_crop_are_drawn_in_the_bands_it_has() -> None:
    image = np.full((3, 64, 64), 0.2, np.float32)
    image[1] = np.nan
    codes = np.full((64, 64), 4, np.uint8)
    found = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        result, labels = clouds_over(image, codes, ("red", "nir", "swir16"), 30.0, rng)
        assert np.isnan(result[1]).all()
        assert np.isfinite(result[[0, 2]]).all()
        found |= set(np.unique(labels))
    assert {1, 3, 4} <= found
    assert (image[0] == np.float32(0.2)).all()
    assert (codes == 4).all()


def test_clouds_need_bands_and_pixel_size(chip_folder) -> None:
    chip = read_manifest(
        chip_folder("clear", 1, labelled=False, bands=("red", "nir")), labelled=False
    )[0]
    with pytest.raises(RecipeError, match="it lacks bands blue"):
        simulated_crop(chip, ("blue", "nir"), 8, (10, 30), np.random.default_rng(0))
