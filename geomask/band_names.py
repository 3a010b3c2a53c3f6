"""What a band is called, in files and by people, to common names: strictly, never by guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from geomask.sensors import COMMON_NAMES, LANDSAT, SENTINEL2, Sensor, find_sensor

_WORDS = {
    "coastalaerosol": "coastal",
    "rededge1": "rededge071",
    "rededge2": "rededge075",
    "rededge3": "rededge078",
    "nir": "nir",
    "nearinfrared": "nir",
    "nirnarrow": "nir08",
    "narrownir": "nir08",
    "nir2": "nir08",
    "swir1": "swir16",
    "swir2": "swir22",
}
"""Names people use that are neither a common name nor a product's own."""

_HARMLESS = re.compile(
    r"bands?|reflectance|toa|boa|surface|sr|central|wavelength|(\d+)?([nuµμ]?m)?"
)
"""Words that change nothing about which band a description names: "B4, central wavelength 665 nm"
is how GDAL describes Sentinel-2's."""

_CODE = re.compile(
    r"t?\d{2}[a-z]{3}|\d+|\d{8}t\d{6}"  # tile, date or orbit, time
    r"|s2[a-d]?|r2a?|rs2a?|l[cemot]0\d"  # satellites
    r"|msi|msil\d[abc]|oli|liss4|l\d[a-z]{0,2}|toa|boa|sr|t[12]|rt|[rn]\d{3,4}"  # products
)
"""Parts of a product's file name, such as T31UFS_20190411T105029_B04, that are not its band."""

_OTHER_NUMBERING = re.compile(r"l[emt]0[1-7]")
"""Landsat 1 to 7 in a product's file name: their B4 is not Landsat 8's."""

_HARMONISED_LANDSAT = re.compile(r"hls\.l30\.", re.IGNORECASE)
"""NASA's Landsat on Sentinel-2's grid: its B05 is nir, its B11 thermal."""

LONGEST = 1000
"""Characters of a description or file name that are looked at: file systems have names of 255."""

_OPERATORS = re.compile(r"[+*/=~!<>^]")
"""A text with one of these is a formula, or says what the band is not."""


@dataclass(frozen=True)
class _Names:
    """What one description names: common names, and products' own names by their keys."""

    commons: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()


def common_names(
    descriptions: Sequence[str | None], sensor: str | None = None
) -> tuple[str | None, ...]:
    """The common name of each described band, None where its description does not tell.

    A common name, or a word for one, means itself. A product's own name means what the given
    sensor calls by it or, without one, what every sensor that knows all the product names in
    `descriptions` agrees on: B2 is blue, B8A or B12 make B8 nir, but B8 beside B2, B3 and B4
    alone stays None, since it is nir on Sentinel-2 and panchromatic on Landsat. "Band 2" is what
    programs call a second band of anything, and SR_B4 is red on Landsat 8 and nir on Landsat 5,
    so those mean something only with a sensor.

    A longer text counts where nothing in it could change the meaning: "B4 (red)" and
    "red (665 nm)" are red and so is "T31UFS_20190411_B04", but "red edge 740", "red_mask" and
    "NDVI (nir red)" are None, as is a text that names two bands.
    """
    named = [_names(text or "") for text in descriptions]
    candidates = [find_sensor(sensor)] if sensor else [SENTINEL2, LANDSAT]
    tables = [_product_names(item, numbered=sensor is not None) for item in candidates]
    known = {
        key for names in named for key in names.products if any(key in table for table in tables)
    }
    tables = [table for table in tables if known <= table.keys()]
    return tuple(_common(names, tables) for names in named)


