"""Ground that is changed before clouds are drawn: what is true of it stays in its labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomask.training import ground
from geomask.training.clouds import OPTICS, Sun
from geomask.training.ground import SURFACES, random_ground, snow_labels

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
MEADOW = (0.11, 0.10, 0.07, 0.34, 0.20, 0.11)
SOUTH = Sun(azimuth=180.0, elevation=40.0)
SNOW, IGNORE = 4, 255


def meadow(size: int = 64) -> np.ndarray:
    return np.tile(np.array(MEADOW, np.float32)[:, None, None], (1, size, size))


def labels(size: int = 64) -> np.ndarray:
    return np.zeros((size, size), np.uint8)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pixel_size=st.sampled_from([5.8, 10.0, 30.0]))
def test_any_ground_is_finite_clear_snow_or_unknown_and_repeats(seed, pixel_size) -> None:
    before = meadow(48)
    made = [
        random_ground(
            before, BANDS, labels(48), pixel_size=pixel_size, sun=SOUTH,
            rng=np.random.default_rng(seed),
        )
        for _ in range(2)
    ]  # fmt: skip
    assert np.array_equal(made[0][0], made[1][0])
    assert np.array_equal(made[0][1], made[1][1])
    image, codes = made[0]
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() > -0.01
    assert image.max() < 2.0
    assert set(np.unique(codes)) <= {0, SNOW, IGNORE}
    assert (before == meadow(48)).all()


def test_some_ground_stays_as_it_is_and_some_gets_snow() -> None:
    same = snowy = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        image, codes = random_ground(
            meadow(32), BANDS, labels(32), pixel_size=30, sun=SOUTH, rng=rng
        )
        same += np.array_equal(image, meadow(32))
        snowy += (codes == SNOW).any()
    assert 10 < same < 75
    assert 8 < snowy < 50


def test_snow_is_told_by_its_index_and_unknown_where_there_is_some() -> None:
    image, codes = meadow(), labels()
    ground._snow(image, codes, BANDS, None, 10.0, np.random.default_rng(2))
    told = snow_labels(image[1], image[3], image[4])
    changed = np.abs(image - meadow()).max(axis=0) > 0.2
    assert (codes == SNOW).sum() > 100
    assert (told[codes == SNOW] == SNOW).all()
    assert (codes[changed] != 0).all(), "half-covered ground is not called clear"
    assert image[:3, codes == SNOW].mean() > 0.4
    assert image[4:, codes == SNOW].mean() < 0.3


def test_water_is_dark_in_the_infrared_and_clear() -> None:
    image, codes = meadow(), np.full((64, 64), SNOW, np.uint8)
    ground._water(image, codes, BANDS, 10.0, np.random.default_rng(0))
    wet = codes == 0
    assert 40 < wet.sum() < wet.size
    assert (image[3][wet] < 0.2).all()
    assert (image[3][codes == SNOW] > 0.17).all()


@pytest.mark.parametrize(
    ("azimuth", "bright"),
    [(0, np.s_[:8, 12:20]), (180, np.s_[-8:, 12:20]), (90, np.s_[12:20, -8:]),
     (270, np.s_[12:20, :8])],
)  # fmt: skip
def test_slopes_that_face_the_sun_are_bright(azimuth, bright) -> None:
    """A cone: the flank towards the sun is lit, the one beyond is not."""
    y, x = np.mgrid[:32, :32] - 15.5
    cone = (-5 * np.hypot(y, x)).astype(np.float32)
    image, codes = meadow(32), labels(32)
    ground._shade(image, codes, BANDS, cone, 10.0, Sun(azimuth, 40.0))
    opposite = image[:, ::-1, ::-1]
    assert (image[3][bright] > 1.05 * MEADOW[3]).all()
    assert (opposite[3][bright] < 0.6 * MEADOW[3]).all()
    assert (codes == 0).all(), "terrain shadow is clear"


def test_snow_too_dark_to_be_told_is_unknown() -> None:
    image = np.tile(
        np.array([0.4, 0.4, 0.4, 0.35, 0.06, 0.05], np.float32)[:, None, None], (1, 32, 32)
    )
    codes = np.full((32, 32), SNOW, np.uint8)
    y, _ = np.mgrid[:32, :32]
    ground._shade(image, codes, BANDS, (9.0 * y).astype(np.float32), 10.0, Sun(180.0, 25.0))
    assert set(np.unique(codes)) == {IGNORE}, "a north slope in a low sun from the south"


def test_every_band_that_clouds_know_has_surfaces() -> None:
    assert set(SURFACES) == set(OPTICS)


def test_other_soils_keep_the_pattern_and_leave_snow_alone() -> None:
    image, codes = meadow(48), labels(48)
    image += 0.02 * np.random.default_rng(0).random((48, 48), np.float32)
    codes[:8] = SNOW
    before = image.copy()
    for seed in range(20):
        tinted = before.copy()
        ground._tint(tinted, codes, BANDS, np.random.default_rng(seed))
        np.testing.assert_array_equal(tinted[:, :8], before[:, :8])
        assert not np.array_equal(tinted[:, 8:], before[:, 8:])
        assert tinted.min() > 0
        assert tinted.max() < 1.0
        for one, other in zip(tinted[:, 8:], before[:, 8:], strict=True):
            order = np.argsort(other.ravel())
            assert (np.diff(one.ravel()[order]) >= -1e-6).all(), "what was brighter still is"
    every = np.full((48, 48), SNOW, np.uint8)
    ground._tint(image, every, BANDS, np.random.default_rng(0))
    np.testing.assert_array_equal(image, before)
