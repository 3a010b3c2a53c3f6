"""What a command should have made of a file, worked out apart from geomask."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import CRS
from rasterio.features import rasterize as burn

from tests.faults.table import IMAGE, SAFE, XML

Array = npt.NDArray[np.generic]

BAND_IDS = {"red": "3", "green": "2", "nir": "7"}
"""Of B04, B03 and B08 in a SAFE's XML."""

ELSEWHERE = 0.02
"""Share of pixels that may differ where polygons came from another CRS, along their edges."""


def brightest(reflectance: Array, measured: Array) -> Array:
    """uint8: the number of the brightest of three bands, after clipping to 0-1; 255 elsewhere."""
    codes = np.clip(reflectance.astype(np.float32), 0, 1).argmax(axis=0).astype(np.uint8)
    return np.where(measured, codes, np.uint8(255))


def mask_of_tiff(path: Path) -> Array:
    """Of a scene of three bands: GDAL's scale, or 0.0001; GDAL's nodata, or 0 everywhere."""
    with rasterio.open(path) as source:
        names = list(source.descriptions)
        order = [names.index(name) for name in ("red", "green", "nir")]
        dn, nodata = source.read()[order], source.nodata
        scale, offset = (
            np.array(values)[order][:, None, None] for values in (source.scales, source.offsets)
        )
    if (scale == 1).all() and (offset == 0).all():
        scale = np.full_like(scale, 1e-4)
    held = nodata is not None and 0 <= nodata <= 65535 and nodata == int(nodata)
    measured = (dn != nodata).all(axis=0) if held else (dn != 0).any(axis=0)
    return brightest(dn * scale + offset, measured)


def mask_of_safe(folder: Path) -> Array:
    """Of the SAFE's 10 m bands, by its XML."""
    root = ET.fromstring((folder / XML).read_bytes())
    scale = float(root.findtext(".//QUANTIFICATION_VALUE") or "")
    offsets = {e.get("band_id"): float(e.text or "") for e in root.iter("RADIO_ADD_OFFSET")}
    files = [folder / IMAGE.replace("B04", band) for band in ("B04", "B03", "B08")]
    dn = np.stack([_band(path) for path in files])
    added = np.array([offsets.get(number, 0) for number in BAND_IDS.values()])[:, None, None]
    return brightest((dn + added) / scale, (dn != 0).all(axis=0))


def _band(path: Path) -> Array:
    with rasterio.open(path) as source:
        band: Array = source.read(1)
    return band


def burnt(polygons: Path, like: Path) -> tuple[Array, bool]:
    """uint8: polygons on the grid of a mask, 0 where there are none, 255 where it has 255; and
    whether they were in its CRS."""
    with rasterio.open(like) as source:
        codes, shape, transform, crs = source.read(1), source.shape, source.transform, source.crs
    if polygons.suffix == ".parquet":
        layer = geopandas.read_parquet(polygons, columns=["class_id", "class", "geometry"])
    else:
        layer = geopandas.read_file(polygons)
    numbers = layer.class_id.fillna(layer["class"].map({"cloud": 1, "shadow": 2})).astype(int)
    same = crs is None or layer.crs == CRS(crs.to_wkt())
    layer = layer if same else layer.to_crs(crs.to_wkt())
    there = [g is not None and not g.is_empty for g in layer.geometry]
    shapes = list(zip(layer.geometry[there].make_valid(), numbers[there], strict=True))
    found = burn(shapes, shape, transform=transform, dtype="uint8") if shapes else codes * 0
    return np.where(codes == 255, np.uint8(255), found), same


def hidden(path: Path, shape: tuple[int, ...]) -> Array:
    """bool: where nothing tells of a polygon that GDAL passes over, since a bounding box that is
    stored of it, or of them all, is not its own."""
    data, at = path.read_bytes(), 100
    boxes = []
    while at + 44 <= len(data):
        boxes.append(struct.unpack_from("<4d", data, at + 12))
        at += 8 + 2 * struct.unpack_from(">i", data, at + 4)[0]
    layer = geopandas.read_file(path)
    own = layer.geometry.bounds.to_numpy()
    if len(boxes) != len(own) or not np.array_equal(
        struct.unpack_from("<4d", data, 36), layer.total_bounds
    ):
        return np.ones(shape, bool)
    other = [not np.array_equal(*pair, equal_nan=True) for pair in zip(boxes, own, strict=True)]
    shapes = list(layer.geometry[other].make_valid())
    with rasterio.open(path.with_name("mask.tif")) as source:
        transform = source.transform
    return (
        burn(shapes, shape, transform=transform).astype(bool) if shapes else np.zeros(shape, bool)
    )


