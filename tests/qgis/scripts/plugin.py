"""Installs the plugin's zip into this profile and runs its algorithm; tells, in JSON, what came of
it.

plugin.py ZIP PROGRAM PARAMETERS.json [cancel]
"""

import json
import sys
import zipfile
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
)


class Log(QgsProcessingFeedback):
    """What the algorithm says; cancels at the first progress where told."""

    def __init__(self, cancel):
        super().__init__(False)
        self.percents, self.lines = [], []
        self.progressChanged.connect(self.percents.append)
        if cancel:
            self.progressChanged.connect(lambda _: self.cancel())

    def pushInfo(self, line):
        self.lines.append(line)

    def pushWarning(self, line):
        self.lines.append("warning: " + line)

    def reportError(self, line, fatalError=False):
        self.lines.append("error: " + line)


def install(archive):
    """As Plugins > Install from ZIP does, which needs a window."""
    folder = Path(QgsApplication.qgisSettingsDirPath()) / "python" / "plugins"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    sys.path[:0] = [str(folder), str(Path(QgsApplication.pkgDataPath()) / "python" / "plugins")]
    from qgis import utils

    utils.plugin_paths = [str(folder), *utils.plugin_paths]
    utils.updateAvailablePlugins()
    assert "geomask_qgis" in utils.available_plugins, utils.available_plugins
    assert utils.loadPlugin("geomask_qgis"), "the plugin does not load"
    return utils


def classes(renderer):
    """Labels, whatever kind of layer it is."""
    paletted = renderer.type() == "paletted"
    found = renderer.classes() if paletted else renderer.categories()
    return [each.label if paletted else each.label() for each in found]


def main(archive, program, parameters, cancel=""):
    utils = install(archive)
    from processing.core.Processing import Processing
    from processing.core.ProcessingConfig import ProcessingConfig

    Processing.initialize()
    assert utils.startProcessingPlugin("geomask_qgis"), "the plugin has no provider"
    import processing

    ProcessingConfig.setSettingValue("GEOMASK_EXECUTABLE", program)
    registry = QgsApplication.processingRegistry()
    algorithm = registry.algorithmById("geomask:cloudmask")
    log = Log(cancel)
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    told = {
        "qgis": Qgis.QGIS_VERSION,
        "name": algorithm.displayName(),
        "icon": not algorithm.provider().icon().isNull(),
        "version": utils.pluginMetadata("geomask_qgis", "version"),
        "executable": algorithm.canExecute()[0],
    }
    try:
        given = json.loads(parameters)
        results = processing.runAndLoadResults("geomask:cloudmask", given, log, context)
        layers = QgsProject.instance().mapLayers().values()
        told["results"] = {name: str(value) for name, value in results.items()}
        told["layers"] = {
            layer.name(): [classes(layer.renderer()), layer.source().partition("|")[0]]
            for layer in layers
        }
    except QgsProcessingException as error:
        told["error"] = str(error)
    told.update(percents=log.percents, lines=log.lines)
    utils.unloadPlugin("geomask_qgis")
    told["unloaded"] = registry.providerById("geomask") is None
    QgsProject.instance().clear()
    print(json.dumps(told))


app = QgsApplication([], True)
app.initQgis()
main(*sys.argv[1:])
sys.stdout.flush()
app.exitQgis()
