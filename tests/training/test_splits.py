"""Which chips train, validate and test, and what is told of it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomask.errors import GeomaskWarning, RecipeError
from geomask.training.chips import Chip
from geomask.training.gather import DRAWS, gather_chips, resolution_of, write_splits
from geomask.training.recipe import load_recipe
from geomask.training.splits import assign_splits


def make_chips(groups: str | list[str], splits: list[str] | None = None) -> list[Chip]:
    """A chip of each group, in order; splits: its manifest's column."""
    fields = [{}] * len(groups) if splits is None else [{"split": split} for split in splits]
    return [
        Chip(f"{number}{group}", Path(f"f/{number}.tif"), None, group, ("red",), (8, 8), 10.0,
             (1.0,), (0.0,), fields=field)
        for number, (group, field) in enumerate(zip(groups, fields, strict=True))
    ]  # fmt: skip


def split_of_groups(chips: list[Chip], *arguments) -> dict[str, str]:
    splits = assign_splits(chips, *arguments)
    assert list(splits) == [chip.id for chip in chips]
    found = {(chip.group, splits[chip.id]) for chip in chips}
    assert len(found) == len({chip.group for chip in chips}), "no group is parted"
    return dict(found)


def test_named_groups_validate_and_all_others_train() -> None:
    splits = split_of_groups(make_chips("aabbc"), ["b", "elsewhere"])
    assert splits == {"a": "train", "b": "val", "c": "train"}


@given(st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=30))
def test_a_split_by_hash_never_parts_a_group(groups: list[str]) -> None:
    chips = make_chips(groups)
    splits = split_of_groups(chips)
    count = len(set(groups))
    kinds = [list(splits.values()).count(kind) for kind in ("train", "val", "test")]
    assert sum(kinds) == count
    assert kinds[0] >= 1
    assert kinds[1] == (0 if count == 1 else min(max(1, round(0.2 * count)), count - 1))
    assert kinds[2] <= round(0.1 * count)
    assert split_of_groups(chips[::-1]) == splits


def test_another_validation_share_leaves_the_groups_for_testing() -> None:
    chips = make_chips([f"place{number}" for number in range(40)])
    few, many = split_of_groups(chips, (), 0.1), split_of_groups(chips, (), 0.5)
    tested = [group for group, split in few.items() if split == "test"]
    assert len(tested) == 4
    assert tested == [group for group, split in many.items() if split == "test"]


def test_the_manifest_decides_and_its_silence_is_filled_by_group() -> None:
    chips = make_chips("aabbcc", ["test", "", "validation", "val", "train", ""])
    assert split_of_groups(chips, ["a"]) == {"a": "test", "b": "val", "c": "train"}
    mixed = make_chips("abcd", ["test", "", "", ""])
    splits = split_of_groups(mixed)
    assert splits.pop("a") == "test"
    assert sorted(splits.values()) == ["train", "train", "val"]


def test_a_manifest_that_parts_a_group_is_followed_with_a_warning() -> None:
    chips = make_chips("aa", ["train", "test"])
    with pytest.warns(
        GeomaskWarning, match=r"manifest\.csv: split_group a is in train and in test"
    ):
        assert list(assign_splits(chips).values()) == ["train", "test"]


def test_what_is_no_split_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"manifest\.csv: split of 0a is 'dev', not one of train"):
        assign_splits(make_chips("a", ["dev"]))
    twice = make_chips("a") + make_chips("a")
    with pytest.raises(RecipeError, match="its id is that of"):
        assign_splits(twice)


def test_a_split_says_when_it_chooses_itself() -> None:
    with pytest.warns(GeomaskWarning, match="none of the recipe's data.validation_groups; valid"):
        assign_splits(make_chips("ab"), ["z"])


def test_chips_without_a_label_are_skipped_with_a_count(chip_folder, write_raster) -> None:
    folder = chip_folder()
    write_raster(folder / "chips1_mask.tif", np.full((1, 64, 64), 255, np.uint8))
    write_raster(folder / "chips2_mask.tif", np.full((1, 64, 64), 4, np.uint8))
    recipe = load_recipe("default", ["data.validation_groups=[]", 'labels={clear="clear"}'])
    with pytest.warns(GeomaskWarning, match=r"2 of 4 chips have no pixel that the recipe's \[lab"):
        chips = gather_chips(recipe, [folder], [])
    assert chips.skipped == 2
    assert {chip.id for chip in [*chips.training, *chips.validation]} == {"chips0", "chips3"}
    recipe = load_recipe("default", ['labels={thin_cloud="cloud"}'])
    with pytest.raises(RecipeError, match=r"4 of 4 chips have no pixel .* check the codes"):
        gather_chips(recipe, [folder], [])


