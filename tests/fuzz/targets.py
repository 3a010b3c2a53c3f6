"""What geomask parses: seeds made by code, how each is broken, and what must hold of the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window
from safetensors.torch import save

from geomask import open_scene
from geomask.band_names import common_names, split_file_name
from geomask.batch.inputs import find_scenes
from geomask.batch.known import KnownGrid, Outline
from geomask.batch.names import name_tasks
from geomask.batch.places import Places
from geomask.batch.record import (
    Failure,
    Fingerprint,
    Record,
    UsedModel,
    Written,
    read_records,
    still_holds,
)
from geomask.batch.run import read_scenes
from geomask.batch.stac_inputs import REMOTE, _from_server, _items
from geomask.card import CARD_KEY, card_to_text, read_card
from geomask.checkpoint import load_model
from geomask.classes import MaskClass
from geomask.errors import SceneError
from geomask.mask import CLASSES_TAG, open_mask
from geomask.network import build_segmenter
from geomask.scene.stac.item import Item
from geomask.sensors import COMMON_NAMES
from geomask.training.chip_folder import _read
from geomask.training.chips import read_manifest
from geomask.training.recipe import list_recipes, load_recipe, recipe_text
from tests.conftest import make_card, random_dn, write_scene
from tests.fuzz.harness import Target
from tests.fuzz.mutations import HOSTILE, broken_bytes, broken_document, broken_text
from tests.scene.products import write_safe
from tests.scene.test_landsat import write_level1, write_level2
from tests.scene.test_liss4 import write_product
from tests.scene.test_stac import COG, asset, make_item, tif

Parse = Callable[[bytes], None]


def all_targets(folder: Path) -> Iterator[Target]:
    """Every target. folder: an empty one for their files."""
    for make in (
        *(_model, _card, _recipe, _safe, _granule, _liss4, _landsat_1, _landsat_2, _stac),
        *(_remote_item, _searched, _collection, _bands, _list, _table, _record, _asked),
        *(_manifest, _mask_classes),
    ):
        place = folder / make.__name__
        place.mkdir()
        yield make(place)


NAMES = (
    *("model", "card", "recipe", "safe", "granule", "liss4", "landsat_1", "landsat_2", "stac"),
    *("remote_item", "searched", "collection", "bands", "list", "table", "record", "asked"),
    *("manifest", "mask_classes"),
)


def _written(path: Path, use: Callable[[], None]) -> Parse:
    """Put the content into a file and use it."""

    def parse(content: bytes) -> None:
        path.write_bytes(content)
        use()

    return parse


# Models


def _model_bytes(**changes: Any) -> bytes:
    card = make_card(**({"name": "tiny", "stride": 16, "margin": 16} | changes))
    weights = build_segmenter(card).body.state_dict()
    return save({k: v.half() if v.ndim > 1 else v for k, v in weights.items()}, {
        CARD_KEY: card_to_text(card)
    })  # fmt: skip


def _model(folder: Path) -> Target:
    path = folder / "model.safetensors"
    seed = _model_bytes()
    length = 8 + int.from_bytes(seed[:8], "little")

    def use() -> None:
        model = load_model(path)
        with torch.inference_mode():
            logits = model.network(torch.zeros(1, len(model.card.bands), 16, 16))
        assert logits.shape == (1, len(model.card.classes), 16, 16)
        assert torch.isfinite(logits).all()

    @st.composite
    def headers(draw: st.DrawFn) -> bytes:
        header = draw(broken_document((seed[8:length],)))
        return len(header).to_bytes(8, "little") + header + seed[length:]

    return Target("model", headers() | broken_bytes((seed,)), _written(path, use))


def _card(folder: Path) -> Target:
    path = folder / "card.safetensors"
    cards = (
        make_card(metrics={"iou": {"cloud": 0.5}}, licence="MIT", description="d"),
        make_card(band_sets=(("red", "nir"), ("red",)), provenance={"a": [1, {"b": None}]}),
    )

    def parse(content: bytes) -> None:
        text = content.decode("utf-8", "replace")
        header = json.dumps({"__metadata__": {CARD_KEY: text}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        card = read_card(path)
        assert type(card).model_validate_json(card_to_text(card)) == card
        numbers = torch.tensor([*card.normalisation.std, card.temperature, *card.resolution])
        assert torch.isfinite(numbers).all(), numbers
        assert (numbers > 0).all(), numbers
        assert torch.isfinite(torch.tensor(card.normalisation.mean)).all()
        low, high = torch.tensor(card.normalisation.clip)
        assert low < high < math.inf

    seeds = tuple(card_to_text(card).encode() for card in cards)
    return Target("card", broken_document(seeds), parse)


def _recipe(folder: Path) -> Target:
    path = folder / "recipe.toml"
    seeds = tuple(recipe_text(name).encode() for name in list_recipes())

    def use() -> None:
        recipe = load_recipe(path)
        assert set(recipe.label_channels().values()) <= set(range(len(recipe.classes)))
        assert all(0 < weight < math.inf for weight in recipe.class_weights())

    return Target("recipe", broken_text(seeds), _written(path, use))


# Scenes


def _look(path: Path) -> None:
    """Open a scene and read a little of it: reflectance where it is valid, else nothing."""
    with open_scene(path) as scene:
        names = scene.band_names[:2]
        assert set(names) <= set(COMMON_NAMES)
        reflectance, valid = scene.for_bands(names).read(Window(0, 0, 2, 2), names)
        assert np.isfinite(reflectance[:, valid]).all()


def _safe(folder: Path) -> Target:
    products = [write_safe(folder, level) for level in ("L1C", "L2A")]
    return _product("safe", products[1].root, products[1].xml, [p.xml for p in products])


def _granule(folder: Path) -> Target:
    product = write_safe(folder, "L2A")
    file = product.granule / "MTD_TL.xml"
    return _product("granule", product.root, file, [file])


def _liss4(folder: Path) -> Target:
    product = write_product(folder)
    file = product / "BAND_META.txt"
    return _product("liss4", product, file, [file])


def _landsat_1(folder: Path) -> Target:
    product = write_level1(folder)
    file = next(product.glob("*_MTL.txt"))
    return _product("landsat_1", product, file, [file])


def _landsat_2(folder: Path) -> Target:
    product = write_level2(folder)
    file = next(product.glob("*_MTL.txt"))
    return _product("landsat_2", product, file, [file])


def _product(name: str, product: Path, file: Path, seeds: list[Path]) -> Target:
    contents = tuple(seed.read_bytes() for seed in seeds)
    return Target(name, broken_text(contents), _written(file, lambda: _look(product)))


def _local_item(folder: Path) -> bytes:
    for name in ("red", "green"):
        tif(folder / f"{name}.tif")
    numbers = {"scale": 1e-4, "offset": -0.1, "nodata": 0}
    band = {"name": "B03", "eo:common_name": "green", "raster:scale": 1e-4}
    assets = {
        "red": asset("red.tif", "red", "red", **numbers),
        "green": {"href": "green.tif", "type": COG, "bands": [band], "raster:offset": -0.1},
        "visual": asset("TCI.tif", "red", "red") | {"roles": ["visual"]},
    }
    return json.dumps(make_item(assets, links=[{"rel": "self", "href": "a.json"}])).encode()


def _stac(folder: Path) -> Target:
    path = folder / "item.json"
    contents = broken_document((_local_item(folder),)).filter(_leads_nowhere)
    return Target("stac", contents, _written(path, lambda: _look(path)))


def _leads_nowhere(content: bytes) -> bool:
    """Whether no address in it would be asked for over a network."""
    return b"s3:" not in content and b"http:" not in content


# Items of servers


def _remote_item(folder: Path) -> Target:
    """Where the assets of an item from a server lead."""

    def parse(content: bytes) -> None:
        href = content.decode("utf-8", "surrogatepass")
        item = Item("i", "https://a.org/c/i.json", True, {"properties": {}, "assets": {"a": {
            "href": href
        }}})  # fmt: skip
        place = item.locate("a")
        assert urlsplit(place).scheme in ("http", "https", "s3"), place
        assert urlsplit(place).netloc, place
        assert "/vsi" not in place.partition("://")[0]

    seeds = ("red.tif", "https://a.org/red.tif?sig=a", "../red.tif", "s3://a/red.tif", *HOSTILE)
    pieces = st.sampled_from([*seeds, *HOSTILE, "file:", "http", "/vsi", ":", "//", "\t", "@", "#"])
    hrefs = st.lists(pieces | st.text(max_size=4), max_size=5).map("".join)
    return Target("remote_item", hrefs.map(lambda h: h.encode("utf-8", "surrogatepass")), parse)


def _searched(folder: Path) -> Target:
    """What a server answers to a search."""

    def parse(content: bytes) -> None:
        try:
            features = json.loads(content).get("features")
        except (ValueError, RecursionError, AttributeError):
            return  # the client's to refuse
        for item in _items("https://a.org", features):
            kept = _from_server(item, "https://a.org/search")
            assert all(a["href"].lower().startswith(REMOTE) for a in kept["assets"].values())

    return Target("searched", broken_document((_collection_seed(),)), parse)


def _collection_seed() -> bytes:
    items = [
        make_item({"red": asset(href, "red", "red")}) | {"id": name}
        for name, href in (("one", "one.tif"), ("two", "https://a.org/two.tif"))
    ]
    return json.dumps({"type": "FeatureCollection", "features": items}).encode()


def _collection(folder: Path) -> Target:
    path, items = folder / "items.json", folder / "items"

    def use() -> None:
        for scene in find_scenes([path], items=items):
            assert Path(scene.address) == path or Path(scene.address).parent == items
            assert Path(scene.address).is_file()

    return Target("collection", broken_document((_collection_seed(),)), _written(path, use))


# Names


def _bands(folder: Path) -> Target:
    """Descriptions of bands, one a line."""
    seeds = (
        b"B02\nB03\nB04\nB8A",
        b"red\ngreen\nnear infrared\nswir 1",
        b"B4, central wavelength 665 nm\nBand 3 (green)\nT31UFS_20190411T105029_B04_10m.jp2",
        b"SR_B4\nLC08_L2SP_195028_20200507_20200820_02_T1_SR_B5.TIF\nNDVI (nir red)",
    )

    def parse(content: bytes) -> None:
        texts = content.decode("utf-8", "surrogateescape").split("\n")
        for sensor in (None, "sentinel2", "landsat"):
            names = common_names(texts, sensor)
            assert len(names) == len(texts)
            assert {name for name in names if name is not None} <= set(COMMON_NAMES)
        for text in texts:
            rest, band = split_file_name(text)
            assert rest in text
            assert band in text

    return Target("bands", broken_text(seeds), parse)


# Batches


def _list(folder: Path) -> Target:
    path = folder / "scenes.txt"
    seeds = (b"# scenes\na.tif\n/data/b.SAFE\nhttps://a.org/c.tif\n\n",)
    return Target("list", broken_text(seeds), _written(path, lambda: _name(path)))


def _table(folder: Path) -> Target:
    path = folder / "scenes.csv"
    seeds = (b'scene,name,note\na.tif,first.tif,"a, b"\nb.tif,,\n"c d.tif",second,"x ""y"""\n',)
    return Target("table", broken_text(seeds), _written(path, lambda: _name(path)))


