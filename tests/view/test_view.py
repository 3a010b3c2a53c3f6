"""The page to look at a mask with: what it holds, and that it is used in a browser."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rasterio.crs import CRS
from rasterio.windows import Window

from geomask import write_view
from geomask.classes import DEFAULT_CLASSES, ClassTable, MaskClass
from geomask.errors import BandError, MaskError, OptionError, OutputError
from geomask.grid import Grid
from geomask.look import Look, look
from geomask.mask import mask_layout
from geomask.raster_writer import RasterWriter
from geomask.scene import open_scene
from geomask.view import view_html
from tests.conftest import TRANSFORM, UTM, random_dn, write_scene
from tests.pages import CONTRAST, Node, parse

MEGABYTE = 2**20
HEIGHT, WIDTH = 60, 90


def write_mask(path: Path, codes: np.ndarray, table: ClassTable = DEFAULT_CLASSES) -> Path:
    height, width = codes.shape
    grid = Grid(CRS.from_string(UTM), TRANSFORM, width, height)
    with RasterWriter(path, grid, mask_layout(table, {"GEOMASK_MODEL": "tiny"})) as writer:
        writer.write(Window(0, 0, width, height), codes)
        writer.finish()
        writer.commit()
    return path


def blocks() -> np.ndarray:
    """A third of nodata; of the rest half clear, a quarter cloud, shadow and snow an eighth."""
    codes = np.full((HEIGHT, WIDTH), 255, np.uint8)
    codes[:, 30:60], codes[:, 60:75] = 0, 1
    codes[:30, 75:], codes[30:, 75:] = 2, 3
    return codes


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(
        tmp_path / "scene.tif", random_dn(HEIGHT, WIDTH), bands=("red", "green", "blue")
    )


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return write_mask(tmp_path / "mask.tif", blocks())


@pytest.fixture
def view(scene: Path, mask: Path, tmp_path: Path) -> Path:
    path = tmp_path / "view.html"
    write_view(scene, mask, path)
    return path


def seen(scene: Path, mask: Path, size: int = 1000) -> Look:
    with open_scene(scene) as opened:
        return look(opened, mask, size)


def decode(image: Node) -> Image.Image:
    return Image.open(BytesIO(b64decode(image.attributes["src"].partition(",")[2])))


class TestLook:
    """Scene and mask, brought to a size."""

    def test_shares_are_of_what_was_measured(self, scene: Path, mask: Path) -> None:
        found = seen(scene, mask)
        assert found.percent == {"clear": 50, "cloud": 25, "shadow": 12.5, "snow": 12.5}
        assert found.nodata == pytest.approx(100 / 3)
        assert (found.model, found.metres) == ("tiny", 10)
        np.testing.assert_array_equal(found.codes, blocks())

    def test_made_small_it_keeps_shares_classes_and_scale(self, scene: Path, mask: Path) -> None:
        found = seen(scene, mask, 30)
        assert found.codes.shape == found.rgb.shape[:2] == (20, 30)
        np.testing.assert_array_equal(found.codes, blocks()[1::3, 1::3])
        assert found.percent["cloud"] == 25
        assert found.metres == 30

    def test_scene_and_mask_are_shown_at_one_place(self, tmp_path: Path) -> None:
        """A white square in the scene and the mask's cloud are the same pixels, on a mask of
        half the resolution too."""
        dn = np.full((3, 40, 40), 500, np.uint16)
        dn[:, 8:20, 12:30] = 8000
        scene = write_scene(tmp_path / "s.tif", dn, bands=("red", "green", "blue"))
        codes = (dn[0, ::2, ::2] > 1000).astype(np.uint8)
        grid = Grid(CRS.from_string(UTM), TRANSFORM @ TRANSFORM.scale(2), 20, 20)
        with RasterWriter(tmp_path / "m.tif", grid, mask_layout(DEFAULT_CLASSES, {})) as writer:
            writer.write(Window(0, 0, 20, 20), codes)
            writer.finish()
            writer.commit()
        found = seen(scene, tmp_path / "m.tif")
        np.testing.assert_array_equal(found.rgb[..., 0] > 200, found.codes == 1)

    def test_false_colours_without_blue_and_grey_without_more(
        self, tmp_path: Path, mask: Path
    ) -> None:
        liss = write_scene(tmp_path / "l.tif", random_dn(HEIGHT, WIDTH))
        assert seen(liss, mask).bands == ("nir", "red", "green")
        one = write_scene(tmp_path / "o.tif", random_dn(HEIGHT, WIDTH, bands=1), bands=("nir",))
        found = seen(one, mask)
        assert found.bands == ("nir",) * 3
        assert np.ptp(found.rgb, axis=2).max() == 0

    @pytest.mark.parametrize("how", ["moved", "other CRS"])
    def test_a_mask_of_elsewhere_is_refused(
        self, scene: Path, mask: Path, tmp_path: Path, how: str
    ) -> None:
        moved = {"transform": TRANSFORM @ TRANSFORM.translation(2, 0)}
        change = moved if how == "moved" else {"crs": "EPSG:32634"}
        other = write_scene(tmp_path / "other.tif", random_dn(HEIGHT, WIDTH), **change)
        with pytest.raises(MaskError, match=r"mask\.tif: does not lie where .*other\.tif does"):
            seen(other, mask)


class TestPage:
    """What is written."""

    def test_each_class_is_a_layer_of_its_own(self, view: Path) -> None:
        page = parse(view.read_text("utf-8"))
        layers = page.one("div", id="mask").all("img")
        assert len(layers) == 3
        for item, layer in zip(DEFAULT_CLASSES.polygon_classes, layers, strict=True):
            pixels = np.array(decode(layer).convert("RGBA"))
            there = blocks() == item.code
            np.testing.assert_array_equal(pixels[..., 3] > 0, there)
            assert set(map(tuple, pixels[there])) == {(*item.color, 255)}
            assert layer.attributes["id"] == f"class-{item.code}"
        assert "cloud: 25.0\xa0%" in layers[0].attributes["alt"]

    def test_shares_stand_beside_the_classes(self, view: Path) -> None:
        page = parse(view.read_text("utf-8"))
        rows = [" ".join(row.text.split()) for row in page.one("ul", class_="legend").all("li")]
        assert rows == [
            "clear 50.0 %",
            "cloud 25.0 %",
            "shadow 12.5 %",
            "snow 12.5 %",
            "nodata 33.3 % of the scene",
        ]
        boxes = [box.attributes["data-layer"] for box in page.all("input", type="checkbox")]
        assert boxes == ["class-1", "class-2", "class-3"]

    def test_names_are_text(self, scene: Path, mask: Path) -> None:
        from dataclasses import replace

        evil = "</script><script>alert('x')</script>"
        page = parse(view_html(replace(seen(scene, mask), scene=evil, mask=evil, model=evil)))
        assert len(page.all("script")) == 1
        assert page.one("h1").text == f"{evil} over {evil}"

    def test_a_large_scene_of_noise_makes_no_large_page(self) -> None:
        rng = np.random.default_rng(0)
        side = 1600
        noise = Look(
            scene="s",
            mask="m",
            model=None,
            date=None,
            bands=("red", "green", "blue"),
            rgb=rng.integers(256, size=(side, side, 3), dtype=np.uint8),
            codes=rng.integers(4, size=(side, side), dtype=np.uint8),
            classes=DEFAULT_CLASSES,
            percent=dict.fromkeys(DEFAULT_CLASSES.names, 25.0),
            nodata=0.0,
            metres=None,
            grid=Grid(None, TRANSFORM, side, side),
        )
        assert len(view_html(noise)) < 4 * MEGABYTE

    def test_any_class_table_will_do(self, scene: Path, tmp_path: Path) -> None:
        table = ClassTable((MaskClass(0, "clear", (0, 0, 0)), MaskClass(9, "nuée", (1, 2, 3))))
        codes = np.full((HEIGHT, WIDTH), 9, np.uint8)
        write_view(scene, write_mask(tmp_path / "m.tif", codes, table), tmp_path / "v.html")
        page = parse((tmp_path / "v.html").read_text("utf-8"))
        assert [i.attributes["id"] for i in page.one("div", id="mask").all("img")] == ["class-9"]

    def test_it_is_written_whole_or_not_at_all(
        self, scene: Path, mask: Path, view: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(OutputError, match=r"view\.html: exists; give --overwrite"):
            write_view(scene, mask, view)
        with pytest.raises(OptionError, match=r"v\.png: the page is HTML"):
            write_view(scene, mask, tmp_path / "v.png")
        before = view.read_bytes()
        with pytest.raises(MaskError):
            write_view(scene, tmp_path / "absent.tif", view, overwrite=True)
        assert view.read_bytes() == before
        write_view(scene, mask, view, overwrite=True)
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.fixture(params=[(390, "dark"), (1280, "light")])
def page(request: pytest.FixtureRequest, browser: Any, view: Path) -> Iterator[Any]:
    """The page in Chromium, at a width and in a colour scheme; it neither loads nor complains."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, has_touch=width < 500
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url.split(",")[0]))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(view.as_uri())
    page.wide = width
    yield page
    context.close()
    assert {url for url in asked if not url.startswith("data:")} == {view.as_uri()}
    assert not said


