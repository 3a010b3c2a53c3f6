"""Tiny Sentinel-2 products with the true structure of ESA's, and folders and zips of band files.

XML after a real product (L2A, baseline 04.00, T29UNU) and after those of GDAL's autotest (02.05,
05.09 and the format before 2016-12). Every band is constant unless told, with a number of its
own at each resolution (`dn_of`), so that a reflectance can be worked out by hand. All rasters
are true JPEG 2000, written without loss.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.windows import Window

from geomask import open_scene

Pixels = npt.NDArray[Any]

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""In the order of the band ids in the XML."""

COMMON = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge071": "B05",
    "rededge075": "B06",
    "rededge078": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "cirrus": "B10",
    "swir16": "B11",
    "swir22": "B12",
}

SIDE = 360
"""Metres along each side of a tile: 36 pixels of 10 m, 18 of 20 m, 6 of 60 m."""

CORNER = (300_000.0, 3_000_000.0)

CRS = {"T45RTJ": "EPSG:32645", "T60HXD": "EPSG:32760"}
"""Tiles whose names end in no number, begin with one that older baselines have (T45, T60), and
lie on either side of the equator."""

ESA_OFFSETS = dict.fromkeys(range(13), -1000.0)
"""In digital numbers, by band id: those of every product since baseline 04.00 so far."""

SUN = (26.0, 135.0)
"""Zenith and azimuth, degrees."""

_SIZES_1C = {
    10: ("B02", "B03", "B04", "B08"),
    20: ("B05", "B06", "B07", "B8A", "B11", "B12"),
    60: ("B01", "B09", "B10"),
}


def dn_of(band: str, size: int) -> int:
    """The digital number of every pixel of a band file: 1310 for B04 at 10 m."""
    return 1000 + 100 * BANDS.index(band) + size


@dataclass(frozen=True)
class Safe:
    """A SAFE on disk. root: its folder. xml: its metadata file. granule: its one granule."""

    root: Path
    xml: Path
    granule: Path
    level: str
    prefix: str

    def image(self, band: str, size: int = 10) -> Path:
        """The file of a band, or of AOT, SCL, TCI and the like."""
        folder = self.granule / "IMG_DATA"
        if self.level == "L1C":
            return folder / f"{self.prefix}_{band}.jp2"
        return folder / f"R{size}m" / f"{self.prefix}_{band}_{size}m.jp2"

    @property
    def tile_xml(self) -> Path:
        """The granule's metadata file."""
        return next(self.granule.glob("*MTD_*.xml"))


def write_jp2(path: Path, values: Pixels, size: float, *, crs: str, **options: Any) -> Path:
    """A lossless JPEG 2000 file of (height, width) or (bands, height, width), 15 bits deep where
    the numbers allow, as ESA's are."""
    stack = values if values.ndim == 3 else values[None]
    path.unlink(missing_ok=True)  # GDAL would open what is there, whatever it is
    bits = {"NBITS": 15} if values.dtype == np.uint16 and values.max() < 2**15 else {}
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        count=stack.shape[0],
        height=stack.shape[1],
        width=stack.shape[2],
        dtype=values.dtype,
        crs=crs,
        transform=Affine(size, 0, CORNER[0], 0, -size, CORNER[1]),
        QUALITY=100,
        REVERSIBLE="YES",
        **bits,
        **options,
    ) as dataset:
        dataset.write(stack)
    return path


def set_pixels(path: Path, pixels: Mapping[tuple[int, int], int]) -> None:
    """Change some pixels, (row, column), of a band file."""
    with rasterio.open(path) as dataset:
        values, crs, size = dataset.read(1), dataset.crs, dataset.transform.a
    for (row, column), dn in pixels.items():
        values[row, column] = dn
    write_jp2(path, values, size, crs=crs)