def split_file_name(name: str) -> tuple[str, str]:
    """What a file is called apart from its band, and what it calls its band: "T31_B04_10m.jp2"
    is ("T31", "B04"), "B04.tif" ("", "B04"), and "LC08_SR_B4.TIF" ("LC08", "SR_B4").

    The latter names a band only if `common_names` says so; it has more than one word where those
    before the last name bands, too, as in "B4_red" and "B4-B3". Of Landsats 1 to 7 and of NASA's
    HLS.L30, whose numbers mean other bands, it is "".
    """
    if len(name) > LONGEST:
        return name, ""
    stem = re.sub(r"\.(tiff?|jp2)$", "", name, flags=re.IGNORECASE)
    stem = re.sub(r"_\d\dm$", "", stem)  # Sentinel-2 level 2A
    others = any(_OTHER_NUMBERING.fullmatch(part) for part in stem.lower().split("_"))
    if others or _HARMONISED_LANDSAT.match(stem):
        return stem, ""
    match = re.fullmatch(
        # SR and ST are of Landsat's names; Earth Engine has a collection S2_SR, too.
        r"(?:(.*?)[_. -])??((?:(?<!S2_)(?<!S2[A-D]_)S[RT]_)?[^_. -]+)",
        stem,
        re.IGNORECASE,
    )
    if match is None:
        return stem, ""
    rest, start = match[1] or "", match.start(2)
    while (word := re.fullmatch(r"(?:(.*)[_. -])?([^_. -]+)", rest)) and _is_name(word[2].lower()):
        rest, start = word[1] or "", word.start(2)
    return rest, stem[start:]


def _common(names: _Names, tables: Sequence[dict[str, str]]) -> str | None:
    """The one common band that all names agree on; a product's name no table knows is silent."""
    meanings = [
        {table[key] for table in tables if key in table}
        for key in names.products
        if any(key in table for table in tables)
    ]
    if names.commons:
        agreed = {name for name in names.commons if all(name in those for those in meanings)}
        agreed = agreed if len(names.commons) == 1 else set()
    else:
        agreed = set().union(*meanings)
    return agreed.pop() if len(agreed) == 1 else None


def _names(text: str) -> _Names:
    """The names in a description, none where the rest of it could change what they mean.

    Case, spaces and punctuation do not count: "SR_B4" and "sr b4" are one name.
    """
    if len(text) > LONGEST or _OPERATORS.search(text):
        return _Names()
    stem = _stem_name(text)
    if stem is not None:
        return stem
    words = re.findall(r"[^\W_]+", text.lower())
    commons, products, ordinals = set(), set(), set()
    while words:
        # The longest name first: "nir 2" is one name, not nir and a number.
        length = next((n for n in (3, 2, 1) if _is_name("".join(words[:n]))), 0)
        key = "".join(words[:length])
        if key.startswith("band") and length > 1:
            ordinals.add(key)
        elif _is_product_name(key):
            products.add(key)
        elif key:
            commons.add(_WORDS.get(key, key))
        elif not _HARMLESS.fullmatch(words[0]):
            return _Names()
        words = words[length or 1 :]
    # "Band 1 (blue)" counts the file's bands; "Band 1" alone may be the product's own name.
    return _Names(frozenset(commons), frozenset(products if commons else products | ordinals))


def _stem_name(text: str) -> _Names | None:
    """The band at the end of a product's file name; None where the text is no such name."""
    parts = re.sub(r"\.(tiff?|jp2)$", "", text.strip().lower()).split("_")
    if re.fullmatch(r"\d+m", parts[-1]):  # Sentinel-2 level 2A: ..._B04_10m
        parts.pop()
    if len(parts) < 2 or not all(_CODE.fullmatch(part) for part in parts[:-1]):
        return None
    last = parts[-1]
    if not _is_product_name(last):
        return _Names(frozenset({_WORDS.get(last, last)})) if _is_name(last) else None
    if any(_OTHER_NUMBERING.fullmatch(part) for part in parts):
        return _Names()
    return _Names(products=frozenset({"sr" + last if parts[-2] == "sr" else last}))


def _is_name(key: str) -> bool:
    return key in COMMON_NAMES or key in _WORDS or _is_product_name(key)


def _is_product_name(key: str) -> bool:
    return re.fullmatch(r"(srb|band|b)(\d{1,2}|8a)", key) is not None


def _product_names(sensor: Sensor, *, numbered: bool) -> dict[str, str]:
    """Every spelling of a sensor's own band names, to common names.

    numbered: also those that mean something with a sensor only, "Band 2" and "SR_B2".
    """
    names = {}
    for band in sensor.bands:
        digits = band.name.lower().removeprefix("band").removeprefix("b")
        short = digits.lstrip("0")
        spellings = [f"b{digits}", f"b{short}"]
        if numbered:
            spellings += [f"band{digits}", f"band{short}"]
        if numbered and sensor is LANDSAT:
            spellings.append(f"srb{short}")  # Landsat Collection 2, level 2
        names.update(dict.fromkeys(spellings, band.common))
    return names