def test_chips_that_lack_bands_are_told_unless_a_band_set_does_without(chip_folder) -> None:
    folder = chip_folder(count=2, bands=("green", "red", "nir"))
    gather_chips(load_recipe("default", ['data.validation_groups=["place1"]']), [folder], [])
    with pytest.warns(GeomaskWarning, match=r"2 of 2 chips lack bands of the recipe \(blue\); the"):
        gather_chips(load_recipe("cloud-rgb"), [folder], [])


def test_a_run_needs_chips_to_train_and_to_validate_on(chip_folder) -> None:
    recipe = load_recipe("default", ['data.validation_groups=["place0", "place1"]'])
    with pytest.raises(RecipeError, match="no chips to train on; give a chip folder"):
        gather_chips(recipe, [], [])
    with pytest.raises(
        RecipeError, match=r"one split_group \(place0\); training needs at least two"
    ):
        gather_chips(recipe, [chip_folder("one", 1)], [])
    with pytest.raises(RecipeError, match="no chip is left to train on"):
        gather_chips(recipe, [chip_folder("two", 2)], [])
    with pytest.raises(RecipeError, match="no chip is left to validate on"):
        gather_chips(recipe, [chip_folder("three", 3, split="train")], [])


def test_a_clear_chip_trains_only_where_its_group_does(chip_folder) -> None:
    folder = chip_folder(count=3)
    rows = (folder / "manifest.csv").read_text().split()
    said = [f"{row},{split}" for row, split in zip(rows, ("split", "train", "val", "test"),
                                                   strict=True)]  # fmt: skip
    (folder / "manifest.csv").write_text("\n".join(said))
    clear = chip_folder("clear", 5, labelled=False, cloud_free="yes")  # place0 to place4
    recipe = load_recipe("default", ['data.validation_groups=["place4"]'])
    chips = gather_chips(recipe, [folder], [clear])
    assert [chip.id for chip in chips.training] == ["chips0"]
    assert [chip.id for chip in chips.validation] == ["chips1"]
    assert [chip.id for chip in chips.clear_training] == ["clear0", "clear3"]
    assert [chip.id for chip in chips.clear_validation] == ["clear1", "clear4"]
    assert chips.groups("test") == ["place2"]
    assert chips.counts()["testing"] == 2


def test_clear_chips_alone_are_split_and_validated_on_with_clouds_drawn(chip_folder) -> None:
    clear = chip_folder("clear", 4, labelled=False, cloud_free="yes")
    recipe = load_recipe("default", ['data.validation_groups=["place1"]'])
    chips = gather_chips(recipe, [], [clear])
    assert not chips.training
    assert [chip.group for chip in chips.clear_training] == ["place0", "place2", "place3"]
    assert [(chip.id, chip.drawn) for chip in chips.validation] == [
        ("clear1", number) for number in range(DRAWS)
    ]


def test_the_split_is_written_down(chip_folder, tmp_path) -> None:
    folder = chip_folder(count=2)
    recipe = load_recipe("default", ['data.validation_groups=["place1"]'])
    write_splits(tmp_path / "splits.csv", gather_chips(recipe, [folder], []).splits)
    with (tmp_path / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "image": str(folder / "chips0.tif"), "id": "chips0", "split_group": "place0",
        "split": "train",
    }  # fmt: skip
    assert [row["split"] for row in rows] == ["train", "val"]


@pytest.mark.parametrize(
    ("overrides", "resolution"),
    [
        ([], (10.0, 20.0)),
        (["data.resize=32"], (20.0, 40.0)),
        (["data.resize=32", "card.resolution=[5, 6]"], (5.0, 6.0)),
    ],
)
def test_a_card_has_the_resolution_of_what_was_seen(chip_folder, overrides, resolution) -> None:
    """Chips of 64 pixels, of 10 and 20 m, that become 32 of 20 and 40 m."""
    folders = [chip_folder("fine", 2, gsd_m="10"), chip_folder("coarse", 2, gsd_m="20")]
    recipe = load_recipe("cloud-rgb", ['data.validation_groups=["place1"]', *overrides])
    assert resolution_of(recipe, gather_chips(recipe, folders, [])) == resolution


def test_simulated_clouds_have_the_resolution_they_are_drawn_at(chip_folder) -> None:
    clear = chip_folder("clear", 3, labelled=False, cloud_free="yes", gsd_m="10")
    recipe = load_recipe("liss4", ["data.simulated_gsd=[5, 15]"])
    assert resolution_of(recipe, gather_chips(recipe, [], [clear])) == (10.0, 15.0)


def test_a_resolution_that_nothing_states_is_asked_for(chip_folder, write_raster) -> None:
    folder = chip_folder(count=2)
    for number in range(2):
        dn = np.full((3, 64, 64), 900, np.uint16)
        write_raster(folder / f"chips{number}.tif", dn, ("blue", "green", "red"), crs=None)
    recipe = load_recipe("cloud-rgb")
    with pytest.raises(RecipeError, match="no chip says how large its pixels are"):
        resolution_of(recipe, gather_chips(recipe, [folder], []))
