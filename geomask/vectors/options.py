"""What polygons are asked for: which, of what size and shape, where and in how many files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from geomask.errors import OptionError

IN_METRES = {
    "min_area": "--min-area",
    "fill_holes": "--fill-holes",
    "buffer": "--buffer",
    "simplify": "--simplify",
}
"""Options in metres or square metres, and their names on the command line."""


@dataclass(frozen=True)
class PolygonOptions:
    """As for `vectorize_mask`, which says what each is; 0 and False leave a step out.

    Raises OptionError for values that are none.
    """

    classes: tuple[str, ...] | None = None
    connectivity: Literal[4, 8] = 4
    min_area: float = 0.0
    fill_holes: float = 0.0
    buffer: float = 0.0
    simplify: float = 0.0
    smooth: bool = False
    crs: str | None = None
    per_class: bool = False
    style: bool = True

    def __post_init__(self) -> None:
        if self.connectivity not in (4, 8):
            raise OptionError(f"connectivity is {self.connectivity}; give 4 or 8")
        for name in IN_METRES:
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                unit = "square metres" if name in ("min_area", "fill_holes") else "metres"
                raise OptionError(f"{name} is {value}; give 0 or more {unit}")

    @property
    def are_default(self) -> bool:
        """Whether nothing but perhaps no style is asked for."""
        return replace(self, style=True) == PolygonOptions()

    @property
    def in_metres(self) -> tuple[str, ...]:
        """The options asked for that need metres, as on the command line."""
        return tuple(option for name, option in IN_METRES.items() if getattr(self, name) > 0)

    @property
    def reshapes(self) -> bool:
        """Whether polygons are changed by what lies around them, so that all must be held."""
        return bool(self.fill_holes or self.buffer or self.simplify or self.smooth)
