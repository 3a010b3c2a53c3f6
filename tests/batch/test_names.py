"""What masks are called, and how scenes are parted among jobs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomask.batch.inputs import SceneInput
from geomask.batch.names import name_tasks, take_shard
from geomask.batch.task import Task
from geomask.errors import BatchError


def name(address: str, template: str = "{stem}.tif") -> str:
    return name_tasks([SceneInput(address)], template)[0].name


@pytest.mark.parametrize(
    ("address", "stem"),
    [
        ("/data/scene.tif", "scene"),
        ("/data/S2A_MSIL1C_20230101T1.SAFE", "S2A_MSIL1C_20230101T1"),
        ("/data/S2A_MSIL1C_20230101T1.SAFE.zip", "S2A_MSIL1C_20230101T1"),
        ("/data/LC09_L2SP_1/", "LC09_L2SP_1"),
        ("/data/LC09/LC09_MTL.txt", "LC09"),
        ("/data/S2A.SAFE/MTD_MSIL1C.xml", "S2A"),
        ("/data/v1.2.3.tif", "v1.2.3"),
        ("https://x.org/collections/s2/items/S2B_1?sign=a/b", "S2B_1"),
        ("https://x.org/a%20b.json", "a_b"),
        ("s3://bucket/folder/scene.TIF", "scene"),
        ("/vsizip/{/data/a.zip}/b.tif", "b"),
    ],
)
def test_a_scene_is_named_without_what_says_its_format(address: str, stem: str) -> None:
    assert name(address) == stem


def test_a_template_may_name_the_folder() -> None:
    assert name("/data/monday/b.tif", "{parent}_{stem}_mask.tif") == "monday_b_mask"


@pytest.mark.parametrize(
    "template", ["{stem}", "mask.tif", "{name}.tif", "a/{stem}.tif", "{stem.tif", "{stem}.png"]
)
def test_a_template_that_cannot_name_masks_is_refused(template: str) -> None:
    with pytest.raises(BatchError, match="--name"):
        name("/data/a.tif", template)


def test_two_scenes_of_one_name_are_refused_and_both_named() -> None:
    scenes = [SceneInput("/a/x.tif"), SceneInput("/b/X.jp2")]
    with pytest.raises(BatchError, match=r"/b/X\.jp2: would be written to X\.tif.*/a/x\.tif"):
        name_tasks(scenes)
    assert len(name_tasks(scenes, "{parent}_{stem}.tif")) == 2
    with pytest.raises(BatchError, match="listed twice"):
        name_tasks(scenes[:1] * 2)


@pytest.mark.parametrize("chosen", ["a/b", "..", ".hidden", "a\\b"])
def test_a_name_that_would_leave_the_folder_is_refused(chosen: str) -> None:
    with pytest.raises(BatchError, match="name it otherwise"):
        name_tasks([SceneInput("/data/a.tif", chosen)])


@given(st.integers(0, 40), st.integers(1, 12))
def test_shards_are_all_tasks_each_once_and_about_equal(count: int, parts: int) -> None:
    tasks = tuple(Task(f"/{index}.tif", str(index)) for index in range(count))
    shards = [take_shard(tasks, (index, parts)) for index in range(1, parts + 1)]
    together = [task for shard in shards for task in shard]
    assert sorted(together, key=lambda t: int(t.name)) == list(tasks)
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_does_not_depend_on_the_order_of_the_list() -> None:
    scenes = [SceneInput(f"/data/{letter}.tif") for letter in "dbac"]
    assert name_tasks(scenes) == name_tasks(scenes[::-1])


@pytest.mark.parametrize("shard", [(0, 3), (4, 3)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int]) -> None:
    with pytest.raises(BatchError, match="the first number is 1 to 3"):
        take_shard((), shard)
