"""Factories for tiny scenes and models; an identity network is the oracle for pixels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Two test runners' threads on the same cores would wait for each other by spinning.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import settings
from torch import nn

from geomask.card import Card, ClassEntry, NetworkSpec, Normalisation
from geomask.checkpoint import Model, save_model
from geomask.inference import Inference
from geomask.network import build_segmenter
from geomask.pipeline import run as run_pipeline

# A machine that does something else besides is no reason to fail. Drawn alike each time, so that
# what the tests find is what a change did; `--hypothesis-profile=search` draws others.
settings.register_profile("geomask", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("geomask")

UTM = "EPSG:32633"
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_000_000)
CLASSES = (
    ClassEntry(code=0, name="clear", color=(240, 240, 240)),
    ClassEntry(code=1, name="cloud", color=(230, 159, 0)),
    ClassEntry(code=2, name="shadow", color=(106, 61, 154)),
)

SceneFactory = Callable[..., Path]


def write_scene(
    path: Path,
    values: npt.NDArray[Any],
    *,
    bands: Sequence[str | None] = ("red", "green", "nir"),
    crs: str | None = UTM,
    transform: Affine = TRANSFORM,
    scale: float | None = 1e-4,
    offset: float = 0.0,
    nodata: float | None = 0,
    **profile: Any,
) -> Path:
    """A raster with described bands; scale None leaves scale and offset unsaid."""
    count, height, width = values.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=count,
        dtype=values.dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
        **profile,
    ) as dataset:
        dataset.write(values)
        for index, band in enumerate(bands, 1):
            if band is not None:
                dataset.set_band_description(index, band)
        if scale is not None:
            dataset.scales = [scale] * count
            dataset.offsets = [offset] * count
    return path


def random_dn(height: int, width: int, *, bands: int = 3, seed: int = 0) -> npt.NDArray[np.uint16]:
    """uint16 (bands, height, width), 1 to 9999."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 10_000, (bands, height, width), dtype=np.uint16)


def make_card(**changes: Any) -> Card:
    """A card for red, green, nir and three classes; stride 1 and margin 0 unless told."""
    values: dict[str, Any] = {
        "name": "identity",
        "network": NetworkSpec(architecture="plain-unet", options={"width": 2}),
        "bands": ("red", "green", "nir"),
        "normalisation": Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3),
        "classes": CLASSES,
        "resolution": (10.0, 30.0),
        "stride": 1,
        "margin": 0,
    }
    return Card(**(values | changes))


def identity_model(**changes: Any) -> Model:
    """Logits are the reflectances themselves, so the mask is the brightest band's class."""
    return Model(nn.Identity(), make_card(**changes), torch.device("cpu"))


class Blur(nn.Module):
    """Logits are a (2 radius + 1)² mean of the reflectances; sees `radius` pixels and no more."""

    def __init__(self, radius: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2 * radius + 1, 1, radius)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(torch.nan_to_num(x))


def unet_model(seed: int = 0, **changes: Any) -> Model:
    """A real small U-Net with random weights and settled BatchNorm statistics."""
    card = make_card(**({"stride": 16, "margin": 64} | changes))
    torch.manual_seed(seed)
    network = build_segmenter(card)
    with torch.no_grad():
        for _ in range(30):
            network(torch.rand(2, len(card.bands), 64, 64))
        network.eval()
        logits = network(torch.rand(2, len(card.bands), 64, 64))
        network.body.head.bias -= logits.mean(dim=(0, 2, 3))  # so that every class occurs
    network.requires_grad_(False)
    return Model(network, card, torch.device("cpu"))


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A model file with a tiny plain U-Net."""
    card = make_card(name="tiny", stride=16, margin=16)
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_model(path, build_segmenter(card), card)
    return path


@pytest.fixture
def scene_file(tmp_path: Path) -> Path:
    """A small scene with named bands and a stated radiometry."""
    return write_scene(tmp_path / "scene.tif", random_dn(50, 70))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("GEOMASK_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set GEOMASK_DATA)")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; skips, saying so, where it or its driver is absent."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium here (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


def read(path: Path) -> npt.NDArray[np.uint8]:
    """The first band of a raster."""
    with rasterio.open(path) as dataset:
        band: npt.NDArray[np.uint8] = dataset.read(1)
    return band


def whole_scene(inference: Inference) -> tuple[npt.NDArray[np.uint8], ...]:
    """What a prediction comes to: codes (height, width), and percents (classes, height, width)."""
    shape = inference.scene.grid.shape
    codes = np.zeros(shape, np.uint8)
    percent = np.zeros((len(inference.model.card.classes), *shape), np.uint8)
    for result in run_pipeline(inference, 2):
        rows, columns = result.window.toslices()
        codes[rows, columns] = result.codes
        assert result.percent is not None
        percent[:, rows, columns] = result.percent
    return codes, percent