def write_safe(
    parent: Path,
    level: str = "L1C",
    baseline: str = "05.09",
    tile: str = "T45RTJ",
    *,
    named: str | None = None,
    day: str = "20230301",
    offsets: Mapping[int, float] | None = None,
) -> Safe:
    """A whole SAFE below `parent`.

    named: the baseline in its names, where that is not the XML's. offsets: digital numbers by
    band id; ESA's unless given, {} for none.
    """
    number = (named or baseline).replace(".", "")
    time = f"{day}T044731"
    name = f"S2A_MSI{level}_{time}_N{number}_R076_{tile}_{day}T065432.SAFE"
    prefix = f"{tile}_{time}"
    if level == "L2A" and baseline < "02.06":
        prefix = f"L2A_{prefix}"
    granule = f"{level}_{tile}_A041234_{day}T044729"
    if offsets is None:
        offsets = ESA_OFFSETS if baseline >= "04.00" else {}
    root = parent / name
    safe = Safe(root, root / f"MTD_MSI{level}.xml", root / "GRANULE" / granule, level, prefix)
    for folder in ("DATASTRIP", "rep_info", "HTML", f"GRANULE/{granule}/QI_DATA"):
        (root / folder).mkdir(parents=True)
    images = list(_write_images(safe, baseline, CRS[tile]))
    listed = [str(image.relative_to(root).with_suffix("")) for image in images]
    safe.xml.write_text(product_xml(level, baseline, name, day, listed, offsets), "utf-8")
    (safe.granule / "MTD_TL.xml").write_text(granule_xml(level, CRS[tile]), "utf-8")
    (root / "manifest.safe").write_text("<xfdu/>")
    (root / "INSPIRE.xml").write_text("<gmd/>")
    flat = np.ones((6, 6), np.uint8)
    write_jp2(safe.granule / "QI_DATA" / "MSK_DETFOO_B04.jp2", flat, 60, crs=CRS[tile])
    return safe


def _write_images(safe: Safe, baseline: str, crs: str) -> Iterator[Path]:
    """All images of a product, constant."""
    for size, names in _contents(safe.level, baseline).items():
        for name in names:
            path = safe.image(name, size)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_constant(name, size, crs))
            yield path


