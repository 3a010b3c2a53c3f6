"""STAC items in bulk: an ItemCollection in a file, or what an API's search returns.

A scene is one item, as a file or a URL, so each item becomes a file of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from geomask.errors import BatchError
from geomask.output import Staged

_UNUSABLE = re.compile(r"[^\w.+=@-]")
"""Characters of an item's id that its file's name leaves out."""

MAX_COLLECTION = 512 * 2**20
"""Bytes of the longest ItemCollection that is read: about ten thousand items of Sentinel-2."""

REMOTE = ("http://", "https://", "s3://")
"""What an item from a stranger's server may point to, as in `scene.stac.item`."""


@dataclass(frozen=True)
class Search:
    """What to ask a STAC API for.

    url: its landing page. collections: names. bbox: west, south, east, north in degrees.
    datetime: an instant or an interval, as 2024-06-01/2024-06-30. limit: items at most.
    """

    url: str
    collections: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    datetime: str | None = None
    limit: int | None = None


def is_collection(path: Path) -> bool:
    """Whether a JSON file is a STAC ItemCollection; False where it is none, or no JSON. Raises
    BatchError where it is too long to be read at once."""
    try:
        if path.stat().st_size > MAX_COLLECTION:
            raise BatchError(f"{path}: is over {MAX_COLLECTION} bytes; give its items in parts")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("type") == "FeatureCollection"


def save_collection(path: Path, folder: Path) -> list[str]:
    """Put the items of an ItemCollection into files of a folder; their paths.

    Relative addresses of assets start from the collection's folder. Raises BatchError.
    """
    content = json.loads(path.read_bytes())
    base = path.absolute().parent
    items = [
        _with_addresses(item, lambda href: href if _absolute(href) else str(base / href))
        for item in _items(str(path), content.get("features"))
    ]
    return _save(str(path), items, folder)


def search_items(search: Search, folder: Path) -> list[str]:
    """Put the items that a search finds into files of a folder; their paths.

    Assets that are neither on the web nor in s3 are left out: a server does not say which files
    of this machine are opened. Raises BatchError where the server cannot be asked, or finds none.
    """
    try:
        import pystac_client
        from pystac_client.exceptions import APIError
    except ImportError as error:
        raise BatchError(
            "--stac-search needs pystac-client; install it with: pip install 'geomask[stac]'"
        ) from error
    from pystac import STACError
    from requests import RequestException

    try:
        client = pystac_client.Client.open(search.url)
        found = client.search(
            collections=list(search.collections) or None,
            bbox=search.bbox,
            datetime=search.datetime,
            max_items=search.limit,
        )
        items = list(found.items_as_dicts())
    except (APIError, STACError, RequestException, NotImplementedError, ValueError, KeyError) as e:
        reason = " ".join(str(e).split())[:300]
        raise BatchError(
            f"{search.url}: cannot be searched ({reason}); check the address, which is that of the "
            "API's landing page, and what is asked for"
        ) from e
    if not items:
        raise BatchError(f"{search.url}: finds no item; ask for another place, time or collection")
    known = [_from_server(item, search.url) for item in _items(search.url, items)]
    return _save(search.url, known, folder)


def _items(source: str, features: object) -> list[dict[str, Any]]:
    """Features that have what it takes to be told apart; the rest is `open_scene`'s to judge."""
    if not isinstance(features, list) or not features:
        raise BatchError(f"{source}: holds no items")
    for item in features:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str) or not item["id"]:
            raise BatchError(f"{source}: one of its items has no id; get it again")
        if not isinstance(item.get("assets"), dict):
            raise BatchError(f"{source}: item {item['id']} has no assets; get it again")
    return features


def _from_server(item: dict[str, Any], url: str) -> dict[str, Any]:
    """An item whose assets are all remote, by what its own address says."""
    links = item.get("links")
    own = next(
        (
            link["href"]
            for link in (links if isinstance(links, list) else [])
            if isinstance(link, dict)
            and link.get("rel") == "self"
            and isinstance(link.get("href"), str)
        ),
        url,
    )
    item = _with_addresses(item, lambda href: urljoin(own, href))
    kept = {
        key: asset
        for key, asset in item["assets"].items()
        if isinstance(asset, dict) and str(asset.get("href")).lower().startswith(REMOTE)
    }
    return item | {"assets": kept}


def _with_addresses(item: Mapping[str, Any], place: Any) -> dict[str, Any]:
    """An item with what `place` makes of its assets' addresses."""
    assets = {
        key: asset | {"href": place(asset["href"])}
        if isinstance(asset, dict) and isinstance(asset.get("href"), str)
        else asset
        for key, asset in item["assets"].items()
    }
    return dict(item) | {"assets": assets}


def _absolute(href: str) -> bool:
    return "://" in href or href.startswith(("/", "\\", "file:"))


def _save(source: str, items: Iterable[Mapping[str, Any]], folder: Path) -> list[str]:
    """A file for each item. One that is there and says the same is left alone, so that its age
    says how old it is."""
    paths: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for item in items:
            path = folder / f"{_UNUSABLE.sub('_', item['id']).lstrip('.')}.json"
            if str(path).casefold() in paths:
                raise BatchError(f"{source}: two of its items are called {item['id']!r}")
            paths[str(path).casefold()] = path
            try:
                text = json.dumps(item)
            except RecursionError as error:
                raise BatchError(f"{source}: item {item['id']} is nested too deep") from error
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                with Staged(path) as staged:
                    staged.path.write_text(text, encoding="utf-8")
                    staged.commit()
    except OSError as error:
        raise BatchError(
            f"{folder}: the items of {source} cannot be put there: {error.strerror}"
        ) from error
    return sorted(str(path) for path in paths.values())


def bbox_of(numbers: Sequence[float]) -> tuple[float, float, float, float]:
    """West, south, east, north. Raises BatchError for what is no box on the Earth; west of the
    antimeridian to east of it, west is the larger."""
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise BatchError(
            f"--bbox {west:g},{south:g},{east:g},{north:g}: give west,south,east,north in degrees"
        )
    return west, south, east, north
