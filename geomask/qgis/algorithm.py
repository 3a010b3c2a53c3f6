"""The algorithm "Cloud mask (geomask)": its parameters as a command line, its results as layers."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, ClassVar

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)
from qgis.PyQt import sip

from .process import CancelledError, RunError, run

FOR_THE_MASK = 0.9
"""Share of the progress bar; polygons have the rest, and report none of their own."""

ABSENT = (
    "The program geomask was not found. Install it (python3 -m venv geomask && geomask/bin/pip "
    "install geomask), then give its path, geomask/bin/geomask, in Settings > Options > "
    "Processing > Providers > geomask."
)

HELP = """Cloud, cloud shadow and snow in a satellite scene, as a mask (0 clear, 1 cloud, \
2 shadow, 3 snow, 255 nodata) and as polygons.

<b>Scene</b>: a layer whose bands are described (blue, B02, nir, …) and whose numbers are \
reflectance or say how to become it; or, in its place, a product as it was delivered: a \
Sentinel-2 SAFE, LISS-4 or Landsat folder or its zip, or a STAC item, by path or address.

<b>Model</b>: a name that <i>geomask models</i> lists, or the path of a .safetensors file.

<b>Further options</b>: of <i>geomask predict</i>, as on the command line: --bands \
green=1,red=2,nir=3 --scale 0.0001 --device cuda.

It runs the program geomask, whose path is set in Settings > Options > Processing > Providers."""


class OwnStyle(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer the style that lies beside its file, which Processing leaves out.

    QGIS deletes it with the layer's details, so each layer needs its own; but its Python half lives
    only as long as someone here holds it.
    """

    held: ClassVar[list[OwnStyle]] = []

    @classmethod
    def kept(cls) -> OwnStyle:
        """A new one, held until QGIS has deleted it."""
        cls.held = [*(each for each in cls.held if not sip.isdeleted(each)), cls()]
        return cls.held[-1]

    def postProcessLayer(
        self, layer: Any, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        layer.loadDefaultStyle()
        layer.triggerRepaint()


class CloudMask(QgsProcessingAlgorithm):
    """Runs `geomask predict`. executable: finds the program; None where there is none."""

    SCENE, PRODUCT, MODEL, CLASSES = "SCENE", "PRODUCT", "MODEL", "CLASSES"
    MIN_AREA, OPTIONS, MASK, POLYGONS = "MIN_AREA", "OPTIONS", "MASK", "POLYGONS"

    def __init__(self, executable: Callable[[], str | None]) -> None:
        super().__init__()
        self.executable = executable

    def createInstance(self) -> CloudMask:
        return CloudMask(self.executable)

    def name(self) -> str:
        return "cloudmask"

    def displayName(self) -> str:
        return "Cloud mask (geomask)"

    def shortHelpString(self) -> str:
        return HELP

    def tags(self) -> list[str]:
        return ["cloud", "shadow", "snow", "mask", "Sentinel-2", "LISS-4", "Landsat"]

    def canExecute(self) -> tuple[bool, str]:
        return (True, "") if self.executable() else (False, ABSENT)

    def initAlgorithm(self, config: dict[str, Any] | None = None) -> None:
        advanced = [
            QgsProcessingParameterNumber(
                self.MIN_AREA,
                "Leave out polygons smaller than this (square metres)",
                QgsProcessingParameterNumber.Double,
                defaultValue=0.0,
                minValue=0.0,
            ),
            QgsProcessingParameterString(self.OPTIONS, "Further options", "", optional=True),
        ]
        for parameter in advanced:
            flag = QgsProcessingParameterDefinition.FlagAdvanced
            parameter.setFlags(parameter.flags() | flag)
        for parameter in (
            QgsProcessingParameterRasterLayer(self.SCENE, "Scene, a layer", optional=True),
            QgsProcessingParameterFile(
                self.PRODUCT,
                "or a product: folder, zip or STAC item",
                QgsProcessingParameterFile.Folder,
                optional=True,
            ),
            QgsProcessingParameterString(self.MODEL, "Model", "default"),
            QgsProcessingParameterString(
                self.CLASSES,
                "Classes of the polygons, as in cloud,shadow (empty: all but clear)",
                "",
                optional=True,
            ),
            *advanced,
            QgsProcessingParameterRasterDestination(self.MASK, "Mask"),
            QgsProcessingParameterVectorDestination(
                self.POLYGONS,
                "Polygons",
                QgsProcessing.TypeVectorPolygon,
                optional=True,
                createByDefault=True,
            ),
        ):
            self.addParameter(parameter)

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        if bool(parameters.get(self.SCENE)) == bool(parameters.get(self.PRODUCT)):
            return False, "Give a scene: a layer or a product, one of the two."
        try:
            shlex.split(self.parameterAsString(parameters, self.OPTIONS, context))
        except ValueError as error:
            return False, f"Further options cannot be read: {error}."
        known, why = super().checkParameterValues(parameters, context)
        return bool(known), str(why)

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        mask = self.parameterAsOutputLayer(parameters, self.MASK, context)
        polygons = self.parameterAsOutputLayer(parameters, self.POLYGONS, context) or None
        command = self._command(parameters, context, mask, polygons)
        feedback.pushCommandInfo(" ".join(map(shlex.quote, command)))

        def say(line: str, warning: bool) -> None:
            (feedback.pushWarning if warning else feedback.pushInfo)(line)

        share = 1.0 if polygons is None else FOR_THE_MASK
        try:
            found = run(
                command,
                cancelled=feedback.isCanceled,
                progress=lambda percent: feedback.setProgress(share * percent),
                said=say,
            )
        except CancelledError:
            feedback.pushInfo("Cancelled; no output was touched.")
            return {}
        except RunError as error:
            raise QgsProcessingException(str(error)) from error
        for name, percent in found["percent"].items():
            feedback.pushInfo(f"{name}: {percent:.2f} %")
        feedback.setProgress(100)
        made = {self.MASK: mask} if polygons is None else {self.MASK: mask, self.POLYGONS: polygons}
        for path in made.values():
            if context.willLoadLayerOnCompletion(path):
                details = context.layerToLoadOnCompletionDetails(path)
                details.setPostProcessor(OwnStyle.kept())
        return made

    def _command(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        mask: str,
        polygons: str | None,
    ) -> list[str]:
        program = self.executable()
        if program is None:
            raise QgsProcessingException(ABSENT)
        command = [program, "predict", self._scene(parameters, context), "--out", mask]
        command += ["--model", self.parameterAsString(parameters, self.MODEL, context)]
        if polygons is not None:
            command += ["--shp", polygons]
            classes = self.parameterAsString(parameters, self.CLASSES, context)
            command += ["--classes", classes] if classes else []
            least = self.parameterAsDouble(parameters, self.MIN_AREA, context)
            command += ["--min-area", f"{least:g}"] if least else []
        command += shlex.split(self.parameterAsString(parameters, self.OPTIONS, context))
        # QGIS has asked already whether a file may be replaced.
        return [*command, "--overwrite", "--json", "--progress", "lines"]

    def _scene(self, parameters: dict[str, Any], context: QgsProcessingContext) -> str:
        if parameters.get(self.PRODUCT):
            return str(self.parameterAsFile(parameters, self.PRODUCT, context))
        layer = self.parameterAsRasterLayer(parameters, self.SCENE, context)
        if layer is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.SCENE))
        if layer.dataProvider().name() != "gdal":
            raise QgsProcessingException(
                f"{layer.name()}: is no raster file; save it as a GeoTIFF first"
            )
        return str(layer.source())
