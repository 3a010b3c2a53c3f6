"""The sun: its distance on days when it is known, and elevations that light no ground."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest

from geomask.scene.sun import earth_sun_distance, sine_of_elevation


@pytest.mark.parametrize(
    ("day", "distance"),
    [
        (date(2023, 1, 4), 0.983296),  # perihelion, 0.9832956
        (date(2023, 7, 6), 1.016681),  # aphelion, 1.0166806
        (date(2024, 5, 2), 1.0079981),  # EARTH_SUN_DISTANCE of LC08_L1GT_026200_20240502
    ],
)
def test_the_distance_is_the_known_one_within_a_days_change(day: date, distance: float) -> None:
    assert earth_sun_distance(day) == pytest.approx(distance, abs=1.5e-4)


def test_two_days_worked_by_hand() -> None:
    # 2000-01-01: g = 357.529 degrees, cos g = 0.9990702, cos 2g = 0.9962827.
    assert earth_sun_distance(date(2000, 1, 1)) == pytest.approx(
        1.00014 - 0.01671 * 0.9990702 - 0.00014 * 0.9962827, abs=1e-8
    )
    # 2023-03-04, 8463 days later: g = 8698.664 = 58.664 degrees (mod 360).
    assert earth_sun_distance(date(2023, 3, 4)) == pytest.approx(
        1.00014 - 0.01671 * 0.5200577 - 0.00014 * -0.4590798, abs=1e-6
    )


def test_the_earth_is_nearest_early_in_january_and_farthest_early_in_july() -> None:
    days = [date(2023, 1, 1) + timedelta(days=i) for i in range(365)]
    nearest, farthest = min(days, key=earth_sun_distance), max(days, key=earth_sun_distance)
    assert (nearest.month, farthest.month) == (1, 7)
    assert nearest.day <= 6
    assert farthest.day <= 7


def test_the_last_day_of_a_leap_year_is_near_the_first_of_the_next() -> None:
    assert earth_sun_distance(date(2024, 12, 31)) == pytest.approx(
        earth_sun_distance(date(2025, 1, 1)), abs=1e-4
    )


@pytest.mark.parametrize(("elevation", "sine"), [(30, 0.5), (90, 1), (45, math.sqrt(0.5))])
def test_the_sine_is_of_degrees(elevation: float, sine: float) -> None:
    assert sine_of_elevation(elevation) == pytest.approx(sine, abs=1e-12)


@pytest.mark.parametrize("elevation", [0, -5.0, 90.1, math.nan, math.inf, 1e-40, 5e-324])
def test_a_sun_that_lights_no_ground_is_refused(elevation: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 90 degrees"):
        sine_of_elevation(elevation)
