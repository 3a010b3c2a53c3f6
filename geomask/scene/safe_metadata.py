"""What the XML of a Sentinel-2 SAFE product says: calibration, nodata, files, sun.

Fields are those of the Sentinel-2 Products Specification Document (ESA, issue 14.9); documents
come from strangers, so their entities are never expanded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from geomask.errors import SceneError
from geomask.scene.acquisition import Acquisition
from geomask.sensors import LATEST_BASELINE, OFFSETS_FROM, SENTINEL2

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_DN = 65535
"""The largest digital number of a product's 16-bit files."""

QUANTIFICATIONS = (1.0, 1e6)
"""Digital numbers per unit of reflectance that make sense; every product so far has 10 000."""

_LEVELS = {
    "Level-1C": ("L1C", ("QUANTIFICATION_VALUE",), "RADIO_ADD_OFFSET"),
    "Level-2A": (
        "L2A",
        ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE"),  # the latter until 02.06
        "BOA_ADD_OFFSET",
    ),
}
"""By PROCESSING_LEVEL: our name for it, the elements of its scale, that of its offsets."""

_IMAGE_TAGS = ("IMAGE_FILE", "IMAGE_ID", "IMAGE_FILE_2A", "IMAGE_ID_2A")
"""What lists the images: IMAGE_ID until 2016-12, those with 2A in level 2A until 02.06."""

_STATE_IT = "state it with --scale and --offset (0.0001 and -0.1 for products since 2022-01-25)"


