"""What the user states of a scene, where its files do not or are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geomask.errors import OptionError
from geomask.sensors import Sensor, find_sensor


def is_number(value: float) -> bool:
    """Whether float32, in which reflectance is computed, can hold a value."""
    return abs(value) <= float(np.finfo(np.float32).max)


def is_factor(value: float) -> bool:
    """Whether float32 can hold a value and tells it from 0."""
    return is_number(value) and abs(value) >= float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Stated:
    """The user's own word on a scene; it overrides what files say.

    bands: common (or product) name to 1-based band number. sensor: whose band names these are.
    scale, offset: reflectance = DN * scale + offset, for all bands. nodata: the DN of pixels
    that were not measured, or "none" where every pixel was. grid: pixel size of the scene's
    grid, metres, of a product that has several.
    Raises OptionError for a value that can mean nothing.
    """

    bands: Mapping[str, int] | None = None
    sensor: str | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | str | None = None
    grid: float | None = None

    def __post_init__(self) -> None:
        if self.sensor is not None:
            find_sensor(self.sensor)
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if value is not None and not is_number(value):
                raise OptionError(f"{name} {value} is not a finite number, or not in float32")
        if self.scale is not None and not is_factor(self.scale):
            raise OptionError(f"scale {self.scale:g} would make every pixel the same reflectance")
        if isinstance(self.nodata, str) and self.nodata != "none":
            raise OptionError(f'nodata {self.nodata!r} is neither a number nor "none"')
        if self.grid is not None and not (math.isfinite(self.grid) and self.grid > 0):
            raise OptionError(f"grid {self.grid} is not a pixel size in metres")

    @property
    def known_sensor(self) -> Sensor | None:
        """The sensor's record, where the user named one."""
        return None if self.sensor is None else find_sensor(self.sensor)

    @property
    def radiometry(self) -> bool:
        """Whether both scale and offset are stated, so that no file need say."""
        return self.scale is not None and self.offset is not None

    def refuse_band_numbers(self, path: str) -> None:
        """OptionError where bands are given by number for a product whose files name them."""
        if self.bands:
            raise OptionError(
                f"{path}: its files say which band is which, so --bands has nothing to number; "
                "leave it out"
            )