@cache
def _constant(name: str, size: int, crs: str) -> bytes:
    """The file of a constant image; the same in every product, so encoded once."""
    shape = (SIDE // size, SIDE // size)
    if name in BANDS:
        values = np.full(shape, dn_of(name, size), np.uint16)
    elif name == "TCI":
        values = np.full((3, *shape), 99, np.uint8)
    else:
        values = np.full(shape, 4, np.uint8 if name == "SCL" else np.uint16)
    with TemporaryDirectory() as folder:
        return write_jp2(Path(folder) / "image.jp2", values, size, crs=crs).read_bytes()


def _contents(level: str, baseline: str) -> dict[int, tuple[str, ...]]:
    """The images of a product by pixel size."""
    if level == "L1C":
        return {**_SIZES_1C, 10: (*_SIZES_1C[10], "TCI")}
    coarse = tuple(band for band in BANDS if band not in ("B08", "B10"))
    middle = tuple(band for band in coarse if band not in ("B01", "B09"))
    if baseline >= "04.00":  # when B01 came to 20 m
        middle = ("B01", *middle)
    extra = ("AOT", "TCI", "WVP")
    return {
        10: (*_SIZES_1C[10], *extra),
        20: (*middle, *extra, "SCL"),
        60: (*coarse, *extra, "SCL"),
    }


def product_xml(
    level: str,
    baseline: str,
    name: str,
    day: str,
    images: list[str],
    offsets: Mapping[int, float],
) -> str:
    """MTD_MSIL1C.xml or MTD_MSIL2A.xml; level 2A before 02.06 named its elements otherwise."""
    early = "L2A_" if level == "L2A" and baseline < "02.06" else ""
    long = f"Level-{level[1:]}"
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_{long}.xsd"
    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    uri = f"<PRODUCT_URI>{name}</PRODUCT_URI>"
    if early:
        other = name.replace("MSIL2A", "MSIL1C")
        uri = (
            f"<PRODUCT_URI_1C>{other}</PRODUCT_URI_1C>\n"
            f"            <PRODUCT_URI_2A>{name}</PRODUCT_URI_2A>"
        )
    tag = "IMAGE_FILE_2A" if early else "IMAGE_FILE"
    files = "\n".join(f"                        <{tag}>{image}</{tag}>" for image in images)
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{long}_User_Product xmlns:n1="{schema}" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{schema}">
    <n1:General_Info>
        <{early}Product_Info>
            <PRODUCT_START_TIME>{date}T04:47:31.024Z</PRODUCT_START_TIME>
            <PRODUCT_STOP_TIME>{date}T04:47:31.024Z</PRODUCT_STOP_TIME>
            {uri}
            <PROCESSING_LEVEL>{long}{"p" if early else ""}</PROCESSING_LEVEL>
            <PRODUCT_TYPE>S2MSI{level[1:]}</PRODUCT_TYPE>
            <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
            <GENERATION_TIME>{date}T06:54:32.000000Z</GENERATION_TIME>
            <Datatake datatakeIdentifier="GS2A_{day}T044731_041234_N{baseline}">
                <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
                <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
                <SENSING_ORBIT_NUMBER>76</SENSING_ORBIT_NUMBER>
            </Datatake>
            <Query_Options completeSingleTile="true">
                <PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>
            </Query_Options>
            <{early}Product_Organisation>
                <Granule_List>
                    <Granule datastripIdentifier="S2A_OPER_MSI_{level}_DS_N{baseline}" \
granuleIdentifier="S2A_OPER_MSI_{level}_TL_N{baseline}" imageFormat="JPEG2000">
{files}
                    </Granule>
                </Granule_List>
            </{early}Product_Organisation>
        </{early}Product_Info>
        <{early}Product_Image_Characteristics>
{_characteristics(level, early, offsets)}
        </{early}Product_Image_Characteristics>
    </n1:General_Info>
    <n1:Quality_Indicators_Info>
        <Cloud_Coverage_Assessment>59.769726</Cloud_Coverage_Assessment>
    </n1:Quality_Indicators_Info>
</n1:{long}_User_Product>
"""


def _characteristics(level: str, early: str, offsets: Mapping[int, float]) -> str:
    """What the pixels are: special values, scale, offsets, bands."""
    special = "".join(
        f"<Special_Values><SPECIAL_VALUE_TEXT>{text}</SPECIAL_VALUE_TEXT>"
        f"<SPECIAL_VALUE_INDEX>{value}</SPECIAL_VALUE_INDEX></Special_Values>\n"
        for text, value in (("NODATA", 0), ("SATURATED", 65535))
    )
    if level == "L1C":
        scale = '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
        group, tag = "Radiometric_Offset_List", "RADIO_ADD_OFFSET"
    else:
        group, tag = "BOA_ADD_OFFSET_VALUES_LIST", "BOA_ADD_OFFSET"
        lists = "L1C_L2A_Quantification_Values_List" if early else "QUANTIFICATION_VALUES_LIST"
        toa = '<L1C_TOA_QUANTIFICATION_VALUE unit="none">9999</L1C_TOA_QUANTIFICATION_VALUE>'
        scale = (
            f"<{lists}>{toa if early else ''}"
            f'<{early}BOA_QUANTIFICATION_VALUE unit="none">10000</{early}BOA_QUANTIFICATION_VALUE>'
            f'<{early}AOT_QUANTIFICATION_VALUE unit="none">1000.0</{early}AOT_QUANTIFICATION_VALUE>'
            f'<{early}WVP_QUANTIFICATION_VALUE unit="cm">1000.0</{early}WVP_QUANTIFICATION_VALUE>'
            f"</{lists}>"
        )
    stated = "\n".join(
        f'<{tag} band_id="{index}">{value:g}</{tag}>' for index, value in offsets.items()
    )
    bands = "\n".join(
        f'<Spectral_Information bandId="{index}" physicalBand="{band.replace("B0", "B")}">'
        f'<RESOLUTION>10</RESOLUTION><Wavelength><CENTRAL unit="nm">700</CENTRAL></Wavelength>'
        "</Spectral_Information>"
        for index, band in enumerate(BANDS)
    )
    parts = [special, scale, f"<{group}>{stated}</{group}>" if offsets else ""]
    irradiance = '<SOLAR_IRRADIANCE bandId="0" unit="W/m²/µm">1884.69</SOLAR_IRRADIANCE>'
    parts.append(f"<Reflectance_Conversion><U>0.998</U>{irradiance}</Reflectance_Conversion>")
    if not early:
        parts.append(f"<Spectral_Information_List>{bands}</Spectral_Information_List>")
    return "\n".join(parts)


def granule_xml(level: str, crs: str) -> str:
    """MTD_TL.xml, its angles of single bands included, which are not the sun's."""
    zenith, azimuth = SUN
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level[1:]}_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/Tile_Metadata.xsd">
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_CODE>{crs}</HORIZONTAL_CS_CODE>
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Sun_Angles_Grid><Zenith><VALUES>58.38 NaN</VALUES></Zenith></Sun_Angles_Grid>
      <Mean_Viewing_Incidence_Angle bandId="0">
        <ZENITH_ANGLE unit="deg">9</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">104</AZIMUTH_ANGLE>
      </Mean_Viewing_Incidence_Angle>
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{zenith}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{azimuth}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
</n1:Level-{level[1:]}_Tile_ID>
"""


def write_old_safe(parent: Path, tiles: tuple[str, ...] = ("T45RTJ",)) -> Safe:
    """Level 1C as delivered until 2016-12: long names, IMAGE_ID, a granule for each tile."""
    stamp = "20151231T045959"
    root = parent / f"S2A_OPER_PRD_MSIL1C_PDMC_{stamp}_R076_V{stamp}_{stamp}.SAFE"
    listed, safe = [], None
    for tile in tiles:
        stem = f"S2A_OPER_MSI_L1C_TL_EPA__{stamp}_A002734_{tile}"
        granule = root / "GRANULE" / f"{stem}_N02.01"
        xml = root / f"S2A_OPER_MTD_SAFL1C_PDMC_{stamp}_R076_V{stamp}_{stamp}.xml"
        safe = Safe(root, xml, granule, "L1C", stem)
        images = [p for p in _write_images(safe, "02.01", CRS[tile]) if "TCI" not in p.name]
        listed += [image.stem for image in images]
        name = f"{stem.replace('MSI_L1C', 'MTD_L1C')}.xml"
        (granule / name).write_text(granule_xml("L1C", CRS[tile]), "utf-8")
    assert safe is not None
    text = product_xml("L1C", "02.01", root.name, "20151231", listed, {})
    for new, old in (
        ("IMAGE_FILE", "IMAGE_ID"),
        ("Granule ", "Granules "),
        ("Granule>", "Granules>"),
    ):
        text = text.replace(new, old)
    safe.xml.write_text(text, "utf-8")
    return safe


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text, which must be there, everywhere in a file."""
    text = path.read_text("utf-8")
    assert old in text, f"{old} is not in {path}"
    path.write_text(text.replace(old, new), "utf-8")


