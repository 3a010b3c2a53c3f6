"""Invariants 2, 5, 6 and 8: no seams, georeferencing copied, nodata kept, all or nothing."""

from __future__ import annotations

import json
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate
from torch import nn

import geomask
from geomask import inference, open_scene, predict_scene
from geomask.checkpoint import Model
from geomask.errors import (
    BandError,
    GeomaskError,
    GeomaskWarning,
    OptionError,
    OutputError,
    SceneError,
)
from geomask.raster_writer import RasterWriter
from tests.conftest import (
    TRANSFORM,
    Blur,
    identity_model,
    make_card,
    random_dn,
    read,
    unet_model,
    write_scene,
)

SIZES = st.sampled_from([1, 2, 15, 16, 17, 31, 48, 97, 131])


def predict(scene: Path, out: Path, model: Model, **options: Any) -> npt.NDArray[np.uint8]:
    predict_scene(scene, out, model=model, overwrite=True, **({"precision": "fp32"} | options))
    return read(out)


def whole(scene: Path, model: Model) -> npt.NDArray[np.uint8]:
    """The oracle: the network on the whole image at once, padded by far more than a margin."""
    card = model.card
    with open_scene(scene) as opened:
        height, width = opened.grid.shape
        image, valid = opened.read(rasterio.windows.Window(0, 0, width, height), card.bands)
    after = 256 + (-height) % 32, 256 + (-width) % 32
    padded = np.pad(image, ((0, 0), (256, after[0]), (256, after[1])), mode="reflect")
    with torch.inference_mode():
        logits = model.network(torch.from_numpy(padded)[None])[0]
    codes = card.class_table.codes[logits.argmax(0).numpy()]
    codes = codes[256 : 256 + height, 256 : 256 + width]
    codes[~valid] = 255
    return codes


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    height=SIZES,
    width=SIZES,
    patch=st.sampled_from([16, 32, 48, 80]),
    seed=st.integers(0, 9),
    dead=st.floats(0, 1),
)
def test_the_mask_of_an_identity_network_is_the_scene(
    tmp_path: Path, height: int, width: int, patch: int, seed: int, dead: float
) -> None:
    """Every pixel lands where it came from, at every size; scattered dead pixels are nodata."""
    values = random_dn(height, width, seed=seed)
    missing = np.random.default_rng(seed).random((3, height, width)) < dead * 0.3
    values[missing] = 0
    scene = write_scene(tmp_path / "s.tif", values)
    mask = predict(scene, tmp_path / "m.tif", identity_model(), patch=patch)
    expected = np.where(missing.any(axis=0), 255, values.argmax(axis=0))
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("size", [(300, 217), (97, 131), (1, 200), (131, 1)])
@pytest.mark.parametrize("margin", [0, 3, 16])
def test_no_seams_with_the_margin_a_network_needs(
    tmp_path: Path, size: tuple[int, int], margin: int
) -> None:
    """A network that sees 3 pixels around needs a margin of 3; 0 shows that this test can fail."""
    scene = write_scene(tmp_path / "s.tif", random_dn(*size))
    model = Model(Blur(3), make_card(), torch.device("cpu"))
    mask = predict(scene, tmp_path / "m.tif", model, patch=64, margin=margin)
    differs = (mask != whole(scene, model)).any()
    assert differs == (margin < 3)


def test_a_real_network_has_no_seams_at_its_margin_and_has_them_without(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(300, 410))
    model = unet_model()
    expected = whole(scene, model)
    assert len(np.unique(expected)) > 1
    seamless = predict(scene, tmp_path / "m.tif", model, patch=256, margin=96)
    np.testing.assert_array_equal(seamless, expected)
    seams = predict(scene, tmp_path / "m.tif", model, patch=256, margin=0)
    assert (seams != expected).mean() > 0.001


