"""Which scenes are meant: files, folders, patterns, lists, and STAC item collections."""

from __future__ import annotations

import csv
import glob
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from geomask.errors import BatchError, GeomaskWarning, SceneError
from geomask.scene import is_product, is_product_metadata

RASTERS = (".tif", ".tiff", ".jp2", ".vrt", ".zip")
"""Files of a folder that are scenes; GDAL opens more, which must be named themselves."""

SCENE_COLUMN, NAME_COLUMN = "scene", "name"
"""Of a CSV list: the scene, and what its mask is called (may be absent)."""


@dataclass(frozen=True)
class SceneInput:
    """A scene that is asked for. address: for `open_scene`, absolute where local. name: of its
    mask without .tif, where the user gave one."""

    address: str
    name: str | None = None


def find_scenes(inputs: Sequence[str | Path], *, items: Path | None = None) -> list[SceneInput]:
    """The scenes that are meant, in the order of `inputs`.

    A product (folder, zip, metadata file), a raster, a STAC item and any address are scenes
    themselves. A folder that is no product stands for the products, rasters and zips in it, a
    pattern (*, ?, [], ** for folders within folders) for what it matches, a .txt or .csv file for
    the scenes it lists, and a STAC ItemCollection for its items.
    items: a folder to put the items of a collection into, since a scene is a file or a URL;
    without it collections are refused.
    Raises BatchError where an input stands for nothing or a list cannot be read.
    """
    found: list[SceneInput] = []
    for given in inputs:
        found += _find(str(given), items)
    return found


def _find(text: str, items: Path | None) -> Iterator[SceneInput]:
    from geomask.batch.stac_inputs import is_collection, save_collection

    if "://" in text or text.startswith("/vsi"):
        yield SceneInput(text)
        return
    path = Path(text)
    suffix = path.suffix.lower()
    if not _exists(path) and glob.has_magic(text):
        yield from _pattern(text)
    elif path.is_dir():
        yield from _folder(path)
    elif suffix in (".txt", ".csv") and not is_product_metadata(path.name):
        yield from _table(path) if suffix == ".csv" else _list(path)
    elif suffix in (".json", ".geojson") and is_collection(path):
        if items is None:
            raise BatchError(
                f"{path}: is a STAC ItemCollection, and there is no place for its items"
            )
        yield from map(SceneInput, save_collection(path, items))
    else:
        yield SceneInput(_absolute(text))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _absolute(text: str) -> str:
    """Where a scene is from any folder, on any machine that has the same disks."""
    if "://" in text or text.startswith("/vsi"):
        return text
    return os.path.abspath(text)  # noqa: PTH100, Path.resolve would follow links: other names


def _pattern(text: str) -> Iterator[SceneInput]:
    names = sorted(glob.glob(text, recursive=True))  # noqa: PTH207, Path.glob knows no absolute ones
    if not names:
        raise BatchError(f"{text}: nothing matches this pattern")
    yield from (SceneInput(_absolute(name)) for name in names)


def _folder(folder: Path) -> Iterator[SceneInput]:
    """A product is a scene; any other folder holds some."""
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    if _is_product(folder) and _is_itself_one(folder, inside):
        yield SceneInput(_absolute(str(folder)))
        return
    found, left = [], []
    for path in inside:
        if path.suffix.lower() in RASTERS or (path.is_dir() and _is_product(path)):
            found.append(SceneInput(_absolute(str(path))))
        elif path.is_dir():
            left.append(path.name)
    if not found:
        raise BatchError(
            f"{folder}: is no product, and none is in it, nor a raster or a zip; for folders "
            f"within folders give a pattern, as in '{folder}/**/*.SAFE'"
        )
    if left:
        some = ", ".join(left[:4]) + (" …" if len(left) > 4 else "")
        warnings.warn(
            f"{folder}: folders that are no products are left out: {some}",
            GeomaskWarning,
            stacklevel=2,
        )
    yield from found


def _is_product(folder: Path) -> bool:
    try:
        return is_product(folder)
    except SceneError:  # too many files, or some that cannot be listed: no single product
        return False


def _is_itself_one(product: Path, inside: Sequence[Path]) -> bool:
    """Whether it is the folder that is the product, and not one of the folders in it, beside which
    other scenes may lie."""
    return (
        product.suffix.lower() == ".safe"
        or any(is_product_metadata(path.name) for path in inside)
        or not any(path.is_dir() and _is_product(path) for path in inside)
    )


def _list(path: Path) -> Iterator[SceneInput]:
    """A scene per line; empty lines and those that begin with # say nothing."""
    lines = (line.strip() for line in _text(path).splitlines())
    found = [SceneInput(_absolute(line)) for line in lines if line and not line.startswith("#")]
    if not found:
        raise BatchError(f"{path}: lists no scene; write one per line")
    yield from found


def _table(path: Path) -> Iterator[SceneInput]:
    try:
        reader = csv.DictReader(_text(path).splitlines())
        columns, rows = reader.fieldnames or [], list(reader)
    except csv.Error as error:
        raise BatchError(f"{path}: is no CSV table ({error}); write it again") from error
    if SCENE_COLUMN not in columns:
        raise BatchError(
            f"{path}: has the columns {', '.join(columns) or 'none'}; one must be called scene "
            "(and one may be called name)"
        )
    found = []
    for row in rows:
        scene, name = (row.get(key) or "" for key in (SCENE_COLUMN, NAME_COLUMN))
        if scene.strip():
            chosen = name.strip().removesuffix(".tif") or None
            found.append(SceneInput(_absolute(scene.strip()), chosen))
    if not found:
        raise BatchError(f"{path}: lists no scene; its column scene is empty")
    yield from found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # as spreadsheets write it
    except OSError as error:
        raise BatchError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BatchError(f"{path}: is not text in UTF-8 ({error})") from error
