from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geomask.resample import resample, taps


@given(st.integers(1, 50), st.floats(0.1, 8))
def test_weights_sum_to_one_and_indices_lie_inside(length: int, step: float) -> None:
    outputs = np.arange(max(1, int(length / step)))
    axis = taps(outputs, step, length)
    np.testing.assert_allclose(axis.weight.sum(axis=1), 1, rtol=1e-5)
    assert axis.start >= 0
    assert axis.stop <= length


@given(st.integers(2, 40), st.floats(0.2, 5))
def test_a_ramp_stays_a_ramp_away_from_the_ends(length: int, step: float) -> None:
    outputs = np.arange(max(1, int(length / step)))
    centre = (outputs + 0.5) * step - 0.5
    reach = max(1.0, step)
    inner = (centre >= reach) & (centre <= length - 1 - reach)
    axis = taps(outputs, step, length)
    ramp = (np.arange(length)[axis.index] * axis.weight).sum(axis=1)
    # Over few taps a widened triangle is not exactly symmetric around its centre.
    np.testing.assert_allclose(ramp[inner], centre[inner], atol=0.3 if step > 1 else 1e-4)


@pytest.mark.parametrize(("size", "target"), [(8, 16), (12, 4), (10, 20)])
def test_it_is_torchs_antialiased_bilinear(size: int, target: int) -> None:
    image = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    axis = taps(np.arange(target), size / target, size)
    ours = resample(image, axis, axis)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None], (target, target), mode="bilinear", antialias=True
    )[0].numpy()
    reach = 2  # torch drops taps beyond the end, we repeat the last pixel
    inner = (slice(None), slice(reach, -reach), slice(reach, -reach))
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-5)


def test_nan_gives_way_to_its_neighbours_and_fills_only_a_void() -> None:
    image = np.full((1, 8, 8), 0.5, dtype=np.float32)
    image[0, 0, 0] = np.nan
    image[0, 4:, 4:] = np.nan
    axis = taps(np.arange(4), 2, 8)
    out = resample(image, axis, axis)[0]
    assert out[0, 0] == pytest.approx(0.5)
    assert np.isnan(out[3, 3])
    assert np.isfinite(out[0]).all()


def test_a_pixel_is_the_same_from_any_window() -> None:
    image = np.random.default_rng(1).random((1, 64, 64), dtype=np.float32)
    whole = resample(image, taps(np.arange(37), 64 / 37, 64), taps(np.arange(37), 64 / 37, 64))
    rows = taps(np.arange(10, 20), 64 / 37, 64)
    part = resample(
        image[:, rows.start : rows.stop, rows.start : rows.stop],
        rows.shifted(rows.start),
        rows.shifted(rows.start),
    )
    np.testing.assert_array_equal(part, whole[:, 10:20, 10:20])