def _name(path: Path) -> None:
    tasks = name_tasks(find_scenes([path]))
    names = [task.name for task in tasks]
    assert tasks
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert name == Path(name).name
        assert not name.startswith(".")
        assert name.isprintable()
        assert len(name.encode()) < 255


def _record(folder: Path) -> Target:
    places = Places(folder)
    places.records.mkdir(parents=True)
    record = Record(
        "done", "/data/a.tif", "a", (Fingerprint("/data/a.tif", 5, 6),),
        UsedModel("m", "x"), {"tta": None}, (Written("a.tif", 5),),
        {"cloud": 3, "nodata": 0},
        {"cloud": 1.0}, {"cloud": 1}, {"total": 1.0}, 5, 1, ("w",), None,
        Outline("Polygon", (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)),)),
        KnownGrid(CRS.from_epsg(32633).to_wkt(), None, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 1, 1),
        (MaskClass(0, "clear", (0, 0, 0)),), {"time": "2020"}, {"pid": 1}, "r",
    )  # fmt: skip
    bad = Record("failed", "/data/a.tif", "a", error=Failure("SceneError", "a\nb"))

    def use() -> None:
        for found in read_records(places):
            still_holds(found, places, scene="/data/a.tif", model_sha256="x", options={})
            check = (found.status, found.scene, found.name, found.reason)
            assert all(isinstance(text, str) for text in check)
            if found.done:
                assert all((folder / item.path).is_relative_to(folder) for item in found.outputs)

    seeds = tuple(json.dumps(one.to_json()).encode() for one in (record, bad))
    return Target("record", broken_document(seeds), _written(places.record("a"), use))


