"""A quicklook: a scene with its mask over it, a legend and a scale bar, as one PNG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from geomask.classes import CLEAR
from geomask.errors import OptionError
from geomask.look import Look, look
from geomask.output import Staged, check_output, writing
from geomask.pictures import Rgb, painted
from geomask.scene import Scene, open_scene

SIDE = 1200
"""Pixels of the picture's longer side, at most: as much as a screen shows at once."""

OVER = 0.55
"""How much of a class's colour covers the scene, which shows through."""

LEAST = 460
"""Width in pixels that legend and scale bar need below a small scene."""

PAD, TEXT = 12, 16
"""Around what is below the picture, and the height of its letters, pixels."""

BAR = 0.25
"""Of the picture's width that the scale bar takes at most."""


def write_quicklook(
    scene: Scene | str | Path,
    mask: str | Path,
    out: str | Path,
    *,
    size: int = SIDE,
    overwrite: bool = False,
) -> None:
    """Draw a scene with its mask over it to a PNG.

    scene: open, or a path for `open_scene`. mask: any class mask that lies on it. size: pixels of
    the longer side, at most. Raises OptionError, OutputError, MaskError or SceneError.
    """
    if not isinstance(scene, Scene):
        with open_scene(scene) as opened:
            return write_quicklook(opened, mask, out, size=size, overwrite=overwrite)
    check_quicklook(Path(out), overwrite=overwrite, inputs=[*scene.files, mask])
    with drawing(scene, mask, Path(out), size=size) as staged:
        staged.commit()


def check_quicklook(out: Path, *, overwrite: bool, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before any work, a picture that could not be written. Raises OutputError or
    OptionError."""
    if out.suffix.lower() != ".png":
        raise OptionError(f"{out}: a quicklook is a PNG; name it .png")
    check_output(out, overwrite=overwrite, inputs=inputs)


@contextmanager
def drawing(scene: Scene, mask: str | Path, out: Path, *, size: int = SIDE) -> Iterator[Staged]:
    """As `write_quicklook`, but the picture is not in place until it is committed, and gone without
    that: for one that comes with its mask, which may be a file not yet in its place."""
    if size < 1:
        raise OptionError(f"size is {size}; give 1 pixel or more")
    picture = draw(look(scene, mask, size))
    with Staged(out) as staged:
        with writing(out):
            picture.save(staged.path, "png", optimize=True)
        yield staged


def draw(seen: Look) -> Image.Image:
    """The picture: the scene under its classes; below it their names and shares, and the scale."""
    height, width = seen.codes.shape
    lines = _legend_lines(seen, max(width, LEAST) - 2 * PAD)
    below = PAD + (len(lines) + 1) * (TEXT + PAD)
    picture = Image.new("RGB", (max(width, LEAST), height + below), "white")
    picture.paste(Image.fromarray(blended(seen)), (0, 0))
    pen = ImageDraw.Draw(picture)
    top = height + PAD
    for line in lines:
        _draw_line(pen, line, top)
        top += TEXT + PAD
    _draw_scale(pen, seen, top)
    return picture


def blended(seen: Look) -> Rgb:
    """uint8 (height, width, 3): the scene under the colours of all classes but clear."""
    paint = painted(seen.codes, seen.classes.polygon_classes).astype(np.float32)
    share = OVER * paint[..., 3:] / 255
    mixed: Rgb = ((1 - share) * seen.rgb + share * paint[..., :3]).round().astype(np.uint8)
    return mixed


def bar_length(metres: float) -> float:
    """The longest of 1, 2 and 5 times a power of ten that is no longer than `metres`."""
    unit = 10.0 ** math.floor(math.log10(metres))
    return next(step * unit for step in (5, 2, 1) if step * unit <= metres)


_Entry = tuple[str, tuple[int, int, int] | None]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT)


def _legend_lines(seen: Look, width: int) -> list[list[_Entry]]:
    """Classes with their shares, broken into lines that fit."""
    entries: list[_Entry] = [
        (f"{item.name} {seen.percent[item.name]:.1f} %", None if item.code == CLEAR else item.color)
        for item in seen.classes
    ]
    entries.append((f"nodata {seen.nodata:.1f} % of the scene", None))
    lines: list[list[_Entry]] = [[]]
    room = float(width)
    for entry in entries:
        needed = _width(entry)
        if lines[-1] and needed > room:
            lines.append([])
            room = float(width)
        lines[-1].append(entry)
        room -= needed
    return lines


def _width(entry: _Entry) -> float:
    said, color = entry
    return _font().getlength(said) + 2 * PAD + (0 if color is None else TEXT + PAD / 2)


def _draw_line(pen: ImageDraw.ImageDraw, line: list[_Entry], top: int) -> None:
    left = float(PAD)
    for said, color in line:
        at = left
        if color is not None:
            pen.rectangle((at, top, at + TEXT, top + TEXT), color, "black")
            at += TEXT + PAD / 2
        pen.text((at, top - 2), said, "black", _font())
        left += _width((said, color))


def _draw_scale(pen: ImageDraw.ImageDraw, seen: Look, top: int) -> None:
    """A bar of so many metres or kilometres, and beside it what the picture is of."""
    left = float(PAD)
    if seen.metres is not None:
        metres = bar_length(BAR * max(seen.codes.shape[1], LEAST) * seen.metres)
        end = left + metres / seen.metres
        middle = top + TEXT / 2
        pen.line((left, middle, end, middle), "black", 3)
        for x in (left, end):
            pen.line((x, top + 2, x, top + TEXT - 2), "black", 2)
        said = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
        pen.text((end + PAD / 2, top - 2), said, "black", _font())
        left = end + _font().getlength(said) + 2 * PAD
    about = seen.scene if seen.date is None else f"{seen.scene}, {seen.date}"
    pen.text((left, top - 2), about, "#55606b", _font())
