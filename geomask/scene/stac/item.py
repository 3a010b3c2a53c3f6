"""A STAC item: parsed, and where its assets are.

Items come from strangers: what they point to is followed only over http(s) and s3, or to files
beside a local item.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin
from urllib.request import url2pathname

from geomask.errors import SceneError
from geomask.scene.stac.fetch import WEB, read_source, split_address

LONGEST = 40
"""Characters of a wrong value that messages repeat."""


@dataclass(frozen=True)
class Item:
    """One STAC item, in the current version's words.

    path: as the user gave it. base: what its relative addresses start from: the URL that it was
    fetched from, or its folder. remote: which of the two. content: the JSON object, whose
    `properties` and `assets` are objects; what is in them may be anything.
    """

    path: str
    base: str
    remote: bool
    content: Mapping[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """What it says of the acquisition."""
        found: dict[str, Any] = self.content["properties"]
        return found

    @property
    def assets(self) -> dict[str, dict[str, Any]]:
        """Its assets by key."""
        found: dict[str, dict[str, Any]] = self.content["assets"]
        return found

    def text(self, name: str) -> str | None:
        """A property that is a text; None where it is absent, or anything else."""
        value = self.properties.get(name)
        return value if isinstance(value, str) and value else None

    @property
    def time(self) -> str | None:
        """When it was taken, or when that began."""
        return self.text("datetime") or self.text("start_datetime")

    def wrong(self, asset: str, what: str) -> SceneError:
        """The error to raise for an asset."""
        return SceneError(f"{self.path}: asset {asset}: {what}")

    def locate(self, asset: str) -> str:
        """What GDAL opens as that asset: a URL, or the absolute path of a file that is there.

        Raises SceneError for an address of any other kind.
        """
        href = self.assets[asset].get("href")
        if not isinstance(href, str) or not href:
            raise self.wrong(asset, f"its href is {short(href)}, no address")
        parts = split_address(href)
        if parts is not None and parts.scheme in (*WEB, "s3") and parts.netloc:
            return parts.geturl()
        if self.remote:
            if parts is None or parts.scheme or href.startswith(("/", "\\")):
                raise self.wrong(
                    asset, f"its address {href} is no http(s)://, s3:// or relative one; not opened"
                )
            return urljoin(self.base, href)
        return str(self._local_file(asset, href, parts))

    def _local_file(self, asset: str, href: str, parts: SplitResult | None) -> Path:
        name = href
        if parts is not None and parts.scheme == "file" and parts.netloc in ("", "localhost"):
            name = url2pathname(parts.path)
        elif "://" in href or (parts is not None and parts.scheme):
            raise self.wrong(
                asset, f"its address {href} is neither a file's, http(s):// nor s3://; not opened"
            )
        file = Path(self.base, name)
        # GDAL would take these for something else than a file.
        if str(file).startswith("/vsi"):
            raise self.wrong(asset, f"its address {href} is no file's; not opened")
        try:
            there = file.is_file()
        except OSError as error:
            raise self.wrong(asset, f"{file}: cannot be read: {error.strerror}") from error
        if not there:
            raise self.wrong(
                asset, f"file {file} is not there; download it, or give the item's own URL"
            )
        return file

    def local_files(self) -> tuple[str, ...]:
        """The item's file and those of its assets that are local; none of a remote item."""
        if self.remote:
            return ()
        found = [self.path]
        for asset in self.assets:
            with suppress(SceneError):
                place = self.locate(asset)
                found += [] if "://" in place else [place]
        return tuple(dict.fromkeys(found))


def short(value: object) -> str:
    """JSON that is not what it should be, for a message."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def read_item(path: str) -> Item | None:
    """The item at a path or an http(s) URL; None where that is something else than JSON.

    Raises SceneError where it is JSON other than one item, or cannot be read or fetched.
    """
    source = read_source(path)
    if source is None:
        return None
    try:
        content = json.loads(source.data)
        json.dumps(content, ensure_ascii=False).encode()  # half characters that no tag can hold
    except RecursionError as error:
        raise SceneError(f"{path}: is nested too deep for a STAC item; get it again") from error
    except ValueError as error:
        raise SceneError(f"{path}: is not well-formed JSON ({error}); get it again") from error
    other = _other_than_item(content)
    if other is not None:
        raise SceneError(
            f"{path}: is {other}; a scene is one STAC item, so give the file or the URL of one"
        )
    return Item(path, source.base, source.remote, _current(path, content))


def _other_than_item(content: object) -> str | None:
    """What JSON is that is no STAC item; None for an item."""
    if not isinstance(content, dict):
        return "JSON that is no object"
    kind, versioned = content.get("type"), isinstance(content.get("stac_version"), str)
    if kind == "FeatureCollection":
        return "a FeatureCollection, as searches return"
    if kind == "Feature":
        if not versioned:
            return "a GeoJSON feature that states no stac_version"
        return None if "assets" in content else "a STAC item without assets"
    if versioned:
        return "a STAC Collection" if kind == "Collection" else "a STAC Catalog or Collection"
    return "JSON that is no STAC"


def _current(path: str, content: dict[str, Any]) -> dict[str, Any]:
    """An item in the words of the newest STAC version.

    pystac moves fields that were renamed before STAC 1.0; the bands of 1.0 and of 1.1 it leaves
    as they are.
    """
    from pystac import STACError  # here, because most scenes are no STAC items
    from pystac.serialization import identify_stac_object, migrate_to_latest

    properties, assets = content.get("properties"), content["assets"]
    if not isinstance(properties, dict):
        raise SceneError(f"{path}: its properties are {short(properties)}, no object; get it again")
    if not isinstance(assets, dict):
        raise SceneError(f"{path}: its assets are {short(assets)}, no object; get it again")
    for asset, fields in assets.items():
        if not isinstance(fields, dict):
            raise SceneError(f"{path}: asset {asset}: is {short(fields)}, no object; get it again")
    extensions = content.get("stac_extensions")
    # Without the projection extension: grids are taken from the files, and pystac would warn of
    # items that state their projection twice.
    own = [e for e in extensions if isinstance(e, str)] if isinstance(extensions, list) else []
    content = content | {"stac_extensions": [e for e in own if "projection" not in e]}
    try:
        return migrate_to_latest(content, identify_stac_object(content))
    except (STACError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        # What pystac lets escape where fields are of other types than STAC's.
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise SceneError(f"{path}: is not a valid STAC item ({reason}); get it again") from error