def _asked(folder: Path) -> Target:
    places = Places(folder)
    places.plan.parent.mkdir(parents=True)

    def use() -> None:
        found = read_scenes(places)
        assert all(isinstance(text, str) for pair in found.items() for text in pair)

    seeds = (json.dumps({"a": "/data/a.tif", "b": "https://a.org/b.tif"}).encode(),)
    return Target("asked", broken_document(seeds), _written(places.plan, use))


# Chips and masks


def _manifest(folder: Path) -> Target:
    for name in ("a", "b"):
        write_scene(folder / f"{name}.tif", random_dn(4, 4))
        write_scene(folder / f"{name}_mask.tif", np.zeros((1, 4, 4), np.uint8), bands=(None,))
    path = folder / "manifest.csv"
    seeds = (b'id,split_group,gsd_m,split,note\na,g1,10,train,"x, y"\nb,g2,,test,\n',)

    def use() -> None:
        for chip in read_manifest(folder):
            assert chip.image.parent == folder
            assert chip.gsd is None or 0 < chip.gsd < math.inf
        _read(path)

    return Target("manifest", broken_text(seeds), _written(path, use))


def _mask_classes(folder: Path) -> Target:
    """The classes that a mask's tag states."""
    seeds = (
        json.dumps([
            {"code": code, "name": name, "color": [code, 2, 3]}
            for code, name in enumerate(("clear", "cloud", "shadow"))
        ]).encode(),
    )  # fmt: skip
    path = folder / "mask.tif"
    import rasterio

    def parse(content: bytes) -> None:
        text = content.decode("utf-8", "replace").replace("\0", "")
        write_scene(path, np.zeros((1, 2, 2), np.uint8), bands=(None,), scale=None)
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(**{CLASSES_TAG: text})
        with open_mask(path) as reader:
            assert all(name == Path(name).name for name in reader.classes.names)
            assert reader.origin is not None

    return Target("mask_classes", broken_document(seeds), parse)


__all__ = ["NAMES", "SceneError", "all_targets"]