def zip_folder(
    folder: Path, target: Path, *, method: int = zipfile.ZIP_DEFLATED, within: str | None = None
) -> Path:
    """A folder as an archive packs it: its own name first, an entry for each directory.

    within: another name for it, "" for none.
    """
    top = folder.name if within is None else within
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in (folder, *sorted(folder.rglob("*"))):
            inner = (Path(top) / path.relative_to(folder)).as_posix()
            if inner != ".":
                archive.write(path, inner)
    return target


def write_bands(
    folder: Path,
    files: Mapping[str, Pixels | int],
    *,
    size: Mapping[str, float] | float = 10,
    crs: str | None = "EPSG:32645",
    **profile: Any,
) -> Path:
    """A folder of GeoTIFF or, by their names, JPEG 2000 files: (height, width), or a number for
    all pixels of a tile. size: metres of a pixel, of all or by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        step = size if isinstance(size, int | float) else size.get(name, 10)
        side = round(SIDE / step)
        pixels = np.full((side, side), values, np.uint16) if isinstance(values, int) else values
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.lower().endswith(".jp2"):
            write_jp2(path, pixels, step, crs=str(crs))
            continue
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=1,
            height=pixels.shape[0],
            width=pixels.shape[1],
            dtype=pixels.dtype,
            crs=crs,
            transform=Affine(step, 0, CORNER[0], 0, -step, CORNER[1]),
            **profile,
        ) as dataset:
            dataset.write(pixels, 1)
    return folder


def read_bands(
    path: str | Path, bands: tuple[str, ...], **stated: Any
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(reflectance, valid) of a whole scene, on the grid of its finest band that is read."""
    with open_scene(path, **stated) as whole:
        scene = whole.for_bands(bands)
        return scene.read(Window(0, 0, scene.grid.width, scene.grid.height), bands)
