"""The bytes of a STAC item: of a local file that is JSON, or fetched over http(s)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from geomask.errors import SceneError
from geomask.version import __version__

JSON_SUFFIXES = (".json", ".geojson")
"""What STAC items' files are called (STAC best practices, "Static and Dynamic Catalogs")."""

MAX_ITEM = 16 * 2**20
"""Bytes of the longest item that is read; Copernicus's, of a hundred assets, have 0.1 million."""

FETCH_SECONDS = 30
"""How long a server may be silent before fetching an item is given up."""

WEB = ("http", "https")
"""Schemes of addresses that items are fetched from."""

_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".zip")
"""Ends of addresses below an /items/ that are no item."""

_HEADERS = {
    "Accept": "application/geo+json, application/json",
    "User-Agent": f"geomask/{__version__}",  # some servers refuse Python's own
}


@dataclass(frozen=True)
class Source:
    """JSON as it was read.

    data: its bytes. base: what relative addresses in it start from: the URL that it was fetched
    from, after redirects, or its folder. remote: which of the two.
    """

    data: bytes
    base: str
    remote: bool


def read_source(path: str) -> Source | None:
    """The JSON at a path or an http(s) URL; None where that is named, and begins, as something
    else.

    Raises SceneError where it cannot be read or fetched, or is too long for an item.
    """
    if path.startswith("/vsi"):
        return None
    parts = split_address(path)
    if parts is not None and parts.scheme in WEB:
        if not _names_item(parts):
            return None
        source = _fetch(path)
    elif "://" in path:
        if parts is not None and parts.path.lower().endswith(JSON_SUFFIXES):
            raise SceneError(
                f"{path}: STAC items are read from files and from https://; download it, or give "
                "its https:// address"
            )
        return None
    else:
        named = path.lower().endswith(JSON_SUFFIXES)
        data = _read(path, named)
        if data is None or (not named and not _is_object(data)):
            return None
        source = Source(data, str(Path(path).absolute().parent), remote=False)
    if len(source.data) > MAX_ITEM:
        raise SceneError(f"{path}: is over {MAX_ITEM} bytes, so no STAC item")
    return source


def split_address(address: str) -> SplitResult | None:
    """The parts of an address; None where it is malformed."""
    try:
        return urlsplit(address)
    except ValueError:
        return None


def _names_item(url: SplitResult) -> bool:
    """Whether a URL's path is that of an item: a JSON file, or as STAC APIs name them."""
    path = url.path.lower()
    if path.endswith(JSON_SUFFIXES):
        return True
    return "/items/" in path and not path.endswith(_RASTER_SUFFIXES)


def _read(path: str, named: bool) -> bytes | None:
    """The bytes of a file that is, or begins as if it were, a JSON object."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            data = file.read(512)
            if not named and not data.lstrip().startswith(b"{"):
                return None
            return data + file.read(MAX_ITEM + 1)
    except OSError as error:
        if not named:  # such as what GDAL opens and is no file: the reason is its to tell
            return None
        raise SceneError(f"{path}: cannot be read: {error.strerror}") from error


def _is_object(data: bytes) -> bool:
    """Whether a file that is not named as JSON is a JSON object all the same."""
    try:
        return len(data) <= MAX_ITEM and isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _fetch(url: str) -> Source:
    """What is at a URL."""
    opener = urllib.request.OpenerDirector()  # build_opener's would read file:// and ftp:// too
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    try:
        request = urllib.request.Request(url, headers=_HEADERS)
        with opener.open(request, timeout=FETCH_SECONDS) as response:
            return Source(response.read(MAX_ITEM + 1), response.geturl(), remote=True)
    except urllib.error.HTTPError as error:
        with error:
            raise SceneError(
                f"{url}: the server answered {error.code} ({error.reason}); check the address, "
                "or download the item and give the file"
            ) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise SceneError(
            f"{url}: cannot be fetched ({reason}); check the address, or download the item and "
            "give the file"
        ) from error
