"""The model in the wheel, on the example that ships with it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import geomask
from geomask.card import read_card
from geomask.model_files import find_model
from tests.conftest import read

ROOT = Path(__file__).parents[1]
SCENE = ROOT / "examples/scene.tif"
TRUTH = ROOT / "examples/truth/scene_mask.tif"


def test_the_card_says_what_a_user_must_know() -> None:
    card = read_card(find_model("default"))
    assert [c.name for c in card.classes] == ["clear", "cloud", "shadow", "snow"]
    assert card.bands == ("blue", "green", "red", "nir", "swir16", "swir22")
    assert card.choose_bands(("green", "red", "nir")) == ("green", "red", "nir"), "LISS-4"
    assert card.licence
    assert card.description
    assert card.metrics
    assert card.seam_fraction is not None
    assert {"recipe", "data_sha256", "versions"} <= card.provenance.keys()


def test_the_network_is_a_module_from_reflectance_to_logits() -> None:
    import torch

    model = geomask.load_model("default", device="cpu")
    with torch.inference_mode():
        logits = model.network(torch.rand(2, len(model.card.bands), 64, 96))
    assert logits.shape == (2, len(model.card.classes), 64, 96)
    assert torch.isfinite(logits).all()


def test_it_finds_the_clouds_of_the_example(tmp_path: Path) -> None:
    """Far below what it reaches, so that it fails for a broken model and not for another one."""
    result = geomask.predict_scene(SCENE, tmp_path / "mask.tif")
    mask, truth = read(tmp_path / "mask.tif"), read(TRUTH)
    np.testing.assert_array_equal(mask == 255, truth == 255)
    both = ((mask == 1) & (truth == 1)).sum()
    either = ((mask == 1) | (truth == 1)).sum()
    assert both / either > 0.55
    assert 5 < result.percent["cloud"] < 50


def test_bf16_agrees_with_fp32(tmp_path: Path) -> None:
    for precision in ("fp32", "bf16"):
        geomask.predict_scene(SCENE, tmp_path / f"{precision}.tif", precision=precision)
    same = read(tmp_path / "fp32.tif") == read(tmp_path / "bf16.tif")
    assert same.mean() > 0.998


@pytest.mark.slow
def test_the_wheel_predicts_far_from_the_checkout(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("geomask-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("models/default.safetensors", "recipes/default.toml", "py.typed"):
        assert f"geomask/{name}" in names
    assert not [name for name in names if name.startswith(("tests", "examples", "benchmarks"))]
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    code = (
        "import geomask, sys\n"
        f"assert geomask.__file__.startswith({str(site)!r}), geomask.__file__\n"
        "from geomask.cli import cli\n"
        f"cli(['predict', {str(SCENE)!r}, '--out', 'm.tif', '--shp', 'c.shp'])\n"
    )
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "m.tif").exists()
    assert (tmp_path / "c.shp").exists()
