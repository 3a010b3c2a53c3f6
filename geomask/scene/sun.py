"""The sun over a scene: its distance on a day, and what share of its light flat ground gets."""

from __future__ import annotations

import math
from datetime import date

J2000 = date(2000, 1, 1)
"""The day from whose noon the Almanac counts."""

HORIZON = 1e-6
"""The sine of an elevation, below which the sun counts as on the horizon: dividing by it would
leave the range of a float32."""


def earth_sun_distance(day: date) -> float:
    """The distance of the Earth from the sun at noon (UTC) of a day, astronomical units.

    The low-precision formula of the Astronomical Almanac (US Naval Observatory and HM Nautical
    Almanac Office, section C), from the sun's mean anomaly; 2e-5 at most from the true one then,
    and 1.5e-4 at other hours of the day. (The series of Spencer, 1971, which is often used, is up
    to 5e-4 from it.)
    """
    anomaly = math.radians(357.529 + 0.98560028 * (day - J2000).days)
    return 1.00014 - 0.01671 * math.cos(anomaly) - 0.00014 * math.cos(2 * anomaly)


def sine_of_elevation(elevation: float) -> float:
    """The sine of the sun's elevation, degrees above the horizon.

    Raises ValueError where the sun is not above it, or higher than the zenith.
    """
    sine = math.sin(math.radians(elevation)) if 0 < elevation <= 90 else 0.0
    if sine < HORIZON:
        raise ValueError(f"a sun elevation of {elevation:g} is not between 0 and 90 degrees")
    return sine
