"""Augmentation: geometry, radiometry, colours and absent bands."""

from __future__ import annotations

import math

import pytest
import torch

from geomask.training.augment import Augment
from geomask.training.recipe import load_recipe
from geomask.training.tables import AugmentTable, BandSet

STILL = AugmentTable(
    flips=False, rotate_share=0, rescale_share=0, gain=(1, 1), band_gain=0, offset=0, noise=0,
    haze_share=0, saturate_share=0,
)  # fmt: skip


def batch(bands: int = 3, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 4, (4, size, size), generator=torch.Generator().manual_seed(1))
    image = torch.stack([(labels + 1) / 10 + band for band in range(bands)], dim=1)
    return image, labels


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_leaves_the_middle() -> None:
    image, labels = batch()
    result = Augment(STILL, ("red", "nir", "x"), [], 32)(image, labels, seeded())
    torch.testing.assert_close(result[0], image[:, :, 4:36, 4:36])
    assert torch.equal(result[1], labels[:, 4:36, 4:36])


def test_flips_and_turns_move_image_and_labels_together() -> None:
    image, labels = batch()
    table = STILL.model_copy(update={"flips": True})
    augment = Augment(table, ("red", "nir", "x"), [], 32)
    seen = set()
    for seed in range(12):
        warped, turned = augment.warp(image, labels, seeded(seed))
        torch.testing.assert_close(warped[:, 0], (turned + 1) / 10, atol=1e-4, rtol=0)
        plain = labels[0, 4:36, 4:36]
        for flip in (False, True):
            for turns in range(4):
                candidate = torch.rot90(plain.flip(1) if flip else plain, turns)
                if torch.equal(candidate, turned[0]):
                    seen.add((flip, turns))
    assert len(seen) >= 5, "of eight symmetries"


def test_what_lies_outside_is_mirrored_and_ignored() -> None:
    image, labels = batch()
    table = STILL.model_copy(update={"rescale_share": 1.0, "rescale": (0.5, 0.5)})
    warped, turned = Augment(table, ("red", "nir", "x"), [], 32).warp(image, labels, seeded())
    assert (turned[:, :5] == 255).all()
    assert not warped[:, :2].isnan().any()
    assert not torch.equal(warped[:, :2, :5], torch.zeros_like(warped[:, :2, :5]))


def test_absent_bands_stay_absent_and_values_stay_finite() -> None:
    image, labels = batch(6)
    image[1, 4:] = math.nan
    recipe = load_recipe("default", ["data.patch=32"])
    table = recipe.augment.model_copy(update={"rotate_share": 1.0, "saturate_share": 1.0})
    augment = Augment(table, recipe.bands, [BandSet(bands=recipe.bands)], 32)
    result, turned = augment(image, labels, seeded())
    assert result[1, 4:].isnan().all()
    inside = turned != 255
    assert inside.any()
    assert torch.isfinite(result[1, :4][:, inside[1]]).all()
    again, _ = augment(image, labels, seeded())
    torch.testing.assert_close(result, again, equal_nan=True)


def test_bands_are_dropped_to_a_set_the_image_has() -> None:
    image, _ = batch(3)
    image[0, 1:] = math.nan
    augment = Augment(STILL, ("red", "nir", "swir16"), [BandSet(bands=("nir", "swir16"))], 32)
    result = augment.drop_bands(image, seeded())
    assert not result[0, 0].isnan().any(), "keeps what it has where the set offers nothing"
    assert result[1:, 0].isnan().all()
    assert not result[1:, 1:].isnan().any()


def test_air_is_taken_away_as_far_as_the_darkest_pixels_allow() -> None:
    table = STILL.model_copy(update={"surface_share": 1.0})
    augment = Augment(table, ("blue", "swir16", "thermal"), [], 32)
    image = torch.full((40, 3, 32, 32), 0.3)
    image[20:, 0, :8] = 0.01
    image[0, 1] = math.nan
    result = augment.clear_air(image, seeded())
    path = (0.3 - result[:20, 0, 16, 16]) / (1 - 2 * result[:20, 0, 16, 16])
    assert 0.0425 <= float(path.min()) < 0.055 < 0.075 < float(path.max()) <= 0.085
    torch.testing.assert_close(result[20:, 0, :8], torch.zeros(20, 8, 32), atol=1e-6, rtol=0)
    assert result[0, 1].isnan().all()
    torch.testing.assert_close(result[:, 2], image[:, 2])
    rare = Augment(table.model_copy(update={"surface_share": 0.3}), ("blue",), [], 32)
    changed = (rare.clear_air(image[:, :1], seeded()) != image[:, :1]).flatten(1).any(dim=1)
    assert 4 < int(changed.sum()) < 20


