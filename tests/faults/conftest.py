"""One small archive: scenes, products, a model, masks, polygons and chips, made once and copied."""

from __future__ import annotations

import csv
import shutil
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from geomask.cli import cli
from geomask.network import PlainUNet, build_segmenter
from tests.conftest import make_card, write_scene
from tests.faults.damage import restore, snapshot
from tests.faults.outcome import Attempt, Outcome, attempt
from tests.faults.table import MODEL
from tests.scene.products import set_pixels, write_safe, zip_folder

RECIPE = """
name = "small"
bands = ["red", "green", "nir"]

[network]
architecture = "plain-unet"
options = { width = 4 }

[trainer]
epochs = 1
"""


def brightest_band(path: Path) -> None:
    """A model whose logits are the reflectances of red, green and nir, clipped to 0-1: its class
    is that of the brightest band, which anybody can work out."""
    from geomask.checkpoint import save_model

    card = make_card(
        name="brightest",
        stride=16,
        margin=16,
        network={"architecture": "plain-unet", "options": {"width": 4}},
    )
    segmenter = build_segmenter(card)
    network = segmenter.body
    assert isinstance(network, PlainUNet)
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(1)
        for block in (network.down[0], network.merge[-1]):
            for layer in (block[0], block[3]):
                for band in range(3):
                    layer.weight[band, band, 1, 1] = 1
        for band in range(3):
            network.head.weight[band, band] = 1
    save_model(path, segmenter, card)


def distinct_dn(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint16 (3, height, width): at every pixel the bands differ by 500 at least; in patches of
    8 x 8, so that polygons are few; a corner is nodata."""
    rng = np.random.default_rng(seed)
    coarse = rng.permuted(
        np.tile(np.array([1000, 3000, 6000], np.uint16)[:, None, None], (1, 9, 9)), axis=0
    )
    dn = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    dn = dn + rng.integers(0, 500, dn.shape).astype(np.uint16)
    dn[:, :5, :5] = 0
    return dn


def write_chips(folder: Path) -> None:
    """Two labelled chips of 48 x 48 pixels, and two that are free of cloud."""
    folder.mkdir()
    rows = []
    for number in range(4):
        free = number > 1
        dn = distinct_dn(48, 48, seed=number)
        write_scene(folder / f"c{number}.tif", dn, compress="deflate")
        labels = dn.argmax(axis=0).astype(np.uint8)[None]
        plain = {"bands": (), "scale": None, "nodata": None, "compress": "deflate"}
        write_scene(folder / f"c{number}_mask.tif", labels * (not free), **plain)
        rows.append([f"c{number}", f"g{number}", "test", "yes" if free else "no"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "split_group", "split", "cloud_free"], *rows])


def run(line: str) -> None:
    """A command line that must work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(cli, line.split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, undamaged, with what geomask made of it: mask.tif, conf.tif, clouds.*."""
    folder = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        brightest_band(folder / "model.safetensors")
        tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
        write_scene(folder / "scene.tif", distinct_dn(48, 64), compress="deflate", **tiled)
        write_scene(folder / "plain.tif", distinct_dn(48, 64), **tiled)
        safe = write_safe(folder)
        for band, dn in zip(("B04", "B03", "B08"), distinct_dn(36, 36), strict=True):
            set_pixels(safe.image(band), {at: int(v) for at, v in np.ndenumerate(dn)})
        safe.root.rename(folder / "product.SAFE")
        zip_folder(folder / "product.SAFE", folder / "product.zip")
        (folder / "recipe.toml").write_text(RECIPE)
        (folder / "scenes.csv").write_text("scene\nscene.tif\nplain.tif\n")
        (folder / "note.txt").write_text("no raster\n")
        (folder / "empty").mkdir()
        write_chips(folder / "chips")
        run(f"predict scene.tif --out mask.tif --confidence conf.tif --shp clouds.shp {MODEL}")
        run("vectorize mask.tif clouds.gpkg")
        run("vectorize mask.tif clouds.geojson")
        run("vectorize mask.tif clouds.parquet")
    return folder


@pytest.fixture
def archive(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Gives a copy of the archive to work in; asked again, it is as it was at first."""
    folder = tmp_path / "archive"
    whole = snapshot(store)

    def restored() -> Path:
        if not folder.exists():
            shutil.copytree(store, folder)
        monkeypatch.chdir(folder)
        restore(folder, whole)
        return folder

    return restored


@pytest.fixture
def outcome(capfd: pytest.CaptureFixture[str]) -> Outcome:
    """Run a command line in a folder, and say how it ended; see `attempt`."""

    def run(
        line: str,
        folder: Path,
        outputs: tuple[str, ...],
        limit: AbstractContextManager[None] | None = None,
    ) -> Attempt:
        return attempt(line, folder, outputs, capfd, limit)

    return run
