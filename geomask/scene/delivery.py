"""A product as the archive delivered it, a folder or a zip: its files' names, read in place."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from geomask.errors import SceneError

MAX_FILES = 20_000
"""More than any product has: whoever gives a folder with more meant another one."""

MAX_DEPTH = 6
"""Folders within folders that are looked into; a SAFE's bands are four deep, an archive that
packs one into another folder or two not much deeper."""

MAX_TEXT = 32 * 2**20
"""Bytes of the longest metadata file that is read; Sentinel-2's longest have about one million."""

MAX_NAME = 1024
"""Characters of the longest name within a zip; one can have 65535, a file of Sentinel-2 has 250
with all its folders."""

_METADATA = re.compile(
    r"MTD_MSIL(1C|2A)\.xml|S2[A-D]_(OPER|USER)_MTD_SAFL(1C|2A)_.*\.xml"
    r"|.*_MTL\.txt|BAND_META\.txt",
    re.IGNORECASE,
)
"""Files that stand for the product they lie in."""

_CHUNK = 2**20
"""Bytes that are read at once of a file in a zip."""

_ENCRYPTED = 1
"""The bit of a zip entry's flags that says so (PKWARE, APPNOTE.TXT, 4.4.4)."""


@dataclass(frozen=True)
class Delivery:
    """The files of a product.

    path: as the user gave it. place: the folder, or the zip file. zipped: which of the two.
    names: of its files, relative, with forward slashes; hidden ones left out, such as macOS puts
    beside every file that it copies to another disk.
    """

    path: str
    place: Path
    zipped: bool
    names: tuple[str, ...]
    prefix: str = ""

    def raster(self, name: str) -> str:
        """What GDAL opens as the file of that name."""
        if self.zipped:
            # Braces, so that a folder called x.zip on the way to it is none.
            plain = str(self.place)
            place = plain if "{" in plain or "}" in plain else f"{{{plain}}}"
            return f"/vsizip/{place}/{self.prefix}{name}"
        return str(self.place / self.prefix / name)

    def label(self, name: str) -> str:
        """What to call a file in messages."""
        return str(self.place / self.prefix / name)

    def files(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The files on disk that hold those, so that no output replaces them."""
        return (str(self.place),) if self.zipped else tuple(self.label(name) for name in names)

    def read(self, name: str) -> bytes:
        """The bytes of a metadata file. Raises SceneError where it cannot be read, or is too
        large to be one."""
        try:
            if self.zipped:
                with (
                    zipfile.ZipFile(self.place) as archive,
                    archive.open(self.prefix + name) as file,
                ):
                    data = file.read(MAX_TEXT + 1)
            else:
                with (self.place / self.prefix / name).open("rb") as file:
                    data = file.read(MAX_TEXT + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as e:
            # The last two: an encrypted file, and a compression that Python does not know.
            reason = e.strerror if isinstance(e, OSError) and e.strerror else e
            raise SceneError(f"{self.label(name)}: cannot be read: {reason}") from e
        if len(data) > MAX_TEXT:
            raise SceneError(f"{self.label(name)}: is over {MAX_TEXT} bytes, so no metadata")
        return data

    def product(self, metadata: re.Pattern[str]) -> tuple[Delivery, str] | None:
        """The product whose metadata file has such a name: its own files, and that name; None
        where there is none. Raises SceneError, naming them, where there are several products, of
        whatever kind."""
        every = self.products
        found = [name for name in every if metadata.fullmatch(PurePosixPath(name).name)]
        if not found:
            return None
        if len(every) > 1:
            some = ", ".join(sorted(every)[:4]) + (" …" if len(every) > 4 else "")
            raise SceneError(f"{self.path}: holds several products ({some}); give one of them")
        folder, _, name = found[0].rpartition("/")
        return self.within(folder), name

    @property
    def products(self) -> list[str]:
        """Names of the metadata files in it, which stand for a product each."""
        return [name for name in self.names if is_product_metadata(PurePosixPath(name).name)]

    def within(self, folder: str) -> Delivery:
        """What lies in one of its folders, under names relative to that."""
        if not folder:
            return self
        start = f"{folder}/"
        names = tuple(name[len(start) :] for name in self.names if name.startswith(start))
        return replace(self, names=names, prefix=self.prefix + start)


def check_entry(raster: str) -> None:
    """Hold what `Delivery.raster` names in a zip against the checksum that the zip has of it, which
    GDAL does not look at; nothing to say of any other file. Raises SceneError."""
    found = re.fullmatch(r"/vsizip/(?:\{(.+)\}|(.+?\.zip))/(.+)", raster, re.IGNORECASE)
    if found is None or not Path(found[1] or found[2]).is_file():
        return
    place, name = found[1] or found[2], found[3]
    try:
        with zipfile.ZipFile(place) as archive, archive.open(name) as file:
            while file.read(_CHUNK):
                pass
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise SceneError(f"{place}: its {name} is damaged ({error}); download it again") from error
    except (RuntimeError, NotImplementedError):
        return  # a compression that Python does not know, and GDAL does


def is_product_metadata(name: str) -> bool:
    """Whether a file so called, without folders, stands for the product that it lies in."""
    return _METADATA.fullmatch(name) is not None


def find_delivery(path: str) -> Delivery | None:
    """The folder or zip at `path`, or that of the metadata file there; None for anything else.

    Raises SceneError for an empty path, where its files cannot be listed, or a zip's are
    encrypted or would climb out of it.
    """
    if not path:
        raise SceneError("the scene's path is empty; give a file or a folder (. for this one)")
    if "://" in path or path.startswith("/vsi"):
        return None
    place = Path(path)
    try:
        if place.is_dir():
            return Delivery(path, place, False, tuple(_list_folder(path, place)))
        if place.suffix.lower() == ".zip" and place.is_file():
            # Absolute, since GDAL and Python must mean the same file from any thread.
            return Delivery(path, place.absolute(), True, tuple(_list_zip(path, place)))
        if is_product_metadata(place.name) and place.is_file():
            return Delivery(path, place.parent, False, tuple(_list_folder(path, place.parent)))
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror}") from error
    return None


def _list_folder(path: str, folder: Path) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    count, seen = 0, set()
    # Data pools link the parts of a product together.
    for parent, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        inner = Path(parent).relative_to(folder)
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if len(inner.parts) >= MAX_DEPTH:
            folders.clear()
        count += len(files)
        if count > MAX_FILES:
            raise SceneError(
                f"{path}: holds more than {MAX_FILES} files; give the folder of one product"
            )
        folders.sort()
        yield from sorted((inner / name).as_posix() for name in files if name[0] != ".")


def _list_zip(path: str, file: Path) -> Iterator[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise SceneError(
            f"{path}: is not a zip file that can be read to its end ({error}); download it again"
        ) from error
    if len(entries) > MAX_FILES:
        raise SceneError(f"{path}: holds more than {MAX_FILES} files; give one product")
    for entry in entries:
        name = entry.filename
        if len(name) > MAX_NAME:
            raise SceneError(f"{path}: holds a name of {len(name)} characters, and no product does")
        if name.startswith(("/", "\\")) or "\\" in name or ":" in name or ".." in name.split("/"):
            raise SceneError(
                f"{path}: holds {name!r}, a path that leads out of it; no product does, so it is "
                "not opened"
            )
        if entry.flag_bits & _ENCRYPTED:
            raise SceneError(f"{path}: its {name} is encrypted; unpack it and give the folder")
        if not name.endswith("/") and not PurePosixPath(name).name.startswith("."):
            yield name
