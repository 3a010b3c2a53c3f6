"""Mean and spread of chips, against numpy's of the same pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geomask.errors import RecipeError
from geomask.training.chips import Chip, read_image, read_manifest
from geomask.training.gather import gather_chips
from geomask.training.recipe import Recipe, load_recipe
from geomask.training.statistics import BandStatistics, Measuring, measure_bands


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("default", ["data.validation_groups=[]"])


def bent(recipe: Recipe, chip: Chip) -> np.ndarray:
    """(bands, height, width): as `Normalisation` says it."""
    low, high = recipe.normalisation.clip
    knee = recipe.normalisation.knee
    assert knee is not None
    t = (np.clip(read_image(chip, recipe.bands).astype(float), low, high) - low) / (high - low)
    return np.log1p(t / knee) / np.log1p(1 / knee)


def test_they_are_of_all_training_pixels(recipe: Recipe, chip_folder: Callable[..., Path]) -> None:
    folder = chip_folder("chips", 5)
    training = gather_chips(recipe, [folder], []).training
    assert len(training) == 4  # one validates
    values = np.stack([bent(recipe, chip) for chip in training])
    seen: list[Measuring] = []
    found = measure_bands(recipe, [folder], progress=seen.append)
    np.testing.assert_allclose(found.mean, values.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.std, values.std((0, 2, 3)), rtol=1e-4)
    assert (found.chips, found.groups, found.bands) == (4, 4, recipe.bands)
    assert seen == [Measuring(number, 4) for number in range(1, 5)]


def test_a_group_of_many_chips_counts_once(
    recipe: Recipe, chip_folder: Callable[..., Path]
) -> None:
    many = chip_folder("many", 3, split="train")
    manifest = many / "manifest.csv"
    manifest.write_text(
        manifest.read_text().replace("place1", "place0").replace("place2", "place0")
    )
    chip_folder("held", 1, split="val")
    one = chip_folder("one", 1, split="train")
    manifest = one / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("place0", "elsewhere"))
    held = many.parent / "held"
    (held / "manifest.csv").write_text(
        (held / "manifest.csv").read_text().replace("place0", "held")
    )
    found = measure_bands(recipe, [many, one, held])
    assert (found.chips, found.groups) == (4, 2)
    means = [
        np.mean([bent(recipe, chip).mean((1, 2)) for chip in read_manifest(folder)], axis=0)
        for folder in (many, one)
    ]
    np.testing.assert_allclose(found.mean, np.mean(means, axis=0), rtol=1e-5)
    squares = [
        np.mean([(bent(recipe, c) ** 2).mean((1, 2)) for c in read_manifest(folder)], axis=0)
        for folder in (many, one)
    ]
    std = np.sqrt(np.mean(squares, axis=0) - np.mean(means, axis=0) ** 2)
    np.testing.assert_allclose(found.std, std, rtol=1e-4)


def test_what_was_not_measured_counts_nothing(
    recipe: Recipe, chip_folder: Callable[..., Path], write_raster: Callable[..., Path]
) -> None:
    rng = np.random.default_rng(3)
    folders = [chip_folder("chips", 3), chip_folder("chips2", 3, bands=("red", "green", "nir"))]
    for chip in read_manifest(folders[0]):
        dn = rng.integers(500, 5000, (6, 64, 64)).astype(np.uint16)
        dn[:, 20:40, 5:60] = 0
        write_raster(chip.image, dn, recipe.bands, nodata=0)
    (folders[1] / "manifest.csv").write_text(
        (folders[1] / "manifest.csv").read_text().replace("place", "other")
    )
    training = gather_chips(recipe, folders, []).training
    found = measure_bands(recipe, folders)
    expected = []
    for band in (0, 2, 5):
        images = [bent(recipe, chip)[band] for chip in training]
        measured = [image[np.isfinite(image)] for image in images]
        expected.append(np.mean([values.mean() for values in measured if values.size]))
    np.testing.assert_allclose(np.array(found.mean)[[0, 2, 5]], expected, rtol=1e-5)


def test_a_band_that_says_nothing_is_refused(
    recipe: Recipe, chip_folder: Callable[..., Path], write_raster: Callable[..., Path]
) -> None:
    few = chip_folder("few", 4, bands=("red", "green", "nir"))
    with pytest.raises(RecipeError, match=r"^blue: "):
        measure_bands(recipe, [few])
    flat = chip_folder("flat", 4)
    for chip in read_manifest(flat):
        dn = np.random.default_rng(3).integers(500, 5000, (6, 64, 64)).astype(np.uint16)
        dn[4] = 700
        write_raster(chip.image, dn, recipe.bands)
    with pytest.raises(RecipeError, match=r"^swir16: .* of one value"):
        measure_bands(recipe, [flat])


def test_dark_bands_keep_their_digits() -> None:
    dark = BandStatistics(("cirrus",), (0.00213,), (0.000341,), 1, 1)
    assert dark.to_toml() == "mean = [0.00213]\nstd = [0.000341]"


def test_the_default_recipes_own_come_out(data: Path) -> None:
    recipe = load_recipe("default")
    found = measure_bands(recipe, [data / "labelled"], [data / "s2_l1c"])
    assert [round(value, 3) for value in found.mean] == list(recipe.normalisation.mean)
    assert [round(value, 3) for value in found.std] == list(recipe.normalisation.std)
