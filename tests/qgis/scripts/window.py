"""Run by QGIS itself (--code): tells what it made of the files it was given, pictures its window
and leaves. GEOMASK_WINDOW names the picture, GEOMASK_TOLD the JSON.

The scene is shown in natural colours, stretched, and the mask is folded out and hidden, so that the
polygons are seen over the scene; nothing else is touched.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from qgis.core import QgsContrastEnhancement, QgsProject, QgsRasterLayer
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QDockWidget
from qgis.utils import iface

BRIGHT = 0.3
"""Reflectance that is shown as white; QGIS applies the scale that the file states."""


def named(name):
    (layer,) = QgsProject.instance().mapLayersByName(name)
    return layer


def natural(layer):
    renderer = layer.renderer()
    bands = [layer.bandName(i + 1) for i in range(layer.bandCount())]
    for color in ("Red", "Green", "Blue"):
        (index,) = [i + 1 for i, name in enumerate(bands) if color.lower() in name.split()]
        getattr(renderer, f"set{color}Band")(index)
        stretch = QgsContrastEnhancement(layer.dataProvider().dataType(index))
        stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.StretchToMinimumMaximum)
        stretch.setMinimumValue(0)
        stretch.setMaximumValue(BRIGHT)
        getattr(renderer, f"set{color}ContrastEnhancement")(stretch)
    layer.triggerRepaint()


def arrange():
    told = {
        layer.name(): [isinstance(layer, QgsRasterLayer), layer.renderer().type()]
        for layer in QgsProject.instance().mapLayers().values()
    }
    Path(os.environ["GEOMASK_TOLD"]).write_text(json.dumps(told))
    iface.mainWindow().findChild(QDockWidget, "Browser").hide()
    natural(named("scene"))
    root = QgsProject.instance().layerTreeRoot()
    root.findLayer(named("mask")).setItemVisibilityChecked(False)
    for name, folded_out in (("mask", True), ("clouds", True), ("scene", False)):
        root.findLayer(named(name)).setExpanded(folded_out)
    iface.zoomFull()
    QTimer.singleShot(3000, picture)


def picture():
    iface.mapCanvas().waitWhileRendering()
    iface.mainWindow().grab().save(os.environ["GEOMASK_WINDOW"], None, 85)
    os._exit(0)  # asked to close, QGIS would ask whether to save the project


def fail(*error):
    traceback.print_exception(*error)
    sys.stderr.flush()
    os._exit(1)


sys.excepthook = fail  # in place of QGIS's, which waits for somebody to read it
QTimer.singleShot(2000, arrange)
