"""Run by QGIS itself (--code) with the plugin in its profile: pictures the algorithm's dialog and
leaves. GEOMASK_WINDOW names the picture, GEOMASK_TOLD the JSON.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from qgis import processing
from qgis.core import QgsApplication, QgsProject
from qgis.PyQt.QtCore import QTimer
from qgis.utils import active_plugins


def show():
    (layer,) = QgsProject.instance().mapLayersByName("scene")
    dialog = processing.createAlgorithmDialog("geomask:cloudmask", {"SCENE": layer.id()})
    dialog.resize(900, 560)
    dialog.show()
    QTimer.singleShot(2000, lambda: picture(dialog))


def picture(dialog):
    provider = QgsApplication.processingRegistry().providerById("geomask")
    told = {"active": "geomask_qgis" in active_plugins, "title": dialog.windowTitle()}
    told["algorithms"] = [algorithm.id() for algorithm in provider.algorithms()]
    Path(os.environ["GEOMASK_TOLD"]).write_text(json.dumps(told))
    dialog.grab().save(os.environ["GEOMASK_WINDOW"], None, 85)
    os._exit(0)


def fail(*error):
    traceback.print_exception(*error)
    sys.stderr.flush()
    os._exit(1)


sys.excepthook = fail  # in place of QGIS's, which waits for somebody to read it
QTimer.singleShot(3000, show)