@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "bf16"])
def test_batch_readers_and_patch_order_change_no_pixel(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(333, 431))
    model = unet_model()
    out = tmp_path / "m.tif"
    how: dict[str, Any] = {"patch": 192, "margin": 32, "precision": precision}
    expected = predict(scene, out, model, batch=1, readers=1, **how)
    for batch, readers in ((2, 1), (5, 4), (64, 2)):
        again = predict(scene, out, model, batch=batch, readers=readers, **how)
        np.testing.assert_array_equal(again, expected)
    plan_patches = inference.plan_patches

    def backwards(*args: Any, **kwargs: Any) -> Any:
        plan = plan_patches(*args, **kwargs)
        rows, columns = plan.rows[::-1], plan.columns[::-1]
        return type(plan)(rows, columns, plan.scale, plan.block)

    monkeypatch.setattr(inference, "plan_patches", backwards)
    np.testing.assert_array_equal(predict(scene, out, model, **how), expected)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", TRANSFORM),
        ("EPSG:4326", Affine(0.000121, 0, 1.31, 0, -0.0000902, 41.83)),
        ("EPSG:3035", Affine(10, 0, 4_321_000.123456789, 0, -10, 3_210_000.987654321)),
        ("EPSG:32633", Affine(8, 6, 500_000, 6, -8, 5_000_000)),
        ("ESRI:54009", Affine(10, 0, 0, 0, -10, 0)),
    ],
)
def test_georeferencing_is_copied_to_the_bit(tmp_path: Path, crs: str, transform: Affine) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(40, 30), crs=crs, transform=transform)
    predict(
        scene,
        tmp_path / "m.tif",
        identity_model(),
        confidence=tmp_path / "c.tif",
        probabilities=tmp_path / "p.tif",
    )
    with rasterio.open(scene) as source:
        for name in ("m.tif", "c.tif", "p.tif"):
            with rasterio.open(tmp_path / name) as result:
                assert result.crs == source.crs
                assert tuple(result.transform) == tuple(source.transform)
                assert result.shape == source.shape


@pytest.mark.parametrize("pixel", [2.5, 5.8, 7, 60])
def test_inference_at_another_resolution_keeps_the_grid_and_the_picture(
    tmp_path: Path, pixel: float
) -> None:
    """A large step edge stays where it is, to the pixel of the coarser grid."""
    values = np.full((3, 301, 203), 1000, dtype=np.uint16)
    values[0, :, :100] = 9000
    values[1, :, 100:] = 9000
    values[:, 200:, 150:] = 0
    transform = Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
    scene = write_scene(tmp_path / "s.tif", values, transform=transform)
    mask = predict(scene, tmp_path / "m.tif", identity_model(), patch=128, margin=16)
    expected = np.where(values.any(axis=0), values.argmax(axis=0), 255)
    near = max(1, round(10 / pixel))
    assert mask.shape == expected.shape
    np.testing.assert_array_equal(mask == 255, expected == 255)
    np.testing.assert_array_equal(mask[:, : 100 - near], expected[:, : 100 - near])
    np.testing.assert_array_equal(mask[:, 100 + near :], expected[:, 100 + near :])


def test_resampled_inference_has_no_seams(tmp_path: Path) -> None:
    transform = Affine(5.8, 0, 500_000, 0, -5.8, 5_000_000)
    scene = write_scene(tmp_path / "s.tif", random_dn(300, 217), transform=transform)
    model = Model(Blur(3), make_card(), torch.device("cpu"))
    masks = [
        predict(scene, tmp_path / "m.tif", model, patch=patch, margin=3) for patch in (64, 512)
    ]
    np.testing.assert_array_equal(*masks)


def test_the_outermost_ring_is_classified(tmp_path: Path) -> None:
    mask = predict(
        write_scene(tmp_path / "s.tif", random_dn(70, 70)), tmp_path / "m.tif", unet_model()
    )
    assert not (mask == 255).any()


def test_a_wedge_of_nodata_is_the_only_nodata_and_empty_patches_skip_the_network(
    tmp_path: Path,
) -> None:
    values = random_dn(200, 200)
    wedge = np.add.outer(np.arange(200), np.arange(200)) > 250
    values[:, wedge] = 0
    calls: list[int] = []

    class Counting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(len(x))
            return torch.nan_to_num(x)

    model = Model(Counting(), make_card(), torch.device("cpu"))
    mask = predict(write_scene(tmp_path / "s.tif", values), tmp_path / "m.tif", model, patch=32)
    np.testing.assert_array_equal(mask == 255, wedge)
    assert 0 < sum(calls) < 49


