"""What a raster writer promises: the whole file, or an error and what was there before."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from geomask.classes import DEFAULT_CLASSES
from geomask.errors import OutputError
from geomask.grid import Grid
from geomask.mask import mask_layout
from geomask.raster_writer import RasterWriter

SIZE = 600
GRID = Grid(CRS.from_epsg(32633), Affine(10, 0, 500_000, 0, -10, 5_000_000), SIZE, SIZE)
LAYOUT = mask_layout(DEFAULT_CLASSES, {"GEOMASK_MODEL": "test"})
CODES = np.random.default_rng(0).integers(0, 4, (SIZE, SIZE)).astype(np.uint8)


def write(target: Path) -> None:
    with RasterWriter(target, GRID, LAYOUT) as writer:
        for top in range(0, SIZE, 512):
            rows = CODES[top : top + 512]
            writer.write(Window(0, top, SIZE, len(rows)), rows)
        writer.finish()
        writer.commit()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def change_a_pixel(path: Path) -> None:
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        value = dataset.read(1, window=Window(599, 599, 1, 1))
        dataset.write((value + 1) % 4, 1, window=Window(599, 599, 1, 1))


def drop_a_tag(path: Path) -> None:
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(GEOMASK_MODEL="")


def drop_the_crs(path: Path) -> None:
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.crs = CRS()


@pytest.mark.parametrize("damage", [cut, change_a_pixel, drop_a_tag, drop_the_crs])
def test_a_file_that_does_not_read_back_never_comes_into_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    target = tmp_path / "mask.tif"
    target.write_text("old")
    copy = rasterio.shutil.copy

    def copy_badly(source: Path, to: Path, **options: Any) -> None:
        copy(source, to, **options)
        damage(to)

    monkeypatch.setattr(rasterio.shutil, "copy", copy_badly)
    with pytest.raises(OutputError, match=r"mask\.tif: could not be written.*disk full"):
        write(target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["mask.tif"]


def test_the_finished_file_can_be_read_before_it_is_in_place(tmp_path: Path) -> None:
    target = tmp_path / "mask.tif"
    with RasterWriter(target, GRID, LAYOUT) as writer:
        writer.write(Window(0, 0, SIZE, SIZE), CODES)
        writer.finish()
        with rasterio.open(writer.staged.path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), CODES)
        assert not target.exists()
        writer.commit()
        assert not writer.staged.path.exists()
    with rasterio.open(target) as dataset:
        np.testing.assert_array_equal(dataset.read(1), CODES)


def test_a_crs_that_no_tiff_can_state_comes_along(tmp_path: Path) -> None:
    rotated_pole = "+proj=ob_tran +o_proj=longlat +o_lat_p=40 +lon_0=10 +to_meter=0.0174532925"
    grid = Grid(CRS.from_string(rotated_pole), Affine.scale(0.1), 16, 16)
    with RasterWriter(tmp_path / "mask.tif", grid, LAYOUT) as writer:
        writer.write(Window(0, 0, 16, 16), CODES[:16, :16])
        writer.finish()
        writer.commit()
    assert {path.name for path in tmp_path.iterdir()} == {"mask.tif", "mask.tif.aux.xml"}
    with rasterio.open(tmp_path / "mask.tif") as dataset:
        assert dataset.crs == grid.crs


def limited(limits: list[int], folder: Path) -> None:
    """Run in a process of its own: a disk that takes only so many bytes of a file."""
    for limit in limits:
        target = folder / f"{limit}.tif"
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(target)
        except OutputError:
            assert not target.exists(), limit
        else:
            with rasterio.open(target) as dataset:
                assert np.array_equal(dataset.read(1), CODES), limit
                assert dataset.tags()["GEOMASK_MODEL"] == "test", limit
                assert dataset.colormap(1), limit
                assert dataset.crs == GRID.crs, limit
        assert not list(folder.glob(".*")), limit


def test_a_disk_that_fills_up_is_an_error_wherever_it_does(tmp_path: Path) -> None:
    write(tmp_path / "whole.tif")
    size = (tmp_path / "whole.tif").stat().st_size
    limits = [*range(1, size, size // 12), *(size - n for n in (2000, 500, 50, 1, 0))]
    folder = tmp_path / "limited"
    folder.mkdir()
    code = (
        "import signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from test_raster import limited; "
        "limited([int(n) for n in sys.argv[3:]], Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), *map(str, limits)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (folder / f"{size}.tif").exists()
