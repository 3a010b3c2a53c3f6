"""Which rasters a prediction writes, and whether they can be written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geomask.output import check_distinct
from geomask.raster_writer import check_raster
from geomask.scene import Scene
from geomask.styles import check_style


@dataclass(frozen=True)
class Outputs:
    """The rasters of one prediction: mask always, confidence and probabilities where asked for.

    style: whether QGIS's style and GDAL's attribute table come with the mask.
    """

    mask: Path
    confidence: Path | None = None
    probabilities: Path | None = None
    style: bool = True

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those that will be written."""
        return tuple(p for p in (self.mask, self.confidence, self.probabilities) if p is not None)

    @property
    def need_percent(self) -> bool:
        """Whether probabilities must be worked out."""
        return self.confidence is not None or self.probabilities is not None


def check_outputs(outputs: Outputs, scene: Scene, *, overwrite: bool) -> None:
    """Refuse outputs that cannot be written, or are part of the scene. Raises OutputError."""
    check_distinct(outputs.paths)
    for path in outputs.paths:
        check_raster(path, overwrite=overwrite, inputs=scene.files)
    if outputs.style:
        check_style(outputs.mask, overwrite=overwrite, rasters=scene.files)
