"""The classes of a mask: codes, names, colours. Pure data; opens nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geomask.errors import OptionError

NODATA = 255
"""Code of a mask pixel where the sensor did not measure."""

CLEAR = 0
"""Code of the class that is never turned into polygons."""


@dataclass(frozen=True)
class MaskClass:
    """One class of a mask.

    code: 0 to 254, the value in the raster. name: lower case, unique in its table.
    color: (red, green, blue), 0 to 255. ValueError for anything else, of whatever type.
    """

    code: int
    name: str
    color: tuple[int, int, int]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"class name {self.name!r} is not text")
        if not _is_integer(self.code) or not 0 <= self.code < NODATA:
            raise ValueError(f"class {self.name!r} has code {self.code!r}; codes are 0 to 254")
        if not self.name or not self.name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"class name {self.name!r} is not made of letters, digits, - and _")
        parts = self.color if isinstance(self.color, tuple) else ()
        if len(parts) != 3 or not all(_is_integer(part) and 0 <= part <= 255 for part in parts):
            raise ValueError(
                f"class {self.name!r} has colour {self.color!r}; three values, 0 to 255"
            )


def _is_integer(value: object) -> bool:
    """True for an int that is not a bool: JSON's true and 1.0 equal 1 but are no codes."""
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class ClassTable:
    """The classes a mask may hold, in the order of a network's outputs.

    Codes and names are unique. A network's output channel i means `table.classes[i]`.
    """

    classes: tuple[MaskClass, ...]

    def __post_init__(self) -> None:
        for field in ("code", "name"):
            values = [getattr(item, field) for item in self.classes]
            if len(set(values)) != len(values):
                raise ValueError(f"class table repeats a {field}: {values}")

    def __iter__(self) -> Iterator[MaskClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in channel order."""
        return tuple(item.name for item in self.classes)

    @property
    def codes(self) -> npt.NDArray[np.uint8]:
        """uint8 (classes,): the mask code of each output channel."""
        return np.array([item.code for item in self.classes], dtype=np.uint8)

    @property
    def polygon_classes(self) -> tuple[MaskClass, ...]:
        """The classes that become polygons: all but clear."""
        return tuple(item for item in self.classes if item.code != CLEAR)

    def __getitem__(self, name: str) -> MaskClass:
        """The class of that name.

        Raises OptionError, naming the classes there are, if the table has none.
        """
        for item in self.classes:
            if item.name == name:
                return item
        raise OptionError(f"unknown class {name!r}; there are: {', '.join(self.names)}")

    def select(self, names: Iterable[str]) -> tuple[MaskClass, ...]:
        """The named classes, in the table's order; OptionError for a name it does not have."""
        wanted = {self[name].name for name in names}
        return tuple(item for item in self.classes if item.name in wanted)


DEFAULT_CLASSES = ClassTable(
    (
        MaskClass(0, "clear", (240, 240, 240)),
        MaskClass(1, "cloud", (230, 159, 0)),
        MaskClass(2, "shadow", (106, 61, 154)),
        MaskClass(3, "snow", (86, 180, 233)),
    )
)
"""clear, cloud, shadow, snow; orange, purple and sky blue that colour-blind people tell apart
(the orange and the blue are Okabe and Ito's, 2008)."""


def remap(
    labels: npt.NDArray[np.integer], mapping: Mapping[int, int], fill: int = NODATA
) -> npt.NDArray[np.uint8]:
    """uint8 array of `labels`' shape: each code replaced by `mapping[code]`, or by `fill`.

    labels: integer array of any shape, values 0 to 255.
    """
    lookup = np.full(256, fill, dtype=np.uint8)
    for old, new in mapping.items():
        lookup[old] = new
    result: npt.NDArray[np.uint8] = lookup[labels]
    return result
