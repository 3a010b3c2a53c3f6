"""Invariant 4 at its root: each block is decoded about once, from however many threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from geomask.errors import SceneError
from geomask.scene import blocks
from geomask.scene.blocks import BlockReader
from geomask.tiling import plan_patches
from tests.conftest import random_dn, write_scene


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blocks") / "tiled.tif"
    return write_scene(
        path, random_dn(203, 1031), tiled=True, blockxsize=16, blockysize=32, compress="deflate"
    )


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "UNIT_ROWS", 32)
    monkeypatch.setattr(blocks, "UNIT_COLUMNS", 48)


@pytest.mark.usefixtures("small_units")
def test_any_window_is_the_files_own_pixels(raster: Path) -> None:
    values = random_dn(203, 1031)
    reader = BlockReader(str(raster), (3, 1))

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 202), st.integers(0, 330), st.integers(1, 203), st.integers(1, 1031))
    def check(top: int, left: int, height: int, width: int) -> None:
        height, width = min(height, 203 - top), min(width, 1031 - left)
        raw = reader.read(Window(left, top, width, height))
        np.testing.assert_array_equal(
            raw.values, values[[2, 0], top : top + height, left : left + width]
        )

    check()
    reader.close()


@pytest.mark.usefixtures("small_units")
def test_overlapping_patches_in_row_order_decode_each_block_once(raster: Path) -> None:
    reader = BlockReader(str(raster), (1, 2))
    plan = plan_patches(203, 1031, patch=96, margin=16, stride=16)
    assert len(plan) > 10

    def read(window: Window) -> None:
        reader.read(window)

    windows = []
    for patch in plan:
        top, left = max(0, patch.rows.read), max(0, patch.columns.read)
        bottom = min(203, patch.rows.read + patch.rows.size)
        right = min(1031, patch.columns.read + patch.columns.size)
        windows.append(Window(left, top, right - left, bottom - top))
    with ThreadPoolExecutor(4) as pool:
        for start in range(0, len(windows), 4):  # as bounded as prediction reads ahead
            list(pool.map(read, windows[start : start + 4]))
    assert reader.decoded_pixels == 203 * 1031
    reader.close()


@pytest.mark.usefixtures("small_units")
def test_what_is_kept_follows_the_width_not_the_height(tmp_path: Path) -> None:
    kept = []
    for height in (200, 2000):
        path = write_scene(
            tmp_path / f"{height}.tif",
            random_dn(height, 64, bands=1),
            bands=("red",),
            tiled=True,
            blockxsize=16,
            blockysize=16,
        )
        reader = BlockReader(str(path), (1,))
        most = 0
        for top in range(0, height - 64, 32):
            reader.read(Window(0, top, 64, 64))
            most = max(most, len(reader._units))
        kept.append(most)
        reader.close()
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("threads", [1, 4])
def test_what_was_announced_is_decoded_once_and_kept_no_longer_than_needed(
    raster: Path, threads: int
) -> None:
    """In any order: the last windows come first here."""
    values = random_dn(203, 1031)
    reader = BlockReader(str(raster), (1, 2))
    windows = [
        Window(left, top, min(96, 1031 - left), min(96, 203 - top))
        for top in range(0, 203, 64)
        for left in range(0, 1031, 64)
    ]
    reader.expect(windows[:20])
    reader.expect(windows[20:])
    with ThreadPoolExecutor(threads) as pool:
        for window, raw in zip(windows[::-1], pool.map(reader.read, windows[::-1]), strict=True):
            np.testing.assert_array_equal(raw.values, values[:2, *window.toslices()])
    assert reader.decoded_pixels == 203 * 1031
    assert not reader._units
    unannounced = reader.read(Window(5, 7, 300, 100))
    np.testing.assert_array_equal(unannounced.values, values[:2, 7:107, 5:305])
    assert not reader._units
    reader.close()


def test_a_truncated_file_is_an_error_in_every_thread_that_asks(tmp_path: Path) -> None:
    plain = write_scene(tmp_path / "plain.tif", random_dn(600, 600))
    path = tmp_path / "a.tif"
    rasterio.shutil.copy(plain, path, driver="COG")  # its directory comes first
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reader = BlockReader(str(path), (1, 2, 3))
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(reader.read, Window(0, 0, 600, 600)) for _ in range(3)]
    for future in futures:
        with pytest.raises(SceneError, match="cut short or damaged"):
            future.result()
    reader.close()


@pytest.mark.parametrize("step", ["add", "move_to_end"])
def test_ctrl_c_as_a_unit_is_begun_leaves_nobody_waiting(raster: Path, step: str) -> None:
    class Interrupted:
        """A collection in which Ctrl-C comes right after one step."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            method = getattr(self.inner, name)

            def stopped(*given: Any) -> None:
                method(*given)
                raise KeyboardInterrupt

            return stopped if name == step else method

        def __contains__(self, key: object) -> bool:
            return key in self.inner

        def __iter__(self) -> Iterator[Any]:
            return iter(self.inner)

    reader = BlockReader(str(raster), (1,))
    for name in ("_units", "_decoding"):
        setattr(reader, name, Interrupted(getattr(reader, name)))
    with pytest.raises(KeyboardInterrupt):
        reader.read(Window(0, 0, 8, 8))
    closing = threading.Thread(target=reader.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
