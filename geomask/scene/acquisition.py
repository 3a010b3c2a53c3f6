"""Who took a scene, when, and under which sun, as far as its product says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Acquisition:
    """What a product says of itself; None for what it does not.

    platform: the satellite. level: the product's level of processing. baseline: the processing
    baseline, as "04.00". product: the product's own name. time: of acquisition, ISO 8601.
    sun_elevation: degrees above the horizon; sun_azimuth: degrees clockwise from north; both of
    the scene's middle.
    """

    platform: str | None = None
    level: str | None = None
    baseline: str | None = None
    product: str | None = None
    time: str | None = None
    sun_elevation: float | None = None
    sun_azimuth: float | None = None

    def known(self) -> dict[str, Any]:
        """What is known, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}