@dataclass(frozen=True)
class SafeMetadata:
    """A product's metadata file, parsed. file: what to call it in messages."""

    file: str
    root: Element

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.file.replace("\\", "/").rpartition("/")[2]

    @property
    def level(self) -> str:
        """L1C or L2A. Raises SceneError for another, or none."""
        return self._level[0]

    @property
    def _level(self) -> tuple[str, tuple[str, ...], str]:
        stated = (_text(self.root, "PROCESSING_LEVEL") or "nothing").removesuffix("p")
        if stated not in _LEVELS:
            raise SceneError(
                f"{self.file}: states the processing level {stated}; geomask reads "
                "Level-1C and Level-2A"
            )
        return _LEVELS[stated]

    @property
    def nodata(self) -> float | None:
        """The digital number that means nodata; None where the file leaves it out. Raises
        SceneError where no pixel can be it."""
        tag, way_out = "SPECIAL_VALUE_INDEX", "state it with --nodata"
        for value in self.root.iterfind(".//{*}Special_Values"):
            if _text(value, "SPECIAL_VALUE_TEXT") == "NODATA":
                number = _number(self.file, value, tag, way_out)
                if number != int(number) or not 0 <= number <= MAX_DN:
                    raise SceneError(
                        f"{self.file}: its {tag} of NODATA is {number:g}, which no pixel can be; "
                        f"{way_out}"
                    )
                return number
        return None

    @property
    def acquisition(self) -> Acquisition:
        """What it says of the acquisition, sun left out."""
        return Acquisition(
            platform=_text(self.root, "SPACECRAFT_NAME"),
            level=self.level,
            baseline=_text(self.root, "PROCESSING_BASELINE"),
            product=_text(self.root, "PRODUCT_URI") or _text(self.root, "PRODUCT_URI_2A"),
            time=_text(self.root, "PRODUCT_START_TIME"),
        )

    @property
    def image_files(self) -> list[str]:
        """The image files that it lists."""
        return [
            (element.text or "").strip()
            for tag in _IMAGE_TAGS
            for element in self.root.iterfind(f".//{{*}}{tag}")
        ]

    def calibration(self) -> tuple[dict[str, tuple[float, float]], str]:
        """(scale, offset) by the product's band names, and where they stand, in words.

        reflectance = (DN + offset in DN) / quantification value.
        Raises SceneError where the file does not say all of it, or from a baseline that this was
        not written for.
        """
        _, quantifications, offset_tag = self._level
        baseline, major = self._baseline()
        tag = next((t for t in quantifications if _text(self.root, t) is not None), None)
        if tag is None:
            raise SceneError(self._unstated(f"no {quantifications[0]}"))
        quantification = _number(self.file, self.root, tag, _STATE_IT)
        if not QUANTIFICATIONS[0] <= quantification <= QUANTIFICATIONS[1]:
            raise SceneError(self._unstated(f"the {tag} {quantification:g}"))
        offsets = self._offsets(offset_tag)
        if not offsets and major >= OFFSETS_FROM:
            raise SceneError(
                self._unstated(f"processing baseline {baseline} and no {offset_tag}, which it has")
            )
        source = f"{tag} {quantification:g}"
        source += f" and {offset_tag} by band" if offsets else f", no {offset_tag}"
        pairs = {
            band.name: (1 / quantification, offsets.get(band.name, 0.0) / quantification)
            for band in SENTINEL2.bands
            if not offsets or band.name in offsets
        }
        return pairs, f"{source} of {self.name}, processing baseline {baseline}"

    def _baseline(self) -> tuple[str, int]:
        text = _text(self.root, "PROCESSING_BASELINE")
        if text is None or not re.fullmatch(r"[0-9]{2}\.[0-9]{2}", text):
            raise SceneError(self._unstated(f"the processing baseline {text or 'nowhere'}"))
        major = int(text[:2])
        if major > LATEST_BASELINE:
            raise SceneError(
                self._unstated(
                    f"processing baseline {text}, newer than {LATEST_BASELINE:02}.xx, the latest "
                    "that geomask knows"
                )
            )
        return text, major

    def _offsets(self, tag: str) -> dict[str, float]:
        """Offsets in digital numbers by band name, empty where there are none."""
        names = self._band_names()
        elements = self.root.findall(f".//{{*}}{tag}")
        found: dict[str, float] = {}
        for element in elements:
            name = names.get(element.get("band_id", ""))
            if name is not None:
                number = _as_number(self.file, tag, element.text, _STATE_IT)
                if abs(number) > MAX_DN or found.setdefault(name, number) != number:
                    raise SceneError(self._unstated(f"the {tag} {number:g} for {name}"))
        if elements and not found:
            raise SceneError(self._unstated(f"{tag} for no band that it names"))
        return found

    def _band_names(self) -> dict[str, str]:
        """Band names (B04) by the file's band ids, which every known product numbers alike."""
        known = {band.name for band in SENTINEL2.bands}
        stated = {}
        for element in self.root.iterfind(".//{*}Spectral_Information"):
            digits = element.get("physicalBand", "").removeprefix("B")
            name = f"B{digits.zfill(2)}"
            if name in known:
                stated[element.get("bandId", "")] = name
        return stated or {str(i): band.name for i, band in enumerate(SENTINEL2.bands)}

    def _unstated(self, found: str) -> str:
        return (
            f"{self.file}: states {found}, so what its digital numbers mean is not certain; "
            f"{_STATE_IT}"
        )


def parse(file: str, data: bytes) -> Element:
    """The root of an XML document. Raises SceneError for one that is malformed, or that declares
    entities or a DTD."""
    try:
        root: Element = ElementTree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise SceneError(
            f"{file}: declares a DTD or entities, which no product of ESA does; it is not read "
            f"({type(error).__name__})"
        ) from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise SceneError(
            f"{file}: is not well-formed XML ({error}); download the product again"
        ) from error
    return root


def mean_sun(file: str, root: Element) -> tuple[float, float] | tuple[None, None]:
    """(elevation, azimuth) of the sun over a granule, degrees; None where it does not say."""
    angle = root.find(".//{*}Mean_Sun_Angle")
    if angle is None:
        return None, None
    way_out = "download the product again"
    zenith = _number(file, angle, "ZENITH_ANGLE", way_out)
    return 90.0 - zenith, _number(file, angle, "AZIMUTH_ANGLE", way_out)


def _text(root: Element, tag: str) -> str | None:
    """The text of the first element of that name, None where there is none or it is empty."""
    return (root.findtext(f".//{{*}}{tag}") or "").strip() or None


def _number(file: str, root: Element, tag: str, way_out: str) -> float:
    return _as_number(file, tag, _text(root, tag), way_out)


def _as_number(file: str, tag: str, text: str | None, way_out: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SceneError(f"{file}: its {tag} is {(text or '').strip()!r}, not a number; {way_out}")
    return number
