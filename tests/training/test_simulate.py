"""Simulated clouds: true labels, shadows where the sun puts them, and nothing else touched."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomask.errors import OptionError
from geomask.training.cloud_light import direct_light, light_below
from geomask.training.clouds import (
    CloudField,
    CloudLayer,
    Sun,
    band_optics,
    draw_field,
    random_layers,
    spectral_noise,
    two_stream_reflectance,
)
from geomask.training.simulate import (
    CLEAR,
    IGNORE,
    SHADOW,
    SNOW,
    THICK,
    THIN,
    random_scene_clouds,
    render_fields,
    simulate_clouds,
)

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
MEADOW = (0.11, 0.10, 0.07, 0.34, 0.20, 0.11)
SIZE = 96
HIGH_SUN = Sun(azimuth=180.0, elevation=45.0)


def meadow(size=SIZE, bands=MEADOW):
    return np.tile(np.array(bands, np.float32)[:, None, None], (1, size, size))


def disc(height, thickness=30.0, radius=8, size=SIZE):
    """One round cloud in the middle of the image, on a canvas with room for its shadow."""
    y, x = np.mgrid[0 : 3 * size, 0 : 3 * size] - 1.5 * size
    inside = np.hypot(y, x) < radius
    return CloudField((thickness * inside).astype(np.float32), (size, size), height)


def render(fields, sun=HIGH_SUN, **options):
    options = {"noise": 0.0, "rng": np.random.default_rng(1)} | options
    return render_fields(meadow(), BANDS, fields, pixel_size=10.0, sun=sun, **options)


def random_clouds(clear, seed, pixel_size=10.0):
    rng = np.random.default_rng(seed)
    return random_scene_clouds(clear, BANDS, pixel_size=pixel_size, sun=HIGH_SUN, rng=rng)


def centre_of(mask):
    return np.argwhere(mask).mean(axis=0) - (SIZE - 1) / 2


def test_no_cloud_leaves_the_image_within_noise_and_all_clear():
    rng = np.random.default_rng(0)
    clear = meadow()
    image, labels = simulate_clouds(
        clear, BANDS, pixel_size=10.0, sun=HIGH_SUN, rng=rng, cover=0.0, noise=0.001
    )
    assert image.dtype == np.float32
    assert image.shape == clear.shape
    assert np.abs(image - clear).max() < 0.007
    assert abs((image - clear).std() - 0.001) < 1e-4
    assert labels.dtype == np.uint8
    assert (labels == CLEAR).all()


@pytest.mark.parametrize(
    ("azimuth", "row", "column"),
    [(180.0, -1, 0), (0.0, 1, 0), (90.0, 0, -1), (270.0, 0, 1), (135.0, -1, -1)],
)
def test_shadow_falls_away_from_the_sun_at_height_times_cot_elevation(azimuth, row, column):
    sun = Sun(azimuth, 50.0)
    _, labels = render([disc(height=300.0)], sun)
    length = 300.0 / math.tan(math.radians(50.0)) / 10.0
    expected = np.array([row, column]) / math.hypot(row, column) * length
    assert centre_of(labels == SHADOW) == pytest.approx(expected, abs=1.0)
    assert centre_of(labels == THICK) == pytest.approx([0.0, 0.0], abs=1.0)


@given(azimuth=st.floats(0, 360), elevation=st.floats(5, 90), height=st.floats(0, 9000))
def test_displacement_has_the_length_and_the_direction_of_the_geometry(azimuth, elevation, height):
    rows, columns = Sun(azimuth, elevation).displacement(height, 20.0)
    length = height / math.tan(math.radians(elevation)) / 20.0
    assert math.hypot(rows, columns) == pytest.approx(length, abs=1e-6)
    north, east = math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))
    assert (-rows) * north + columns * east == pytest.approx(-length, abs=1e-6)


def test_a_cloud_outside_the_image_casts_its_shadow_into_it():
    field = disc(height=1000.0)
    below = CloudField(np.roll(field.thickness, 80, axis=0), field.origin, 800.0)
    _, labels = render([below])
    assert not (labels == THICK).any()
    assert centre_of(labels == SHADOW) == pytest.approx([0.0, 0.0], abs=1.0)


def test_clouds_brighten_and_shadows_darken_most_in_the_infrared():
    clear = meadow()
    image, labels = render([disc(height=300.0)])
    thick, shadow = labels == THICK, labels == SHADOW
    assert (image[:, thick] > clear[:, thick]).all()
    assert (image[:3, thick] > 0.45).all()
    kept = image[:, shadow].mean(axis=1) / np.array(MEADOW)
    assert kept[0] > kept[2] > kept[3] > kept[5]
    assert kept[0] > 0.6
    assert kept[5] < 0.3
    assert np.allclose(image[:, labels == CLEAR], clear[:, labels == CLEAR], rtol=0.2)


def test_ice_veil_is_darker_in_the_shortwave_infrared_than_a_water_cloud():
    water = disc(height=300.0, thickness=6.0)
    ice = CloudField(water.thickness, water.origin, 300.0, ice=True)
    dark = meadow(bands=(0.0,) * 6)
    spectra = [
        render_fields(
            dark, BANDS, [f], pixel_size=10.0, sun=HIGH_SUN, rng=np.random.default_rng(2), noise=0
        )[0][:, SIZE // 2, SIZE // 2]
        for f in (water, ice)
    ]
    ratio_water, ratio_ice = (s[4] / s[2] for s in spectra)
    assert ratio_ice < 0.7 < ratio_water


def test_thin_cloud_is_labelled_thin_and_fainter_still_is_ignored_or_decided():
    _, labels = render([disc(height=300.0, thickness=1.2)])
    assert labels[SIZE // 2, SIZE // 2] == THIN
    faint = disc(height=300.0, thickness=0.25)
    assert render([faint])[1][SIZE // 2, SIZE // 2] == IGNORE
    decided = render([faint], ignore_faint=False)[1]
    assert IGNORE not in decided
    assert decided[SIZE // 2, SIZE // 2] == CLEAR


def test_snow_stays_where_nothing_is_drawn_and_yields_to_cloud_and_shadow():
    base = np.full((SIZE, SIZE), SNOW, np.uint8)
    base[:5] = IGNORE
    _, labels = render([disc(height=300.0)], base_labels=base)
    assert (labels[:5] == IGNORE).all()
    assert labels[-1, 0] == SNOW
    assert {SHADOW, THICK, SNOW} <= set(np.unique(labels)) <= {SHADOW, THICK, SNOW, IGNORE}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pixel_size=st.sampled_from([5.8, 10.0, 30.0]))
def test_random_clouds_hold_only_known_codes_and_repeat_with_the_seed(seed, pixel_size):
    clear = meadow(40)[:, :, :33]
    drawn = [
        random_scene_clouds(
            clear, BANDS, pixel_size=pixel_size, sun=HIGH_SUN, rng=np.random.default_rng(seed)
        )
        for _ in range(2)
    ]
    assert np.array_equal(drawn[0][0], drawn[1][0])
    assert np.array_equal(drawn[0][1], drawn[1][1])
    image, labels = drawn[0]
    assert image.dtype == np.float32
    assert image.shape == clear.shape
    assert np.isfinite(image).all()
    assert image.min() >= 0.0
    assert image.max() < 2.5
    assert set(np.unique(labels)) <= {CLEAR, THICK, THIN, SHADOW, IGNORE}
    assert (clear == meadow(40)[:, :, :33]).all()


def test_some_random_samples_have_no_cloud_and_most_do():
    clear = meadow(16)
    cloudy = [
        random_scene_clouds(
            clear, BANDS, pixel_size=10.0, sun=HIGH_SUN, rng=np.random.default_rng(seed)
        )[1].any()
        for seed in range(120)
    ]
    assert 0.5 < np.mean(cloudy) < 0.95


def test_some_random_samples_are_overcast():
    covered = [
        np.isin(
            random_scene_clouds(
                meadow(32), BANDS, pixel_size=30.0, sun=HIGH_SUN, rng=np.random.default_rng(seed)
            )[1],
            (THICK, THIN),
        ).mean()
        > 0.9
        for seed in range(120)
    ]
    assert 0.02 < np.mean(covered) < 0.25


@pytest.mark.parametrize(("ignore_faint", "expected"), [(True, IGNORE), (False, SHADOW)])
def test_a_shadow_over_ground_too_dark_to_show_it_is_ignored(ignore_faint, expected):
    black = np.full((6, SIZE, SIZE), 0.01, np.float32)
    _, labels = render_fields(
        black, BANDS, [disc(300.0)], pixel_size=10.0, sun=HIGH_SUN, noise=0,
        rng=np.random.default_rng(1), ignore_faint=ignore_faint,
    )  # fmt: skip
    _, seen = render([disc(300.0)])
    assert (seen == SHADOW).sum() > 100
    assert (labels[seen == SHADOW] == expected).all()


def test_a_cloud_below_another_lies_in_its_shadow():
    low = CloudField(np.full((SIZE, SIZE), 20, np.float32), (0, 0), 500.0)
    lit, _ = render([low])
    shaded, labels = render([low, disc(800.0)])
    _, ground = render([disc(300.0)])
    where = ground == SHADOW
    assert (shaded[:, where] < 0.8 * lit[:, where]).all()
    assert (labels == THICK).all()
    np.testing.assert_allclose(shaded[:, :20, :20], lit[:, :20, :20], rtol=1e-5)


@pytest.mark.parametrize("kind", ["cumulus", "deck", "veil"])
def test_a_layer_covers_what_it_says(kind):
    layer = CloudLayer(kind, cover=0.4, height=1000.0, scale=400.0, thickness=8.0)
    field = draw_field(layer, (SIZE, SIZE), 10.0, HIGH_SUN, np.random.default_rng(3))
    assert (field.window((SIZE, SIZE)) > 0.3).mean() == pytest.approx(0.4, abs=0.15)
    assert field.thickness.shape == (2 * SIZE, SIZE + 1)


def test_direct_light_is_full_under_no_cloud_and_none_under_a_thick_one():
    light = direct_light(disc(height=300.0), (SIZE, SIZE), 10.0, HIGH_SUN)
    assert light[SIZE // 2 - 30, SIZE // 2] < 0.01
    assert light[-1, -1] == pytest.approx(1.0)


def test_below_a_wide_cloud_arrives_what_it_passes_on_and_below_a_small_one_less():
    shape, middle = (SIZE, SIZE), (SIZE // 2 - 30, SIZE // 2)
    wide = CloudField(np.full((3 * SIZE, 3 * SIZE), 10, np.float32), (SIZE, SIZE), 300.0)
    passed = 1 - two_stream_reflectance(np.float32(10), ice=False)
    np.testing.assert_allclose(light_below(wide, shape, 10.0, HIGH_SUN, 1.0), passed, atol=1e-4)
    dark = light_below(wide, shape, 10.0, HIGH_SUN, 0.0)
    np.testing.assert_allclose(dark, direct_light(wide, shape, 10.0, HIGH_SUN), atol=1e-4)
    small = disc(height=300.0, thickness=10.0, radius=8)
    some = light_below(small, shape, 10.0, HIGH_SUN, 1.0)
    assert dark.max() + 0.05 < some[middle] < 0.8 * passed
    assert some.max() <= 1.0


def test_more_clouds_leave_clouds_and_shadows_that_are_labelled_as_they_are():
    base = np.zeros((SIZE, SIZE), np.uint8)
    base[:, :20], base[:, 20:30], base[:, 30:40], base[:10] = THICK, THIN, SHADOW, IGNORE
    clear, _ = render([], base_labels=base)
    image, labels = render([disc(300.0, radius=40)], base_labels=base)
    _, alone = render([disc(300.0, radius=40)])
    drawn = alone == THICK
    assert (labels[drawn] == THICK).all()
    assert drawn[:10].any()
    assert (labels[:10][~drawn[:10]] == IGNORE).all()
    for code in (THICK, THIN):
        own = (base == code) & ~drawn
        assert (alone[own] == SHADOW).any()
        assert (labels[own] == code).all()
        np.testing.assert_array_equal(image[:, own], clear[:, own])
    assert (labels[(base == SHADOW) & ~drawn] == SHADOW).all()


def test_spectral_noise_is_standardised_and_its_smoothing_takes_the_finest_detail():
    rough = spectral_noise((64, 80), 20.0, 3.0, np.random.default_rng(5))
    smooth = spectral_noise((64, 80), 20.0, 3.0, np.random.default_rng(5), smooth=2.0)
    assert rough.dtype == np.float32
    assert rough.shape == (64, 80)
    assert rough.mean() == pytest.approx(0.0, abs=1e-4)
    assert rough.std() == pytest.approx(1.0)
    assert np.abs(np.diff(smooth)).mean() < 0.7 * np.abs(np.diff(rough)).mean()


def test_refusals_name_what_is_wrong():
    with pytest.raises(OptionError, match="thermal"):
        render_fields(
            meadow()[:1],
            ("thermal",),
            [],
            pixel_size=10.0,
            sun=HIGH_SUN,
            rng=np.random.default_rng(),
        )
    with pytest.raises(OptionError, match="do not belong together"):
        render([], base_labels=np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="elevation"):
        Sun(180.0, 2.0)
    with pytest.raises(ValueError, match="cover"):
        CloudLayer(cover=1.5)


@pytest.mark.parametrize(("ice", "low", "high"), [(False, 0.9, 1.4), (True, 0.3, 0.8)])
def test_mist_is_as_bright_in_the_swir_as_in_the_visible_and_a_veil_is_not(ice, low, high):
    """Droplets against crystals: what thin cloud over Landsat's wetlands adds, and what cirrus."""
    optics = (band_optics(name) for name in ("swir16", "blue"))
    thickness = np.float32(2.0)
    swir, blue = (
        two_stream_reflectance(thickness, ice, *(its.ice if ice else its.water)) for its in optics
    )
    assert low < swir / blue < high


def test_all_kinds_of_cloud_are_drawn_veils_of_ice_and_some_decks_too():
    layers = [layer for seed in range(200) for layer in random_layers(np.random.default_rng(seed))]
    assert {layer.kind for layer in layers} == {"cumulus", "deck", "veil", "mist"}
    ice = {(layer.kind, layer.ice) for layer in layers}
    assert ice == {
        ("cumulus", False), ("deck", False), ("deck", True), ("veil", True), ("mist", False)
    }  # fmt: skip
    for layer in layers[:40]:
        field = draw_field(layer, (40, 40), 30.0, HIGH_SUN, np.random.default_rng(0))
        assert field.ice == layer.ice