def check(words: str, folder: Path, store: Path) -> str:
    """What is wrong with what a command that is done has made; "" for nothing.

    folder: where it ran, with its damaged input; store: the same, undamaged.
    """
    verb, first, *_ = words.split()
    if verb == "predict" or (verb == "rasterize" and "--like scene.tif" not in words):
        return _check_mask(verb, first, folder, store)
    if verb == "batch":
        return _check_batch(folder, store)
    if verb == "vectorize":
        return _check_polygons(folder / words.split()[2], folder / "mask.tif")
    if verb == "evaluate":
        return _check_report(folder / "report")
    if verb == "data":
        return _check_chips(folder / "new")
    if verb == "view":
        text = (folder / "o.html").read_text("utf-8").rstrip()
        return "" if text.endswith("</html>") else "the page is cut short"
    return ""


def _check_mask(verb: str, first: str, folder: Path, store: Path) -> str:
    made = folder / "o.tif"
    if verb == "rasterize":
        wanted, same = burnt(folder / first, folder / "mask.tif")
        if not same:
            return _same(_band(made), wanted, share=ELSEWHERE)
        if first.endswith(".shp"):
            wanted = np.where(hidden(folder / first, wanted.shape), _band(made), wanted)
    elif first == SAFE:
        wanted = mask_of_safe(folder)
    elif first.endswith(".zip"):  # a checksum covers every byte of what it holds
        wanted = mask_of_safe(store)
    else:
        wanted = mask_of_tiff(folder / first)
    if verb == "predict" and not _alike(folder, store, "model.safetensors"):
        return _same(_band(made) == 255, wanted == 255)  # nothing tells of a weight that is another
    if first == SAFE and _lies(folder / IMAGE) != _lies(store / IMAGE):
        return _same(_band(made) != 255, (wanted != 255) & (_band(made) != 255))
    wrong = _same(_band(made), wanted)
    if not wrong and verb == "predict" and (folder / "o.shp").exists():
        return _check_polygons(folder / "o.shp", made)
    return wrong


def _check_polygons(polygons: Path, mask: Path) -> str:
    found, _ = burnt(polygons, mask)
    wrong = _same(found, _band(mask))
    return f"{polygons.name}: {wrong}" if wrong else ""


def _alike(folder: Path, store: Path, name: str) -> bool:
    return (folder / name).read_bytes() == (store / name).read_bytes()


def _lies(path: Path) -> tuple[object, object]:
    with rasterio.open(path) as source:
        return source.crs, source.transform


def _check_batch(folder: Path, store: Path) -> str:
    for path in (folder / "out").glob("*.tif"):
        found, wanted = _band(path), mask_of_tiff(folder / path.name)
        if not _alike(folder, store, "model.safetensors"):
            found, wanted = found == 255, wanted == 255
        wrong = _same(found, wanted)
        if wrong:
            return f"{path.name}: {wrong}"
    records = [json.loads(p.read_text()) for p in (folder / "out/.geomask/records").glob("*.json")]
    lacking = [
        r["name"]
        for r in records
        if r["status"] == "done" and not (folder / "out" / f"{r['name']}.tif").exists()
    ]
    return f"no masks of {lacking}" if lacking else ""


def _check_report(folder: Path) -> str:
    chips = json.loads((folder / "metrics.json").read_text())["chips"]
    rows = (folder / "per_chip.csv").read_text("utf-8").splitlines()[1:]
    page = (folder / "report.html").read_text("utf-8").rstrip()
    whole = len(rows) == chips and page.endswith("</html>")
    return "" if whole else f"{len(rows)} rows of {chips} chips"


def _check_chips(folder: Path) -> str:
    """Every chip of the manifest is there and can be read, and no others are."""
    lines = (folder / "manifest.csv").read_text("utf-8").splitlines()
    ids = {line.split(",")[0] for line in lines[1:]}
    for name in ids:
        for path in (folder / f"{name}.tif", folder / f"{name}_mask.tif"):
            with rasterio.open(path) as source:
                source.read()
    there = {re.sub("_mask$", "", path.stem) for path in folder.glob("*.tif")}
    return "" if ids == there and ids else f"manifest has {sorted(ids)}, the folder {sorted(there)}"


def _same(found: Array, wanted: Array, share: float = 0.0) -> str:
    if found.shape != wanted.shape:
        return f"{found.shape} pixels, not {wanted.shape}"
    different = int((found != wanted).sum())
    return f"{different} pixels differ" if different > share * found.size else ""
