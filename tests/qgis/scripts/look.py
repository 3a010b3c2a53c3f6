"""Opens a scene, its mask and its polygons in QGIS and tells what they came out as, in JSON.

look.py SCENE MASK MAP.png MASK.png FILL.png POLYGONS...
"""

import json
import sys

from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsLayerTreeLayer,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QColor


def extent(layer):
    box = layer.extent()
    return [box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()]


def common(layer):
    return {
        "valid": layer.isValid(),
        "crs": layer.crs().authid(),
        "extent": extent(layer),
        "renderer": layer.renderer().type(),
        "legend": legend(layer),
    }


def legend(layer):
    """What stands beside the layer in the list of layers."""
    nodes = layer.legend().createLayerTreeModelLegendNodes(QgsLayerTreeLayer(layer))
    return [node.data(Qt.DisplayRole) for node in nodes]


def rgba(color):
    return [color.red(), color.green(), color.blue(), color.alpha()]


def about_mask(layer):
    classes = [[c.value, c.label, rgba(c.color)] for c in layer.renderer().classes()]
    return {**common(layer), "classes": classes}


def about_polygons(layer):
    categories = {}
    for category in layer.renderer().categories():
        fill = category.symbol().symbolLayer(0)
        categories[category.value()] = [category.label(), rgba(fill.fillColor())]
    return {**common(layer), "count": layer.featureCount(), "categories": categories}


def about_gdal(path):
    """What GDAL itself says of the classes."""
    dataset = gdal.Open(path)
    band = dataset.GetRasterBand(1)
    table = band.GetDefaultRAT()
    names = [table.GetNameOfCol(i) for i in range(table.GetColumnCount())]
    rows = [
        [table.GetValueAsString(row, column) for column in range(len(names))]
        for row in range(table.GetRowCount())
    ]
    return {"categories": band.GetCategoryNames(), "columns": names, "rows": rows}


def paint(layers, frame, path):
    """Layers, the top one first, to a PNG with a pixel for each of the raster `frame`."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(frame.crs())
    settings.setExtent(frame.extent())
    settings.setOutputSize(QSize(frame.width(), frame.height()))
    settings.setBackgroundColor(QColor(255, 255, 255))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    assert not job.errors(), [error.message for error in job.errors()]
    assert job.renderedImage().save(path)


def main(scene_path, mask_path, map_path, mask_picture, fill_picture, *polygon_paths):
    scene = QgsRasterLayer(scene_path, "scene")
    mask = QgsRasterLayer(mask_path, "mask")
    polygons = [QgsVectorLayer(path, "polygons", "ogr") for path in polygon_paths]
    bands = [scene.bandName(i + 1) for i in range(scene.bandCount())]
    for setter, color in (
        ("setRedBand", "red"),
        ("setGreenBand", "green"),
        ("setBlueBand", "blue"),
    ):
        (index,) = [i + 1 for i, name in enumerate(bands) if name.endswith(": " + color)]
        getattr(scene.renderer(), setter)(index)
    scene.setDefaultContrastEnhancement()
    paint([polygons[0], scene], mask, map_path)
    paint([mask], mask, mask_picture)
    paint([polygons[0]], mask, fill_picture)
    print(
        json.dumps(
            {
                "mask": about_mask(mask),
                "polygons": [about_polygons(layer) for layer in polygons],
                "gdal": about_gdal(mask_path),
            }
        )
    )


app = QgsApplication([], False)
app.initQgis()
main(*sys.argv[1:])
app.exitQgis()