def test_the_network_sees_no_edge_where_nodata_begins(tmp_path: Path) -> None:
    """Pixels that were not measured have the nearest one's values; absent bands stay absent."""
    values = random_dn(60, 60, bands=2)
    values[:, :20] = 0
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return torch.nan_to_num(x)

    card = make_card(band_sets=(("red", "nir"),))
    scene = write_scene(tmp_path / "s.tif", values, bands=("red", "nir"))
    predict(scene, tmp_path / "m.tif", Model(Spy(), card, torch.device("cpu")))
    image = seen[0][0].numpy()[:, :60, :60]
    expected = values * np.float32(1e-4)
    expected[:, :20] = expected[:, 20:21]
    np.testing.assert_allclose(image[[0, 2]], expected, atol=1e-6)
    assert np.isnan(image[1]).all()


def test_a_scene_without_a_measured_pixel_is_all_nodata(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", np.zeros((3, 40, 40), dtype=np.uint16))
    result = predict_scene(
        scene, tmp_path / "m.tif", model=identity_model(), probabilities=tmp_path / "p.tif"
    )
    assert (read(tmp_path / "m.tif") == 255).all()
    assert (read(tmp_path / "p.tif") == 255).all()
    assert result.pixels == {"clear": 0, "cloud": 0, "shadow": 0, "nodata": 1600}
    assert result.percent == {"clear": 0, "cloud": 0, "shadow": 0}


def test_confidence_and_probabilities_are_percent_and_agree(tmp_path: Path) -> None:
    values = random_dn(60, 50)
    values[:, :5] = 0
    scene = write_scene(tmp_path / "s.tif", values, scale=1e-4)
    confidence, probabilities = tmp_path / "c.tif", tmp_path / "p.tif"
    mask = predict(
        scene,
        tmp_path / "m.tif",
        identity_model(temperature=0.2),
        confidence=confidence,
        probabilities=probabilities,
    )
    with rasterio.open(probabilities) as dataset:
        percent = dataset.read()
        assert dataset.descriptions == ("clear", "cloud", "shadow")
        assert dataset.nodata == 255
    scores = np.exp(values * 1e-4 / 0.2)
    expected = np.round(100 * scores / scores.sum(axis=0))
    inside = values.any(axis=0)
    assert np.abs(percent[:, inside] - expected[:, inside]).max() <= 1
    assert (percent[:, ~inside] == 255).all()
    np.testing.assert_array_equal(read(confidence), np.where(inside, percent.max(axis=0), 255))
    np.testing.assert_array_equal(mask == 255, ~inside)


def test_the_mask_says_what_it_is(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(1100, 1200) + np.uint16(1000), offset=-0.1)
    out = tmp_path / "m.tif"
    predict(scene, out, identity_model(), compress="zstd")
    with rasterio.open(out) as dataset:
        tags = dataset.tags()
        assert dataset.nodata == 255
        assert dataset.colormap(1)[1] == (230, 159, 0, 255)
        assert dataset.tags(1)["CLASS_2"] == "shadow"
        assert dataset.compression.name == "zstd"
        assert dataset.overviews(1)
    assert tags["GEOMASK_VERSION"] == geomask.__version__
    assert tags["GEOMASK_MODEL"] == "identity"
    assert "DN * 0.0001 - 0.1 (GDAL scale and offset of the file)" in tags["GEOMASK_RADIOMETRY"]
    assert json.loads(tags["GEOMASK_BANDS"]) == {"red": "red", "green": "green", "nir": "nir"}
    assert str(tmp_path) not in json.dumps(tags)
    valid, errors, _ = cog_validate(out, quiet=True)
    assert valid, errors
    with geomask.open_mask(out) as mask:
        assert mask.classes == identity_model().card.class_table


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(90, 90))
    for name in ("a.tif", "b.tif"):
        predict(scene, tmp_path / name, unet_model())
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_the_best_band_set_is_used_and_the_rest_is_absent(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return torch.nan_to_num(x)

    card = make_card(band_sets=(("red", "green", "nir"), ("red", "nir")))
    values = random_dn(20, 20, bands=2)
    scene = write_scene(tmp_path / "s.tif", values, bands=("nir", "red"))
    result = predict_scene(
        scene, tmp_path / "m.tif", model=Model(Spy(), card, torch.device("cpu")), precision="fp32"
    )
    assert result.bands == ("red", "nir")
    image = seen[0][0].numpy()
    assert np.isnan(image[1]).all()
    np.testing.assert_allclose(image[[2, 0]], values * 1e-4, atol=1e-6)


def test_no_crs_is_a_warning_and_native_pixels(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scene = write_scene(
            tmp_path / "s.tif", random_dn(33, 44), crs=None, transform=Affine.identity()
        )
    with pytest.warns(GeomaskWarning, match="native pixels"):
        result = predict_scene(scene, tmp_path / "m.tif", model=identity_model())
    assert result.resolution is None
    with pytest.warns(GeomaskWarning), pytest.raises(OptionError, match="leave --resolution out"):
        predict_scene(scene, tmp_path / "n.tif", model=identity_model(), resolution=10)


# All or nothing


def untouched(folder: Path, out: Path) -> bool:
    """The old output is as it was, and nothing lies beside it that was not there."""
    return out.read_text() == "old" and not [p for p in folder.iterdir() if p.name.startswith(".")]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    out = tmp_path / "m.tif"
    out.write_text("old")
    return out


def test_an_existing_output_is_kept_unless_told(
    tmp_path: Path, scene_file: Path, old: Path
) -> None:
    with pytest.raises(OutputError, match="exists; give --overwrite"):
        predict_scene(scene_file, old, model=identity_model())
    assert untouched(tmp_path, old)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"patch": 33}, "multiple of the network's stride"),
        ({"margin": -1}, "below 0"),
        ({"batch": 0}, "below 1"),
        ({"readers": 0}, "below 1"),
        ({"margin": 100_000}, "would draw on"),
        ({"precision": "fp64"}, "precision 'fp64'"),
        ({"resolution": 0}, "not a pixel size"),
        ({"resolution": 10_000.0}, "64 times"),
        ({"compress": "rar"}, "compression"),
        ({"device": "abacus", "model": "default"}, "device 'abacus'"),
        ({"device": "cuda:99", "model": "default"}, "CUDA GPU"),
        ({"model": "no-such"}, "no model is called"),
        ({"confidence": "m.tif"}, "named for two outputs"),
        ({"confidence": "absent/c.tif"}, "does not exist"),
    ],
)
def test_wrong_options_touch_no_output(
    tmp_path: Path,
    scene_file: Path,
    old: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = identity_model(stride=32)
    with pytest.raises(GeomaskError, match=complaint):
        predict_scene(scene_file, "m.tif", overwrite=True, **({"model": model} | options))
    assert untouched(tmp_path, old)


def test_a_missing_band_is_told_with_the_way_out(
    tmp_path: Path, scene_file: Path, old: Path
) -> None:
    card = make_card(bands=("red", "blue", "nir"))
    model = Model(nn.Identity(), card, torch.device("cpu"))
    with pytest.raises(
        BandError,
        match=r"needs the bands red, blue, nir; there is red \(red\), .*--bands red=N,blue=N,nir=N",
    ):
        predict_scene(scene_file, old, model=model, overwrite=True)
    assert untouched(tmp_path, old)


def test_a_truncated_scene_touches_no_output(tmp_path: Path, old: Path) -> None:
    plain = write_scene(tmp_path / "plain.tif", random_dn(700, 700))
    path = tmp_path / "s.tif"
    rasterio.shutil.copy(plain, path, driver="COG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SceneError, match="cut short or damaged"):
        predict_scene(path, old, model=identity_model(), patch=128, overwrite=True)
    assert untouched(tmp_path, old)


def test_no_source_of_the_scene_is_replaced(tmp_path: Path, scene_file: Path) -> None:
    before = scene_file.read_bytes()
    vrt = tmp_path / "s.vrt"
    rasterio.shutil.copy(scene_file, vrt, driver="VRT")
    for scene in (scene_file, vrt, f"vrt://{scene_file}", f"GTIFF_DIR:1:{scene_file}"):
        with pytest.raises(OutputError, match="is an input"):
            predict_scene(scene, scene_file, model=identity_model(), overwrite=True)
    assert scene_file.read_bytes() == before


def test_running_out_of_memory_is_an_error_with_a_way_out(tmp_path: Path, old: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(200, 200))
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        model = Model(Failing(error), make_card(), torch.device("cpu"))
        with pytest.raises(OptionError, match="use a smaller --patch or --batch"):
            predict_scene(scene, old, model=model, patch=32, overwrite=True)
    assert untouched(tmp_path, old)


def test_the_last_write_that_fails_ends_the_run(
    tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RasterWriter.write

    def fail_at_the_end(self: RasterWriter, window: Any, values: Any) -> None:
        if window.row_off + window.height == 200 and window.col_off + window.width == 200:
            raise OutputError("no space left")
        write(self, window, values)

    monkeypatch.setattr(RasterWriter, "write", fail_at_the_end)
    scene = write_scene(tmp_path / "s.tif", random_dn(200, 200))
    with pytest.raises(OutputError, match="no space left"):
        predict_scene(scene, old, model=identity_model(), patch=32, overwrite=True)
    assert untouched(tmp_path, old)


def test_reading_runs_only_a_little_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []
    at_first: list[int] = []
    load = inference.Inference.load

    def count(self: inference.Inference, patch: Any) -> Any:
        loads.append(1)
        return load(self, patch)

    class Slow(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not at_first:
                time.sleep(0.3)
                at_first.append(len(loads))
            return torch.nan_to_num(x)

    monkeypatch.setattr(inference.Inference, "load", count)
    scene = write_scene(tmp_path / "s.tif", random_dn(300, 300))
    model = Model(Slow(), make_card(), torch.device("cpu"))
    predict_scene(scene, tmp_path / "m.tif", model=model, patch=32, readers=2)
    assert len(loads) == 100
    assert at_first[0] <= 6


class Failing(nn.Module):
    """Works for some patches, then raises."""

    def __init__(self, error: BaseException, after: int = 2) -> None:
        super().__init__()
        self.error, self.left = error, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return torch.nan_to_num(x)


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_a_failing_network_ends_the_run_and_leaves_nothing(
    tmp_path: Path, old: Path, error: BaseException
) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(200, 200))
    model = Model(Failing(error), make_card(), torch.device("cpu"))
    before = threading.active_count()
    with pytest.raises(type(error)):
        predict_scene(scene, old, model=model, patch=32, overwrite=True)
    assert untouched(tmp_path, old)
    assert threading.active_count() == before


@pytest.mark.parametrize("method", ["write", "finish"])
def test_a_failing_disk_ends_the_run_and_leaves_nothing(
    tmp_path: Path, old: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*args: Any) -> None:
        raise OutputError("no space left")

    monkeypatch.setattr(RasterWriter, method, fail)
    scene = write_scene(tmp_path / "s.tif", random_dn(200, 200))
    confidence = tmp_path / "c.tif"
    with pytest.raises(OutputError, match="no space left"):
        predict_scene(
            scene, old, model=identity_model(), patch=32, confidence=confidence, overwrite=True
        )
    assert untouched(tmp_path, old)
    assert not confidence.exists()


def test_progress_ends_at_the_whole_scene(tmp_path: Path, scene_file: Path) -> None:
    seen = []
    predict_scene(
        scene_file, tmp_path / "m.tif", model=identity_model(), patch=32, progress=seen.append
    )
    assert [step.total for step in seen] == [3500] * len(seen)
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert seen[-1].done == 3500
