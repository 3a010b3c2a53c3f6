"""geomask in Processing: the provider, its one algorithm, and where the program is."""

from __future__ import annotations

import shutil
from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsApplication, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithm import CloudMask

SETTING = "GEOMASK_EXECUTABLE"
"""In Settings > Options > Processing > Providers > geomask."""

ICON = str(Path(__file__).with_name("icon.svg"))


def executable() -> str | None:
    """The geomask to run: the one in the settings, else that of the PATH; None without either."""
    named = str(ProcessingConfig.getSetting(SETTING) or "").strip()
    return shutil.which(str(Path(named).expanduser()) if named else "geomask")


class Plugin:
    """What QGIS loads and unloads."""

    def __init__(self) -> None:
        self.provider: Provider | None = None

    def initProcessing(self) -> None:
        """Called alone by qgis_process."""
        self.provider = Provider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:
        self.initProcessing()

    def unload(self) -> None:
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)


class Provider(QgsProcessingProvider):
    """The folder "geomask" of the toolbox."""

    def load(self) -> bool:
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        ProcessingConfig.addSetting(
            Setting(
                self.name(),
                SETTING,
                "Path of the program geomask (empty: the one on the PATH)",
                "",
                valuetype=Setting.FILE,
            )
        )
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        ProcessingConfig.removeSetting(SETTING)

    def loadAlgorithms(self) -> None:
        self.addAlgorithm(CloudMask(executable))

    def id(self) -> str:
        return "geomask"

    def name(self) -> str:
        return "geomask"

    def icon(self) -> QIcon:
        return QIcon(ICON)

    def svgIconPath(self) -> str:
        return ICON

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        return ["tif"]

    def supportedOutputVectorLayerExtensions(self) -> list[str]:
        return ["gpkg", "shp", "fgb", "geojson"]

    def supportsNonFileBasedOutput(self) -> bool:
        return False