def test_saturated_bands_are_eight_bit_below_their_level() -> None:
    table = STILL.model_copy(update={"saturate_share": 1.0, "saturate": (0.4, 0.4)})
    image = torch.linspace(0, 1, 1000).reshape(1, 1, 25, 40).repeat(1, 2, 1, 1)
    result = Augment(table, ("red", "nir"), [], 32).vary(image, seeded())
    assert result[0, 0].max() == pytest.approx(0.4)
    assert len(result[0, 0].unique()) == 256
    torch.testing.assert_close(result[0, 1], image[0, 1])


JITTER = STILL.model_copy(update={"colour_jitter_share": 1.0})


def jitter(strengths: tuple[float, ...], image: torch.Tensor, seed: int = 0) -> torch.Tensor:
    table = JITTER.model_copy(update={"colour_jitter": strengths})
    return Augment(table, ("red", "green", "blue", "nir"), [], 32, (0.0, 0.4)).jitter(
        image, seeded(seed)
    )


def picture() -> torch.Tensor:
    """(2, 4, 8, 8): reflectance below 0.2, a band missing in one place."""
    image = 0.05 + 0.15 * torch.rand(2, 4, 8, 8, generator=seeded(3))
    image[0, 1, :2] = math.nan
    return image


def test_no_strength_leaves_colours_as_they_are() -> None:
    image = picture()
    torch.testing.assert_close(
        jitter((0, 0, 0, 0), image), image, equal_nan=True, atol=1e-5, rtol=0
    )


def test_brightness_multiplies_and_stops_at_white() -> None:
    image = picture()
    result = jitter((0.5, 0, 0, 0), image)
    factors = (result / image)[:, :3].nan_to_num(1.0)
    for part, factor in zip(result, factors.amax(dim=(1, 2, 3)), strict=True):
        assert 0.5 <= float(factor) <= 1.5 or part.isnan().any()
    torch.testing.assert_close(result[:, 3], image[:, 3])
    assert result[0, 1, :2].isnan().all()
    assert float(jitter((1, 0, 0, 0), torch.full((4, 4, 2, 2), 0.39))[:, :3].max()) <= 0.4 + 1e-6


def test_saturation_and_hue_keep_the_brightest_colour() -> None:
    """HSV's value is the largest of red, green and blue; neither saturation nor hue moves it."""
    image = picture()[1:]
    result = jitter((0, 0, 0.9, 0.5), image)
    assert float((result - image)[:, :3].abs().max()) > 0.01
    torch.testing.assert_close(result[:, :3].amax(1), image[:, :3].amax(1), atol=1e-4, rtol=0)


def test_colours_are_jittered_in_their_share_of_images_alike_for_a_seed() -> None:
    table = JITTER.model_copy(update={"colour_jitter_share": 0.5})
    augment = Augment(table, ("nir", "blue", "green", "red"), [], 32, (0.0, 0.4))
    image = picture()[1:].repeat(64, 1, 1, 1)
    result = augment.jitter(image, seeded())
    changed = (result != image).flatten(1).any(dim=1)
    assert 16 < int(changed.sum()) < 48
    torch.testing.assert_close(result[:, 0], image[:, 0])
    torch.testing.assert_close(augment.jitter(image, seeded()), result)


def test_cloud_rgb_jitters_and_the_default_recipe_draws_as_before() -> None:
    image, labels = batch(3, 32)
    recipe = load_recipe("cloud-rgb", ["data.patch=32", "augment.flips=false"])
    clip = recipe.normalisation.clip
    augment = Augment(recipe.augment, recipe.bands, [], 32, clip)
    result, same = augment(image / 5, labels, seeded())
    assert torch.equal(same, labels)
    assert not torch.equal(result, image / 5)
    still = Augment(STILL, recipe.bands, [], 32, clip)
    torch.testing.assert_close(still(image, labels, seeded())[0], image)
