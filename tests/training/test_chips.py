"""Chip folders, the samples made of them, their augmentation, and the loss."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geomask.errors import GeomaskWarning, RecipeError
from geomask.training.augment import Augment
from geomask.training.chips import (
    Chip,
    fingerprint,
    read_image,
    read_labels,
    read_manifest,
    split_chips,
)
from geomask.training.losses import dice_loss, segmentation_loss
from geomask.training.recipe import AugmentTable, BandSet, load_recipe
from geomask.training.samples import (
    SampleNumbers,
    TrainingSamples,
    WholeChips,
    labelled_crop,
    simulated_crop,
)
from geomask.training.scores import class_scores

STILL = AugmentTable(
    flips=False, rotate_share=0, rescale_share=0, gain=(1, 1), band_gain=0, offset=0, noise=0,
    haze_share=0, saturate_share=0,
)  # fmt: skip


def chip_of_group(group: str) -> Chip:
    return Chip(group, None, None, group, ("red",), (8, 8), 10.0, (1.0,), (0.0,))


def test_a_chip_folder_is_read(chip_folder) -> None:
    folder = chip_folder(gsd_m="29.5 (EPSG:4326 grid)")
    chips = read_manifest(folder)
    assert [chip.id for chip in chips] == ["chips0", "chips1", "chips2", "chips3"]
    chip = chips[0]
    assert chip.group == "place0"
    assert chip.shape == (64, 64)
    assert chip.gsd == 29.5
    assert chip.bands == ("blue", "green", "red", "nir", "swir16", "swir22")
    assert set(np.unique(read_labels(chip))) == {0, 1, 3, 255}


def test_pixel_size_of_the_grid_where_the_manifest_has_none(chip_folder) -> None:
    assert read_manifest(chip_folder())[0].gsd == pytest.approx(30)


def test_bands_by_product_name_scale_offset_and_nodata(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1, labelled=False, bands=("B04", "B08"))
    dn = np.array([[[0, 1000], [2000, 3000]]] * 2, np.uint16)
    path = write_raster(folder / "chips0.tif", dn, ("B04", "B08"), nodata=0)
    (chip,) = read_manifest(folder, labelled=False)
    image = read_image(chip, ("nir", "blue", "red"))
    np.testing.assert_allclose(image[0], [[np.nan, 0.1], [0.2, 0.3]], rtol=1e-6)
    assert np.isnan(image[1]).all(), "a band that is absent"
    import rasterio

    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (1e-4, 1e-4), (-0.1, -0.1)
    (chip,) = read_manifest(folder, labelled=False)
    np.testing.assert_allclose(read_image(chip, ("red",))[0, 1], [0.1, 0.2], rtol=1e-6)


def test_float_chips_are_reflectance_as_they_are(tmp_path, write_raster) -> None:
    values = np.array([[[0.5, np.inf]]], np.float32)
    write_raster(tmp_path / "a.tif", values, ("red",))
    (tmp_path / "manifest.csv").write_text("id,split_group\na,g\n")
    (chip,) = read_manifest(tmp_path, labelled=False)
    np.testing.assert_array_equal(read_image(chip, ("red",))[0, 0], [0.5, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"manifest\.csv: cannot be read \(No such file"),
        ("", "has no column id and split_group; found: nothing"),
        ("id,place\na,b\n", "has no column split_group; found: id, place"),
        ("id,split_group\n", "lists no chips"),
        ("id,split_group\n../chips0,g\n", "is no chip"),
        ("id,split_group\nchips0,\n", "is no chip"),
        ("id,split_group\nchips9,g\n", r"chips9\.tif: no such file"),
        ("id,split_group,gsd_m\nchips0,g,about 10\n", "gsd_m of chips0 is 'about 10'"),
    ],
)
def test_a_wrong_manifest_is_named(chip_folder, text: str | None, message: str) -> None:
    folder = chip_folder(count=1)
    (folder / "manifest.csv").unlink()
    if text is not None:
        (folder / "manifest.csv").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_manifest(folder)


def test_wrong_rasters_are_named(chip_folder, write_raster) -> None:
    folder = chip_folder(count=1)
    write_raster(folder / "chips0_mask.tif", np.zeros((1, 9, 7), np.uint8))
    with pytest.raises(RecipeError, match=r"_mask\.tif: is 7 x 9 pixels, its image 64 x 64"):
        read_manifest(folder)
    write_raster(folder / "chips0.tif", np.zeros((2, 9, 7), np.uint16))
    with pytest.raises(RecipeError, match="no band is named"):
        read_manifest(folder)


def test_split_by_named_groups() -> None:
    training, validation = split_chips(map(chip_of_group, "aabbc"), ["b", "elsewhere"])
    assert [chip.group for chip in training] == ["a", "a", "c"]
    assert [chip.group for chip in validation] == ["b", "b"]


@given(st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=30))
def test_split_by_hash_never_parts_a_group(groups: list[str]) -> None:
    chips = [chip_of_group(group) for group in groups]
    if len(set(groups)) == 1:
        with pytest.raises(RecipeError, match="at least two"):
            split_chips(chips, [])
        return
    training, validation = split_chips(chips, [], 0.2)
    assert {c.group for c in training}.isdisjoint(c.group for c in validation)
    assert training
    assert validation
    again = split_chips(chips[::-1], [], 0.2)
    assert {c.group for c in again[1]} == {c.group for c in validation}


def test_split_says_when_it_chooses_itself() -> None:
    chips = [chip_of_group(group) for group in "ab"]
    with pytest.warns(GeomaskWarning, match="none of the recipe's data.validation_groups"):
        split_chips(chips, ["z"])
    with pytest.raises(RecipeError, match="names every group"):
        split_chips(chips, ["a", "b"])


def test_fingerprint_changes_with_the_folder(chip_folder) -> None:
    folder = chip_folder()
    before = fingerprint([folder])
    assert fingerprint([folder]) == before
    shutil.copy(folder / "chips0.tif", folder / "more.tif")
    assert fingerprint([folder]) != before


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


def test_no_epoch_repeats_numbers() -> None:
    numbers = SampleNumbers(4)
    first = list(numbers)
    numbers.set_epoch(1)
    assert (first, list(numbers)) == ([0, 1, 2, 3], [4, 5, 6, 7])


def test_a_small_chip_is_padded_with_what_nobody_measured(chip_folder) -> None:
    chip = read_manifest(chip_folder(count=1))[0]
    image, codes = labelled_crop(chip, ("red", "nir"), 80, np.random.default_rng(0))
    assert image.shape == (2, 80, 80)
    outside = np.isnan(image[0])
    assert (~outside).sum() == 64 * 64
    assert (codes[outside] == 255).all()
    np.testing.assert_array_equal(np.sort(codes[~outside]), np.sort(read_labels(chip).ravel()))


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


def test_clouds_need_bands_and_pixel_size(chip_folder) -> None:
    chip = read_manifest(
        chip_folder("clear", 1, labelled=False, bands=("red", "nir")), labelled=False
    )[0]
    with pytest.raises(RecipeError, match="it lacks bands blue"):
        simulated_crop(chip, ("blue", "nir"), 8, (10, 30), np.random.default_rng(0))


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


def test_what_lies_outside_is_absent_and_ignored() -> None:
    image, labels = batch()
    table = STILL.model_copy(update={"rescale_share": 1.0, "rescale": (0.5, 0.5)})
    warped, turned = Augment(table, ("red", "nir", "x"), [], 32).warp(image, labels, seeded())
    assert warped[:, :, :5].isnan().all()
    assert (turned[:, :5] == 255).all()
    assert not warped[:, :, 12:20, 12:20].isnan().any()


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


def test_saturated_bands_are_eight_bit_below_their_level() -> None:
    table = STILL.model_copy(update={"saturate_share": 1.0, "saturate": (0.4, 0.4)})
    image = torch.linspace(0, 1, 1000).reshape(1, 1, 25, 40).repeat(1, 2, 1, 1)
    result = Augment(table, ("red", "nir"), [], 32).vary(image, seeded())
    assert result[0, 0].max() == pytest.approx(0.4)
    assert len(result[0, 0].unique()) == 256
    torch.testing.assert_close(result[0, 1], image[0, 1])


def test_loss_ignores_what_is_ignored() -> None:
    logits = torch.randn(2, 3, 8, 8, generator=seeded(), requires_grad=True)
    labels = torch.randint(0, 3, (2, 8, 8), generator=seeded())
    labels[:, :4] = 255
    loss = segmentation_loss(logits, labels)
    changed = logits.detach().clone()
    changed[:, :, :4] += 50 * torch.randn(2, 3, 4, 8, generator=seeded())
    torch.testing.assert_close(segmentation_loss(changed, labels), loss.detach())
    nothing = segmentation_loss(logits, torch.full_like(labels, 255))
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert float(logits.grad.abs().sum()) == 0.0


def test_dice_is_zero_for_the_truth_and_counts_present_classes_only() -> None:
    labels = torch.tensor([[[0, 0, 1, 255]]])
    logits = 50.0 * torch.nn.functional.one_hot(labels % 254, 3).movedim(-1, 1).float()
    assert float(dice_loss(logits, labels)) == pytest.approx(0, abs=1e-6)
    uniform = torch.zeros(1, 3, 1, 4)
    # p = 1/3 everywhere: class 0: 2 (2/3) / (1 + 2); class 1: 2 (1/3) / (1 + 1).
    assert float(dice_loss(uniform, labels)) == pytest.approx(1 - (4 / 9 + 1 / 3) / 2)


def test_scores_by_hand() -> None:
    scores = class_scores(torch.tensor([[6, 2, 0], [1, 1, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert scores["iou"] == {"a": round(6 / 9, 4), "b": 0.25}
    assert scores["f1"] == {"a": 0.8, "b": 0.4}
    assert scores["pixels"] == {"a": 8, "b": 2, "c": 0}
    assert scores["macro_iou"] == pytest.approx((6 / 9 + 0.25) / 2, abs=1e-4)
