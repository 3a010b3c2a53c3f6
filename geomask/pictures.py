"""Arrays to pictures: reflectance as the eye sees it, class codes in their colours."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Rgb = npt.NDArray[np.uint8]

COMPOSITES = (("red", "green", "blue"), ("nir", "red", "green"))
"""Bands shown as red, green and blue: as the eye sees it, else as LISS-4 is shown."""

WHITE = (0.3, 1.0)
"""Reflectance that is shown as white: the 98th percentile of the picture, within these; ground
alone then stays as dark as it is, and cloud does not make it black."""

GAMMA = 1.5
"""Of the picture: shadows would be black without."""

QUALITY = 85
"""Of JPEG: what is lost is less than the stretch leaves out."""


class Coloured(Protocol):
    """A class of any table: its code and (red, green, blue), 0 to 255."""

    @property
    def code(self) -> int: ...

    @property
    def color(self) -> Sequence[int]: ...


def composite_of(bands: Sequence[str | None]) -> tuple[str, str, str]:
    """Which of those bands to show as red, green and blue: natural colours, or without blue false
    ones, or grey where there are not even these."""
    fitting = [names for names in COMPOSITES if set(names) <= set(bands)]
    if fitting:
        return fitting[0]
    first = next(band for band in bands if band)
    return first, first, first


def stretched(image: npt.NDArray[np.float32]) -> Rgb:
    """uint8 (height, width, 3) from reflectance, float32 (3, height, width); black where NaN."""
    known = np.clip(image[np.isfinite(image)], 0, WHITE[1])
    white = max(float(np.percentile(known, 98)), WHITE[0]) if known.size else 1.0
    shown = (np.clip(np.nan_to_num(image), 0, white) / white) ** (1 / GAMMA)
    return np.moveaxis(np.round(shown * 255).astype(np.uint8), 0, 2)


def painted(codes: npt.NDArray[np.uint8], classes: Iterable[Coloured]) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 4): class codes in their colours, transparent where they have none."""
    lookup = np.zeros((256, 4), dtype=np.uint8)
    for item in classes:
        lookup[item.code] = (*item.color, 255)
    return lookup[codes]


def inline(picture: Image.Image, kind: str = "png") -> str:
    """A data: URL. kind: png, or jpeg for photographs."""
    file = BytesIO()
    how = {"quality": QUALITY} if kind == "jpeg" else {}
    picture.save(file, kind, optimize=True, **how)
    return f"data:image/{kind};base64," + b64encode(file.getvalue()).decode("ascii")
