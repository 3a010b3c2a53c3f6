"""How masks and their polygons look in QGIS and GDAL: XML from a table of classes.

QGIS takes the style of `mask.tif` from `mask.qml` beside it, and that of `clouds.shp` from
`clouds.qml`. One .qml may serve a raster and polygons of the same name: each kind of layer reads
the part that is its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from geomask.classes import CLEAR, ClassTable, MaskClass
from geomask.errors import OutputError

STYLE = ".qml"
"""What takes the place of a layer's suffix in the name of its style."""

MARK = "<!-- Made by geomask, to be replaced with what it styles; saved from QGIS it is yours. -->"
"""Stands in every style of ours; QGIS drops it when somebody saves a style of their own there."""

HALF, OPAQUE = 128, 255
"""Of a polygon's fill and outline: the scene shows through, and borders stay clear."""

OUTLINE = 0.2
"""Width of a polygon's outline, millimetres: QGIS's own 0.26 hides the smallest ones."""

WRITTEN_FOR = "3.16.0"
"""The oldest QGIS whose names of things these are; newer ones read and convert them."""

INTEGER, TEXT = 0, 2
"""GDAL's types of an attribute table's columns (`GDALRATFieldType`)."""

COLUMNS = (
    ("Value", INTEGER, 5),
    ("Class", TEXT, 2),
    ("Red", INTEGER, 6),
    ("Green", INTEGER, 7),
    ("Blue", INTEGER, 8),
    ("Alpha", INTEGER, 9),
)
"""Name, type and usage of the attribute table's columns (`GDALRATFieldUsage`: MinMax, Name, and
the parts of a colour)."""


def style_text(mask: ClassTable | None = None, polygons: Sequence[MaskClass] = ()) -> str:
    """A .qml: a raster's classes, clear transparent; polygons by their field `class`; or both.

    mask: None styles no raster. polygons: the classes of the polygons, none for no polygons.
    """
    root = ET.Element("qgis", version=WRITTEN_FOR, styleCategories="Symbology")
    if mask is not None:
        root.append(_pipe(mask))
    if polygons:
        root.append(_categories(polygons))
    ET.SubElement(root, "blendMode").text = "0"
    ET.indent(root)
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    return f"{head}\n{MARK}\n{ET.tostring(root, 'unicode')}\n"


def attribute_table(classes: ClassTable) -> ET.Element:
    """What GDAL keeps of a band in an .aux.xml: category names and a raster attribute table."""
    band = ET.Element("PAMRasterBand", band="1")
    names = {item.code: item.name for item in classes}
    categories = ET.SubElement(band, "CategoryNames")
    for code in range(max(names) + 1):
        ET.SubElement(categories, "Category").text = names.get(code, "")
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(COLUMNS):
        column = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(column, tag).text = str(value)
    for index, item in enumerate(classes):
        row = ET.SubElement(table, "Row", index=str(index))
        for value in (item.code, item.name, *item.color, _alpha(item)):
            ET.SubElement(row, "F").text = str(value)
    return band


def check_style(target: Path, *, overwrite: bool, rasters: Iterable[str | Path] = ()) -> None:
    """Refuse, before any work, a style that would replace somebody's own, or be taken for another
    raster's.

    target: what is to be styled. rasters: files that must not look like it. Raises OutputError.
    """
    path = style_path(target)
    for other in rasters:
        if style_path(other) == path:
            raise OutputError(
                f"{target}: its style, {path.name}, would also be taken for that of {other}; "
                "give it another name, or --no-style"
            )
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, and {target.name} needs a style there; remove it")
    if path.exists() and not overwrite and not _is_ours(path):
        raise OutputError(
            f"{target.with_suffix(STYLE)}: exists and would be replaced with {target.name}; "
            "give --overwrite to replace it, or --no-style to keep it"
        )


def style_path(path: str | Path) -> Path:
    """Where QGIS looks for a file's style."""
    return Path(path).resolve().with_suffix(STYLE)


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(1000)
    except OSError:
        return False


def _alpha(item: MaskClass) -> int:
    return 0 if item.code == CLEAR else OPAQUE


def _pipe(classes: ClassTable) -> ET.Element:
    """A raster's part of a style."""
    pipe = ET.Element("pipe")
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        type="paletted",
        band="1",
        opacity="1",
        alphaBand="-1",
        nodataColor="",
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for item in classes:
        ET.SubElement(
            palette,
            "paletteEntry",
            value=str(item.code),
            label=item.name,
            color="#{:02x}{:02x}{:02x}".format(*item.color),
            alpha=str(_alpha(item)),
        )
    return pipe


def _categories(classes: Sequence[MaskClass]) -> ET.Element:
    """Polygons' part of a style."""
    renderer = ET.Element("renderer-v2", type="categorizedSymbol", attr="class", symbollevels="0")
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for index, item in enumerate(classes):
        ET.SubElement(
            categories,
            "category",
            symbol=str(index),
            value=item.name,
            label=item.name,
            render="true",
        )
        symbols.append(_fill(str(index), item.color))
    return renderer


def _fill(name: str, color: tuple[int, int, int]) -> ET.Element:
    symbol = ET.Element("symbol", type="fill", name=name, alpha="1", clip_to_extent="1")
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
    options = ET.SubElement(layer, "Option", type="Map")
    rgb = ",".join(map(str, color))
    for key, value in (
        ("color", f"{rgb},{HALF}"),
        ("style", "solid"),
        ("outline_color", f"{rgb},{OPAQUE}"),
        ("outline_style", "solid"),
        ("outline_width", str(OUTLINE)),
        ("outline_width_unit", "MM"),
        ("joinstyle", "bevel"),
    ):
        ET.SubElement(options, "Option", type="QString", name=key, value=value)
    return symbol