def colour_at(page: Any, tmp_path: Path, x: float, y: float) -> np.ndarray:
    """What is drawn at a place of the picture, 0 to 1 both ways."""
    path = tmp_path / "shot.png"
    page.locator("#viewer").screenshot(path=path)
    with Image.open(path) as shot:
        picture = np.array(shot.convert("RGB"), float)
    height, width, _ = picture.shape
    row, column = int(y * height), int(x * width)
    return picture[row - 8 : row + 9, column - 8 : column + 9].mean(axis=(0, 1))


CLOUD, SHADOW = (0.75, 0.5), (0.92, 0.25)
"""Places that are cloud and shadow."""


class TestBrowser:
    """In Chromium."""

    def test_the_slider_uncovers_the_scene_by_keyboard(self, page: Any, tmp_path: Path) -> None:
        covered = colour_at(page, tmp_path, *CLOUD)
        assert covered[2] < 80, "orange has little blue"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "slider"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        page.keyboard.press("End")
        assert colour_at(page, tmp_path, *CLOUD)[2] > 100
        page.keyboard.press("Home")
        np.testing.assert_allclose(colour_at(page, tmp_path, *CLOUD), covered, atol=2)

    def test_the_picture_itself_slides(self, page: Any, tmp_path: Path) -> None:
        box = page.locator("#viewer").bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 0.5 * box["width"], middle)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.95 * box["width"], middle, steps=4)
        page.mouse.up()
        assert float(page.input_value("#slider")) == pytest.approx(95, abs=1)
        assert colour_at(page, tmp_path, *CLOUD)[2] > 100
        page.mouse.move(box["x"], middle)
        assert float(page.input_value("#slider")) == pytest.approx(95, abs=1), "not held any more"

    def test_a_class_is_switched_off_alone(self, page: Any, tmp_path: Path) -> None:
        shadow, cloud = (colour_at(page, tmp_path, *place) for place in (SHADOW, CLOUD))
        page.get_by_label("shadow").focus()
        page.keyboard.press("Space")
        assert abs(colour_at(page, tmp_path, *SHADOW) - shadow).max() > 20
        np.testing.assert_allclose(colour_at(page, tmp_path, *CLOUD), cloud, atol=2)
        page.keyboard.press("Space")
        np.testing.assert_allclose(colour_at(page, tmp_path, *SHADOW), shadow, atol=2)

    def test_it_can_be_read_and_fits(self, page: Any) -> None:
        worst = page.evaluate(CONTRAST, ["body", "h1", ".legend li", ".share", "dt", "dd", "small"])
        assert min(worst.values()) >= 4.5, worst
        size = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert size == [page.wide, page.wide]

    def test_everything_has_a_name(self, page: Any) -> None:
        assert page.get_by_role("slider").get_attribute("aria-label")
        assert page.get_by_role("checkbox").count() == 3
        assert page.get_by_role("group", name="Classes").count() == 1
        assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth)")


def test_a_scene_without_named_bands_says_what_to_do(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", random_dn(HEIGHT, WIDTH), bands=(None,) * 3)
    mask = write_mask(tmp_path / "m.tif", blocks())
    with pytest.raises(BandError, match="name them by number, for example"):
        write_view(scene, mask, tmp_path / "v.html")
    assert not (tmp_path / "v.html").exists()
