"""The page as one HTML file that loads nothing, whatever the size of the scene."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from geomask.classes import CLEAR, MaskClass
from geomask.errors import OptionError
from geomask.look import Look, look
from geomask.output import check_output, write_text
from geomask.pages import fill
from geomask.pages.markup import Html, element, facts, join, percent, swatch
from geomask.pictures import inline
from geomask.scene import Scene, open_scene

SIDE = 1600
"""Pixels of the longer side, at most: of pure noise they make a page of 3.3 MB, of a scene one
of one or two."""


def write_view(
    scene: Scene | str | Path,
    mask: str | Path,
    out: str | Path,
    *,
    size: int = SIDE,
    overwrite: bool = False,
) -> None:
    """Write a page to look at a mask with, over its scene.

    scene: open, or a path for `open_scene`. mask: any class mask that lies on it. out: .html, which
    holds all of it or what was there before. size: pixels of the longer side, at most.
    Raises OptionError, OutputError, MaskError or SceneError.
    """
    if not isinstance(scene, Scene):
        with open_scene(scene) as opened:
            return write_view(opened, mask, out, size=size, overwrite=overwrite)
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"{out}: the page is HTML; name it .html")
    if size < 1:
        raise OptionError(f"size is {size}; give 1 pixel or more")
    check_output(Path(out), overwrite=overwrite, inputs=[*scene.files, mask])
    write_text(out, view_html(look(scene, mask, size)))


def view_html(seen: Look) -> str:
    """The page: an HTML document that loads nothing and runs no script but its own."""
    script = files(__package__).joinpath("page.js").read_text("utf-8")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    height, width = seen.codes.shape
    return fill(
        __package__,
        "page.html",
        title=f"{seen.mask} over {seen.scene}",
        header=_header(seen),
        ratio=f"{width / height:.5f}",
        photo=_photo(seen),
        layers=join([_layer(seen, item) for item in seen.classes.polygon_classes]),
        classes=_classes(seen),
        script=Html(script),
        digest=digest,
    )


def _header(seen: Look) -> Html:
    height, width = seen.codes.shape
    size = f"{seen.grid.width} x {seen.grid.height} pixels"
    size += "" if (height, width) == seen.grid.shape else f", shown as {width} x {height}"
    size += "" if seen.metres is None else f", {seen.metres * width / 1000:.4g} km across"
    known = [("Date", seen.date), ("Model", seen.model), ("Size", size)]
    return facts([(term, what) for term, what in known if what is not None])


def _photo(seen: Look) -> Html:
    source = inline(Image.fromarray(seen.rgb), "jpeg")
    said = f"The scene {seen.scene} in {', '.join(dict.fromkeys(seen.bands))}"
    return element("img", class_="photo", src=source, alt=said, draggable="false")


def _layer(seen: Look, item: MaskClass) -> Html:
    """One class in its colour, transparent elsewhere."""
    picture = Image.new("P", seen.codes.shape[::-1])
    picture.putdata((seen.codes == item.code).ravel().view(np.uint8))
    picture.putpalette([0, 0, 0, *item.color])
    picture.info["transparency"] = 0
    return element(
        "img",
        id=_layer_id(item),
        src=inline(picture),
        alt=f"{item.name}: {percent(seen.percent[item.name] / 100)} of what was measured",
        draggable="false",
    )


def _classes(seen: Look) -> Html:
    rows = [_toggle(seen, item) for item in seen.classes]
    nothing = element("span", swatch(None), f"nodata {percent(seen.nodata / 100)} of the scene")
    return element("ul", *rows, element("li", nothing), class_="legend")


def _toggle(seen: Look, item: MaskClass) -> Html:
    share = element("span", percent(seen.percent[item.name] / 100), class_="share")
    if item.code == CLEAR:
        return element("li", element("span", item.name, " ", share))
    box = element("input", type="checkbox", checked="", data_layer=_layer_id(item))
    return element("li", element("label", box, swatch(item.color), item.name, " ", share))


def _layer_id(item: MaskClass) -> str:
    return f"class-{item.code}"
